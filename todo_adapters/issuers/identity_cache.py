"""A cache of the accounts of external users, in this process."""

import time

from todo_core.entities.identity import Identity, Issuer, LinkedIdentity, Subject
from todo_core.ports.external_issuers import KnownPeople

_MAX_ENTRIES = 50_000


class RecentPeople(KnownPeople):
    """Keeps each entry for `seconds`; when it is full, the oldest one is removed."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._entries: dict[tuple[Issuer, Subject], tuple[LinkedIdentity, float]] = {}

    def recall(self, identity: Identity) -> LinkedIdentity | None:
        person, until = self._entries.get((identity.issuer, identity.subject), (None, 0.0))
        return person if time.monotonic() < until else None

    def remember(self, person: LinkedIdentity) -> None:
        if len(self._entries) >= _MAX_ENTRIES:
            self._entries.pop(next(iter(self._entries)), None)
        key = person.identity.issuer, person.identity.subject
        self._entries[key] = (person, time.monotonic() + self._seconds)
