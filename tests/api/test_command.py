"""The `todo` command, run as an operator runs it."""

import re
import signal
import sqlite3
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from tests.support.clients import client_of
from tests.support.command import Served, served, served_as_new, todo
from tests.support.processes import free_port
from tests.support.settings import SECRET
from tests.support.users import PASSWORD, register_user
from tests.support.waiting import until
from todo_api.runtime.affinity import core_count


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service that was started in an empty folder."""
    with served_as_new(tmp_path_factory.mktemp("fresh")) as server:
        yield server


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with two worker processes."""
    with served(tmp_path_factory.mktemp("workers"), "--workers", "2") as server:
        yield server


def test_a_restart_keeps_users_tasks_and_tokens(tmp_path: Path) -> None:
    with served_as_new(tmp_path) as first:
        ada = register_user(first.url)
        with ada.http:
            task = ada.create()
    with served(tmp_path) as second:
        token = {"Authorization": f"Bearer {ada.token}"}
        answer = httpx.get(f"{second.url}{ada.tasks()}", headers=token)
        assert answer.json() == [task]
        login = {"email": ada.email, "password": PASSWORD}
        assert httpx.post(f"{second.url}/api/auth/login", json=login).status_code == 200
    key = tmp_path / "todo-data" / "signing-key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (tmp_path / "todo-data" / "todo.db").exists()


def test_serve_prints_the_addresses_of_the_page_the_api_and_its_docs(fresh: Served) -> None:
    said = fresh.log.read_text()
    assert f"Page     {fresh.url}/\n" in said
    assert f"Docs     {fresh.url}/docs\n" in said
    assert str(fresh.log.parent / "todo-data") in said


def test_the_version_is_printed_even_if_the_settings_are_wrong(tmp_path: Path) -> None:
    outcome = todo(tmp_path, "--version", TODO_LOG_LEVEL="loud")
    assert (outcome.returncode, outcome.stdout) == (0, f"todo {version('todo')}\n")


def test_the_log_is_json_and_holds_no_secret_and_no_body(tmp_path: Path) -> None:
    title = "a title that is nobody's business"
    with served(tmp_path) as server:
        ada = register_user(server.url)
        with ada.http:
            ada.create(title)
            ada.http.post(ada.tasks(), json={"title": 5, "token": PASSWORD, "description": 7})
            ada.http.get("/api/auth/me", headers={"Authorization": "Bearer forged.to.ken"})
    requests = [line for line in server.lines() if line["event"] == "request"]
    assert [line["status"] for line in requests if line["route"] != "/healthz"] == [
        *(201, 200, 201, 422, 401)
    ]
    assert all(len(line["request_id"]) == 32 for line in requests)
    assert {line["user_id"] for line in requests} == {ada.id, None}
    for secret in (PASSWORD, ada.token, "forged.to.ken", title, ada.email):
        assert secret not in server.log.read_text()


def test_several_workers_share_users_sessions_and_tasks(two_workers: Served) -> None:
    ada = register_user(two_workers.url)

    def create(number: int) -> int:
        # A new connection can reach either worker.
        with client_of(two_workers.url, Authorization=f"Bearer {ada.token}") as http:
            return http.post(ada.tasks(), json={"title": f"No. {number}"}).status_code

    with ada.http, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(create, range(40))) == [201] * 40
        assert len(ada.list()) == 40


def test_serve_finishes_a_request_in_flight_before_it_stops(tmp_path: Path) -> None:
    with served(tmp_path, TODO_PASSWORD_BCRYPT_COST="13") as server:
        registration = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
        with client_of(server.url) as http, ThreadPoolExecutor(1) as pool:
            http.get("/healthz")  # opens the connection, so that the next request is sent at once
            answer = pool.submit(http.post, "/api/auth/register", json=registration)
            time.sleep(0.2)
            assert not answer.done()
            server.process.send_signal(signal.SIGTERM)
            assert answer.result().status_code == 201
        assert server.process.wait(timeout=30) == 0


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_an_invalid_setting_stops_the_command_with_one_clear_message(
    tmp_path: Path, command: str
) -> None:
    outcome = todo(tmp_path, command, TODO_ACCESS_TOKEN_TTL="soon")
    assert outcome.returncode == 1
    assert outcome.stderr == (
        "The settings are not valid:\n"
        "TODO_ACCESS_TOKEN_TTL: Must be a number of seconds, or a number with a unit,"
        " such as 15m, 1h or 7d.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("secret", ["", "too short"])
def test_serve_on_postgresql_refuses_to_start_without_a_secret(tmp_path: Path, secret: str) -> None:
    url = "postgresql://todo@127.0.0.1:1/todo"
    outcome = todo(tmp_path, "serve", DATABASE_URL=url, TODO_JWT_SECRET=secret)
    assert outcome.returncode == 1
    assert "TODO_JWT_SECRET" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_migrating_an_unreachable_database_fails_with_a_clear_message(tmp_path: Path) -> None:
    url = f"postgresql://todo:hush@127.0.0.1:{free_port()}/todo"
    outcome = todo(tmp_path, "migrate", DATABASE_URL=url, TODO_JWT_SECRET=SECRET)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("The database does not answer: ")
    assert "Traceback" not in outcome.stderr
    assert "hush" not in outcome.stderr


def test_an_unusable_data_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "todo-data").write_text("a file")
    outcome = todo(tmp_path, "serve")
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("TODO_DATA_DIR cannot be used: ")
    assert "Traceback" not in outcome.stderr


