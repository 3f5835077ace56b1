"""Reminders with two processes that are killed while they send emails, and whose clock is wrong.

Each reminder is delivered at least once and at most a minute late, by one message or by repetitions
of it that have the same identifier. None is delivered for a task that is completed or deleted.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from tests.support.clients import client_of
from tests.support.command import FAST
from tests.support.processes import free_port
from tests.support.proof import note
from tests.support.settings import embedded_settings, environment_on, migrate
from tests.support.users import ApiUser, register_user
from tests.support.waiting import until

SERVE_BY_ANOTHER_CLOCK = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from todo_adapters.system.clock import SystemClock

def now(_):
    return datetime.now(UTC) + timedelta(seconds=float(Path("seconds-ahead").read_text()))

SystemClock.now = now
from todo_api.cli import main
main()
"""
"""Runs the `todo` command with a clock that is ahead by what a file in its folder says."""

TASKS = 60
EARLY_TASKS = 40
DELIVERY_SECONDS = 0.1
LATE_SECONDS = 60
HOUR = timedelta(hours=1)


@dataclass
class Inbox:
    """A slow mail server, which notes when each message came for the first time and how often."""

    arrived: dict[str, float] = field(default_factory=dict)
    ids: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    async def handle_DATA(self, _: object, __: object, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        await asyncio.sleep(DELIVERY_SECONDS)
        assert isinstance(envelope.content, bytes)
        message = BytesParser(policy=default).parsebytes(envelope.content)
        title = message["Subject"].removeprefix("Reminder: ")
        self.arrived.setdefault(title, time.time())
        self.ids[title].append(message["Message-ID"])
        return "250 OK"


@dataclass
class Processes:
    """Two processes of a service on one database."""

    folder: Path
    environment: dict[str, str]
    running: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def start(self) -> None:
        """Start one more, and wait until it answers."""
        port = free_port()
        with (self.folder / f"log-{port}").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", SERVE_BY_ANOTHER_CLOCK, "serve", "--port", str(port)],
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], **FAST, **self.environment},
                stderr=log,
            )
        url = f"http://127.0.0.1:{port}"
        self.running.append((url, process))
        with client_of(url) as http:
            until(lambda: is_healthy(http), seconds=30)

    def kill_the_older(self) -> None:
        """Kill the one that was started first."""
        _, process = self.running.pop(0)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)

    def set_ahead(self, by: timedelta) -> None:
        """Set the clock of all of them."""
        new = self.folder / "seconds-ahead.new"
        new.write_text(str(by.total_seconds()))
        new.replace(self.folder / "seconds-ahead")

    def stop(self) -> None:
        """Stop those that are running."""
        for _, process in self.running:
            process.terminate()
        for _, process in self.running:
            process.wait(timeout=30)


def is_healthy(http: httpx.Client) -> bool:
    """Return whether the service answers."""
    try:
        return http.get("/healthz").is_success
    except httpx.TransportError:
        return False


@contextmanager
def two_processes(folder: Path, database_url: str | None, inbox: Inbox) -> Iterator[Processes]:
    with ExitStack() as stack:
        mail = Controller(inbox, hostname="127.0.0.1", port=free_port())
        mail.start()
        stack.callback(mail.stop)
        if database_url is None:
            migrate(embedded_settings(folder))
            environment = {"TODO_RATE_LIMIT_ENABLED": "false"}
        else:
            environment = environment_on(database_url)
        environment |= {
            "TODO_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
            "TODO_REMINDER_INTERVAL": "1s",
        }
        processes = Processes(folder, environment)
        processes.set_ahead(timedelta())
        stack.callback(processes.stop)
        processes.start()
        processes.start()
        yield processes


@pytest.fixture(params=["sqlite", "postgresql"])
def url_of_database(request: pytest.FixtureRequest) -> str | None:
    """The URL of a PostgreSQL database, or None for SQLite."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("database_url")
    return url


def remind(ada: ApiUser, title: str, at: datetime) -> int:
    """Create a task with this reminder, and return its id."""
    return int(ada.create(title, remind_at=at.isoformat())["id"])


@pytest.mark.proof
def test_reminders_survive_kills_and_a_wrong_clock(
    tmp_path: Path, url_of_database: str | None
) -> None:
    inbox = Inbox()
    with two_processes(tmp_path, url_of_database, inbox) as processes:
        ada = register_user(processes.running[1][0])
        moments: dict[str, datetime] = {}
        begin = datetime.now(UTC) + timedelta(seconds=3)
        for number in range(TASKS):
            title = f"task {number}"
            moments[title] = begin + number * timedelta(seconds=0.1)
            remind(ada, title, moments[title])
            completed = remind(ada, f"completed {number}", moments[title])
            deleted = remind(ada, f"deleted {number}", moments[title])
            ada.http.patch(ada.tasks(f"/{completed}"), json={"completed": True}).raise_for_status()
            ada.http.delete(ada.tasks(f"/{deleted}")).raise_for_status()
        early = {f"early {number}": datetime.now(UTC) + HOUR / 2 for number in range(EARLY_TASKS)}
        for title, moment in early.items():
            remind(ada, title, moment)
        moments |= early
        ada.http.close()
        # Each process is killed twice while emails are sent, the last time by a wrong clock.
        until(lambda: inbox.arrived, seconds=LATE_SECONDS)
        for ahead in (timedelta(), timedelta(), HOUR, HOUR):
            processes.set_ahead(ahead)
            time.sleep(1.5)
            processes.kill_the_older()
            processes.start()
        until(lambda: early.keys() <= inbox.arrived.keys(), seconds=LATE_SECONDS)
        processes.set_ahead(timedelta())
        later = datetime.now(UTC) + timedelta(seconds=2)
        with client_of(processes.running[0][0], Authorization=f"Bearer {ada.token}") as http:
            answer = http.post(
                ada.tasks(), json={"title": "after that", "remind_at": later.isoformat()}
            )
            assert answer.status_code == 201, answer.text
        moments["after that"] = later
        until(lambda: moments.keys() <= inbox.arrived.keys(), seconds=LATE_SECONDS + 10)
        time.sleep(3)
    late = [inbox.arrived[title] - moment.timestamp() for title, moment in moments.items()]
    assert inbox.arrived.keys() == moments.keys()
    assert max(late) < LATE_SECONDS
    assert all(len(set(ids)) == 1 for ids in inbox.ids.values())
    assert len({ids[0] for ids in inbox.ids.values()}) == len(moments)
    repeated = sum(len(ids) - 1 for ids in inbox.ids.values())
    assert repeated <= 8, "an email is repeated only if its process is killed while sending it"
    note("faults", "reminders by processes that are killed", tried=len(moments), failed=0)
