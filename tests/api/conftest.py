"""The service over HTTP, on SQLite and on PostgreSQL."""

from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import embedded_settings, postgres_settings
from tests.postgres_server import create_database, drop_database
from tests.running_server import Person, RunningServer, running_server
from todo_api.container import Container
from todo_api.settings import Settings


@pytest.fixture(scope="session")
def sqlite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    settings = embedded_settings(tmp_path_factory.mktemp("sqlite"))
    migrate(settings)
    with running_server(settings) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_server(postgres_url: str, migrated_template: str) -> Iterator[RunningServer]:
    url = create_database(postgres_url, template=migrated_template)
    with running_server(postgres_settings(url)) as server:
        yield server
    drop_database(url)


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
