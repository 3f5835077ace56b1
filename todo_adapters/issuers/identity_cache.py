"""A cache of the accounts of external users, in this process."""

import time

from todo_core.entities.identity import Identity, Issuer, LinkedIdentity, Subject
from todo_core.ports.external_issuers import IdentityCache

_MAX_ENTRIES = 50_000


class TtlIdentityCache(IdentityCache):
    """Keeps each entry for `seconds`. When the cache is full, the oldest entry is removed."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._entries: dict[tuple[Issuer, Subject], tuple[LinkedIdentity, float]] = {}

    def recall(self, identity: Identity) -> LinkedIdentity | None:
        linked, until = self._entries.get((identity.issuer, identity.subject), (None, 0.0))
        return linked if time.monotonic() < until else None

    def remember(self, linked: LinkedIdentity) -> None:
        if len(self._entries) >= _MAX_ENTRIES:
            self._entries.pop(next(iter(self._entries)), None)
        key = linked.identity.issuer, linked.identity.subject
        self._entries[key] = (linked, time.monotonic() + self._seconds)
