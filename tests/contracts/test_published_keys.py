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
from todo_adapters.issuers import jwks as room
from todo_adapters.issuers.claims import Expected
from todo_adapters.issuers.jwks import PublishedKeys, PyJwtIssuer
from todo_adapters.issuers.trusted import TrustedIssuers
from todo_core.entities.identity import Identity
from todo_core.errors import InvalidAccessToken, Unavailable

ISSUER, AUDIENCE = "https://a.example.com", "https://todo.example.com"
KEY = Key.generate("EdDSA")


class Trusting:
    """One issuer, trusted by the keys at an address."""

    def __init__(self, url: str, *algorithms: str) -> None:
        keys = PublishedKeys(url, algorithms or ("EdDSA", "ES256", "RS256"))
        expected = Expected(
            issuer=ISSUER,
            namespace=ISSUER,
            requires_issuer=True,
            audiences=(AUDIENCE,),
            requires_audience=True,
        )
        self.issuers = TrustedIssuers([PyJwtIssuer(keys, expected)])

    def verify(self, key: Key = KEY) -> Identity:
        """Verify a token of a new person."""
        token = key.sign(claims(ISSUER, AUDIENCE, sub=f"{time.perf_counter_ns()}"))
        return self.issuers.verify(token, now=datetime.now(UTC))


@pytest.fixture
def server() -> Iterator[JwksServer]:
    with running_jwks_server(jwks(KEY)) as server:
        yield server


