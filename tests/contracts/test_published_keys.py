"""Published keys are cached, rarely downloaded, and used while the issuer is down."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.issuers import Key, claims, jwks
from tests.support.jwks_server import JwksServer, running_jwks_server
from tests.support.waiting import until
from todo_adapters.issuers import jwks as published_keys
from todo_adapters.issuers.claims import Expected
from todo_adapters.issuers.jwks import PublishedKeys, PyJwtIssuer
from todo_adapters.issuers.trusted import TrustedIssuers
from todo_core.entities.identity import Identity
from todo_core.errors import InvalidAccessToken, Unavailable

ISSUER, AUDIENCE = "https://a.example.com", "https://todo.example.com"
KEY = Key.generate("EdDSA")


class TrustedIssuer:
    """A trusted issuer whose keys are published at a URL."""

    def __init__(self, url: str, *algorithms: str) -> None:
        keys = PublishedKeys(url, algorithms or ("EdDSA", "ES256", "RS256"))
        expected = Expected(
            issuer=ISSUER,
            namespace=ISSUER,
            requires_issuer=True,
            audiences=(AUDIENCE,),
            requires_audience=True,
        )
        self.verifier = TrustedIssuers([PyJwtIssuer(keys, expected)])

    def verify(self, key: Key = KEY) -> Identity:
        """Verify a token of a new user."""
        token = key.sign(claims(ISSUER, AUDIENCE, sub=f"{time.perf_counter_ns()}"))
        return self.verifier.verify(token, now=datetime.now(UTC))


@pytest.fixture
def server() -> Iterator[JwksServer]:
    with running_jwks_server(jwks(KEY)) as server:
        yield server


@pytest.fixture
def issuer(server: JwksServer) -> TrustedIssuer:
    return TrustedIssuer(server.url)


@pytest.fixture(autouse=True)
def _short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the timeout and the pause between downloads."""
    monkeypatch.setattr(published_keys, "TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(published_keys, "_RETRY_SECONDS", 0.2)


def test_no_keys_are_downloaded_before_the_first_token(
    server: JwksServer, issuer: TrustedIssuer
) -> None:
    assert server.request_count == 0
    for _ in range(5):
        issuer.verify()
    assert server.request_count == 1


def test_32_first_tokens_at_once_cause_one_download(
    server: JwksServer, issuer: TrustedIssuer
) -> None:
    with ThreadPoolExecutor(32) as pool:
        identities = list(pool.map(lambda _: issuer.verify(), range(32)))
    assert len(identities) == 32
    assert server.request_count == 1


def test_a_verified_token_is_recalled_without_a_download(
    server: JwksServer, issuer: TrustedIssuer
) -> None:
    token = KEY.sign(claims(ISSUER, AUDIENCE))
    now = datetime.now(UTC)
    assert issuer.verifier.recall(token, now=now) is None
    identity = issuer.verifier.verify(token, now=now)
    server.stop()
    assert issuer.verifier.recall(token, now=now) == identity


def test_without_a_first_download_the_keys_are_unavailable(
    server: JwksServer, issuer: TrustedIssuer
) -> None:
    server.stop()
    with pytest.raises(Unavailable):
        issuer.verify()
    server.start()
    time.sleep(0.25)
    issuer.verify()


def test_keys_of_an_unavailable_issuer_are_not_requested_for_every_token(
    server: JwksServer, issuer: TrustedIssuer
) -> None:
    server.status = 500
    for _ in range(100):
        with pytest.raises(Unavailable):
            issuer.verify()
    assert server.request_count <= 3


def test_known_keys_are_used_while_the_issuer_is_down(
    server: JwksServer, issuer: TrustedIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.verify()
    server.stop()
    monkeypatch.setattr(published_keys, "_LIFETIME_SECONDS", 0.0)
    for _ in range(5):
        issuer.verify()
        time.sleep(0.1)
    with pytest.raises(Unavailable):
        issuer.verify(Key.generate("EdDSA", "perhaps a new one"))


@pytest.mark.alone
def test_a_slow_issuer_delays_requests_no_longer_than_the_timeout(
    server: JwksServer, issuer: TrustedIssuer
) -> None:
    server.delay = 0.05

    def seconds(_: int) -> float:
        began = time.perf_counter()
        with pytest.raises(Unavailable):
            issuer.verify()
        return time.perf_counter() - began

    with ThreadPoolExecutor(16) as pool:
        assert max(pool.map(seconds, range(16))) < 1.0
    server.delay = 0.0
    time.sleep(0.3)
    issuer.verify()


def test_a_new_key_is_accepted_at_once_and_a_withdrawn_one_refused(
    server: JwksServer, issuer: TrustedIssuer
) -> None:
    issuer.verify()
    second, third = Key.generate("ES256", "second"), Key.generate("RS256", "third")
    server.document = jwks(KEY, second)
    issuer.verify(second)
    issuer.verify(KEY)
    server.document = jwks(second, third)
    issuer.verify(third)
    with pytest.raises(InvalidAccessToken):
        issuer.verify(KEY)


def test_keys_are_downloaded_again_after_their_lifetime(
    server: JwksServer, issuer: TrustedIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.verify()
    server.document = jwks(Key.generate("EdDSA", "another"))
    monkeypatch.setattr(published_keys, "_LIFETIME_SECONDS", 0.0)
    issuer.verify()  # with the known keys, while new ones are downloaded
    until(lambda: server.request_count >= 2)
    time.sleep(0.1)
    with pytest.raises(InvalidAccessToken):
        issuer.verify()


def test_1000_tokens_with_unknown_keys_cause_few_downloads(
    server: JwksServer, issuer: TrustedIssuer
) -> None:
    issuer.verify()

    def expect_refusal(number: int) -> None:
        with pytest.raises(InvalidAccessToken):
            issuer.verify(Key(f"unknown {number}", "EdDSA", KEY.private))

    with ThreadPoolExecutor(32) as pool:
        assert len(list(pool.map(expect_refusal, range(1000)))) == 1000
    assert server.request_count <= 5
    issuer.verify()


def test_a_new_key_is_found_soon_even_if_an_attacker_invents_key_ids(
    server: JwksServer, issuer: TrustedIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        with pytest.raises(InvalidAccessToken):
            issuer.verify(Key(f"unknown {number}", "EdDSA", KEY.private))
    new = Key.generate("EdDSA", "new")
    server.document = jwks(KEY, new)
    with pytest.raises(InvalidAccessToken):
        issuer.verify(new)
    monkeypatch.setattr(published_keys, "_SECONDS_PER_TOKEN", 0.1)
    time.sleep(0.2)
    issuer.verify(new)


def test_a_key_without_an_algorithm_may_be_used_with_all_allowed_ones(
    server: JwksServer,
) -> None:
    key = Key.generate("RS256")
    described = {**key.jwk, "use": None}
    del described["alg"]
    server.document = {"keys": [described]}
    TrustedIssuer(server.url, "RS512", "RS256").verify(key)
    other = Key(key.id, "RS512", key.private)
    TrustedIssuer(server.url, "RS512").verify(other)
    with pytest.raises(InvalidAccessToken):
        TrustedIssuer(server.url, "RS512").verify(key)


@pytest.mark.alone
def test_a_slow_name_server_delays_requests_no_longer_than_the_timeout(
    server: JwksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = TrustedIssuer(server.url.replace("127.0.0.1", "localhost"))
    monkeypatch.setattr(published_keys, "_RETRY_SECONDS", 5.0)
    resolve = socket.getaddrinfo

    def resolve_slowly(*args: Any, **kwargs: Any) -> Any:
        time.sleep(1.5)
        return resolve(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_slowly)
    began = time.perf_counter()
    for _ in range(10):
        with pytest.raises(Unavailable):
            issuer.verify()
    assert time.perf_counter() - began < 1.0


def test_a_token_without_a_key_id_is_verified_with_the_only_key(
    server: JwksServer, issuer: TrustedIssuer
) -> None:
    token = KEY.sign(claims(ISSUER, AUDIENCE), header={"kid": None})
    issuer.verifier.verify(token, now=datetime.now(UTC))
    server.document = jwks(KEY, Key.generate("ES256"))
    other = TrustedIssuer(server.url)
    with pytest.raises(InvalidAccessToken):
        other.verifier.verify(token, now=datetime.now(UTC))


SECRET_KEY = {"kty": "oct", "k": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ", "kid": "s"}
FOREIGN = [
    SECRET_KEY,
    {**SECRET_KEY, "alg": "HS256"},
    {**Key.generate("PS256", "p").jwk},
    {**Key.generate("EdDSA", "e").jwk, "use": "enc"},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "broken"},
    {"kty": "none", "alg": "none", "kid": "n"},
    {"kty": "OKP", "crv": ["Ed25519"], "x": 1, "kid": "odd"},
    {"kid": "empty"},
]


def test_keys_that_are_not_for_signatures_are_ignored(
    server: JwksServer, issuer: TrustedIssuer
) -> None:
    odd_names: list[object] = [[], {}, 1, None]
    unnamed = [{**KEY.jwk, "kid": name} for name in odd_names]
    server.document = {"keys": [*FOREIGN, *unnamed, 1, None, "key", KEY.jwk]}
    issuer.verify()
    for described in FOREIGN:
        with pytest.raises(InvalidAccessToken):
            issuer.verify(Key(described["kid"], "EdDSA", KEY.private))


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"not JSON",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [1]}',
        b'{"keys": [null]}',
        b'{"keys": [{"kty": "OKP", "crv": ["Ed25519"], "x": 1}]}',
        b" " * 300_000 + b'{"keys": []}',
    ],
    ids=range(11),
)
def test_a_response_that_is_not_a_key_set_yields_no_keys(
    server: JwksServer, issuer: TrustedIssuer, document: bytes
) -> None:
    server.document = document
    with pytest.raises(Unavailable):
        issuer.verify()
    server.document = jwks(KEY)
    time.sleep(0.25)
    issuer.verify()


def test_redirects_of_an_issuer_are_not_followed(issuer: TrustedIssuer, server: JwksServer) -> None:
    with running_jwks_server(jwks(KEY)) as elsewhere:
        server.redirect_to = elsewhere.url
        with pytest.raises(Unavailable):
            issuer.verify()
        assert elsewhere.request_count == 0
