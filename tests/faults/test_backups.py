"""Backups are made under load, the service is killed, and each backup is restored.

A restored database has every write that was acknowledged before its backup began, and no write is
partly stored or stored twice.
"""

import os
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.load import Attempts, Worker, load, wait_for_progress
from tests.support.clients import client_of
from tests.support.command import served, served_as_new, todo
from tests.support.processes import children_of
from tests.support.proof import note
from tests.support.users import PASSWORD, every_task
from todo_adapters.sql.recovery import SKIPPED_VERSIONS

USERS = 4
BACKUPS = 4
WRITES_IN_BETWEEN = 300
SETTINGS = {"TODO_RATE_LIMIT_ENABLED": "false"}


@dataclass(frozen=True)
class Acknowledged:
    """What the service had acknowledged to one user at a moment."""

    worker: Worker
    created: Sequence[str]
    edits: int
    last_edit: int
    toggles: int

    @classmethod
    def to(cls, worker: Worker) -> "Acknowledged":
        # Each record grows after its write was acknowledged, so a copy never has too much.
        return cls(
            worker,
            list(worker.created),
            worker.edits.acknowledged,
            worker.last_edit,
            worker.toggles.acknowledged,
        )

    @property
    def count(self) -> int:
        return len(self.created) + self.edits + self.toggles

    def lost(self, stored: Sequence[dict[str, object]]) -> list[str]:
        """Return which of these writes the stored tasks do not have, after a restore."""
        titles = Counter(str(task["title"]) for task in stored)
        by_id = {task["id"]: task for task in stored}
        edited, toggled = by_id[self.worker.edited["id"]], by_id[self.worker.toggled["id"]]
        edits, turns = (
            int(str(task["version"])) - 1 - SKIPPED_VERSIONS for task in (edited, toggled)
        )
        assert [title for title in titles if titles[title] > 1] == []
        known = {*self.worker.tried, edited["title"], toggled["title"]}
        assert set(titles) <= known, "a task that nobody created"
        assert toggled["completed"] is (turns % 2 == 1), "a version without its change"
        number = int(str(edited["title"]).removeprefix("edit "))
        assert 0 <= number - edits <= self.worker.refusals, "a title without its version"
        lost = [title for title in self.created if title not in titles]
        if not Attempts(self.worker.edits.tried, self.edits).allow(edits):
            lost.append(f"{edits} edits, of {self.edits}")
        if number < self.last_edit:
            lost.append(f"edit {self.last_edit}")
        if not Attempts(self.worker.toggles.tried, self.toggles).allow(turns):
            lost.append(f"{turns} toggles, of {self.toggles}")
        return lost


def kill(parent: int) -> None:
    """Kill a service and all of its processes at once."""
    os.kill(parent, signal.SIGSTOP)  # it must not replace the others meanwhile
    for process in (*children_of(parent), parent):
        os.kill(process, signal.SIGKILL)


def stored_after_login(url: str, worker: Worker) -> list[dict[str, object]]:
    """Log the user in again, since a restore revokes all sessions, and return all tasks."""
    login = {"email": worker.user.email, "password": PASSWORD}
    with client_of(url) as http:
        token = http.post("/api/auth/login", json=login).raise_for_status().json()["access_token"]
    with client_of(url, Authorization=f"Bearer {token}") as http:
        return every_task(http, worker.user.tasks())


@pytest.mark.proof
def test_a_restored_backup_has_every_write_that_was_acknowledged_before_it_began(
    tmp_path: Path,
) -> None:
    before: list[list[Acknowledged]] = []
    with served(tmp_path, "--workers", "2", **SETTINGS) as server:
        with load(server.url, USERS) as workers:
            for number in range(BACKUPS):
                wait_for_progress(workers, WRITES_IN_BETWEEN)
                before.append([Acknowledged.to(worker) for worker in workers])
                outcome = todo(tmp_path, "backup", f"{number}.bak", **SETTINGS)
                assert outcome.returncode == 0, outcome.stderr
            wait_for_progress(workers, WRITES_IN_BETWEEN)
            kill(server.process.pid)
            server.process.wait(timeout=30)
        assert [worker.wrong for worker in workers] == [[]] * USERS
    for number, acknowledged in reversed(list(enumerate(before))):
        outcome = todo(tmp_path, "restore", f"{number}.bak", **SETTINGS)
        assert outcome.returncode == 0, outcome.stderr
        assert f"Revoked  {USERS} sessions" in outcome.stderr
        with served_as_new(tmp_path, **SETTINGS) as server:
            lost = [each.lost(stored_after_login(server.url, each.worker)) for each in acknowledged]
        assert lost == [[]] * USERS
        note(
            "faults",
            f"writes acknowledged before backup {number + 1}",
            tried=sum(each.count for each in acknowledged),
            failed=sum(map(len, lost)),
        )
