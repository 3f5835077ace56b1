"""`todo backup` and `todo restore` on SQLite, as an operator runs them."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.clients import client_of
from tests.support.command import TODO, served, todo
from tests.support.settings import SECRET, embedded_settings, migrate
from tests.support.users import PASSWORD, ApiUser, register_user
from todo_adapters.sql.backups import SqliteBackups
from todo_adapters.sql.recovery import Recovery
from todo_adapters.sql.schema import NEWEST_REVISION
from todo_adapters.sql.sqlite_files import copy_file
from todo_adapters.sql.sqlite_lock import DatabaseLock
from todo_api.container import Container, downgrade_schema, recover_everything
from todo_core.errors import Unavailable

SECRETS = {"TODO_JWT_SECRET": SECRET}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder of a service, with a migrated database."""
    settings = embedded_settings(tmp_path)
    migrate(settings)
    return settings.data_dir


@pytest.fixture
def ada(tmp_path: Path) -> Iterator[ApiUser]:
    """A user of a service that runs in the folder of the test."""
    with served(tmp_path, **SECRETS) as server:
        user = register_user(server.url)
        with user.http:
            yield user


def logged_in(url: str, user: ApiUser) -> ApiUser:
    """Log the user in again, at the service at this URL."""
    login = {"email": user.email, "password": PASSWORD}
    with client_of(url) as http:
        token = http.post("/api/auth/login", json=login).raise_for_status().json()["access_token"]
    client = client_of(url, Authorization=f"Bearer {token}")
    return ApiUser(user.id, user.email, token, client)


def titles(user: ApiUser) -> list[object]:
    return [task["title"] for task in user.list()]


def mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_a_backup_of_a_running_service_has_what_was_acknowledged_before_it(
    ada: ApiUser, tmp_path: Path
) -> None:
    ada.create("before")
    outcome = todo(tmp_path, "backup", "todo.bak", **SECRETS)
    assert outcome.returncode == 0, outcome.stderr
    backup = tmp_path / "todo.bak"
    size = f"{backup.stat().st_size:,} bytes"
    assert f"Backup   todo.bak, {size}, revision {NEWEST_REVISION}, " in outcome.stderr
    ada.create("after")
    with closing(sqlite3.connect(f"file:{backup}?mode=ro&immutable=1", uri=True)) as database:
        assert database.execute("SELECT title FROM tasks").fetchall() == [("before",)]
    assert mode_of(backup) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "todo-data", "todo.bak"]


def test_a_restored_service_has_the_tasks_of_the_backup_and_forgets_what_came_after(
    tmp_path: Path,
) -> None:
    with served(tmp_path, **SECRETS) as server:
        ada = register_user(server.url)
        with ada.http:
            kept = ada.create("kept")
            assert todo(tmp_path, "backup", "todo.bak", **SECRETS).returncode == 0
            ada.create("lost")
            edited = ada.http.patch(ada.tasks(f"/{kept['id']}"), json={"title": "changed"})
            since = ada.http.get(ada.tasks("/changes")).json()["next"]
            tag = ada.http.get(ada.tasks()).headers["etag"]
        server.process.kill()
        server.process.wait()
    outcome = todo(tmp_path, "restore", "todo.bak", **SECRETS)
    assert outcome.returncode == 0, outcome.stderr
    assert "Revoked  1 sessions" in outcome.stderr
    assert "Set a new TODO_JWT_SECRET" in outcome.stderr
    [before] = (tmp_path / "todo-data").glob("todo.db.before-restore-*")
    assert f"Kept     {before}, " in outcome.stderr
    with closing(sqlite3.connect(before)) as database:
        stored = database.execute("SELECT title FROM tasks ORDER BY title").fetchall()
    assert stored == [("changed",), ("lost",)]
    with served(tmp_path, **SECRETS) as server, client_of(server.url) as http:
        old = {"Authorization": f"Bearer {ada.token}"}
        assert http.get(ada.tasks(), headers=old).status_code == 401
        again = logged_in(server.url, ada)
        with again.http:
            assert titles(again) == ["kept"]
            answer = again.http.get(again.tasks("/changes", since=since))
            assert (answer.status_code, answer.json()["code"]) == (410, "sync_token_expired")
            unchanged = again.http.get(again.tasks(), headers={"If-None-Match": tag})
            assert unchanged.status_code == 200
            again.http.patch(again.tasks(f"/{kept['id']}"), json={"title": "another"})
            stale = again.http.patch(
                again.tasks(f"/{kept['id']}"),
                json={"title": "lost update"},
                headers={"If-Match": edited.headers["etag"]},
            )
            assert stale.status_code == 412


