"""`todo check`: what an operator must still do, and whether its remedies help."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import override
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from aiosmtpd.controller import Controller

from tests.support.certificates import tls_contexts
from tests.support.command import todo
from tests.support.jwks_server import running_jwks_server
from tests.support.processes import free_port
from tests.support.settings import SECRET
from tests.support.valkey import running_valkey

ROOT = Path(__file__).parents[2]
GOOD = {
    "TODO_SMTP_URL": "smtps://127.0.0.1:1",
    "TODO_MAIL_SENDER": "Todo <todo@example.com>",
    "TODO_PASSWORD_RESET_URL": "https://app.example.com/reset",
    "TODO_CORS_ORIGINS": "https://app.example.com",
    "TODO_TRUSTED_PROXIES": "10.0.0.1",
}


@dataclass(frozen=True)
class Checked:
    """What the command printed about each topic: the first words of its lines, and the rest."""

    status: int
    lines: list[tuple[str, str]]
    remedies: list[str]

    def about(self, topic: str) -> list[str]:
        """Return the severities of what was found about a topic, or `ok`."""
        return [severity for severity, text in self.lines if text.partition(":")[0] == topic]


def check(folder: Path, *options: str, **settings: str) -> Checked:
    outcome = todo(folder, "check", *options, **settings)
    assert "Traceback" not in outcome.stderr
    return read(outcome)


def read(outcome: subprocess.CompletedProcess[str]) -> Checked:
    found = re.findall(r"^(ok|error|warning|not run) +(.+)$", outcome.stdout, re.M)
    remedies = re.findall(r"^ {10}(.+)$", outcome.stdout, re.M)
    errors = sum(severity == "error" for severity, _ in found)
    warnings = sum(severity == "warning" for severity, _ in found)
    assert len(remedies) == errors + warnings
    assert outcome.stderr.endswith(f"Errors: {errors}. Warnings: {warnings}.\n")
    return Checked(outcome.returncode, found, remedies)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert todo(tmp_path, "migrate").returncode == 0
    return tmp_path


def test_the_defaults_lack_mail_and_a_proxy(folder: Path) -> None:
    checked = check(folder)
    assert checked.status == 1
    assert checked.about("mail") == ["error"]
    assert checked.about("proxy") == checked.about("limits") == ["warning"]
    assert checked.about("database") == checked.about("secrets") == ["ok"]
    assert checked.about("url") == ["not run"]


def test_a_database_without_the_newest_schema_is_an_error_and_the_remedy_helps(
    tmp_path: Path,
) -> None:
    checked = check(tmp_path)
    assert checked.about("database") == ["error"]
    assert checked.remedies[0] == "Run: todo migrate"
    todo(tmp_path, "migrate")
    assert check(tmp_path).about("database") == ["ok"]


def test_only_errors_fail_the_command_unless_it_is_strict(folder: Path) -> None:
    with smtp_with_tls(folder) as mail:
        settings = {**GOOD, **mail}
        checked = check(folder, **settings)
        assert (checked.about("mail"), checked.about("limits")) == (["ok"], ["warning"])
        assert checked.status == 0
        assert check(folder, "--strict", **settings).status == 1


@pytest.mark.parametrize(
    ("topic", "severity", "settings"),
    [
        ("settings", "error", {"TODO_DEBUG": "true"}),
        ("settings", "error", {"TODO_PASSWORD_BCRYPT_COST": "10"}),
        ("settings", "warning", {"TODO_LOG_LEVEL": "warning"}),
        ("settings", "warning", {"TODO_CORS_ORIGINS": "*"}),
        ("settings", "warning", {"TODO_CORS_ORIGINS": "https://a.example,http://b.example"}),
        ("limits", "error", {"TODO_RATE_LIMIT_ENABLED": "false"}),
        ("secrets", "error", {"TODO_JWT_SECRET": "ab" * 20}),
        ("secrets", "warning", {"TODO_JWT_PREVIOUS_SECRETS": SECRET.replace(",", "")}),
        ("mail", "error", {"TODO_MAIL_SENDER": ""}),
        ("mail", "error", {"TODO_PASSWORD_RESET_URL": "http://app.example.com/reset"}),
        ("proxy", "warning", {"TODO_TRUSTED_PROXIES": ""}),
        ("telemetry", "warning", {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}),
    ],
)
def test_each_unsafe_setting_is_found(
    folder: Path, topic: str, severity: str, settings: dict[str, str]
) -> None:
    before, after = check(folder, **GOOD), check(folder, **GOOD | settings)
    assert after.about(topic).count(severity) > before.about(topic).count(severity)


def test_secrets_that_other_users_can_read_are_found_and_the_remedy_helps(folder: Path) -> None:
    dotenv = folder / ".env"
    dotenv.write_text(f"TODO_JWT_SECRET={SECRET}\n")
    dotenv.chmod(0o644)
    (folder / "todo-data").chmod(0o755)
    checked = check(folder)
    assert (checked.about("secrets"), checked.about("database")) == (["error"], ["warning"])
    for remedy in checked.remedies:
        if remedy.startswith("Run: chmod"):
            subprocess.run(remedy.removeprefix("Run: ").split(), cwd=folder, check=True)
    checked = check(folder)
    assert checked.about("secrets") == checked.about("database") == ["ok"]


def test_the_storage_of_the_limits_is_asked(folder: Path) -> None:
    with running_valkey() as valkey:
        assert check(folder, TODO_RATE_LIMIT_STORAGE=valkey.url).about("limits") == ["warning"]
    stopped = check(folder, TODO_RATE_LIMIT_STORAGE=f"redis://:c4nary@127.0.0.1:{free_port()}")
    assert stopped.about("limits") == ["error"]
    assert "c4nary" not in str(stopped)


def test_the_mail_server_is_asked(folder: Path) -> None:
    refused = GOOD | {"TODO_SMTP_URL": f"smtps://ada:c4nary@127.0.0.1:{free_port()}"}
    checked = check(folder, **refused)
    assert checked.about("mail") == ["error"]
    assert "c4nary" not in str(checked)


def test_the_keys_of_an_issuer_are_fetched(folder: Path) -> None:
    with running_jwks_server({"keys": [{"kty": "OKP"}]}) as issuer:
        settings = {
            "BETTER_AUTH_URL": "https://app.example.com",
            "BETTER_AUTH_JWKS_URL": issuer.url,
        }
        assert check(folder, **settings).about("issuers") == ["warning"]  # no TLS
        issuer.document = {"keys": []}
        assert check(folder, **settings).about("issuers") == ["warning", "error"]
        issuer.document = b"<html>"
        assert check(folder, **settings).about("issuers") == ["warning", "error"]
        issuer.status = 404
        assert check(folder, **settings).about("issuers") == ["warning", "error"]


class TestPostgreSQL:
    def test_the_roles_of_the_documentation_are_in_order(
        self, tmp_path: Path, postgres_url: str
    ) -> None:
        with documented_roles(postgres_url) as (service, owner):
            settings = {"TODO_JWT_SECRET": SECRET, "DATABASE_URL": service}
            migrating = {**settings, "TODO_MIGRATION_DATABASE_URL": owner}
            assert todo(tmp_path, "migrate", **migrating).returncode == 0
            with psycopg.connect(owner, autocommit=True) as connection:
                connection.execute(documented_grants(role_of(service)))
            assert check(tmp_path, **settings).about("database") == ["ok"]
            # A missing grant, and the remedy as it is printed.
            with psycopg.connect(owner, autocommit=True) as connection:
                connection.execute(
                    f"REVOKE DELETE ON fired_reminders, tasks FROM {role_of(service)}"
                )
                checked = check(tmp_path, **settings)
                assert checked.about("database") == ["error"]
                [remedy] = [each for each in checked.remedies if "GRANT" in each]
                connection.execute(remedy.removeprefix("As the owner of the tables: "))
            assert check(tmp_path, **settings).about("database") == ["ok"]
            owning = check(tmp_path, **settings | {"DATABASE_URL": owner})
            assert owning.about("database") == ["warning"]

    def test_a_superuser_is_an_error(self, tmp_path: Path, shared_postgres: str) -> None:
        settings = {"TODO_JWT_SECRET": SECRET, "DATABASE_URL": shared_postgres}
        assert check(tmp_path, **settings).about("database") == ["error"]

    def test_a_database_that_does_not_answer_is_an_error(self, tmp_path: Path) -> None:
        url = f"postgresql://todo:c4nary@127.0.0.1:{free_port()}/todo"
        checked = check(tmp_path, TODO_JWT_SECRET=SECRET, DATABASE_URL=url)
        assert checked.about("database") == ["error"]
        assert "c4nary" not in str(checked)


class TestUrl:
    def test_a_proxy_that_passes_everything_on_is_in_order(self, folder: Path) -> None:
        with proxy(folder, headers={"Strict-Transport-Security": "max-age=1"}) as (url, trusted):
            assert check(folder, "--url", url, **trusted).about("url") == ["ok"]

    def test_a_missing_hsts_tells_that_the_proxy_is_not_trusted(self, folder: Path) -> None:
        with proxy(folder) as (url, trusted):
            checked = check(folder, "--url", url, **trusted)
        assert checked.about("url") == ["error"]
        assert "TODO_TRUSTED_PROXIES" in checked.remedies[-1]

    def test_a_certificate_that_soon_expires_is_a_warning(self, folder: Path) -> None:
        headers = {"Strict-Transport-Security": "max-age=1"}
        with proxy(folder, headers=headers, days=3) as (url, trusted):
            assert check(folder, "--url", url, **trusted).about("url") == ["warning"]

    def test_a_certificate_of_an_unknown_authority_is_an_error(self, folder: Path) -> None:
        with proxy(folder) as (url, _):
            assert check(folder, "--url", url).about("url") == ["error"]

    def test_another_page_is_an_error(self, folder: Path) -> None:
        with proxy(folder, body=b"<html>") as (url, trusted):
            assert check(folder, "--url", url, **trusted).about("url") == ["error"]

    @pytest.mark.parametrize("url", ["http://localhost", "localhost", "https://"])
    def test_a_url_without_tls_is_an_error(self, folder: Path, url: str) -> None:
        assert check(folder, "--url", url).about("url") == ["error"]


def role_of(url: str) -> str:
    return str(urlsplit(url).username)


def documented_sql() -> str:
    page = (ROOT / "docs/security.md").read_text()
    [sql] = re.findall(r"```sql\n(CREATE ROLE todo_owner.*?)```", page, re.S)
    return str(sql)


def documented_grants(role: str) -> str:
    return (
        documented_sql()
        .partition("-- As todo_owner")[2]
        .partition("\n")[2]
        .replace("todo_service", role)
    )


@contextmanager
def documented_roles(postgres_url: str) -> Iterator[tuple[str, str]]:
    """Create the roles and the database as documented, under other names.

    Yield the URLs of the role that serves and of the one that migrates.
    """
    suffix = uuid4().hex
    database, owner, service = (f"{name}_{suffix}" for name in ("todo", "owner", "service"))
    sql = documented_sql().partition("-- As todo_owner")[0]
    sql = sql.replace("todo_owner", owner).replace("todo_service", service).replace("…", "secret")
    sql = re.sub(r"\bDATABASE todo\b", f"DATABASE {database}", sql)
    as_superuser, _, in_database = sql.partition("-- In the database todo:")
    parts = urlsplit(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for statement in as_superuser.split(";"):
            if re.sub(r"--.*", "", statement).strip():
                connection.execute(statement)
        with psycopg.connect(parts._replace(path=f"/{database}").geturl()) as inside:
            inside.execute(in_database)
        host = parts.netloc.rpartition("@")[2]
        try:
            yield (
                f"postgresql://{service}:secret@{host}/{database}",
                f"postgresql://{owner}:secret@{host}/{database}",
            )
        finally:
            connection.execute(f"DROP DATABASE {database} WITH (FORCE)")
            connection.execute(f"DROP ROLE {owner}")
            connection.execute(f"DROP ROLE {service}")


@contextmanager
def proxy(
    folder: Path,
    *,
    headers: dict[str, str] | None = None,
    body: bytes = b'{"status":"ok"}',
    days: float = 90,
) -> Iterator[tuple[str, dict[str, str]]]:
    """Run a server with TLS that answers like the service behind a proxy.

    Yield its URL, and the environment in which its certificate is trusted.
    """

    class Handler(BaseHTTPRequestHandler):
        @override
        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    context, _ = tls_contexts(folder, days=days)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        trusted = {"SSL_CERT_FILE": str(folder / "certificate")}
        yield f"https://localhost:{server.server_address[1]}", trusted
        server.shutdown()
        thread.join()


@contextmanager
def smtp_with_tls(folder: Path) -> Iterator[dict[str, str]]:
    """Run a mail server with TLS, and yield the environment in which it is used."""
    context, _ = tls_contexts(folder)
    port = free_port()
    controller = Controller(object(), hostname="127.0.0.1", port=port, ssl_context=context)
    controller.start()
    try:
        yield {
            "TODO_SMTP_URL": f"smtps://localhost:{port}",
            "SSL_CERT_FILE": str(folder / "certificate"),
        }
    finally:
        controller.stop()
