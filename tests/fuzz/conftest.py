"""Servers of their own for the fuzzing, so that whatever it does to them ends here."""

from collections.abc import Iterator

import pytest

from tests.api.conftest import migrate
from tests.conftest import embedded_settings, postgres_settings
from tests.postgres_server import create_database, drop_database
from tests.running_server import RunningServer, running_server


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
