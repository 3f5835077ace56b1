"""Fixtures of the fault tests."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import create_database, drop_database


@pytest.fixture
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database, to which no service is connected."""
    url = create_database(postgres_url, template=migrated_template)
    yield url
    drop_database(url)
