"""The trusted external issuers."""

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

_MAX_VERIFIED_TOKENS = 4096
_MAX_PARSED_TOKENS = 2048  # 16 MB if all have the maximum size
_VERIFIED_SECONDS = 300.0

_log = structlog.get_logger()


class TrustedIssuer(ABC):
    """Verifies the tokens of one issuer."""

    expected: Expected

    @abstractmethod
    def verify(self, token: ParsedToken) -> VerifiedToken:
        """Verify everything about the token that does not depend on the current time.

        Raises:
            Unavailable: if the issuer's keys cannot be downloaded.
            Exception: of any other kind, if the token is invalid.
        """

    @abstractmethod
    def close(self) -> None:
        """Begin no further download for this issuer."""


@dataclass(slots=True)
class _CacheEntry:
    verified: VerifiedToken
    until: float


class TrustedIssuers(ExternalIssuers):
    """The configured issuers, each chosen by the `iss` of its tokens.

    At most one of them may issue tokens without `iss`.

    Verified signatures are cached for the most recent tokens, and only for a few minutes, so
    that a withdrawn key is not accepted for long. The time is checked at every call. The reason
    for refusing a token is logged, without the token.
    """

    def __init__(self, issuers: Sequence[TrustedIssuer]) -> None:
        self._issuers = issuers
        self._by_name: dict[str | None, TrustedIssuer] = {}
        for issuer in issuers:
            if not issuer.expected.requires_issuer:
                self._by_name[None] = issuer
        for issuer in issuers:
            # Of two issuers with the same name, the second only gets tokens without `iss`.
            self._by_name.setdefault(issuer.expected.issuer, issuer)
        self._issuer_of = lru_cache(_MAX_PARSED_TOKENS)(self._find_issuer)
        self._cache: dict[str, _CacheEntry] = {}

    def named_by(self, token: str) -> Issuer | None:
        # Do not cache tokens that are too large.
        if not self._by_name or len(token) > MAX_TOKEN_SIZE:
            return None
        issuer = self._issuer_of(token)
        return None if issuer is None else Issuer(issuer.expected.namespace)

    def recall(self, token: str, *, now: datetime) -> Identity | None:
        entry = self._cache.get(token)
        if entry is None or time.monotonic() >= entry.until:
            return None
        return entry.verified.identity_at(now)

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
        if len(self._cache) >= _MAX_VERIFIED_TOKENS:
            self._cache.pop(next(iter(self._cache)), None)
        self._cache[token] = _CacheEntry(verified, time.monotonic() + _VERIFIED_SECONDS)
        return identity

    def close(self) -> None:
        """Begin no further downloads."""
        for issuer in self._issuers:
            issuer.close()

    def _find_issuer(self, token: str) -> TrustedIssuer | None:
        try:
            name = ParsedToken.of(token).payload.get("iss")
        except (ValueError, RecursionError):
            return None
        if name is not None and not isinstance(name, str):
            return None
        return self._by_name.get(name)
