"""Access tokens that differ from a genuine one in any byte are refused."""

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.support.issuers import Key, claims, jwks
from tests.support.jwks_server import running_jwks_server
from tests.support.problems import problem
from tests.support.proof import note
from tests.support.servers import RunningServer
from tests.support.settings import embedded_settings, migrate
from tests.support.users import PASSWORD
from todo_api.container import Container
from todo_api.settings import ExternalIssuer
from todo_core.errors import InvalidAccessToken

ISSUER, AUDIENCE = "https://a.example.com", "https://todo.example.com"
URL_SAFE = string.ascii_letters + string.digits + "-_"
STRANGE = ["=", "==", " ", "\t", "\n", "\0", "+", "/", ".", "%2E", "%00", "é", "ǅ", "\u2024", '"']

COUNTS = [
    pytest.param(2_000, id="everyday"),
    pytest.param(26_000, id="proof", marks=pytest.mark.proof),
]


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def fields_of(part: str) -> dict[str, object]:
    """Return the JSON object in a header or payload.

    Raises:
        ValueError: if there is none, as in a signature.
    """
    fields = json.loads(decoded(part))
    if not isinstance(fields, dict):
        raise ValueError("this is JSON, but not an object")
    return fields


def flip_a_bit(dice: random.Random, part: str) -> str:
    raw = bytearray(decoded(part))
    raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    return encoded(bytes(raw))


def change_a_character(dice: random.Random, part: str) -> str:
    place = dice.randrange(len(part))
    return part[:place] + dice.choice(URL_SAFE) + part[place + 1 :]


def drop_some(dice: random.Random, part: str) -> str:
    begin = dice.randrange(len(part))
    return part[:begin] + part[begin + dice.randint(1, 5) :]


def repeat_some(dice: random.Random, part: str) -> str:
    begin = dice.randrange(len(part))
    return part[:begin] + part[begin : begin + dice.randint(1, 9)] + part[begin:]


def insert_a_strange_character(dice: random.Random, part: str) -> str:
    place = dice.randint(0, len(part))
    return part[:place] + dice.choice(STRANGE) + part[place:]


def change_case(dice: random.Random, part: str) -> str:
    place = dice.randrange(len(part))
    return part[:place] + part[place].swapcase() + part[place + 1 :]


def change_the_last_character(dice: random.Random, part: str) -> str:
    return part[:-1] + dice.choice(URL_SAFE)


def reformat_the_json(dice: random.Random, part: str) -> str:
    """Write the same JSON values differently; flip a bit of a signature."""
    try:
        said = fields_of(part)
    except ValueError:
        return flip_a_bit(dice, part)
    items = list(said.items())
    dice.shuffle(items)
    separators = dice.choice([(",", ":"), (", ", ": "), (" ,", ":"), (",", " :")])
    return encoded(json.dumps(dict(items), separators=separators).encode())


def change_a_claim(dice: random.Random, part: str) -> str:
    """Change or add a claim or header field; change a character of a signature."""
    try:
        said = fields_of(part)
    except ValueError:
        return change_a_character(dice, part)
    name = dice.choice([*said, "alg", "kid", "sub", "exp", "aud", "crit", "jwk", "typ"])
    said[name] = dice.choice(
        ["none", "HS256", "HS512", "RS256", "", None, 0, -1, 2**40, True, [], {}, ["todo"], "x"]
    )
    return encoded(json.dumps(said).encode())


def replace_by_random_bytes(dice: random.Random, part: str) -> str:
    return encoded(dice.randbytes(dice.randint(0, len(part))))


MUTATIONS: list[Callable[[random.Random, str], str]] = [
    flip_a_bit,
    change_a_character,
    drop_some,
    repeat_some,
    insert_a_strange_character,
    change_case,
    change_the_last_character,
    reformat_the_json,
    change_a_claim,
    replace_by_random_bytes,
]


def mutated(dice: random.Random, genuine: list[str]) -> str:
    """Return a mutation of one of these tokens that equals none of them."""
    while True:
        parts = dice.choice(genuine).split(".")
        for _ in range(dice.choice([1, 1, 1, 2, 3])):
            place = dice.randrange(len(parts))
            if dice.random() < 0.1:
                parts[place] = dice.choice(genuine).split(".")[place % 3]
            elif parts[place]:
                with suppress(ValueError):  # a part that is broken already cannot be decoded
                    parts[place] = dice.choice(MUTATIONS)(dice, parts[place])
        if dice.random() < 0.03:
            parts.insert(dice.randint(0, 3), "")
        token = ".".join(parts)
        if token not in genuine:
            return token


@pytest.fixture
def container_and_tokens(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Container, list[str]]]:
    """A service that trusts an external issuer, and genuine tokens of both."""
    own = embedded_settings(tmp_path_factory.mktemp("tokens"))
    migrate(own)
    keys = [Key.generate("EdDSA"), Key.generate("RS256")]
    with running_jwks_server(jwks(*keys)) as published:
        trusted = (ExternalIssuer(issuer=ISSUER, jwks_url=published.url, audience=AUDIENCE),)
        container = Container(settings=own.model_copy(update={"external_issuers": trusted}))
        genuine = []
        for email in ("ada@example.com", "bob@example.com"):
            container.application().register_user(name="User", email=email, password=PASSWORD)
            tokens = container.application().log_in(email=email, password=PASSWORD).tokens
            genuine.append(tokens.access_token.value)
        genuine += [key.sign(claims(ISSUER, AUDIENCE, sub=key.id)) for key in keys]
        yield container, genuine
        container.database().close()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_mutated_token_is_accepted(
    container_and_tokens: tuple[Container, list[str]], seed: int, count: int
) -> None:
    container, genuine = container_and_tokens
    authenticate = container.application().authenticate
    for token in genuine:
        authenticate(token)
    dice = random.Random(seed)  # noqa: S311 - the seed makes it reproducible
    accepted = []
    for _ in range(count):
        token = mutated(dice, genuine)
        try:
            authenticate(token)
        except InvalidAccessToken:
            continue
        accepted.append(token)
    note("tokens", "mutated, own and of another issuer", tried=count, failed=len(accepted))
    assert accepted == []
    for token in genuine:
        authenticate(token)


@pytest.mark.parametrize(
    "count",
    [pytest.param(200, id="everyday"), pytest.param(2_000, id="proof", marks=pytest.mark.proof)],
)
def test_a_mutated_token_is_answered_with_401_over_http(server: RunningServer, count: int) -> None:
    ada, bob = server.register("Ada"), server.register("Bob")
    dice = random.Random(count)  # noqa: S311 - as above
    with ada.http, bob.http, server.client() as http:
        sent = 0
        while sent < count:
            token = mutated(dice, [ada.token, bob.token]).encode()
            if not token.strip() or any(byte < 32 or byte == 127 for byte in token):
                continue  # a client cannot send this in a header
            if token.strip() in (ada.token.encode(), bob.token.encode()):
                continue  # surrounding white space belongs to HTTP (RFC 9110 §5.5)
            answer = http.get(ada.tasks(), headers=[(b"Authorization", b"Bearer " + token)])
            assert (answer.status_code, problem(answer)["code"]) == (401, "invalid_token"), token
            assert answer.headers["www-authenticate"] == "Bearer"
            sent += 1
    note("tokens", "mutated, over HTTP", tried=sent)
