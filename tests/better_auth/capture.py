"""Capture the tokens of a running Better Auth, and write them to `captured.json` as a program."""

from datetime import UTC, datetime

from tests.better_auth.captured import CAPTURED, Capture, FrontEndUser, as_json
from tests.better_auth.running import BetterAuth, SignedUp, running_better_auth

USERS = {"Ada": "ada@example.com", "Bob": "bob@example.com"}


def capture(better_auth: BetterAuth) -> Capture:
    """Sign up Ada and Bob, which works once per server, and collect their tokens."""
    users = tuple(_with_tokens(better_auth.sign_up(name, email)) for name, email in USERS.items())
    return Capture(
        url=better_auth.url,
        secret=better_auth.secret,
        captured_at=datetime.now(UTC),
        jwks=better_auth.jwks(),
        users=users,
    )


def _with_tokens(user: SignedUp) -> FrontEndUser:
    return FrontEndUser(
        id=user.id,
        name=user.name,
        email=user.email,
        jwks_token=user.jwks_token(),
        shared_secret_token=user.shared_secret_token(),
        session_cache_token=user.session_cache_token(),
        verification_token=user.verification_token(),
    )


def main() -> None:
    """Replace `captured.json`."""
    with running_better_auth() as better_auth:
        document = as_json.dump_json(capture(better_auth), indent=2)
    CAPTURED.write_bytes(document + b"\n")


if __name__ == "__main__":
    main()
