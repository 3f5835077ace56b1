"""Tokens signed with a key that the issuer publishes as a JWKS (RFC 7517)."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as DownloadTimeout
from threading import Lock, Thread
from typing import Any, override

import httpx
import structlog
from jwt import PyJWK, PyJWS
from jwt.exceptions import PyJWTError

from todo_adapters.issuers.claims import Expected, ParsedToken, VerifiedToken
from todo_adapters.issuers.trusted import TrustedIssuer
from todo_core.errors import InvalidAccessToken, Unavailable

TIMEOUT_SECONDS = 3.0

_LIFETIME_SECONDS = 600.0
_RETRY_SECONDS = 2.0
_MAX_TOKENS = 4
_SECONDS_PER_TOKEN = 15.0
_MAX_SIZE = 256 * 1024
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}

type Keys = Mapping[str, Sequence[PyJWK]]
"""By key id, the key for each algorithm that it may be used with."""

_log = structlog.get_logger()


class PyJwtIssuer(TrustedIssuer):
    """Verifies signatures by public keys, each with the one algorithm that it is meant for.

    The library gets the key as an object with its algorithm, one of those that are configured. So
    a public key is never used as the secret of an HMAC, whatever the token's header says.
    """

    def __init__(self, keys: "PublishedKeys", expected: Expected) -> None:
        self.expected = expected
        self._keys = keys
        self._signatures = PyJWS()

    def verify(self, token: ParsedToken) -> VerifiedToken:
        self.expected.check_header(token.header)
        for key in self._keys.find(token.header.get("kid")):
            if key.algorithm_name == token.header.get("alg"):
                self._signatures.decode(token.text, key, algorithms=[key.algorithm_name])
                return self.expected.check_claims(token.payload)
        raise InvalidAccessToken("alg is not that of the key")

    @override
    def close(self) -> None:
        self._keys.close()


class PublishedKeys:
    """The keys at an issuer's URL: downloaded when they are first needed, and cached.

    They are downloaded again after ten minutes, and when a token names an unknown key. While
    the issuer is down, cached keys stay valid, and a download is tried every two seconds.
    There is one download at a time; all callers wait for it, at most `TIMEOUT_SECONDS` each.
    Tokens that name random keys cause at most four downloads, and then one in 15 seconds.
    """

    def __init__(self, url: str, algorithms: Sequence[str]) -> None:
        self._url = url
        self._algorithms = algorithms
        self._keys: Keys = {}
        self._downloaded_at: float | None = None
        self._failed_at: float | None = None
        self._bucket = _TokenBucket()
        self._lock = Lock()
        self._under_way: Future[None] | None = None
        self._is_closed = False

    def find(self, key_id: object) -> Sequence[PyJWK]:
        """Return the key with this id, once for each algorithm that it may be used with.

        Without an id, return the issuer's only key.

        Raises:
            Unavailable: if the key is not known and the issuer does not respond.
            InvalidAccessToken: if there is no such key.
        """
        if known := self._known(key_id):
            if self._is_old():
                self._begin_download()  # without waiting for it
            return known
        download = self._begin_download()
        if download is not None:
            self._wait_for(download)
            if known := self._known(key_id):
                return known
        if self._failed_at is not None or self._downloaded_at is None:
            raise Unavailable("token issuer")
        raise InvalidAccessToken("the issuer has no such key")

    def close(self) -> None:
        """Begin no further download.

        The current one is not waited for. It ends within `TIMEOUT_SECONDS`, on a daemon thread.
        """
        with self._lock:
            self._is_closed = True

    def _known(self, key_id: object) -> Sequence[PyJWK]:
        keys = self._keys
        if key_id is None:
            return next(iter(keys.values())) if len(keys) == 1 else ()
        return keys.get(key_id, ()) if isinstance(key_id, str) else ()

    def _is_old(self) -> bool:
        downloaded_at = self._downloaded_at
        return downloaded_at is None or time.monotonic() >= downloaded_at + _LIFETIME_SECONDS

    def _begin_download(self) -> Future[None] | None:
        """Return the current download or begin one; return None if it is too early."""
        with self._lock:
            if self._is_closed or (
                self._failed_at is not None and time.monotonic() < self._failed_at + _RETRY_SECONDS
            ):
                return None
            if self._under_way is None or self._under_way.done():
                if self._failed_at is None and not self._is_old() and not self._bucket.take():
                    return None
                self._under_way = Future()
                # A daemon thread: a slow name server must not delay the end of the process.
                Thread(target=self._download, args=(self._under_way,), daemon=True).start()
            return self._under_way

    def _wait_for(self, download: Future[None]) -> None:
        try:
            download.result(TIMEOUT_SECONDS)
        except DownloadTimeout:
            self._failed_at = time.monotonic()
            raise Unavailable("token issuer") from None

    def _download(self, done: Future[None]) -> None:
        try:
            self._keys = _parse_keys(asyncio.run(_fetch(self._url)), self._algorithms)
        except Exception as error:  # noqa: BLE001 - the issuer may send anything
            self._failed_at = time.monotonic()
            _log.warning("issuer.keys_unavailable", url=self._url, reason=repr(error))
        else:
            self._failed_at = None
            self._downloaded_at = time.monotonic()
            _log.info("issuer.keys_downloaded", url=self._url, keys=len(self._keys))
        done.set_result(None)


class _TokenBucket:
    """A token bucket that limits downloads."""

    def __init__(self) -> None:
        self._tokens = float(_MAX_TOKENS)
        self._counted_at = time.monotonic()

    def take(self) -> bool:
        """Take one token, and return whether there was one."""
        now = time.monotonic()
        earned = (now - self._counted_at) / _SECONDS_PER_TOKEN
        self._tokens = min(_MAX_TOKENS, self._tokens + earned)
        self._counted_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


async def _fetch(url: str) -> bytes:
    """Download this URL within the timeout, without following redirects."""
    async with (
        asyncio.timeout(TIMEOUT_SECONDS),
        httpx.AsyncClient(headers=_HEADERS) as client,
        client.stream("GET", url) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"the status is {response.status_code}")
        content = bytearray()
        async for part in response.aiter_bytes():
            content += part
            if len(content) > _MAX_SIZE:
                raise ValueError("the response is too large")
        return bytes(content)


def _parse_keys(document: bytes, algorithms: Sequence[str]) -> Keys:
    """Return the keys of a JWKS that sign with one of these algorithms, and ignore others."""
    keys: dict[str, Sequence[PyJWK]] = {}
    for number, jwk in enumerate(json.loads(document)["keys"]):
        if isinstance(jwk, dict) and jwk.get("use") in (None, "sig"):
            # A key without an id is found only if it is the only one: no `kid` equals this.
            key_id = jwk.get("kid", f"number {number} \0")
            if isinstance(key_id, str) and (usable := list(_usable_keys(jwk, algorithms))):
                keys[key_id] = usable
    if not keys:
        raise ValueError("no key fits the allowed algorithms")
    return keys


def _usable_keys(jwk: dict[str, Any], algorithms: Sequence[str]) -> Iterator[PyJWK]:
    """Yield the key for its own algorithm, or for each allowed one that fits if it names none."""
    for algorithm in algorithms:
        if jwk.get("alg") in (None, algorithm):
            try:
                key = PyJWK(jwk, algorithm)
            except (PyJWTError, TypeError, ValueError):
                continue
            if not key.Algorithm.check_key_length(key.key):
                yield key
