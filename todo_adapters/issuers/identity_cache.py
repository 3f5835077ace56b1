"""The people of external issuers who were seen lately, in this process."""

import time

from todo_core.entities.identity import Identity, Issuer, LinkedIdentity, Subject
from todo_core.ports.external_issuers import KnownPeople

_MOST_PEOPLE = 50_000


class RecentPeople(KnownPeople):
    """Remembers each for `seconds`; of too many, the first is forgotten."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._people: dict[tuple[Issuer, Subject], tuple[LinkedIdentity, float]] = {}

    def recall(self, identity: Identity) -> LinkedIdentity | None:
        person, until = self._people.get((identity.issuer, identity.subject), (None, 0.0))
        return person if time.monotonic() < until else None

    def remember(self, person: LinkedIdentity) -> None:
        if len(self._people) >= _MOST_PEOPLE:
            self._people.pop(next(iter(self._people)), None)
        key = person.identity.issuer, person.identity.subject
        self._people[key] = (person, time.monotonic() + self._seconds)
