"""The clock is wrong: an hour or 400 days ahead, and later corrected.

Tokens that have expired by the clock are refused, no response is a 500, and tokens that were
issued in the future are refused until that time.
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
class ServiceWithManualClock:
    """A service with a manual clock."""

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
def service(tmp_path: Path) -> Iterator[ServiceWithManualClock]:
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
            yield ServiceWithManualClock(server, clock, mailer, http, ada)


def test_a_clock_an_hour_ahead_expires_only_access_tokens_and_reset_tokens(
    service: ServiceWithManualClock,
) -> None:
    tokens, reset = service.log_in(), service.reset_token()
    assert service.access(tokens) == 200
    service.clock.advance(HOUR)
    assert service.access(tokens) == 401
    assert service.reset(reset) == 400
    answer = service.refresh(tokens)
    assert answer.status_code == 200
    assert service.access(answer.json()) == 200
    note("faults", "what an hour ahead changes", tried=4, failed=0)


def test_a_clock_400_days_ahead_expires_all_sessions_and_allows_logins(
    service: ServiceWithManualClock,
) -> None:
    tokens, reset = service.log_in(), service.reset_token()
    service.ada.create()
    service.clock.advance(AGES)
    assert service.access(tokens) == 401
    assert service.refresh(tokens).status_code == 401
    assert service.reset(reset) == 400
    service.server.container.session_check()._job()
    assert service.server.container.application().clean_up() > 0
    assert service.refresh(tokens).status_code == 401
    later = service.log_in()
    assert service.access(later) == 200
    assert service.refresh(later).status_code == 200
    assert service.reset(service.reset_token()) == 204
    note("faults", "what 400 days ahead change", tried=8, failed=0)


@pytest.mark.parametrize("jump", [HOUR, AGES], ids=["an hour", "400 days"])
def test_a_token_issued_in_the_future_is_refused_before_its_time_of_issue(
    service: ServiceWithManualClock, jump: timedelta
) -> None:
    service.clock.advance(jump)
    ahead = service.log_in()
    assert service.access(ahead) == 200
    service.clock.advance(-jump)
    # Otherwise the token would be valid for as long as the clock was wrong.
    assert service.access(ahead) == 401
    present = service.log_in()
    assert service.access(present) == 200
    # A revocation takes effect whatever the clock was.
    service.server.container.session_check()._job()
    bearer = {"Authorization": f"Bearer {present['access_token']}"}
    assert service.http.post("/api/auth/logout", headers=bearer).status_code == 204
    service.server.container.session_check()._job()
    service.server.container.application().clean_up()
    assert service.access(present) == 401
    assert service.refresh(present).status_code == 401
    service.ada.create()
    service.clock.advance(-AGES)
    assert service.access(ahead) == 401
    assert service.log_in()["expires_in"] == 3600
    note("faults", "what the clock going back changes", tried=8, failed=0)
