"""The commands that `todo backup` and `todo restore` print for PostgreSQL, and run as printed."""

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.clients import client_of
from tests.support.command import served, todo
from tests.support.postgres import client_programs, drop_database
from tests.support.settings import SECRET, environment_on, migrate, postgres_settings
from tests.support.users import PASSWORD, register_user
from todo_adapters.sql.postgresql_tools import backup_command, restore_commands

SECRETS = {"TODO_JWT_SECRET": SECRET}


@pytest.fixture
def database(empty_postgres: str) -> Iterator[str]:
    """The URL of a migrated database. What is restored beside it is dropped, too."""
    migrate(postgres_settings(empty_postgres))
    yield empty_postgres
    drop_database(f"{empty_postgres}_restored")


def printed_commands(message: str) -> list[str]:
    return [line.strip() for line in message.splitlines() if line.startswith("  ")]


def run(folder: Path, command: str) -> None:
    """Run a printed command in a shell, as an operator does."""
    path = os.pathsep.join([str(client_programs()), os.environ["PATH"]])
    outcome = subprocess.run(
        ["sh", "-c", command], cwd=folder, env={"PATH": path}, capture_output=True, text=True
    )
    assert outcome.returncode == 0, outcome.stderr


def test_a_postgresql_database_is_backed_up_and_restored_by_the_printed_commands(
    database: str, tmp_path: Path
) -> None:
    variables = environment_on(database)
    with served(tmp_path, **variables) as server:
        ada = register_user(server.url)
        with ada.http:
            ada.create("kept")
            outcome = todo(tmp_path, "backup", "todo.dump", **variables)
            assert (outcome.returncode, outcome.stdout) == (2, "")
            [dump] = printed_commands(outcome.stderr)
            run(tmp_path, dump)
            ada.create("lost")
    assert (tmp_path / "todo.dump").read_bytes().startswith(b"PGDMP")
    outcome = todo(tmp_path, "restore", "todo.dump", **variables)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    create, fill, *own = printed_commands(outcome.stderr)
    assert own == ["todo migrate", "todo restore --finish"]
    run(tmp_path, create)
    run(tmp_path, fill)
    restored = environment_on(f"{database}_restored")
    for command in own:
        outcome = todo(tmp_path, *command.split()[1:], **restored)
        assert outcome.returncode == 0, outcome.stderr
    assert "Revoked  1 sessions" in outcome.stderr
    login = {"email": ada.email, "password": PASSWORD}
    with served(tmp_path, **restored) as server, client_of(server.url) as http:
        assert http.get(ada.tasks(), headers=bearer(ada.token)).status_code == 401
        token = http.post("/api/auth/login", json=login).json()["access_token"]
        tasks = http.get(ada.tasks(), headers=bearer(token)).json()
    assert [task["title"] for task in tasks] == ["kept"]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_the_printed_commands_have_no_password_and_bypass_the_pooler(
    tmp_path: Path, command: str
) -> None:
    outcome = todo(
        tmp_path,
        command,
        "a file",
        DATABASE_URL="postgresql://todo:hush1@pooler.example.com:6432/todo",
        TODO_MIGRATION_DATABASE_URL=(
            "postgresql://o%20wner:hush2@[2001:db8::1]:5432/todo?sslmode=verify-full"
            "&options=-c%20statement_timeout%3D0&password=hush3"
        ),
        **SECRETS,
    )
    assert outcome.returncode == 2
    assert "hush" not in outcome.stderr + outcome.stdout
    assert "pooler.example.com" not in outcome.stderr
    url = "postgresql://o%20wner@[2001:db8::1]:5432/todo"
    assert all(url in line for line in printed_commands(outcome.stderr) if line.startswith("pg_"))
    assert "sslmode=verify-full&options=-c%20statement_timeout%3D0'" in outcome.stderr
    assert "'a file'" in outcome.stderr


def test_a_printed_command_is_safe_in_a_shell_whatever_the_names_are() -> None:
    name, file = "to'do; rm -rf *", "my $(backup).dump"
    dsn = f"postgresql+psycopg://a@/{quote(name)}?host=/run/postgresql"
    create, fill = restore_commands(dsn, file)
    assert shlex.split(backup_command(dsn, file)) == [
        "pg_dump",
        "--format=custom",
        f"--file={file}",
        f"--dbname=postgresql://a@/{quote(name, safe='')}?host=%2Frun%2Fpostgresql",
    ]
    assert shlex.split(create)[-1] == f"{name}_restored"
    assert shlex.split(fill)[-1] == file
