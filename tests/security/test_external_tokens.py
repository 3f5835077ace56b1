"""Tokens that no trusted issuer issued for this service are refused, whatever they contain."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from tests.support.issuers import Key, claims, jwks
from tests.support.jwks_server import running_jwks_server
from tests.support.problems import problem
from tests.support.servers import running_server
from tests.support.settings import embedded_settings, migrate
from todo_api.settings import ExternalIssuer

A, B = "https://a.example.com", "https://b.example.com"
AUDIENCE = "https://todo.example.com"
SECRET = "a secret that Better Auth and this service share"
KEYS = {algorithm: Key.generate(algorithm) for algorithm in ("EdDSA", "ES256", "RS256")}
ED, ES, RS = KEYS.values()
KEY_OF_B = Key.generate("EdDSA", "key of b")
STRANGER = Key.generate("EdDSA", ED.id)
PSS = Key.generate("PS256", "a key for an algorithm that is not allowed")


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service that trusts A and B by their keys, and Better Auth by a secret."""
    own = embedded_settings(tmp_path_factory.mktemp("external"))
    migrate(own)
    with (
        running_jwks_server(jwks(*KEYS.values(), PSS)) as keys_of_a,
        running_jwks_server(jwks(KEY_OF_B)) as keys_of_b,
    ):
        trusted = (
            ExternalIssuer(issuer=A, jwks_url=keys_of_a.url, audience=AUDIENCE),
            ExternalIssuer(issuer=B, jwks_url=keys_of_b.url, audience=AUDIENCE),
        )
        settings = own.model_copy(
            update={"external_issuers": trusted, "better_auth_secret": SecretStr(SECRET)}
        )
        with running_server(settings) as server, server.client() as client:
            yield client


def get_profile(http: httpx.Client, token: str) -> httpx.Response:
    return http.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})


def hmac_signed(
    payload: dict[str, Any],
    secret: bytes = SECRET.encode(),
    *,
    algorithm: str = "HS256",
    **header: object,
) -> str:
    """Sign a token by HMAC, also with secrets that libraries refuse."""
    parts = [_base64(json.dumps(part).encode()) for part in ({"alg": algorithm, **header}, payload)]
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
    signature = hmac.digest(secret, ".".join(parts).encode(), digest[algorithm])
    return ".".join([*parts, _base64(signature)])


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned(payload: dict[str, Any], algorithm: str, **header: object) -> str:
    return (
        _base64(json.dumps({"alg": algorithm, **header}).encode())
        + f".{_base64(json.dumps(payload).encode())}."
    )


def claims_of_a(**others: object) -> dict[str, Any]:
    return claims(A, AUDIENCE, **others)


def shared_secret_claims(**others: object) -> dict[str, Any]:
    """Return the claims of a front end that shares Better Auth's secret."""
    return claims("", "", iss=others.pop("iss", None), aud=others.pop("aud", None), **others)


def public_bytes_of(encoding: Encoding, format: PublicFormat, key: Key = ED) -> bytes:
    return key.private.public_key().public_bytes(encoding, format)


def tampered(token: str, **others: object) -> str:
    """Change claims of a token, and keep its signature."""
    header, payload, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return f"{header}.{_base64(json.dumps(said | others).encode())}.{signature}"


GENUINE: dict[str, Callable[[], str]] = {
    "EdDSA": lambda: ED.sign(claims_of_a()),
    "ES256": lambda: ES.sign(claims_of_a()),
    "RS256": lambda: RS.sign(claims_of_a()),
    "another issuer": lambda: KEY_OF_B.sign(claims(B, AUDIENCE)),
    "several audiences": lambda: ED.sign(claims_of_a(aud=["https://other.example.com", AUDIENCE])),
    "a type": lambda: ED.sign(claims_of_a(), typ="at+jwt"),
    "the usual type": lambda: ED.sign(claims_of_a(), typ="JWT"),
    "no time of issue": lambda: ED.sign(claims_of_a(iat=None)),
    "a clock that is a little ahead": lambda: ED.sign(claims_of_a(iat=int(time.time()) + 20)),
    "seconds with a fraction": lambda: ED.sign(claims_of_a(exp=time.time() + 60.5)),
    "a shared secret": lambda: hmac_signed(shared_secret_claims()),
    "a shared secret and a type": lambda: hmac_signed(shared_secret_claims(), typ="JWT"),
}

