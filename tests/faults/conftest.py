"""What the fault proofs share: a service on a migrated PostgreSQL of its own."""

from collections.abc import Iterator

import pytest

from tests.conftest import SECRET, postgres_settings
from tests.postgres_server import create_database, drop_database
from todo_api.container import Container


def on_postgresql(url: str) -> dict[str, str]:
    """The settings of `todo serve` on this database, without limits."""
    return {
        "DATABASE_URL": url,
        "TODO_JWT_SECRET": SECRET,
        "TODO_RATE_LIMIT_ENABLED": "false",
    }


def migrate(url: str) -> None:
    """Bring this PostgreSQL database to the newest schema."""
    container = Container(settings=postgres_settings(url))
    container.schema().migrate()
    container.database().close()


@pytest.fixture
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """A migrated database on PostgreSQL, which the service is not yet connected to."""
    url = create_database(postgres_url, template=migrated_template)
    yield url
    drop_database(url)
