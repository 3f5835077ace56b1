"""docs/backups.md: its commands, run as they are written."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.docs.pages import ROOT, blocks
from tests.support.clients import client_of
from tests.support.command import FAST, TODO, served, served_as_new
from tests.support.postgres import client_programs, create_database, drop_database
from tests.support.settings import environment_on, migrate, postgres_settings
from tests.support.users import PASSWORD, ApiUser, register_user
from todo_adapters.sql.schema import NEWEST_REVISION

SESSIONS = blocks((ROOT / "docs" / "backups.md").read_text(), "sh")
WRITTEN_URL = "postgresql://todo@localhost:5432/"


def session(with_command: str) -> str:
    """Return the one block of the page with this command."""
    [found] = [block for block in SESSIONS if with_command in block]
    return found


def run(folder: Path, commands: str, *programs: Path, **environment: str) -> str:
    """Run commands of the page in bash, and return what they say."""
    path = os.pathsep.join([str(TODO.parent), *map(str, programs), os.environ["PATH"]])
    outcome = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env={"PATH": path, **FAST, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stderr


def titles_after_login(url: str, user: ApiUser) -> Sequence[str]:
    login = {"email": user.email, "password": PASSWORD}
    with client_of(url) as http:
        token = http.post("/api/auth/login", json=login).raise_for_status().json()["access_token"]
        tasks = http.get(user.tasks(), headers={"Authorization": f"Bearer {token}"}).json()
    return [task["title"] for task in tasks]


def test_the_service_is_back_after_its_disk_has_died(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    with served(old) as server:
        ada = register_user(server.url)
        with ada.http:
            ada.create("kept")
            assert "Backup   backups/todo-" in run(old, session("--keep 14"))
        server.process.kill()
    (old / "backups").rename(new / "backups")
    restore, serve = session("| tail -n 1").splitlines()
    assert serve == "todo serve"
    assert "Restored backups/todo-" in run(new, restore)
    with served_as_new(new) as server:
        assert titles_after_login(server.url, ada) == ["kept"]


def test_a_backup_is_encrypted_and_restored_without_a_file_in_the_clear(tmp_path: Path) -> None:
    encrypt, decrypt = session("age --encrypt").splitlines()
    # Any program that encrypts a stream will do; the one here is on every machine.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "age").write_text('#!/bin/sh\nif [ -r "$4" ]; then base64 -d "$4"; else base64; fi\n')
    (tools / "age").chmod(0o755)
    with served(tmp_path) as server:
        ada = register_user(server.url)
        with ada.http:
            ada.create("kept")
            run(tmp_path, encrypt, tools)
    assert not list(tmp_path.glob("*.db"))
    assert "Restored -, revision" in run(tmp_path, decrypt, tools)
    with served_as_new(tmp_path) as server:
        assert titles_after_login(server.url, ada) == ["kept"]


def test_the_schema_goes_back_for_an_earlier_release(tmp_path: Path) -> None:
    with served(tmp_path):
        pass
    backup, downgrade = session("before-downgrade.db").splitlines()
    run(tmp_path, backup)
    said = run(tmp_path, f"{downgrade} <<< y")
    assert f"From revision {NEWEST_REVISION} back to " in said
    assert (tmp_path / "before-downgrade.db").exists()


def test_postgresql_is_backed_up_and_restored_by_the_commands_of_the_page(
    postgres_url: str, tmp_path: Path
) -> None:
    url = create_database(postgres_url)
    server_url, _, name = url.rpartition("/")
    migrate(postgres_settings(url))

    def here(commands: str) -> str:
        return (
            commands.replace(f"{WRITTEN_URL}todo_restored", f"{url}_restored")
            .replace(f"{WRITTEN_URL}todo", url)
            .replace(WRITTEN_URL, f"{server_url}/")
            .replace(" todo_restored", f" {name}_restored")
        )

    variables = environment_on(url)
    try:
        with served(tmp_path, **variables) as server:
            ada = register_user(server.url)
            with ada.http:
                ada.create("kept")
                run(tmp_path, here(session("pg_dump --format")), client_programs())
        said = run(tmp_path, here(session("pg_restore")), client_programs(), **variables)
        assert "Revoked  1 sessions" in said
        restored = environment_on(f"{url}_restored")
        with served(tmp_path, **restored) as server:
            assert titles_after_login(server.url, ada) == ["kept"]
    finally:
        drop_database(url)
        drop_database(f"{url}_restored")
