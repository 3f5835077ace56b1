"""`todo user`: accounts from the command line, while the service runs and while it does not."""

import json
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support.command import FAST, Served, served, todo
from tests.support.users import PASSWORD, ApiUser, register_user

NEW = "another long sentence"
INTERVAL = {"TODO_SESSION_CHECK_INTERVAL": "1"}


def user_command(
    folder: Path, *arguments: str, entered: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run `todo user` in this folder, with the text as its input."""
    return todo(folder, "user", *arguments, entered=entered, **FAST, **INTERVAL, **settings)


def messages(outcome: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines of standard error that are no log."""
    return [line for line in outcome.stderr.splitlines() if not line.startswith("{")]


def log(outcome: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in outcome.stderr.splitlines() if line.startswith("{")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert todo(tmp_path, "migrate").returncode == 0
    return tmp_path


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("two-workers")
    with served(folder, "--workers", "2", **INTERVAL) as server:
        yield server


def create(folder: Path, email: str = "ada@example.com") -> str:
    outcome = user_command(
        folder,
        *("create", "--email", email, "--name", "Ada Lovelace", "--password-stdin"),
        entered=PASSWORD + "\n",
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout.strip()


def test_an_account_is_created_and_listed_without_a_running_service(folder: Path) -> None:
    user_id = create(folder)
    assert UUID(user_id).version == 4
    [line] = user_command(folder, "list", "--json").stdout.splitlines()
    listed = json.loads(line)
    assert listed.pop("created_at").endswith("Z")
    assert listed == {
        "id": user_id,
        "email": "ada@example.com",
        "name": "Ada Lovelace",
        "disabled_at": None,
    }
    header, row = user_command(folder, "list").stdout.splitlines()
    assert header.split() == ["ID", "CREATED", "STATE", "EMAIL", "NAME"]
    assert row.split() == [user_id, row.split()[1], "active", "ada@example.com", "Ada", "Lovelace"]


def test_a_long_list_says_that_there_is_more(folder: Path) -> None:
    for name in ("ada", "grace", "hedy"):
        create(folder, f"{name}@example.com")
    outcome = user_command(folder, "list", "--limit", "2", "--json")
    emails = [json.loads(line)["email"] for line in outcome.stdout.splitlines()]
    assert emails == ["hedy@example.com", "grace@example.com"]
    assert messages(outcome) == ["There are more than 2 users: raise --limit or use --email."]
    outcome = user_command(folder, "list", "--email", "GRACE", "--json")
    assert [json.loads(line)["email"] for line in outcome.stdout.splitlines()] == [
        "grace@example.com"
    ]
    assert messages(outcome) == []


def test_every_change_is_in_the_security_log_with_the_operator(folder: Path) -> None:
    user_id = create(folder)
    for arguments, entered, event in (
        (("set-password", user_id, "--password-stdin"), NEW, "password.set_by_operator"),
        (("disable", user_id), "", "account.disabled"),
        (("enable", user_id), "", "account.enabled"),
        (("delete", user_id, "--yes"), "", "account.deleted"),
    ):
        outcome = user_command(folder, *arguments, entered=entered, LOGNAME="forged")
        assert outcome.returncode == 0, outcome.stderr
        recorded = [each for each in log(outcome) if each["event"] == event]
        assert [(each["user_id"], each["operator"], each["kind"]) for each in recorded] == [
            (user_id, pwd.getpwuid(os.getuid()).pw_name, "security")
        ]
        assert PASSWORD not in outcome.stderr
        assert NEW not in outcome.stderr


def test_the_operator_is_who_called_sudo(folder: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can have been somebody else before")
    [recorded] = log(user_command(folder, "disable", create(folder), SUDO_USER="grace"))
    assert recorded["operator"] == "grace"


@pytest.mark.parametrize(
    ("arguments", "entered", "message"),
    [
        (("disable", "nobody@example.com"), "", "There is no user with this email or id."),
        (("delete", "ada@example.com"), "", "The input is not a terminal: use --yes."),
        (("set-password", "ada@example.com"), NEW, "The input is not a terminal: use --password-"),
        (
            ("set-password", "ada@example.com", "--password-stdin"),
            "short\n",
            "Password must have at least 8 characters.",
        ),
        (
            ("create", "--email", "ada@EXAMPLE.com", "--name", "A", "--password-stdin"),
            PASSWORD,
            "Another account has this email.",
        ),
        (
            ("create", "--email", "ada", "--name", "", "--password-stdin"),
            PASSWORD,
            "Name must not be empty.",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_message(
    folder: Path, arguments: tuple[str, ...], entered: str, message: str
) -> None:
    create(folder)
    outcome = user_command(folder, *arguments, entered=entered)
    assert outcome.returncode == 1
    assert "Traceback" not in outcome.stderr
    assert messages(outcome)[0].startswith(message)
    [line] = user_command(folder, "list", "--json").stdout.splitlines()
    assert json.loads(line)["disabled_at"] is None


def test_a_database_without_the_newest_schema_is_refused(tmp_path: Path) -> None:
    outcome = user_command(tmp_path, "list")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert messages(outcome) == ["The schema of the database is not up to date. Run: todo migrate"]


def test_when_disable_returns_every_process_refuses_the_user(two_workers: Served) -> None:
    ada, grace = register_user(two_workers.url), register_user(two_workers.url)
    ada.http.close()
    grace.http.close()
    folder = two_workers.log.parent
    outcome = user_command(folder, "disable", ada.email)
    assert messages(outcome) == [
        f"The account of {ada.email} is disabled.",
        "Waiting for 1 s, until all processes refuse the sessions.",
    ]
    assert statuses(two_workers, ada) == {401}
    assert statuses(two_workers, grace) == {200}
    with httpx.Client(base_url=two_workers.url) as http:
        credentials = {"email": ada.email, "password": PASSWORD}
        refused = http.post("/api/auth/login", json=credentials)
        wrong = http.post("/api/auth/login", json={**credentials, "password": "wrong password"})
        assert refused.status_code == wrong.status_code == 401
        assert {**refused.json(), "request_id": ""} == {**wrong.json(), "request_id": ""}
        assert user_command(folder, "enable", ada.email).returncode == 0
        assert http.post("/api/auth/login", json=credentials).status_code == 200


def statuses(server: Served, user: ApiUser) -> set[int]:
    """List their tasks on each of many connections, which the kernel gives to both workers."""
    headers = {"Authorization": f"Bearer {user.token}"}
    found = set()
    for _ in range(16):
        with httpx.Client(base_url=server.url, headers=headers) as http:
            found.add(http.get(user.tasks()).status_code)
    return found