FORGED: dict[str, Callable[[], str]] = {
    # Keys and algorithms
    "another key under the same name": lambda: STRANGER.sign(claims_of_a()),
    "an unknown key": lambda: Key.generate("EdDSA", "unknown").sign(claims_of_a()),
    "no key named, of several": lambda: ED.sign(claims_of_a(), header={"kid": None}),
    "a key named by a list": lambda: tampered_header(ED.sign(claims_of_a()), kid=[ED.id]),
    "a key for another algorithm": lambda: PSS.sign(claims_of_a()),
    "the name of another key": lambda: ED.sign(claims_of_a(), header={"kid": ES.id}),
    "the key in the header": lambda: STRANGER.sign(
        claims_of_a(), header={"jwk": STRANGER.jwk, "jku": "http://127.0.0.1:1/"}
    ),
    "alg none": lambda: unsigned(claims_of_a(), "none", kid=ED.id),
    "alg None": lambda: unsigned(claims_of_a(), "None", kid=ED.id),
    "alg none and something": lambda: unsigned(claims_of_a(), "none", kid=ED.id) + "AAAA",
    "alg none for the shared secret": lambda: unsigned(shared_secret_claims(), "none"),
    "no signature": lambda: ED.sign(claims_of_a()).rpartition(".")[0] + ".",
    "HS256 by the public key, PEM": lambda: hmac_signed(
        claims_of_a(), public_bytes_of(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), kid=ED.id
    ),
    "HS256 by the public key, DER": lambda: hmac_signed(
        claims_of_a(), public_bytes_of(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), kid=ED.id
    ),
    "HS256 by the public key, raw": lambda: hmac_signed(
        claims_of_a(), public_bytes_of(Encoding.Raw, PublicFormat.Raw), kid=ED.id
    ),
    "HS256 by the public key, as published": lambda: hmac_signed(
        claims_of_a(), ED.jwk["x"].encode(), kid=ED.id
    ),
    "HS256 by the RSA key, PEM": lambda: hmac_signed(
        claims_of_a(),
        public_bytes_of(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo, RS),
        kid=RS.id,
    ),
    "HS256 by nothing": lambda: hmac_signed(claims_of_a(), b"", kid=ED.id),
    "the shared secret for an issuer with keys": lambda: hmac_signed(claims_of_a(), kid=ED.id),
    "a key for an issuer with a shared secret": lambda: ED.sign(shared_secret_claims()),
    "another secret": lambda: hmac_signed(
        shared_secret_claims(), b"a secret that is not shared with any issuer here"
    ),
    "HS512 by the shared secret": lambda: hmac_signed(shared_secret_claims(), algorithm="HS512"),
    "the shared secret without its end": lambda: hmac_signed(
        shared_secret_claims(), SECRET[:-1].encode()
    ),
    # Other kinds of tokens
    "a session cache": lambda: ED.sign(claims_of_a(), typ="better-auth.session-cache+jwt"),
    "a session cache by the secret": lambda: hmac_signed(
        shared_secret_claims(sub=None, session={"userId": "ada"}, user={"id": "ada"})
    ),
    "a session cache by the secret, typed": lambda: hmac_signed(
        shared_secret_claims(), typ="better-auth.session-cache+jwt"
    ),
    "a link to verify an email": lambda: hmac_signed(
        shared_secret_claims(sub=None, email="ada@example.com", userId="ada")
    ),
    "a token for logging out": lambda: ED.sign(claims_of_a(), typ="logout+jwt"),
    "critical extensions": lambda: hmac_signed(shared_secret_claims(), crit=["exp"]),
    # Issuers
    "no iss": lambda: ED.sign(claims_of_a(iss=None)),
    "an unknown iss": lambda: ED.sign(claims_of_a(iss="https://c.example.com")),
    "an iss with a slash": lambda: ED.sign(claims_of_a(iss=A + "/")),
    "an iss in upper case": lambda: ED.sign(claims_of_a(iss=A.upper())),
    "several iss": lambda: ED.sign(claims_of_a(iss=[A])),
    "the keys of A for B": lambda: ED.sign(claims(B, AUDIENCE)),
    "the keys of B for A": lambda: KEY_OF_B.sign(claims_of_a()),
    "the keys of B for A, by name": lambda: KEY_OF_B.sign(claims_of_a(), header={"kid": ED.id}),
    "iss of this service": lambda: ED.sign(claims_of_a(iss="todo")),
    "the shared secret and an iss": lambda: hmac_signed(
        shared_secret_claims(iss="https://c.example.com")
    ),
    # Audiences
    "no aud": lambda: ED.sign(claims_of_a(aud=None)),
    "another aud": lambda: ED.sign(claims_of_a(aud="https://other.example.com")),
    "an empty aud": lambda: ED.sign(claims_of_a(aud=[])),
    "an aud that is no text": lambda: ED.sign(claims_of_a(aud={AUDIENCE: True})),
    "aud of the session cache": lambda: ED.sign(claims_of_a(aud="better-auth:session-cache")),
    "the shared secret and an aud": lambda: hmac_signed(
        shared_secret_claims(aud="https://other.example.com")
    ),
    # Times
    "no exp": lambda: ED.sign(claims_of_a(exp=None)),
    "expired": lambda: ED.sign(claims_of_a(exp=int(time.time()) - 1)),
    "expired, by the secret": lambda: hmac_signed(shared_secret_claims(exp=int(time.time()) - 1)),
    "no exp, by the secret": lambda: hmac_signed(shared_secret_claims(exp=None)),
    "exp as text": lambda: hmac_signed(shared_secret_claims(exp=str(int(time.time()) + 60))),
    "exp true": lambda: hmac_signed(shared_secret_claims(exp=True)),
    "exp not a number": lambda: hmac_signed(shared_secret_claims(exp=float("nan"))),
    "exp infinite": lambda: hmac_signed(shared_secret_claims(exp=float("inf"))),
    "exp beyond all years": lambda: hmac_signed(shared_secret_claims(exp=10**30)),
    "exp negative": lambda: hmac_signed(shared_secret_claims(exp=-1)),
    "issued in the future": lambda: ED.sign(claims_of_a(iat=int(time.time()) + 120)),
    "not yet good": lambda: ED.sign(claims_of_a(nbf=int(time.time()) + 120)),
    "nbf as text": lambda: hmac_signed(shared_secret_claims(nbf="0")),
    "too long a life": lambda: ED.sign(claims_of_a(exp=int(time.time()) + 40 * 86400, iat=None)),
    "issued a year ago": lambda: ED.sign(claims_of_a(iat=int(time.time()) - 365 * 86400)),
    # Subjects
    "no sub": lambda: ED.sign(claims_of_a(sub=None)),
    "no sub, by the secret": lambda: hmac_signed(
        shared_secret_claims(sub=None, id="ada", userId="ada")
    ),
    "an empty sub": lambda: ED.sign(claims_of_a(sub="")),
    "a sub that is a number": lambda: hmac_signed(shared_secret_claims(sub=1)),
    "a sub that is a list": lambda: hmac_signed(shared_secret_claims(sub=["ada"])),
    "a sub with NUL": lambda: hmac_signed(shared_secret_claims(sub="ada\0")),
    "a sub with a surrogate": lambda: hmac_signed(shared_secret_claims(sub="\ud800")),
    "a sub that is too long": lambda: hmac_signed(shared_secret_claims(sub="a" * 256)),
    # Form
    "other claims": lambda: tampered(ED.sign(claims_of_a()), sub="bob"),
    "other claims, by the secret": lambda: tampered(hmac_signed(shared_secret_claims()), sub="bob"),
    "padding": lambda: ED.sign(claims_of_a()) + "==",
    "another way to write the end": lambda: respelled(ED.sign(claims_of_a())),
    "another way to write the end, by the secret": lambda: respelled(
        hmac_signed(shared_secret_claims())
    ),
    "a part too many": lambda: ED.sign(claims_of_a()) + ".e30",
    "too large": lambda: hmac_signed(shared_secret_claims(note="x" * 9000)),
    "deeply nested": lambda: deeply_nested(),
    "no object": lambda: f"{_base64(b'[]')}.{_base64(b'[]')}.{_base64(b'signature')}",
    "not UTF-8": lambda: f"{_base64(bytes([255]))}.{_base64(bytes([255]))}.AAAA",
}


