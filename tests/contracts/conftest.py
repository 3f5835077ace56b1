"""The three kinds of storage, which are all held to the same contract."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.support.postgres import create_database, create_turkish_database, drop_database
from tests.support.settings import migrate, postgres_settings
from tests.support.storages import Storage, storage_in_memory, storage_of
from todo_api.container import Container


@pytest.fixture(params=["in_memory", "sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """Empty storage of each kind in turn; `turkish_postgresql` is one more, for those who ask."""
    if request.param == "in_memory":
        return storage_in_memory()
    return storage_of(request.getfixturevalue(f"{request.param}_container"))


@pytest.fixture(scope="session")
def turkish_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database in a Turkish locale, to be copied."""
    url = create_turkish_database(postgres_url)
    migrate(postgres_settings(url))
    yield urlsplit(url).path[1:]
    drop_database(url)


@pytest.fixture
def turkish_url(postgres_url: str, turkish_template: str) -> Iterator[str]:
    """A new and migrated database in a Turkish locale."""
    url = create_database(postgres_url, template=turkish_template)
    yield url
    drop_database(url)


@pytest.fixture
def turkish_postgresql_container(turkish_url: str) -> Iterator[Container]:
    """A service on a new and migrated database in a Turkish locale."""
    container = Container(settings=postgres_settings(turkish_url))
    yield container
    container.database().close()
