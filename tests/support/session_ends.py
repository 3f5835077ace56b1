"""The ways in which a session ends, and a service that notices them soon."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx

from tests.support.servers import RunningServer, running_server
from tests.support.settings import embedded_settings, migrate
from tests.support.users import PASSWORD, ApiUser

SESSION_ENDS = ("logout", "elsewhere", "password", "deletion")
"""What `end_session` can do."""

CHECK_SECONDS = 2.0
"""How often `checking_server` looks for revoked sessions."""


@contextmanager
def checking_server(folder: Path, **settings: object) -> Iterator[RunningServer]:
    """Run a service that looks for revoked sessions every two seconds."""
    given = embedded_settings(folder).model_copy(
        update={"session_check_interval": timedelta(seconds=CHECK_SECONDS), **settings}
    )
    migrate(given)
    with running_server(given) as server:
        yield server


def second_token(user: ApiUser) -> str:
    """Log the user in again, and return the access token of that session."""
    login = {"email": user.email, "password": PASSWORD}
    token: str = user.http.post("/api/auth/login", json=login).json()["access_token"]
    return token


def end_session(way: str, user: ApiUser, *, other: httpx.Client, neighbour: RunningServer) -> None:
    """Revoke the user's session: one of `SESSION_ENDS`.

    `other` is a client with another session of the user, and `neighbour` another process of the
    service.
    """
    match way:
        case "logout":
            done = user.http.post("/api/auth/logout")
        case "elsewhere":
            with neighbour.client(Authorization=f"Bearer {user.token}") as far:
                done = far.post("/api/auth/logout")
        case "password":
            change = {"current_password": PASSWORD, "new_password": "another long sentence"}
            done = other.post("/api/auth/change-password", json=change)
        case _:
            done = other.request("DELETE", "/api/auth/me", json={"current_password": PASSWORD})
    assert done.is_success, done.text
