"""The service over HTTP, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import embedded_settings, postgres_settings
from tests.postgres_server import create_database, drop_database
from tests.running_server import Person, RunningServer, running_server
from todo_api.container import Container
from todo_api.settings import Settings


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Settings]:
    """Settings of a service on a new and migrated database in this folder."""
    settings = embedded_settings(folder)
    migrate(settings)
    yield settings


@contextmanager
def on_postgresql(postgres_url: str, template: str) -> Iterator[Settings]:
    """Settings of a service on a new and migrated database of this server."""
    url = create_database(postgres_url, template=template)
    yield postgres_settings(url)
    drop_database(url)


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
    """A server on each database in turn; it is shared, so tests bring their own people."""
    found: RunningServer = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def http(server: RunningServer) -> Iterator[httpx.Client]:
    """A client without a token."""
    with server.client() as client:
        yield client


@pytest.fixture
def ada(server: RunningServer) -> Iterator[Person]:
    person = server.person("Ada")
    with person.http:
        yield person


@pytest.fixture
def bob(server: RunningServer) -> Iterator[Person]:
    person = server.person("Bob")
    with person.http:
        yield person


def migrate(settings: Settings) -> None:
    """Bring the database of these settings to the newest schema."""
    container = Container(settings=settings)
    container.migration_schema().migrate()
    container.migration_database().close()