def tampered_header(token: str, **others: object) -> str:
    """Change the header of a token, and keep its claims and signature."""
    header, rest = token.split(".", 1)
    said = json.loads(base64.urlsafe_b64decode(header + "=="))
    return f"{_base64(json.dumps(said | others).encode())}.{rest}"


def respelled(token: str) -> str:
    """Change the unused bits of the base64url encoding, which decodes to the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


def deeply_nested() -> str:
    """Return a token whose payload is too deeply nested to parse without a deep stack."""
    deep = _base64(b'{"iss":' + b"[" * 2900 + b"]" * 2900 + b"}")
    return f"{_base64(json.dumps({'alg': 'HS256'}).encode())}.{deep}.AAAA"


@pytest.mark.parametrize("make", GENUINE.values(), ids=GENUINE.keys())
def test_a_genuine_external_token_is_accepted(http: httpx.Client, make: Callable[[], str]) -> None:
    answer = get_profile(http, make())
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("make", FORGED.values(), ids=FORGED.keys())
def test_a_forged_external_token_is_refused(http: httpx.Client, make: Callable[[], str]) -> None:
    token = make()
    for _ in range(2):
        answer = get_profile(http, token)
        assert (answer.status_code, problem(answer)["code"]) == (401, "invalid_token")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_cached_external_token_is_refused_after_it_expires(http: httpx.Client) -> None:
    token = ED.sign(claims_of_a(exp=int(time.time()) + 2))
    assert get_profile(http, token).status_code == 200
    assert get_profile(http, token).status_code == 200
    time.sleep(2.1)
    assert get_profile(http, token).status_code == 401


def test_keys_with_the_same_id_of_different_issuers_are_distinguished(tmp_path: Path) -> None:
    key_a, key_b = Key.generate("EdDSA", "same"), Key.generate("EdDSA", "same")
    own = embedded_settings(tmp_path)
    migrate(own)
    with (
        running_jwks_server(jwks(key_a)) as keys_of_a,
        running_jwks_server(jwks(key_b)) as keys_of_b,
    ):
        trusted = (
            ExternalIssuer(issuer=A, jwks_url=keys_of_a.url, audience=AUDIENCE),
            ExternalIssuer(issuer=B, jwks_url=keys_of_b.url, audience=AUDIENCE),
        )
        settings = own.model_copy(update={"external_issuers": trusted})
        with running_server(settings) as server, server.client() as client:
            responses = [
                get_profile(client, key.sign(claims(issuer, AUDIENCE)))
                for key, issuer in ((key_a, A), (key_b, B))
            ]
            assert [answer.status_code for answer in responses] == [200, 200]
            assert responses[0].json()["id"] != responses[1].json()["id"]
            assert get_profile(client, key_a.sign(claims(B, AUDIENCE))).status_code == 401
            assert get_profile(client, key_b.sign(claims(A, AUDIENCE))).status_code == 401
