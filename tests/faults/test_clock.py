"""The clock is wrong: an hour or 400 days ahead, and then set right again.

What has expired by the clock is refused, nothing is answered with a 500, and what was
issued in a future that did not come is not good until it comes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.proof import note
from tests.support.replacing import replaced
from tests.support.servers import RunningServer, running_server
from tests.support.settings import embedded_settings, migrate
from tests.support.users import PASSWORD, ApiUser
from tests.support.waiting import until
from todo_adapters.in_memory.clock import ManualClock
from todo_adapters.in_memory.mail import InMemoryMailer
from todo_core.ports.mail import PasswordResetEmail

HOUR = timedelta(hours=1, minutes=1)
AGES = timedelta(days=400)


@dataclass
class Wrong:
    """A service whose clock is set by hand."""

    server: RunningServer
    clock: ManualClock
    mailer: InMemoryMailer
    http: httpx.Client
    ada: ApiUser

    def log_in(self) -> dict[str, Any]:
        login = {"email": self.ada.email, "password": PASSWORD}
        answer = self.http.post("/api/auth/login", json=login)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def refresh(self, tokens: dict[str, Any]) -> httpx.Response:
        return self.http.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})

    def access(self, tokens: dict[str, Any]) -> int:
        token = {"Authorization": f"Bearer {tokens['access_token']}"}
        return self.http.get(str(self.ada.tasks()), headers=token).status_code

    def reset_token(self) -> str:
        self.mailer.sent.clear()
        forgot = {"email": self.ada.email}
        assert self.http.post("/api/auth/forgot-password", json=forgot).status_code == 202
        until(lambda: self.mailer.sent)
        email = self.mailer.sent.pop()
        assert isinstance(email, PasswordResetEmail)
        return email.token

    def reset(self, token: str) -> int:
        body = {"token": token, "new_password": PASSWORD + "!"}
        return self.http.post("/api/auth/reset-password", json=body).status_code


@pytest.fixture
def wrong(tmp_path: Path) -> Iterator[Wrong]:
    settings = embedded_settings(tmp_path)
    migrate(settings)
    clock, mailer = ManualClock(datetime.now(UTC)), InMemoryMailer()
    with (
        running_server(settings, clock=clock) as server,
        replaced(server.container, mailer=mailer),
        server.client() as http,
    ):
        ada = server.register()
        with ada.http:
            yield Wrong(server, clock, mailer, http, ada)


def test_with_a_clock_an_hour_ahead_only_access_tokens_and_resets_are_expired(wrong: Wrong) -> None:
    tokens, reset = wrong.log_in(), wrong.reset_token()
    assert wrong.access(tokens) == 200
    wrong.clock.advance(HOUR)
    assert wrong.access(tokens) == 401
    assert wrong.reset(reset) == 400
    answer = wrong.refresh(tokens)
    assert answer.status_code == 200
    assert wrong.access(answer.json()) == 200
    note("faults", "what an hour ahead changes", tried=4, failed=0)


def test_with_a_clock_400_days_ahead_all_sessions_are_expired_and_logins_work(wrong: Wrong) -> None:
    tokens, reset = wrong.log_in(), wrong.reset_token()
    wrong.ada.create()
    wrong.clock.advance(AGES)
    assert wrong.access(tokens) == 401
    assert wrong.refresh(tokens).status_code == 401
    assert wrong.reset(reset) == 400
    wrong.server.container.session_check()._job()
    assert wrong.server.container.application().clean_up() > 0
    assert wrong.refresh(tokens).status_code == 401
    later = wrong.log_in()
    assert wrong.access(later) == 200
    assert wrong.refresh(later).status_code == 200
    assert wrong.reset(wrong.reset_token()) == 204
    note("faults", "what 400 days ahead change", tried=8, failed=0)


@pytest.mark.parametrize("jump", [HOUR, AGES], ids=["an hour", "400 days"])
def test_a_token_issued_in_the_future_is_refused_until_then(wrong: Wrong, jump: timedelta) -> None:
    wrong.clock.advance(jump)
    ahead = wrong.log_in()
    assert wrong.access(ahead) == 200
    wrong.clock.advance(-jump)
    # Not before it was issued: else it would be good for as long as the clock was wrong.
    assert wrong.access(ahead) == 401
    present = wrong.log_in()
    assert wrong.access(present) == 200
    # Ended is ended, whatever the clock said when it was.
    wrong.server.container.session_check()._job()
    bearer = {"Authorization": f"Bearer {present['access_token']}"}
    assert wrong.http.post("/api/auth/logout", headers=bearer).status_code == 204
    wrong.server.container.session_check()._job()
    wrong.server.container.application().clean_up()
    assert wrong.access(present) == 401
    assert wrong.refresh(present).status_code == 401
    wrong.ada.create()
    wrong.clock.advance(-AGES)
    assert wrong.access(ahead) == 401
    assert wrong.log_in()["expires_in"] == 3600
    note("faults", "what the clock going back changes", tried=8, failed=0)