def test_a_restore_replaces_the_signing_key_of_the_data_folder(data: Path, tmp_path: Path) -> None:
    key = data / "signing-key"
    assert todo(tmp_path, "backup", "todo.bak").returncode == 0
    key.write_text(SECRET)
    assert todo(tmp_path, "restore", "todo.bak", "--nothing-lost").returncode == 0
    assert key.read_text() == SECRET
    assert todo(tmp_path, "restore", "todo.bak").returncode == 0
    assert not key.exists()  # the service creates another one


def test_nothing_is_renewed_if_nothing_was_lost(tmp_path: Path) -> None:
    with served(tmp_path, **SECRETS) as server:
        ada = register_user(server.url)
        with ada.http:
            task = ada.create("kept")
            since = ada.http.get(ada.tasks("/changes")).json()["next"]
    assert todo(tmp_path, "backup", "todo.bak", **SECRETS).returncode == 0
    outcome = todo(tmp_path, "restore", "todo.bak", "--nothing-lost", **SECRETS)
    assert outcome.returncode == 0, outcome.stderr
    assert "Revoked" not in outcome.stderr
    token = {"Authorization": f"Bearer {ada.token}"}
    with served(tmp_path, **SECRETS) as server, client_of(server.url, **token) as http:
        assert http.get(ada.tasks()).json() == [task]
        assert http.get(ada.tasks("/changes", since=since)).json()["changes"] == []


def test_a_database_in_use_is_not_replaced(ada: ApiUser, tmp_path: Path) -> None:
    ada.create("kept")
    assert todo(tmp_path, "backup", "todo.bak", **SECRETS).returncode == 0
    ada.create("later")
    for arguments in (["restore", "todo.bak"], ["restore", "--finish"], ["downgrade", "--yes"]):
        outcome = todo(tmp_path, *arguments, **SECRETS)
        assert outcome.returncode == 1
        assert "The database is in use." in outcome.stderr
    assert sorted(map(str, titles(ada))) == ["kept", "later"]
    assert not list((tmp_path / "todo-data").glob("*before-restore*"))


def test_a_database_that_another_program_has_open_is_not_replaced(
    data: Path, tmp_path: Path
) -> None:
    assert todo(tmp_path, "backup", "todo.bak").returncode == 0
    with closing(sqlite3.connect(data / "todo.db")) as database:
        database.execute("SELECT count(*) FROM users").fetchone()
        outcome = todo(tmp_path, "restore", "todo.bak")
    assert outcome.returncode == 1
    assert "The database is in use." in outcome.stderr
    assert todo(tmp_path, "restore", "todo.bak").returncode == 0


def test_a_service_that_starts_during_a_restore_opens_the_restored_database(
    data: Path, tmp_path: Path
) -> None:
    container = Container(settings=embedded_settings(tmp_path))
    with ThreadPoolExecutor(1) as thread:
        with DatabaseLock(data / "todo.db", alone=True):
            revision = thread.submit(container.schema().current)
            with pytest.raises(TimeoutError):
                revision.result(timeout=0.2)
            restored = data / "restored"
            copy_file(data / "todo.db", restored)
            with closing(sqlite3.connect(restored)) as database, database:
                database.execute("UPDATE alembic_version SET version_num = 'restored'")
            restored.replace(data / "todo.db")
        assert revision.result() == "restored"
    container.database().close()


