"""What the fault proofs share: a migrated PostgreSQL database of their own."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import create_database, drop_database


@pytest.fixture
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """A migrated database on PostgreSQL, which the service is not yet connected to."""
    url = create_database(postgres_url, template=migrated_template)
    yield url
    drop_database(url)
