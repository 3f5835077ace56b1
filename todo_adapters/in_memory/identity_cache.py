"""A cache of the accounts of external users."""

from todo_core.entities.identity import Identity, Issuer, LinkedIdentity, Subject
from todo_core.ports.external_issuers import IdentityCache


class InMemoryIdentityCache(IdentityCache):
    """Keeps every identity, indefinitely."""

    def __init__(self) -> None:
        self._known: dict[tuple[Issuer, Subject], LinkedIdentity] = {}

    def recall(self, identity: Identity) -> LinkedIdentity | None:
        return self._known.get((identity.issuer, identity.subject))

    def remember(self, linked: LinkedIdentity) -> None:
        self._known[linked.identity.issuer, linked.identity.subject] = linked
