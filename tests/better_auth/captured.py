"""Captured tokens of a Better Auth, for tests that run without Node.

`captured.json` is written by `uv run python -m tests.better_auth.capture`. Its
secret was made for that run and its tokens have long expired, so a test sets
its clock to `captured_at`.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

CAPTURED = Path(__file__).with_name("captured.json")


@dataclass(frozen=True)
class FrontEndUser:
    """A user who signed up at Better Auth, and every token of theirs."""

    id: str
    name: str
    email: str
    jwks_token: str
    shared_secret_token: str
    session_cache_token: str
    verification_token: str


@dataclass(frozen=True)
class Capture:
    """A Better Auth as an API sees it: its URL, secret and keys, and the tokens of its users."""

    url: str
    secret: str
    captured_at: datetime
    jwks: dict[str, Any]  # JSON
    users: tuple[FrontEndUser, ...]


as_json = TypeAdapter(Capture)


def captured() -> Capture:
    """Read `captured.json`."""
    return as_json.validate_json(CAPTURED.read_bytes())
