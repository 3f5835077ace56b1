"""An external issuer whose tokens tests choose."""

from datetime import datetime

from todo_core.entities.identity import Identity, Issuer
from todo_core.errors import InvalidAccessToken
from todo_core.ports.external_issuers import ExternalIssuers


class InMemoryExternalIssuers(ExternalIssuers):
    """One issuer whose valid tokens are the keys of `identities`.

    Tokens that begin with `external` name it as their issuer.
    """

    def __init__(self) -> None:
        self.identities: dict[str, Identity] = {}
        self._verified: set[str] = set()

    def named_by(self, token: str) -> Issuer | None:
        return Issuer("external") if token.startswith("external") else None

    def recall(self, token: str, *, now: datetime) -> Identity | None:  # noqa: ARG002 - always valid
        return self.identities[token] if token in self._verified else None

    def verify(self, token: str, *, now: datetime) -> Identity:  # noqa: ARG002 - as above
        if token not in self.identities:
            raise InvalidAccessToken
        self._verified.add(token)
        return self.identities[token]
