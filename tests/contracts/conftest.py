"""The three kinds of storage, which are all held to the same contract, and two services on one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.postgres import create_turkish_database, drop_database, empty_database
from tests.support.settings import migrate, on_postgresql, on_sqlite, postgres_settings
from tests.support.storages import Storage, storage_in_memory, storage_of
from todo_api.container import Container


@pytest.fixture(params=["in_memory", "sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """Empty storage of each kind in turn; tests can also request `turkish_postgresql`."""
    if request.param == "in_memory":
        return storage_in_memory()
    return storage_of(request.getfixturevalue(f"{request.param}_container"))


@pytest.fixture(scope="session")
def shared_turkish_postgres(postgres_url: str) -> Iterator[str]:
    """A migrated database in a Turkish locale, which tests use one after the other."""
    url = create_turkish_database(postgres_url)
    migrate(postgres_settings(url))
    yield url
    drop_database(url)


@pytest.fixture
def turkish_url(shared_turkish_postgres: str) -> str:
    """A migrated database in a Turkish locale, without content."""
    empty_database(shared_turkish_postgres)
    return shared_turkish_postgres


@pytest.fixture
def turkish_postgresql_container(turkish_url: str) -> Iterator[Container]:
    """A service on a migrated database in a Turkish locale, without content."""
    container = Container(settings=postgres_settings(turkish_url))
    yield container
    container.database().close()


@pytest.fixture(params=["sqlite", "postgresql"])
def services(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sequence[Container]]:
    """Two services on one new database."""
    if request.param == "sqlite":
        database = on_sqlite(tmp_path)
    else:
        urls = (request.getfixturevalue(name) for name in ("postgres_url", "migrated_template"))
        database = on_postgresql(*urls)
    with database as settings:
        containers = [Container(settings=settings) for _ in range(2)]
        yield containers
        for each in containers:
            each.database().close()