def test_an_invalid_signing_key_is_reported(tmp_path: Path) -> None:
    (tmp_path / "todo-data").mkdir()
    (tmp_path / "todo-data" / "signing-key").write_text("short")
    outcome = todo(tmp_path, "serve")
    assert outcome.returncode == 1
    assert "The signing key cannot be used" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_access_of_other_users_to_the_signing_key_is_removed_at_startup(tmp_path: Path) -> None:
    key = tmp_path / "todo-data" / "signing-key"
    key.parent.mkdir()
    key.write_text(SECRET)
    key.chmod(0o644)
    with served(tmp_path) as server:
        assert [line["level"] for line in server.lines() if "signing_key" in line["event"]] == [
            "warning"
        ]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--port", "99999"),
        ("--port", "0"),
        ("--workers", "100000"),
        ("--workers", "0"),
        ("--workers", "many"),
        ("--host", "nonsense.invalid"),
        ("--host", "203.0.113.7"),
    ],
)
def test_an_unusable_option_of_serve_is_named(tmp_path: Path, option: str, value: str) -> None:
    outcome = todo(tmp_path, "serve", option, value)
    assert outcome.returncode != 0
    assert option in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert list(tmp_path.iterdir()) == []


def test_serve_refuses_a_better_auth_secret_that_equals_the_signing_key(tmp_path: Path) -> None:
    (tmp_path / "todo-data").mkdir()
    (tmp_path / "todo-data" / "signing-key").write_text(f"{SECRET}\n")
    outcome = todo(tmp_path, "serve", BETTER_AUTH_SECRET=SECRET)
    assert outcome.returncode == 1
    assert "BETTER_AUTH_SECRET" in outcome.stderr
    assert SECRET not in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_workers_without_a_shared_limit_storage_log_a_warning(
    two_workers: Served, fresh: Served
) -> None:
    assert "TODO_RATE_LIMIT_STORAGE=redis://" in two_workers.log.read_text()
    assert "Warning" not in fresh.log.read_text(), "which has one"


def test_the_parent_of_workers_logs_as_they_do(two_workers: Served) -> None:
    others = [line for line in two_workers.log.read_text().splitlines() if line[0] != "{"]
    assert {line.split()[0] for line in others} == {"Page", "API", "Docs", "Storage", "Warning"}
    [started] = [line for line in two_workers.lines() if "parent process" in line["event"]]
    assert started.keys() == {"event", "level", "timestamp", "logger"}
    assert datetime.fromisoformat(started["timestamp"]).tzinfo is not None


def test_workers_log_each_request_once_and_without_its_query(two_workers: Served) -> None:
    httpx.get(f"{two_workers.url}/healthz?token=in-the-query").raise_for_status()
    register_user(two_workers.url).http.close()  # whose requests are logged later
    assert "in-the-query" not in two_workers.log.read_text()
    assert {line.get("logger") for line in two_workers.lines()} == {None, "uvicorn.error"}


def test_one_process_serves_whatever_the_environment_says_of_concurrency(tmp_path: Path) -> None:
    with served(tmp_path, WEB_CONCURRENCY="2") as server:
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert "parent process" not in server.log.read_text()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the memory")
def test_the_parent_of_workers_imports_little(two_workers: Served) -> None:
    status = Path(f"/proc/{two_workers.process.pid}/status").read_text()
    [kilobytes] = re.findall(r"VmRSS:\s+(\d+) kB", status)
    assert int(kilobytes) < 45_000


def test_workers_auto_starts_one_process_for_each_core(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "auto") as server:

        def started() -> int:
            return sum("Started server process" in line["event"] for line in server.lines())

        until(lambda: started() >= core_count())
    assert started() == core_count()


def test_cleanup_deletes_expired_rows_and_prints_how_many(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        ada = register_user(server.url)
        ada.http.post("/api/auth/logout").raise_for_status()
        ada.http.close()
        register_user(server.url).http.close()
    assert todo(tmp_path, "cleanup").stderr == "Removed  0\n"
    with sqlite3.connect(tmp_path / "todo-data" / "todo.db") as connection:
        long_ago = "2020-01-01 00:00:00.000000+00:00"
        connection.execute("UPDATE sessions SET expires_at = ?", (long_ago,))
        connection.execute("UPDATE revoked_sessions SET revoked_at = ?", (long_ago,))
    connection.close()
    assert todo(tmp_path, "cleanup").stderr == "Removed  2\n"


def test_cleanup_needs_no_signing_key_and_creates_none(tmp_path: Path) -> None:
    assert todo(tmp_path, "migrate").returncode == 0
    key = tmp_path / "todo-data" / "signing-key"
    assert todo(tmp_path, "cleanup").stderr == "Removed  0\n"
    assert not key.exists()
    key.write_text("too short")
    assert todo(tmp_path, "cleanup").stderr == "Removed  0\n"


def test_only_its_owner_can_enter_the_data_folder(fresh: Served) -> None:
    assert stat.S_IMODE((fresh.log.parent / "todo-data").stat().st_mode) == 0o700


def test_a_port_in_use_is_reported(fresh: Served, tmp_path: Path) -> None:
    port = fresh.url.rpartition(":")[2]
    outcome = todo(tmp_path, "serve", "--port", port)
    assert outcome.returncode != 0
    assert "in use" in outcome.stderr
