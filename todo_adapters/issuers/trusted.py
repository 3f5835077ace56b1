"""One issuer, and all of those that are trusted."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import structlog

from todo_adapters.issuers.claims import MAX_TOKEN_SIZE, Expected, ParsedToken, VerifiedToken
from todo_core.entities.identity import Identity, Issuer
from todo_core.errors import InvalidAccessToken, Unavailable
from todo_core.ports.external_issuers import ExternalIssuers

_TOKENS_REMEMBERED = 4096
_NAMES_REMEMBERED = 2048  # 16 MB, if all of them are as large as they may be
_SECONDS_REMEMBERED = 300.0

_log = structlog.get_logger()


class TrustedIssuer(ABC):
    """Verifies the tokens of one issuer."""

    expected: Expected

    @abstractmethod
    def verify(self, token: ParsedToken) -> VerifiedToken:
        """All of the token that does not depend on the time.

        Raises:
            Unavailable: if its keys cannot be had.
            Exception: of any other kind, if anything at all is wrong with it.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop the downloads that are under way for this issuer."""


@dataclass(slots=True)
class _Remembered:
    verified: VerifiedToken
    until: float


class TrustedIssuers(ExternalIssuers):
    """The issuers that were configured, each known by the name that its tokens give as `iss`.

    At most one of them may be silent about its name: it gets the tokens without `iss`.

    That a token was signed by its issuer is remembered for those seen last, for a few
    minutes, so that a key which is withdrawn is of no use for long. Whether it is
    valid at this moment is checked every time. Why a token is refused is logged, without
    the token.
    """

    def __init__(self, issuers: Sequence[TrustedIssuer]) -> None:
        self._issuers = issuers
        self._by_name: dict[str | None, TrustedIssuer] = {}
        for issuer in issuers:
            if not issuer.expected.names_itself:
                self._by_name[None] = issuer
        for issuer in issuers:
            # Of two with one name, the first is meant; the other may be the silent one.
            self._by_name.setdefault(issuer.expected.issuer, issuer)
        self._issuer_of = lru_cache(_NAMES_REMEMBERED)(self._named_by)
        self._remembered: dict[str, _Remembered] = {}

    def named_by(self, token: str) -> Issuer | None:
        # What is too large is not kept in memory either.
        if not self._by_name or len(token) > MAX_TOKEN_SIZE:
            return None
        issuer = self._issuer_of(token)
        return None if issuer is None else Issuer(issuer.expected.known_as)

    def recall(self, token: str, *, now: datetime) -> Identity | None:
        remembered = self._remembered.get(token)
        if remembered is None or time.monotonic() >= remembered.until:
            return None
        return remembered.verified.identity_at(now)

    def verify(self, token: str, *, now: datetime) -> Identity:
        issuer = self._issuer_of(token) if self.named_by(token) else None
        if issuer is None:
            raise InvalidAccessToken
        try:
            verified = issuer.verify(ParsedToken.of(token))
            identity = verified.identity_at(now)
        except Unavailable:
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, InvalidAccessToken) else type(error).__name__
            _log.info("external_token.refused", issuer=issuer.expected.issuer, reason=reason)
            raise InvalidAccessToken from error
        if len(self._remembered) >= _TOKENS_REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)), None)
        self._remembered[token] = _Remembered(verified, time.monotonic() + _SECONDS_REMEMBERED)
        return identity

    def close(self) -> None:
        """Stop the downloads that are under way."""
        for issuer in self._issuers:
            issuer.close()

    def _named_by(self, token: str) -> TrustedIssuer | None:
        try:
            name = ParsedToken.of(token).payload.get("iss")
        except (ValueError, RecursionError):
            return None
        if name is not None and not isinstance(name, str):
            return None
        return self._by_name.get(name)
