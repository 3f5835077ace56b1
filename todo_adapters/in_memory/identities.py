"""Identities in memory."""

from collections.abc import Sequence
from dataclasses import replace

from todo_adapters.in_memory.store import InMemoryStore
from todo_core.entities.identity import Identity, Issuer, LinkedIdentity, Subject
from todo_core.entities.user import UserId
from todo_core.errors import AccountGone, IdentityNotFound, IdentityTaken, StaleVersion
from todo_core.ports.repositories import IdentityRepository


class InMemoryIdentityRepository(IdentityRepository):
    """Identities in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def add(self, linked: LinkedIdentity) -> None:
        with self._store.lock:
            if linked.user_id not in self._store.users:
                raise AccountGone
            if _key(linked.identity) in self._store.identities:
                raise IdentityTaken
            self._store.identities[_key(linked.identity)] = linked

    def get(self, identity: Identity) -> LinkedIdentity:
        with self._store.lock:
            try:
                return self._store.identities[_key(identity)]
            except KeyError:
                raise IdentityNotFound from None

    def list(self, user_id: UserId) -> Sequence[Identity]:
        with self._store.lock:
            stored = self._store.identities.values()
            owned = [each.identity for each in stored if each.user_id == user_id]
        return sorted(owned, key=lambda identity: identity.issued_at, reverse=True)

    def save(self, identity: Identity) -> None:
        with self._store.lock:
            linked = self._store.identities.get(_key(identity))
            if linked is None or linked.identity.issued_at >= identity.issued_at:
                raise StaleVersion
            self._store.identities[_key(identity)] = replace(linked, identity=identity)


def _key(identity: Identity) -> tuple[Issuer, Subject]:
    return identity.issuer, identity.subject
