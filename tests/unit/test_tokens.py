"""Tokens and the keys that sign them."""

import base64
import hashlib
import hmac
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jose import jwk, jwt

from todo_adapters.issuers.claims import Expected, ParsedToken
from todo_adapters.issuers.shared_secret import JoseSharedSecretIssuer
from todo_adapters.security.access_tokens import JoseAccessTokens
from todo_adapters.security.keys import KeyRing, SigningKey, secret_in_file
from todo_adapters.security.refresh_tokens import HmacRefreshTokens
from todo_core.entities.identity import Identity
from todo_core.entities.session import Session, SessionId
from todo_core.entities.user import UserId
from todo_core.errors import InvalidAccessToken

NOW = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECRET = "the secret of this service, long enough"
RING = KeyRing.of(SECRET)
SESSION = Session.start(
    id=SessionId(uuid4()),
    user_id=UserId(uuid4()),
    refresh_salt="ab" * 16,
    user_agent="a browser",
    address="192.0.2.1",
    lifetime=timedelta(days=90),
    now=NOW,
)


def tokens_of(
    ring: KeyRing = RING, issuer: str = "todo", audience: str = "todo"
) -> JoseAccessTokens:
    return JoseAccessTokens(ring, issuer=issuer, audience=audience, lifetime=HOUR)


TOKENS = tokens_of()
VALID = TOKENS.issue(SESSION, now=NOW).value
CLAIMS: dict[str, Any] = jwt.get_unverified_claims(VALID)
HEADER: dict[str, Any] = jwt.get_unverified_header(VALID)


def forged(
    claims: dict[str, object] | None = None,
    header: dict[str, object] | None = None,
    *,
    secret: bytes = SECRET.encode(),
    without: str = "",
) -> str:
    """Return a token encoded by hand, signed with the right secret unless another is given."""
    full_claims = {key: value for key, value in (CLAIMS | (claims or {})).items() if key != without}
    full_header = {key: value for key, value in (HEADER | (header or {})).items() if key != without}
    signed = f"{encoded(full_header)}.{encoded(full_claims)}"
    signature = hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def is_refused(token: str, *, tokens: JoseAccessTokens = TOKENS, now: datetime = NOW) -> bool:
    try:
        tokens.verify(token, now=now)
    except InvalidAccessToken:
        return True
    return False


