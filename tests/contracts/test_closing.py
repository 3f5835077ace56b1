"""Closing a container closes the threads, connections and files of its adapters."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from threading import enumerate as all_threads

import pytest
from pydantic import SecretStr

from tests.support.issuers import Key, claims, jwks
from tests.support.jwks_server import running_jwks_server
from tests.support.settings import embedded_settings, postgres_settings
from tests.support.valkey import running_valkey
from todo_api.container import Container, close, start
from todo_api.settings import ExternalIssuer, Settings
from todo_core.entities.user import EmailAddress, PersonName
from todo_core.errors import Unavailable
from todo_core.ports.limits import Limit
from todo_core.ports.mail import PasswordChangedEmail

ISSUER, AUDIENCE = "https://a.example.com", "https://todo.example.com"
KEY = Key.generate("EdDSA")
MESSAGE = PasswordChangedEmail(EmailAddress("ada@example.com"), PersonName("Ada"))
SOON_SECONDS = 5.0

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="this system does not list a process's open files"
)


def open_files() -> set[str]:
    """Return the sockets of this process, and its files of an embedded database."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue  # closed in the meantime
        if target.startswith("socket:") or "todo.db" in target:
            found.add(target)
    return found


def running_threads() -> set[Thread]:
    return set(all_threads())


def becomes_true(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SOON_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def a_token() -> str:
    return KEY.sign(claims(ISSUER, AUDIENCE))


def test_a_closed_container_leaves_no_thread_and_no_connection(
    postgresql_container: Container,
) -> None:
    with running_valkey() as valkey, running_jwks_server(jwks(KEY)) as issuer:
        settings = postgres_settings(postgresql_container.settings().database_dsn).model_copy(
            update={
                "rate_limit_enabled": True,
                "rate_limit_storage": SecretStr(valkey.url),
                "smtp_url": SecretStr(
                    "smtp://127.0.0.1:1"
                ),  # refuses connections, so the mailer retries
                "external_issuers": (trusted_issuer(issuer.url),),
            }
        )
        threads, files = running_threads(), open_files()
        container = Container(settings=settings)
        start(container)
        container.rate_limiter().hit(Limit.REGISTER, "192.0.2.1")
        container.external_issuers().verify(a_token(), now=datetime.now(UTC))
        container.mailer().send(MESSAGE)
        assert len(open_files() - files) >= 2  # PostgreSQL and Valkey
        assert {thread.name for thread in running_threads() - threads} >= {
            *("session check", "clean-up", "background_0")
        }
        began = time.monotonic()
        close(container)
        assert time.monotonic() - began < SOON_SECONDS
        assert becomes_true(lambda: running_threads() <= threads)
        assert open_files() <= files


def test_a_closed_embedded_service_has_closed_its_database(tmp_path: Path) -> None:
    container = Container(settings=embedded_settings(tmp_path))
    files = open_files()
    container.schema().migrate()
    start(container)
    assert open_files() - files
    close(container)
    assert open_files() <= files


def test_a_container_closes_the_rest_if_one_part_cannot_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, files = running_threads(), open_files()
    container = Container(settings=embedded_settings(tmp_path))
    container.schema().migrate()
    start(container)

    def fail() -> None:
        raise OSError("cannot be closed")

    monkeypatch.setattr(container.mailer(), "close", fail)
    with pytest.raises(OSError, match="cannot be closed"):
        close(container)
    assert becomes_true(lambda: running_threads() <= threads)
    assert open_files() <= files


def test_closing_does_not_wait_for_a_download_of_keys_and_begins_no_other(
    tmp_path: Path,
) -> None:
    with running_jwks_server(jwks(KEY)) as issuer:
        issuer.delay = 0.002  # before each byte
        container = Container(settings=external_settings(tmp_path, issuer.url))
        issuers = container.external_issuers()
        threads = running_threads()
        caller = Thread(target=lambda: issuers.verify(a_token(), now=datetime.now(UTC)))
        caller.start()
        assert becomes_true(lambda: issuer.request_count == 1)
        issuers.close()
        assert caller.is_alive(), "the download goes on"
        caller.join(timeout=SOON_SECONDS)
        assert becomes_true(lambda: len(running_threads() - threads) == 0)
        other = Container(settings=external_settings(tmp_path, issuer.url)).external_issuers()
        other.close()
        with pytest.raises(Unavailable):
            other.verify(a_token(), now=datetime.now(UTC))
        assert issuer.request_count == 1


def external_settings(folder: Path, jwks_url: str) -> Settings:
    return embedded_settings(folder).model_copy(
        update={"external_issuers": (trusted_issuer(jwks_url),)}
    )


def trusted_issuer(jwks_url: str) -> ExternalIssuer:
    return ExternalIssuer(
        issuer=ISSUER, jwks_url=jwks_url, audience=AUDIENCE, algorithms=("EdDSA",)
    )
