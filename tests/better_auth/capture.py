"""Capture what a running Better Auth gives out; run as a program, keep it in `captured.json`."""

from datetime import UTC, datetime

from tests.better_auth.captured import CAPTURED, Capture, FrontEndPerson, as_json
from tests.better_auth.running import BetterAuth, SignedUp, running_better_auth

PEOPLE = {"Ada": "ada@example.com", "Bob": "bob@example.com"}


def capture(better_auth: BetterAuth) -> Capture:
    """Sign Ada and Bob up, which works once per server, and collect their tokens."""
    people = tuple(_with_tokens(better_auth.sign_up(name, email)) for name, email in PEOPLE.items())
    return Capture(
        url=better_auth.url,
        secret=better_auth.secret,
        captured_at=datetime.now(UTC),
        jwks=better_auth.jwks(),
        people=people,
    )


def _with_tokens(person: SignedUp) -> FrontEndPerson:
    return FrontEndPerson(
        id=person.id,
        name=person.name,
        email=person.email,
        jwks_token=person.jwks_token(),
        shared_secret_token=person.shared_secret_token(),
        session_cache_token=person.session_cache_token(),
        verification_token=person.verification_token(),
    )


def main() -> None:
    """Replace `captured.json`."""
    with running_better_auth() as better_auth:
        document = as_json.dump_json(capture(better_auth), indent=2)
    CAPTURED.write_bytes(document + b"\n")


if __name__ == "__main__":
    main()