class TestAccessTokens:
    def test_an_access_token_identifies_its_caller(self) -> None:
        caller = TOKENS.verify(VALID, now=NOW)
        assert (caller.user_id, caller.session_id) == (SESSION.user_id, SESSION.id)

    def test_an_access_token_has_the_claims_and_type_of_rfc_9068(self) -> None:
        assert set(CLAIMS) == {"sub", "sid", "iss", "aud", "iat", "exp", "jti"}
        assert CLAIMS["exp"] - CLAIMS["iat"] == 3600
        assert {"alg": "HS256", "typ": "at+jwt", "kid": RING.current.id} == HEADER
        assert SECRET not in str(HEADER)

    def test_an_access_token_that_is_encoded_by_hand_is_accepted(self) -> None:
        assert not is_refused(forged())

    def test_an_access_token_is_valid_until_it_expires_even_if_it_is_cached(self) -> None:
        end = datetime.fromtimestamp(CLAIMS["exp"], UTC)
        assert not is_refused(VALID, now=end - timedelta(microseconds=1))
        assert is_refused(VALID, now=end)
        assert not is_refused(VALID, now=NOW)

    def test_a_shortened_lifetime_applies_to_older_access_tokens(self) -> None:
        shorter = JoseAccessTokens(
            RING, issuer="todo", audience="todo", lifetime=timedelta(minutes=5)
        )
        assert not is_refused(VALID, tokens=shorter, now=NOW + timedelta(minutes=4))
        assert is_refused(VALID, tokens=shorter, now=NOW + timedelta(minutes=5))

    def test_an_access_token_tolerates_a_clock_that_is_slightly_behind(self) -> None:
        assert not is_refused(VALID, now=NOW - timedelta(seconds=20))
        assert is_refused(VALID, now=NOW - timedelta(seconds=60))

    @pytest.mark.parametrize("claim", ["sub", "sid", "iss", "aud", "iat", "exp"])
    def test_a_token_without_a_required_claim_is_refused(self, claim: str) -> None:
        assert is_refused(forged(without=claim))

    @pytest.mark.parametrize("name", ["alg", "typ", "kid"])
    def test_a_token_without_a_required_header_is_refused(self, name: str) -> None:
        assert is_refused(forged(without=name))

    @pytest.mark.parametrize(
        "claims",
        [
            {"iss": "another"},
            {"aud": "another"},
            {"aud": ["todo", "another"]},
            {"aud": None},
            {"sub": "ada"},
            {"sub": 5},
            {"sub": ""},
            {"sid": "x"},
            {"exp": str(CLAIMS["exp"])},
            {"exp": CLAIMS["exp"] + 0.5},
            {"exp": True},
            {"exp": None},
            {"iat": "now"},
            {"iat": CLAIMS["iat"] + 3000},
            {"exp": CLAIMS["iat"] - 1},
        ],
        ids=lambda claims: str(claims)[:40],
    )
    def test_a_token_with_a_wrong_claim_is_refused(self, claims: dict[str, object]) -> None:
        token = forged(claims)
        assert is_refused(token)

    @pytest.mark.parametrize(
        "header",
        [
            {"alg": "none"},
            {"alg": "None"},
            {"alg": "HS512"},
            {"alg": "RS256"},
            {"alg": ["HS256"]},
            {"alg": None},
            {"typ": "JWT"},
            {"typ": "refresh+jwt"},
            {"typ": "better-auth.session-cache+jwt"},
            {"kid": "another"},
            {"kid": None},
            {"kid": ["x"]},
            {"kid": {"x": "y"}},
            {"crit": ["exp"]},
        ],
        ids=str,
    )
    def test_a_token_with_a_wrong_header_is_refused(self, header: dict[str, object]) -> None:
        assert is_refused(forged(header=header))

    @pytest.mark.parametrize(
        "token",
        [
            "",
            ".",
            "..",
            "...",
            "a.b.c",
            VALID + ".",
            VALID + "=",
            VALID[:-1],
            VALID.rpartition(".")[0] + ".",
            " " + VALID,
            "é" * 10,
            "\x00",
            "\ud800",
            "a" * 5_000,
            f"{'[' * 2000}.{VALID.partition('.')[2]}",
            base64.urlsafe_b64encode(b"[" * 2_900).decode().rstrip("=") + ".e30.x",
            forged({"pad": "x" * 5_000}),
        ],
        ids=lambda token: repr(token[:20]),
    )
    def test_text_that_is_not_a_token_is_refused(self, token: str) -> None:
        assert is_refused(token)

    def test_a_token_signed_with_another_key_is_refused(self) -> None:
        assert is_refused(forged(secret=b"another secret that is long enough"))
        assert is_refused(forged(secret=b""))
        other = tokens_of(KeyRing.of("another secret that is long enough")).issue(SESSION, now=NOW)
        assert is_refused(other.value)

    def test_a_token_with_another_issuer_or_audience_is_refused(self) -> None:
        assert is_refused(tokens_of(issuer="another").issue(SESSION, now=NOW).value)
        assert is_refused(tokens_of(audience="another").issue(SESSION, now=NOW).value)

    def test_an_unsigned_token_is_refused(self) -> None:
        header, claims, _ = forged(header={"alg": "none"}).split(".")
        assert is_refused(f"{header}.{claims}.")

    def test_a_previous_key_verifies_access_tokens_only_during_a_rotation(self) -> None:
        new = "the new secret, which is long enough too"
        assert not is_refused(VALID, tokens=tokens_of(KeyRing.of(new, [SECRET])))
        assert is_refused(VALID, tokens=tokens_of(KeyRing.of(new)))
        renewed = tokens_of(KeyRing.of(new, [SECRET])).issue(SESSION, now=NOW).value
        assert jwt.get_unverified_header(renewed)["kid"] == SigningKey.of(new).id

    @given(position=st.integers(0, len(VALID) - 1), character=st.characters(max_codepoint=126))
    def test_an_access_token_with_any_changed_character_is_refused(
        self, position: int, character: str
    ) -> None:
        changed = VALID[:position] + character + VALID[position + 1 :]
        assert is_refused(changed) or changed == VALID


