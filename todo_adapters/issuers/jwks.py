"""Tokens that are signed with a key which the issuer publishes (JWKS, RFC 7517)."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as DownloadTimeout
from threading import Lock

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
_MOST_DOWNLOADS = 4
_DOWNLOADS_WINDOW_SECONDS = 60.0
_MAX_SIZE = 256 * 1024

_log = structlog.get_logger()


class PyJwtIssuer(TrustedIssuer):
    """Signatures by public keys, each good for the one algorithm that its issuer made it for.

    The library is given the key as an object that knows its algorithm. So a public key
    is never taken for the secret of an HMAC, whatever a token says of itself.
    """

    def __init__(self, keys: "PublishedKeys", expected: Expected) -> None:
        self.expected = expected
        self._keys = keys
        self._signatures = PyJWS()

    def verify(self, token: ParsedToken) -> VerifiedToken:
        self.expected.check_header(token.header)
        key = self._keys.find(token.header.get("kid"))
        self._signatures.decode(token.text, key, algorithms=[key.algorithm_name])
        return self.expected.verified(token.payload)

    def close(self) -> None:
        self._keys.close()


class PublishedKeys:
    """The keys at an issuer's address: fetched when they are first needed, and kept.

    They are looked at anew every ten minutes, and when a token names one that is not
    among them. While the issuer is down, those that are known go on to be good. One
    download is under way at a time, everybody waits for the same, and nobody for longer
    than `TIMEOUT_SECONDS`. Tokens that name keys at random cause four downloads a minute.
    """

    def __init__(self, url: str, algorithms: Sequence[str]) -> None:
        self._url = url
        self._algorithms = algorithms
        self._keys: Mapping[object, PyJWK] | None = None
        self._downloaded_at = 0.0
        self._failed_at: float | None = None
        self._lately: deque[float] = deque(maxlen=_MOST_DOWNLOADS)
        self._lock = Lock()
        self._under_way: Future[None] | None = None
        self._downloads = ThreadPoolExecutor(1, thread_name_prefix="keys")

    def find(self, key_id: object) -> PyJWK:
        """The key of this name; without a name, the only one that there is.

        Raises:
            Unavailable: if the issuer does not answer, and the key is not known.
            InvalidAccessToken: if there is no such key.
        """
        key = self._known(key_id)
        if key is not None:
            if time.monotonic() >= self._downloaded_at + _LIFETIME_SECONDS:
                self._begin_download()  # for later: what is known is good meanwhile
            return key
        download = self._begin_download()
        if download is not None:
            _wait_for(download)
            key = self._known(key_id)
        if key is not None:
            return key
        if self._failed_at is not None or self._keys is None:
            raise Unavailable("token issuer")
        raise InvalidAccessToken("the issuer has no such key")

    def close(self) -> None:
        """Give up what is under way."""
        self._downloads.shutdown(wait=False, cancel_futures=True)

    def _known(self, key_id: object) -> PyJWK | None:
        keys = self._keys or {}
        if key_id is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(key_id) if isinstance(key_id, str) else None

    def _begin_download(self) -> Future[None] | None:
        """The download that is under way, or a new one; None if there were enough lately."""
        with self._lock:
            if self._under_way is not None and not self._under_way.done():
                return self._under_way
            now = time.monotonic()
            if self._failed_at is not None:
                if now < self._failed_at + _RETRY_SECONDS:
                    return None
            elif self._lately.maxlen == len(self._lately) and (
                now < self._lately[0] + _DOWNLOADS_WINDOW_SECONDS
            ):
                return None
            self._under_way = self._downloads.submit(self._download)
            return self._under_way

    def _download(self) -> None:
        try:
            keys = _keys_in(asyncio.run(_fetched(self._url)), self._algorithms)
        except Exception as error:  # noqa: BLE001 - whatever the other side sends
            self._failed_at = time.monotonic()
            _log.warning("issuer.keys_unavailable", url=self._url, reason=repr(error))
            return
        self._keys = keys
        self._failed_at = None
        self._downloaded_at = time.monotonic()
        self._lately.append(self._downloaded_at)
        _log.info("issuer.keys_downloaded", url=self._url, keys=len(keys))


def _wait_for(download: Future[None]) -> None:
    try:
        download.result(TIMEOUT_SECONDS)
    except DownloadTimeout:
        raise Unavailable("token issuer") from None


async def _fetched(url: str) -> bytes:
    """What is at this address; nowhere else, and in time, however slowly it comes."""
    async with (
        asyncio.timeout(TIMEOUT_SECONDS),
        httpx.AsyncClient(headers={"Accept": "application/json"}) as client,
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


def _keys_in(document: bytes, algorithms: Sequence[str]) -> dict[object, PyJWK]:
    """The keys of a JWKS for signatures by these algorithms; others are passed over."""
    keys: dict[object, PyJWK] = {}
    for number, described in enumerate(json.loads(document)["keys"]):
        if not isinstance(described, dict) or not _may_verify(described, algorithms):
            continue
        try:
            key = PyJWK(described)
        except PyJWTError:
            continue
        if key.algorithm_name in algorithms and not key.Algorithm.check_key_length(key.key):
            keys[described.get("kid", number)] = key
    if not keys:
        raise ValueError("there is no key for the algorithms that are allowed")
    return keys


def _may_verify(described: Mapping[str, object], algorithms: Sequence[str]) -> bool:
    return described.get("use", "sig") == "sig" and described.get("alg") in (None, *algorithms)
