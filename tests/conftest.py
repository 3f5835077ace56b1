"""What all tests share: settings apart from this machine's, and real databases.

PostgreSQL is brought along; TEST_DATABASE_URL names a server to use instead, on
which the user may create databases.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import structlog
from pydantic import SecretStr

from tests.postgres_server import (
    create_database,
    create_turkish_database,
    drop_database,
    running_postgres,
)
from tests.proof import Tally
from todo_api.container import Container
from todo_api.settings import Settings

# Tracebacks without the values of variables, which take seconds to print.
structlog.configure(
    processors=[structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what the proofs tried, if it was them that were asked for."""
    if config.option.markexpr == "proof" and (lines := Tally.everything.lines()):
        terminalreporter.section("proof")
        for line in lines:
            terminalreporter.write_line(line)


SECRET = "a secret of the tests, which is long enough"


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests see the defaults, whatever is set or lies about where they are run."""
    for name in list(os.environ):
        if name.startswith(("TODO_", "BETTER_AUTH_")) or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server, by the URL of its administrative database."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    with running_postgres() as server:
        yield server.url()


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database without content, to be copied."""
    url = create_database(postgres_url)
    container = Container(settings=postgres_settings(url))
    container.schema().migrate()
    container.database().close()
    yield urlsplit(url).path[1:]
    drop_database(url)


@pytest.fixture
def empty_postgres(postgres_url: str) -> Iterator[str]:
    """A new database on PostgreSQL, without any table."""
    url = create_database(postgres_url)
    yield url
    drop_database(url)


@pytest.fixture
def turkish_postgres(postgres_url: str) -> Iterator[str]:
    """A new database on PostgreSQL in a Turkish locale, without any table."""
    url = create_turkish_database(postgres_url)
    yield url
    drop_database(url)


@pytest.fixture
def sqlite_container(tmp_path: Path) -> Iterator[Container]:
    """A service on a new and migrated SQLite database."""
    container = Container(settings=embedded_settings(tmp_path))
    container.schema().migrate()
    yield container
    container.database().close()


@pytest.fixture
def postgresql_container(postgres_url: str, migrated_template: str) -> Iterator[Container]:
    """A service on a new and migrated PostgreSQL database."""
    url = create_database(postgres_url, template=migrated_template)
    container = Container(settings=postgres_settings(url))
    yield container
    container.database().close()
    drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def container(request: pytest.FixtureRequest) -> Container:
    """A service on a new and migrated database, of each kind in turn."""
    found: Container = request.getfixturevalue(f"{request.param}_container")
    return found


def embedded_settings(folder: Path) -> Settings:
    """The settings of an embedded service that keeps its data in this folder."""
    return Settings(data_dir=folder / "todo-data", password_bcrypt_cost=4, rate_limit_enabled=False)


def postgres_settings(url: str) -> Settings:
    """The settings of a service on this PostgreSQL."""
    return Settings(
        database_url=SecretStr(url),
        jwt_secret=SecretStr(SECRET),
        password_bcrypt_cost=4,
        rate_limit_enabled=False,
    )
