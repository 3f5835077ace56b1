"""Separate servers for fuzzing, so that it cannot affect other tests."""

from collections.abc import Iterator

import pytest

from tests.support.servers import RunningServer, running_server
from tests.support.settings import on_postgresql, on_sqlite


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
