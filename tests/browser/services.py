"""Services for the tests in a browser: on SQLite, and on PostgreSQL behind Caddy."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from tests.support.command import served
from tests.support.processes import free_port
from tests.support.proxies import caddy_with
from tests.support.settings import environment_on
from tests.support.users import ApiUser, register_user
from tests.support.waiting import until

ON_SQLITE = pytest.mark.parametrize("service", ["sqlite"], indirect=True)
"""Runs a test on one service, where the database and the proxy make no difference."""

_SITE = """
:{port} {{
    bind 127.0.0.1
    encode zstd gzip
    reverse_proxy 127.0.0.1:{upstream}
}}
"""


@dataclass(frozen=True)
class Service:
    """A running service, as a browser sees it, and the emails that it has sent."""

    url: str
    emails: "list[Envelope]" = field(default_factory=list)
    users: "list[ApiUser]" = field(default_factory=list)

    def register(self, name: str = "Ada") -> ApiUser:
        """Register a new user by the API."""
        self.users.append(user := register_user(self.url, name))
        return user

    def close(self) -> None:
        """Close the connections of the users."""
        while self.users:
            self.users.pop().http.close()

    def link_in_email_to(self, address: str) -> str:
        """Wait for an email to the address, and return the link in it."""
        until(lambda: any(address in each.rcpt_tos for each in self.emails))
        [email] = [each for each in self.emails if address in each.rcpt_tos]
        assert isinstance(email.content, bytes)
        body = message_from_bytes(email.content, policy=default).get_body(("plain",))
        assert body is not None
        [link] = re.findall(rf"{re.escape(self.url)}\S+", body.get_content())
        return str(link)


@contextmanager
def on_sqlite(folder: Path, **settings: str) -> Iterator[Service]:
    """Run a service on SQLite."""
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    with _settings(url) as (emails, common), served(folder, port=port, **(common | settings)):
        yield Service(url, emails)


@contextmanager
def on_postgresql_behind_caddy(folder: Path, database_url: str) -> Iterator[Service]:
    """Run a service on a migrated PostgreSQL database, behind Caddy."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        _settings(url) as (emails, common),
        served(
            folder,
            TODO_TRUSTED_PROXIES="127.0.0.1",
            **(environment_on(database_url) | common),
        ) as server,
        caddy_with(_SITE.format(port=port, upstream=server.url.rpartition(":")[2]), folder, port),
    ):
        yield Service(url, emails)


@contextmanager
def _settings(url: str) -> Iterator[tuple[list[Envelope], dict[str, str]]]:
    """Run a mail server, and yield the emails that it gets and the settings that lead to it."""
    inbox = _Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield (
            inbox.emails,
            {
                "TODO_RATE_LIMIT_ENABLED": "false",
                "TODO_PASSWORD_RESET_URL": f"{url}/reset-password",
                "TODO_SMTP_URL": f"smtp://127.0.0.1:{controller.port}",
                "TODO_REMINDER_INTERVAL": "1s",
                "TODO_SESSION_CHECK_INTERVAL": "1s",
            },
        )
    finally:
        controller.stop()


class _Inbox:
    def __init__(self) -> None:
        self.emails: list[Envelope] = []

    async def handle_DATA(self, _: object, __: object, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.emails.append(envelope)
        return "250 OK"