class TestRefreshTokens:
    refresh_tokens = HmacRefreshTokens(RING)

    def test_a_refresh_token_is_the_same_for_the_same_session_and_generation(self) -> None:
        assert self.refresh_tokens.issue(SESSION) == self.refresh_tokens.issue(SESSION)

    @pytest.mark.parametrize(
        "other",
        [
            replace(SESSION, generation=1),
            replace(SESSION, refresh_salt="cd" * 16),
            replace(SESSION, id=SessionId(uuid4())),
        ],
    )
    def test_a_refresh_token_differs_for_any_other_session_or_generation(
        self, other: Session
    ) -> None:
        assert self.refresh_tokens.issue(other) != self.refresh_tokens.issue(SESSION)

    def test_a_refresh_token_cannot_be_computed_without_the_key(self) -> None:
        others = HmacRefreshTokens(KeyRing.of("another secret that is long enough"))
        assert others.issue(SESSION) != self.refresh_tokens.issue(SESSION)

    def test_a_salt_is_128_random_bits(self) -> None:
        assert len(bytes.fromhex(self.refresh_tokens.generate_salt())) == 16
        assert self.refresh_tokens.generate_salt() != self.refresh_tokens.generate_salt()


class TestSecretInFile:
    def test_the_secret_is_generated_once_and_kept(self, tmp_path: Path) -> None:
        file = tmp_path / "signing-key"
        secret = secret_in_file(file)
        assert secret_in_file(file) == secret
        assert len(base64.urlsafe_b64decode(secret + "=")) == 32
        assert list(tmp_path.iterdir()) == [file]

    def test_only_its_owner_may_read_the_file_of_the_secret(self, tmp_path: Path) -> None:
        file = tmp_path / "signing-key"
        secret_in_file(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_a_file_without_a_usable_secret_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "signing-key"
        file.write_text("\n")
        with pytest.raises(ValueError, match="signing-key holds no secret"):
            secret_in_file(file)

    def test_processes_that_start_at_once_share_one_secret(self, tmp_path: Path) -> None:
        file = tmp_path / "signing-key"
        with ThreadPoolExecutor(16) as pool:
            assert len(set(pool.map(lambda _: secret_in_file(file), range(16)))) == 1
        assert list(tmp_path.iterdir()) == [file]


LIKE_JSON = [
    '"a secret in quotation marks, and long"',
    "1" * 40,
    '{"keys": ["a"], "of": "enough bytes"}',
]


@pytest.mark.parametrize("secret", LIKE_JSON)
def test_a_secret_that_looks_like_json_is_used_as_text(secret: str) -> None:
    tokens = tokens_of(KeyRing.of(secret))
    token = tokens.issue(SESSION, now=NOW).value
    assert tokens.verify(token, now=NOW).session_id == SESSION.id
    header, payload, _ = token.split(".")
    for part in (secret.strip('"'), "a"):
        if part != secret:
            digest = hmac.digest(part.encode(), f"{header}.{payload}".encode(), "sha256")
            signature = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            with pytest.raises(InvalidAccessToken):
                tokens.verify(f"{header}.{payload}.{signature}", now=NOW)


class TestSharedSecret:
    """Tokens of an external issuer that signs with a shared secret."""

    EXPECTED = Expected(
        issuer="https://app.example.com",
        namespace="better-auth",
        requires_issuer=True,
        audiences=(),
        requires_audience=False,
    )
    SAID: ClassVar[dict[str, object]] = {
        "sub": "ada",
        "iss": "https://app.example.com",
        "exp": NOW.timestamp() + 60,
    }

    def verified(self, secret: str, **others: object) -> Identity:
        token = jwt.encode(self.SAID | others, jwk.construct(secret.encode(), "HS256"), "HS256")
        issuer = JoseSharedSecretIssuer(secret, self.EXPECTED)
        return issuer.verify(ParsedToken.of(token)).identity_at(NOW)

    @pytest.mark.parametrize("secret", LIKE_JSON)
    def test_a_secret_that_looks_like_json_is_used_as_text(self, secret: str) -> None:
        assert self.verified(secret).issuer == "better-auth"

    def test_a_token_of_another_issuer_is_refused_even_with_the_right_secret(self) -> None:
        with pytest.raises(InvalidAccessToken, match="iss is another"):
            self.verified(SECRET, iss="https://other.example.com")
