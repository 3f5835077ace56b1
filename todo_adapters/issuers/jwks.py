"""Tokens that are signed with a key which the issuer publishes (JWKS, RFC 7517)."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
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
_MOST_AT_ONCE = 4
_SECONDS_TO_EARN_ONE = 15.0
_MAX_SIZE = 256 * 1024
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}

type Keys = Mapping[str, Sequence[PyJWK]]
"""By the name of each, the key for every algorithm that it is used with."""

_log = structlog.get_logger()


class PyJwtIssuer(TrustedIssuer):
    """Signatures by public keys, each good for the one algorithm that its issuer made it for.

    The library is given the key as an object that knows its algorithm, one of those that
    were configured. So a public key is never taken for the secret of an HMAC, whatever a
    token says of itself.
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
                return self.expected.verified(token.payload)
        raise InvalidAccessToken("alg is not that of the key")

    @override
    def close(self) -> None:
        self._keys.close()


class PublishedKeys:
    """The keys at an issuer's address: fetched when they are first needed, and kept.

    They are looked at anew every ten minutes, and when a token names one that is not
    among them. While the issuer is down, those that are known go on to be good, and it
    is asked every two seconds. One download is under way at a time, everybody waits for
    the same, and nobody for longer than `TIMEOUT_SECONDS`. Tokens that name keys at
    random cause four downloads at first, and then one in 15 seconds.
    """

    def __init__(self, url: str, algorithms: Sequence[str]) -> None:
        self._url = url
        self._algorithms = algorithms
        self._keys: Keys = {}
        self._downloaded_at: float | None = None
        self._failed_at: float | None = None
        self._credit = _Credit()
        self._lock = Lock()
        self._under_way: Future[None] | None = None
        self._is_closed = False

    def find(self, key_id: object) -> Sequence[PyJWK]:
        """The key of this name, once for each algorithm that it may be used with.

        Without a name it is the only one that there is.

        Raises:
            Unavailable: if the issuer does not answer, and the key is not known.
            InvalidAccessToken: if there is no such key.
        """
        if known := self._known(key_id):
            if self._is_old():
                self._begin_download()  # for later: what is known is good meanwhile
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
        """Begin no further download, and wait for the one that is under way, within limits."""
        with self._lock:
            self._is_closed = True
            under_way = self._under_way
        if under_way is not None:
            wait([under_way], timeout=TIMEOUT_SECONDS)

    def _known(self, key_id: object) -> Sequence[PyJWK]:
        keys = self._keys
        if key_id is None:
            return next(iter(keys.values())) if len(keys) == 1 else ()
        return keys.get(key_id, ()) if isinstance(key_id, str) else ()

    def _is_old(self) -> bool:
        downloaded_at = self._downloaded_at
        return downloaded_at is None or time.monotonic() >= downloaded_at + _LIFETIME_SECONDS

    def _begin_download(self) -> Future[None] | None:
        """The download that is under way, or a new one; None if it is too soon for one."""
        with self._lock:
            if self._is_closed or (
                self._failed_at is not None and time.monotonic() < self._failed_at + _RETRY_SECONDS
            ):
                return None
            if self._under_way is None or self._under_way.done():
                if self._failed_at is None and not self._is_old() and not self._credit.take():
                    return None
                self._under_way = Future()
                # Not one that the process waits for at its end, however slow a name server is.
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
            self._keys = _keys_in(asyncio.run(_fetched(self._url)), self._algorithms)
        except Exception as error:  # noqa: BLE001 - whatever the other side sends
            self._failed_at = time.monotonic()
            _log.warning("issuer.keys_unavailable", url=self._url, reason=repr(error))
        else:
            self._failed_at = None
            self._downloaded_at = time.monotonic()
            _log.info("issuer.keys_downloaded", url=self._url, keys=len(self._keys))
        done.set_result(None)


class _Credit:
    """So much may be done at once, and more as time passes (a token bucket)."""

    def __init__(self) -> None:
        self._left = float(_MOST_AT_ONCE)
        self._counted_at = time.monotonic()

    def take(self) -> bool:
        """Use one up, if there is any."""
        now = time.monotonic()
        earned = (now - self._counted_at) / _SECONDS_TO_EARN_ONE
        self._left = min(_MOST_AT_ONCE, self._left + earned)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


async def _fetched(url: str) -> bytes:
    """What is at this address; nowhere else, and in time, however slowly it comes."""
    async with (
        asyncio.timeout(TIMEOUT_SECONDS),
        httpx.AsyncClient(headers=_HEADERS) as client,
        client.stream("GET", url) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise ValueError(f"the answer is {answer.status_code}")
        content = bytearray()
        async for part in answer.aiter_bytes():
            content += part
            if len(content) > _MAX_SIZE:
                raise ValueError("the answer is too large")
        return bytes(content)


def _keys_in(document: bytes, algorithms: Sequence[str]) -> Keys:
    """The keys of a JWKS for signatures by these algorithms; others are passed over."""
    keys: dict[str, Sequence[PyJWK]] = {}
    for number, described in enumerate(json.loads(document)["keys"]):
        if isinstance(described, dict) and described.get("use") in (None, "sig"):
            # One without a name is found only if it is alone, and by no name of a token's.
            name = described.get("kid", f"number {number} \0")
            if isinstance(name, str) and (usable := list(_usable(described, algorithms))):
                keys[name] = usable
    if not keys:
        raise ValueError("there is no key for the algorithms that are allowed")
    return keys


def _usable(described: dict[str, Any], algorithms: Sequence[str]) -> Iterator[PyJWK]:
    """The key for each allowed algorithm: for its own if it names one, or those that fit it."""
    for algorithm in algorithms:
        if described.get("alg") in (None, algorithm):
            try:
                key = PyJWK(described, algorithm)
            except (PyJWTError, TypeError, ValueError):
                continue
            if not key.Algorithm.check_key_length(key.key):
                yield key
