"""The service works on a PostgreSQL database in a Turkish locale.

In such a locale, SQL lowers `I` to a letter without a dot, and the core to one with a dot. The
contract of the repositories in this locale is in `test_repositories.py`.
"""

import psycopg
import pytest

from tests.support.servers import running_server
from tests.support.settings import postgres_settings
from tests.support.users import PASSWORD


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
                response = http.post("/api/auth/register", json=registration | {"email": invalid})
                assert response.status_code == 422
