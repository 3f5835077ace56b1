"""On a PostgreSQL in a Turkish locale all is as it is elsewhere.

There the small letter of `I` has no dot in SQL, and has one in the core.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.api.conftest import migrate
from tests.conftest import postgres_settings
from tests.contracts.conftest import Storage, storage_of
from tests.contracts.test_repositories import (  # noqa: F401 - the contract, which runs here again
    TestIdentities,
    TestUsers,
)
from tests.postgres_server import create_database, create_turkish_database, drop_database
from tests.running_server import PASSWORD, running_server
from todo_api.container import Container


@pytest.fixture(scope="module")
def turkish_template(postgres_url: str) -> Iterator[str]:
    url = create_turkish_database(postgres_url)
    migrate(postgres_settings(url))
    yield urlsplit(url).path[1:]
    drop_database(url)


@pytest.fixture
def turkish_url(postgres_url: str, turkish_template: str) -> Iterator[str]:
    url = create_database(postgres_url, template=turkish_template)
    yield url
    drop_database(url)


@pytest.fixture
def storage(turkish_url: str) -> Iterator[Storage]:
    container = Container(settings=postgres_settings(turkish_url))
    yield storage_of(container)
    container.database().close()


def test_the_database_is_turkish(turkish_url: str) -> None:
    with psycopg.connect(turkish_url) as connection:
        assert connection.execute("SELECT lower('INFO')").fetchone() == ("ınfo",)


@pytest.mark.parametrize("written", ["INFO@EXAMPLE.COM", "info@example.com", "InFo@eXampLe.COM"])
def test_an_account_is_found_by_every_spelling_of_its_email(turkish_url: str, written: str) -> None:
    settings = postgres_settings(turkish_url)
    with running_server(settings) as server, server.client() as http:
        registration = {"name": "Ada", "email": written, "password": PASSWORD}
        assert http.post("/api/auth/register", json=registration).status_code == 201
        for spelling in (written, written.upper(), written.lower()):
            login = {"email": spelling, "password": PASSWORD}
            assert http.post("/api/auth/login", json=login).status_code == 200
            again = registration | {"email": spelling}
            assert http.post("/api/auth/register", json=again).status_code == 409
        for invalid in (written.replace("I", "İ"), written.replace("i", "ı")):
            if invalid != written:
                answer = http.post("/api/auth/register", json=registration | {"email": invalid})
                assert answer.status_code == 422
