"""Fixtures for all tests: default settings, real databases, servers and users.

A PostgreSQL server is started unless TEST_DATABASE_URL names one, on which the user must be
permitted to create databases. If TEST_PARTITIONED is set, the tables of tasks are partitioned.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import structlog

from tests.support.postgres import (
    create_database,
    create_turkish_database,
    drop_database,
    empty_database,
    partition,
    running_postgres,
)
from tests.support.proof import Tally
from tests.support.servers import RunningServer, running_server
from tests.support.settings import (
    embedded_settings,
    migrate,
    on_postgresql,
    on_sqlite,
    postgres_settings,
)
from tests.support.users import ApiUser
from tests.support.world import World
from todo_api.container import Container

# Tracebacks without the values of variables, which take seconds to print.
structlog.configure(
    processors=[structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what the proofs tried, if only proofs were selected."""
    if config.option.markexpr == "proof" and (lines := Tally.current.lines()):
        terminalreporter.section("proof")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _clear_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run each test with default settings, in an empty folder."""
    for name in list(os.environ):
        if name.startswith(("TODO_", "BETTER_AUTH_")) or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of the administrative database of a PostgreSQL server."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    with running_postgres() as server:
        yield server.url()


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database without rows, to be copied."""
    url = create_database(postgres_url)
    migrate(postgres_settings(url))
    if os.environ.get("TEST_PARTITIONED"):
        partition(url)
    yield urlsplit(url).path[1:]
    drop_database(url)


@pytest.fixture
def empty_postgres(postgres_url: str) -> Iterator[str]:
    """A new PostgreSQL database without tables."""
    url = create_database(postgres_url)
    yield url
    drop_database(url)


@pytest.fixture
def turkish_postgres(postgres_url: str) -> Iterator[str]:
    """A new PostgreSQL database with a Turkish locale and without tables."""
    url = create_turkish_database(postgres_url)
    yield url
    drop_database(url)


@pytest.fixture(scope="session")
def shared_postgres(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database that tests use one after the other."""
    url = create_database(postgres_url, template=migrated_template)
    yield url
    drop_database(url)


@pytest.fixture
def sqlite_container(tmp_path: Path) -> Iterator[Container]:
    """A service on a new and migrated SQLite database."""
    settings = embedded_settings(tmp_path)
    migrate(settings)
    container = Container(settings=settings)
    yield container
    container.database().close()


@pytest.fixture
def postgresql_container(shared_postgres: str) -> Iterator[Container]:
    """A service on a migrated PostgreSQL database without rows."""
    empty_database(shared_postgres)
    container = Container(settings=postgres_settings(shared_postgres))
    yield container
    container.database().close()


@pytest.fixture(params=["sqlite", "postgresql"])
def container(request: pytest.FixtureRequest) -> Container:
    """A service on a migrated database without rows, on each kind of database in turn."""
    found: Container = request.getfixturevalue(f"{request.param}_container")
    return found


@pytest.fixture(scope="session")
def sqlite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("sqlite")
    with on_sqlite(folder) as settings, running_server(settings) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_server(postgres_url: str, migrated_template: str) -> Iterator[RunningServer]:
    with (
        on_postgresql(postgres_url, migrated_template) as settings,
        running_server(settings) as server,
    ):
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> RunningServer:
    """A server on each database in turn. Tests share it, so each registers its own users."""
    found: RunningServer = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def http(server: RunningServer) -> Iterator[httpx.Client]:
    """A client without a token."""
    with server.client() as client:
        yield client


@pytest.fixture
def ada(server: RunningServer) -> Iterator[ApiUser]:
    user = server.register("Ada")
    with user.http:
        yield user


@pytest.fixture
def bob(server: RunningServer) -> Iterator[ApiUser]:
    user = server.register("Bob")
    with user.http:
        yield user


@pytest.fixture
def world() -> World:
    """The use cases on in-memory adapters."""
    return World()