@pytest.fixture
def trusting(server: JwksServer) -> Trusting:
    return Trusting(server.url)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing take long."""
    monkeypatch.setattr(room, "TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(room, "_RETRY_SECONDS", 0.2)


def test_no_keys_are_downloaded_before_the_first_token(
    server: JwksServer, trusting: Trusting
) -> None:
    assert server.request_count == 0
    for _ in range(5):
        trusting.verify()
    assert server.request_count == 1


def test_32_first_tokens_at_once_cause_one_download(server: JwksServer, trusting: Trusting) -> None:
    with ThreadPoolExecutor(32) as pool:
        people = list(pool.map(lambda _: trusting.verify(), range(32)))
    assert len(people) == 32
    assert server.request_count == 1


def test_a_verified_token_is_recalled_without_asking(
    server: JwksServer, trusting: Trusting
) -> None:
    token = KEY.sign(claims(ISSUER, AUDIENCE))
    now = datetime.now(UTC)
    assert trusting.issuers.recall(token, now=now) is None
    identity = trusting.issuers.verify(token, now=now)
    server.stop()
    assert trusting.issuers.recall(token, now=now) == identity


def test_without_a_first_download_the_keys_are_unavailable(
    server: JwksServer, trusting: Trusting
) -> None:
    server.stop()
    with pytest.raises(Unavailable):
        trusting.verify()
    server.start()
    time.sleep(0.25)
    trusting.verify()


def test_an_unavailable_issuer_is_not_asked_for_every_token(
    server: JwksServer, trusting: Trusting
) -> None:
    server.status = 500
    for _ in range(100):
        with pytest.raises(Unavailable):
            trusting.verify()
    assert server.request_count <= 3


def test_known_keys_are_used_while_the_issuer_is_down(
    server: JwksServer, trusting: Trusting, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting.verify()
    server.stop()
    monkeypatch.setattr(room, "_LIFETIME_SECONDS", 0.0)
    for _ in range(5):
        trusting.verify()
        time.sleep(0.1)
    with pytest.raises(Unavailable):
        trusting.verify(Key.generate("EdDSA", "perhaps a new one"))


@pytest.mark.alone
def test_a_slow_issuer_delays_requests_no_longer_than_the_timeout(
    server: JwksServer, trusting: Trusting
) -> None:
    server.delay = 0.05

    def seconds(_: int) -> float:
        began = time.perf_counter()
        with pytest.raises(Unavailable):
            trusting.verify()
        return time.perf_counter() - began

    with ThreadPoolExecutor(16) as pool:
        assert max(pool.map(seconds, range(16))) < 1.0
    server.delay = 0.0
    time.sleep(0.3)
    trusting.verify()


def test_a_new_key_is_accepted_at_once_and_a_withdrawn_one_refused(
    server: JwksServer, trusting: Trusting
) -> None:
    trusting.verify()
    second, third = Key.generate("ES256", "second"), Key.generate("RS256", "third")
    server.document = jwks(KEY, second)
    trusting.verify(second)
    trusting.verify(KEY)
    server.document = jwks(second, third)
    trusting.verify(third)
    with pytest.raises(InvalidAccessToken):
        trusting.verify(KEY)


def test_keys_are_downloaded_again_after_their_lifetime(
    server: JwksServer, trusting: Trusting, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting.verify()
    server.document = jwks(Key.generate("EdDSA", "another"))
    monkeypatch.setattr(room, "_LIFETIME_SECONDS", 0.0)
    trusting.verify()  # by what is known; the download goes on behind it
    until(lambda: server.request_count >= 2)
    time.sleep(0.1)
    with pytest.raises(InvalidAccessToken):
        trusting.verify()


def test_1000_tokens_with_unknown_keys_cause_few_downloads(
    server: JwksServer, trusting: Trusting
) -> None:
    trusting.verify()

    def be_refused(number: int) -> None:
        with pytest.raises(InvalidAccessToken):
            trusting.verify(Key(f"unknown {number}", "EdDSA", KEY.private))

    with ThreadPoolExecutor(32) as pool:
        assert len(list(pool.map(be_refused, range(1000)))) == 1000
    assert server.request_count <= 5
    trusting.verify()


def test_a_new_key_is_found_soon_even_if_an_attacker_invents_key_ids(
    server: JwksServer, trusting: Trusting, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        with pytest.raises(InvalidAccessToken):
            trusting.verify(Key(f"unknown {number}", "EdDSA", KEY.private))
    new = Key.generate("EdDSA", "new")
    server.document = jwks(KEY, new)
    with pytest.raises(InvalidAccessToken):
        trusting.verify(new)
    monkeypatch.setattr(room, "_SECONDS_PER_TOKEN", 0.1)
    time.sleep(0.2)
    trusting.verify(new)


def test_a_key_without_an_algorithm_may_be_used_with_all_allowed_ones(
    server: JwksServer,
) -> None:
    key = Key.generate("RS256")
    described = {**key.jwk, "use": None}
    del described["alg"]
    server.document = {"keys": [described]}
    Trusting(server.url, "RS512", "RS256").verify(key)
    other = Key(key.id, "RS512", key.private)
    Trusting(server.url, "RS512").verify(other)
    with pytest.raises(InvalidAccessToken):
        Trusting(server.url, "RS512").verify(key)


@pytest.mark.alone
def test_a_slow_name_server_delays_requests_no_longer_than_the_timeout(
    server: JwksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = Trusting(server.url.replace("127.0.0.1", "localhost"))
    monkeypatch.setattr(room, "_RETRY_SECONDS", 5.0)
    resolve = socket.getaddrinfo

    def slowly(*args: Any, **kwargs: Any) -> Any:
        time.sleep(1.5)
        return resolve(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    began = time.perf_counter()
    for _ in range(10):
        with pytest.raises(Unavailable):
            trusting.verify()
    assert time.perf_counter() - began < 1.0


def test_a_token_without_a_key_id_is_verified_with_the_only_key(
    server: JwksServer, trusting: Trusting
) -> None:
    token = KEY.sign(claims(ISSUER, AUDIENCE), header={"kid": None})
    trusting.issuers.verify(token, now=datetime.now(UTC))
    server.document = jwks(KEY, Key.generate("ES256"))
    again = Trusting(server.url)
    with pytest.raises(InvalidAccessToken):
        again.issuers.verify(token, now=datetime.now(UTC))


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
    server: JwksServer, trusting: Trusting
) -> None:
    odd_names: list[object] = [[], {}, 1, None]
    unnamed = [{**KEY.jwk, "kid": name} for name in odd_names]
    server.document = {"keys": [*FOREIGN, *unnamed, 1, None, "key", KEY.jwk]}
    trusting.verify()
    for described in FOREIGN:
        with pytest.raises(InvalidAccessToken):
            trusting.verify(Key(described["kid"], "EdDSA", KEY.private))


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
    server: JwksServer, trusting: Trusting, document: bytes
) -> None:
    server.document = document
    with pytest.raises(Unavailable):
        trusting.verify()
    server.document = jwks(KEY)
    time.sleep(0.25)
    trusting.verify()


def test_redirects_of_an_issuer_are_not_followed(trusting: Trusting, server: JwksServer) -> None:
    with running_jwks_server(jwks(KEY)) as elsewhere:
        server.redirect_to = elsewhere.url
        with pytest.raises(Unavailable):
            trusting.verify()
        assert elsewhere.request_count == 0