def asks_for_lock(container: Container, found: list[str]) -> Callable[..., object]:
    """Return a step which notes the answer that a service gets that starts during it."""

    def step(*_: object, **__: object) -> Recovery:
        try:
            container.schema().current()
        except Unavailable as error:
            found.append(str(error.__cause__))
        return Recovery(0, 0)

    return step


@pytest.mark.parametrize("command", ["downgrade", "finish"])
def test_no_service_can_open_the_database_during_a_downgrade_or_a_finish(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("todo_adapters.sql.sqlite._LONGEST_WAIT_SECONDS", 0.05)
    service = Container(settings=embedded_settings(tmp_path))
    operator = Container(settings=embedded_settings(tmp_path))
    current = operator.migration_schema().current()  # the connection stays in its pool
    assert current == NEWEST_REVISION
    answers: list[str] = []
    step = asks_for_lock(service, answers)
    monkeypatch.setattr("todo_api.container.recover", step)
    monkeypatch.setattr("todo_adapters.sql.schema.SqlSchema.downgrade", step)
    if command == "downgrade":
        downgrade_schema(operator, current=current, target="0010")
    else:
        recover_everything(operator)
    [answer] = answers
    assert "another process does not release its lock" in answer
    assert service.schema().current() == NEWEST_REVISION
    service.database().close()


def test_a_service_that_starts_while_a_downgrade_asks_is_noticed(
    data: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [TODO, "downgrade"],
        env={"PATH": "/usr/bin:/bin", "TODO_DATA_DIR": str(data)},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stderr
    with process, DatabaseLock(data / "todo.db"):  # as a service holds it
        seen = b""
        while b"service stopped?" not in seen:
            some = os.read(process.stderr.fileno(), 4096)
            assert some, seen
            seen += some
        process.stdin.write(b"y\n")
        process.stdin.close()
        rest = process.stderr.read()
        assert process.wait(timeout=30) == 1
    assert b"The database is in use." in rest
    container = Container(settings=embedded_settings(tmp_path))
    assert container.schema().current() == NEWEST_REVISION
    container.database().close()


def test_a_downgrade_from_a_revision_that_is_not_the_current_one_any_more_is_refused(
    data: Path, tmp_path: Path
) -> None:
    container = Container(settings=embedded_settings(tmp_path))
    with pytest.raises(ValueError, match=f"its revision is {NEWEST_REVISION} now"):
        downgrade_schema(container, current="0012", target="0010")
    assert container.schema().current() == NEWEST_REVISION
    container.database().close()


def test_a_service_does_not_wait_for_a_restore_indefinitely(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("todo_adapters.sql.sqlite._LONGEST_WAIT_SECONDS", 0.05)
    container = Container(settings=embedded_settings(tmp_path))
    with DatabaseLock(data / "todo.db", alone=True), pytest.raises(Unavailable):
        container.schema().current()
    assert container.schema().current() == NEWEST_REVISION
    container.database().close()


def test_a_damaged_database_is_replaced_and_kept_with_its_log(data: Path, tmp_path: Path) -> None:
    assert todo(tmp_path, "backup", "todo.bak").returncode == 0
    database, log = data / "todo.db", data / "todo.db-wal"
    database.write_bytes(b"a file that a dying disk has left")
    log.write_bytes(b"and its log")
    outcome = todo(tmp_path, "restore", "todo.bak")
    assert outcome.returncode == 0, outcome.stderr
    [kept, kept_log] = sorted(data.glob("todo.db.before-restore-*"))
    assert (kept.read_bytes()[:6], kept_log.read_bytes()) == (b"a file", b"and its log")
    assert not log.exists()
    assert todo(tmp_path, "backup", "again.bak").returncode == 0


KILLED_RESTORE = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
import migrations
from todo_adapters.sql import backups, sqlite_files

def die_after(name):
    step = getattr(sqlite_files, name)
    def run(*arguments):
        step(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(sqlite_files, name, run)

die_after(sys.argv[1])
backups.SqliteBackups(Path(sys.argv[2]), Path(migrations.__path__[0])).restore(
    Path(sys.argv[3]), now=datetime(2026, 1, 1, tzinfo=UTC), nothing_lost=False
)
"""


@pytest.mark.parametrize("step", ["synchronize", "_set_log_aside", "_keep"])
def test_a_killed_restore_leaves_the_database_in_its_place(
    data: Path, tmp_path: Path, step: str
) -> None:
    assert todo(tmp_path, "backup", "todo.bak").returncode == 0
    with closing(sqlite3.connect(data / "todo.db")) as database:
        database.execute("CREATE TABLE newer_than_the_backup (a)")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_RESTORE, step, data / "todo.db", tmp_path / "todo.bak"]
    )
    assert killed.returncode == -signal.SIGKILL
    assert b"newer_than_the_backup" in (data / "todo.db").read_bytes()
    container = Container(settings=embedded_settings(tmp_path))
    assert container.schema().current() == NEWEST_REVISION
    container.database().close()
    outcome = todo(tmp_path, "restore", "todo.bak")
    assert outcome.returncode == 0, outcome.stderr
    assert b"newer_than_the_backup" not in (data / "todo.db").read_bytes()
    assert not (data / ".todo-restore").exists()


def test_a_restore_creates_the_data_folder_on_a_new_machine(data: Path, tmp_path: Path) -> None:
    assert todo(tmp_path, "backup", "todo.bak").returncode == 0
    new = tmp_path / "new"
    outcome = todo(tmp_path, "restore", "todo.bak", TODO_DATA_DIR=str(new))
    assert outcome.returncode == 0, outcome.stderr
    assert "Kept" not in outcome.stderr
    assert (mode_of(new), mode_of(new / "todo.db")) == (0o700, 0o600)
    assert {path.name for path in new.iterdir()} == {"todo.db", "todo.db-lock"}


def test_a_backup_of_an_earlier_schema_is_migrated(data: Path, tmp_path: Path) -> None:
    assert todo(tmp_path, "downgrade", "--yes", "0010").returncode == 0
    assert todo(tmp_path, "backup", "old.bak").returncode == 0
    outcome = todo(tmp_path, "restore", "old.bak")
    assert outcome.returncode == 0
    assert "Restored old.bak, revision 0010" in outcome.stderr
    container = Container(settings=embedded_settings(tmp_path))
    assert container.schema().current() == NEWEST_REVISION
    container.database().close()


def of_a_newer_release(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")


def of_another_program(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE bookmarks (url)")


def without_a_revision(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DELETE FROM alembic_version")


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100_000])


def with_a_damaged_page(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[10 * 4096 : 10 * 4096 + 500] = b"x" * 500
    file.write_bytes(content)


def of_postgresql(file: Path) -> None:
    file.write_bytes(b"PGDMP\x01\x0f")


def encrypted(file: Path) -> None:
    file.write_bytes(b"age-encryption.org/v1\n")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (of_a_newer_release, "The backup is of a newer release: its schema has the revision 9999"),
        (of_another_program, "todo.bak is not a database of this service."),
        (without_a_revision, "todo.bak has no schema"),
        (truncated, "todo.bak is damaged: "),
        (with_a_damaged_page, "todo.bak is damaged: "),
        (of_postgresql, "todo.bak is a dump of PostgreSQL"),
        (encrypted, "todo.bak is not a SQLite database, or is encrypted or compressed."),
        (Path.unlink, "The backup cannot be restored: "),
    ],
)
def test_a_file_that_cannot_be_served_is_not_restored(
    data: Path, tmp_path: Path, change: Callable[[Path], object], reason: str
) -> None:
    assert todo(tmp_path, "backup", "todo.bak").returncode == 0
    before = (data / "todo.db").read_bytes()
    change(tmp_path / "todo.bak")
    outcome = todo(tmp_path, "restore", "todo.bak")
    assert outcome.returncode == 1
    assert reason in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert (data / "todo.db").read_bytes() == before
    assert sorted(path.name for path in data.iterdir()) == ["todo.db", "todo.db-lock"]


def test_a_damaged_database_is_not_backed_up(data: Path, tmp_path: Path) -> None:
    with_a_damaged_page(data / "todo.db")
    outcome = todo(tmp_path, "backup", "todo.bak")
    assert outcome.returncode == 1
    assert "is damaged: " in outcome.stderr
    assert not (tmp_path / "todo.bak").exists()


def test_a_backup_overwrites_a_file_only_if_told_to(data: Path, tmp_path: Path) -> None:
    backup = tmp_path / "todo.bak"
    backup.write_text("precious")
    outcome = todo(tmp_path, "backup", "todo.bak")
    assert outcome.returncode == 1
    assert outcome.stderr == "todo.bak exists. Choose another name, or add --force.\n"
    assert backup.read_text() == "precious"
    assert todo(tmp_path, "backup", "todo.bak", "--force").returncode == 0
    assert backup.read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal", "-lock"])
def test_a_backup_does_not_overwrite_the_database_itself(
    data: Path, tmp_path: Path, suffix: str
) -> None:
    (tmp_path / "link").symlink_to(data)
    database = data / "todo.db"
    before = database.stat().st_ino
    for target in (f"{database}{suffix}", f"link/todo.db{suffix}"):
        for options in ((), ("--force",)):
            outcome = todo(tmp_path, "backup", target, *options)
            assert outcome.returncode == 1
            assert outcome.stderr == (
                f"{target} belongs to the database itself. Choose another name.\n"
            )
    assert database.stat().st_ino == before


def test_a_backup_does_not_overwrite_another_name_of_the_database(
    data: Path, tmp_path: Path
) -> None:
    (tmp_path / "same.db").hardlink_to(data / "todo.db")
    outcome = todo(tmp_path, "backup", "same.db", "--force")
    assert outcome.returncode == 1
    assert "same.db belongs to the database itself." in outcome.stderr


def test_there_is_no_backup_without_a_database(tmp_path: Path) -> None:
    outcome = todo(tmp_path, "backup", "todo.bak")
    assert outcome.returncode == 1
    assert outcome.stderr == "There is no database at todo-data/todo.db.\n"
    assert list(tmp_path.iterdir()) == []


def test_backups_in_a_folder_are_named_by_time_and_only_the_newest_are_kept(
    data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    others = ["todo-20260101T000000Z.db.age", "notes.txt", "todo-latest.db"]
    for name in others:
        (folder / name).touch()
    backups = SqliteBackups(data / "todo.db", Path())
    for day in range(1, 6):
        made = backups.make(folder, now=datetime(2026, 1, day, tzinfo=UTC), keep=3)
    assert made.file == folder / "todo-20260105T000000Z.db"
    assert made.removed == (folder / "todo-20260102T000000Z.db",)
    kept = {path.name for path in folder.iterdir()} - set(others)
    assert kept == {f"todo-2026010{day}T000000Z.db" for day in (3, 4, 5)}
    assert all((folder / name).exists() for name in others)
    # A clock that was set back: the backup that was just made is not the one to delete.
    made = backups.make(folder, now=datetime(2025, 1, 1, tzinfo=UTC), keep=1)
    assert {path.name for path in folder.iterdir()} - set(others) == {made.file.name}


def test_keeping_some_backups_needs_a_folder(data: Path, tmp_path: Path) -> None:
    outcome = todo(tmp_path, "backup", "todo.bak", "--keep", "3")
    assert outcome.returncode == 1
    assert outcome.stderr == "--keep needs a folder for the backups.\n"


def test_a_backup_can_be_piped(data: Path, tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "TODO_DATA_DIR": str(data)}
    made = subprocess.run([TODO, "backup", "-"], env=environment, capture_output=True, check=True)
    assert made.stdout.startswith(b"SQLite format 3")
    restored = subprocess.run(
        [TODO, "restore", "-"], env=environment, input=made.stdout, capture_output=True
    )
    assert restored.returncode == 0, restored.stderr
    assert len(list(data.glob("*before-restore*"))) == 1


COPY_AND_WAIT = """
import sys, time
from pathlib import Path
from todo_adapters.sql import backups

def wait(*_):
    print("copied", flush=True)
    time.sleep(60)

backups.check = wait
backups.SqliteBackups(Path(sys.argv[1]), Path()).make(
    Path(sys.argv[2]), now=backups.datetime(2026, 1, 1)
)
"""


@contextmanager
def backup_that_takes_long(database: Path, target: Path) -> Iterator[None]:
    """Run a backup that has copied everything but is not complete, and kill it at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", COPY_AND_WAIT, database, target], stdout=subprocess.PIPE
    )
    assert process.stdout
    with process.stdout as stdout:
        assert stdout.readline() == b"copied\n"
        yield
        process.kill()
    process.wait()


def test_a_killed_backup_leaves_no_file_and_the_next_one_removes_its_remains(
    data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    with backup_that_takes_long(data / "todo.db", folder):
        pass
    [left] = folder.iterdir()
    assert (left.name, mode_of(left)) == (".todo-backup", 0o700)
    assert [file.name for file in left.iterdir()] == ["todo.db"]
    outcome = todo(tmp_path, "backup", "backups")
    assert outcome.returncode == 0, outcome.stderr
    [backup] = folder.iterdir()
    assert backup.suffix == ".db"


@pytest.mark.parametrize("trap", ["link", "open folder"])
def test_a_folder_that_another_user_has_prepared_is_not_used(
    data: Path, tmp_path: Path, trap: str
) -> None:
    shared, victim = tmp_path / "shared", tmp_path / "victim"
    shared.mkdir()
    victim.mkdir()
    (victim / "precious").touch()
    if trap == "link":
        (shared / ".todo-backup").symlink_to(victim)
    else:
        (shared / ".todo-backup").mkdir()
        (shared / ".todo-backup").chmod(0o777)
        (shared / ".todo-backup" / "todo.db").symlink_to(victim / "precious")
    outcome = todo(tmp_path, "backup", "shared")
    assert outcome.returncode == 1
    assert "Traceback" not in outcome.stderr
    assert (victim / "precious").read_bytes() == b""
    assert [path.name for path in shared.iterdir()] == [".todo-backup"]


def test_a_copy_of_a_database_with_its_log_is_restored(data: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data / "todo.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE only_in_the_log (a)")
        for suffix in ("", "-wal"):
            copy = tmp_path / f"copy.db{suffix}"
            copy.write_bytes((data / f"todo.db{suffix}").read_bytes())
    assert b"only_in_the_log" not in (tmp_path / "copy.db").read_bytes()
    before = (tmp_path / "copy.db").read_bytes()
    outcome = todo(tmp_path, "restore", "copy.db")
    assert outcome.returncode == 0, outcome.stderr
    assert b"only_in_the_log" in (data / "todo.db").read_bytes()
    assert (tmp_path / "copy.db").read_bytes() == before


def test_two_backups_to_one_folder_do_not_mix(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    with backup_that_takes_long(data / "todo.db", folder):
        outcome = todo(tmp_path, "backup", "backups")
        assert outcome.returncode == 1
        assert outcome.stderr == "Another process is writing to backups.\n"


@pytest.mark.parametrize(
    "arguments", [["restore"], ["restore", "a", "--finish"], ["restore", "--nothing-lost"]]
)
def test_a_restore_without_a_clear_source_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    outcome = todo(tmp_path, *arguments)
    assert outcome.returncode == 2
    assert "Name a backup, or add --finish and nothing else." in outcome.stderr
