"""The checks of `todo check`, and the remedy for each problem that they find.

A check yields nothing if there is no problem. The checks cover what docs/security.md asks of an
operator, as far as it can be checked from this machine.
"""

import json
import os
import shutil
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from todo_api.container import Container
from todo_api.settings import Settings, Telemetry
from todo_core.errors import Unavailable

_OLDEST_POSTGRESQL = 16
_BCRYPT_COST = 12
_CERTIFICATE_DAYS = 14
_FREE_BYTES = 1 << 30
_TIMEOUT_SECONDS = 10.0
_DISTINCT_CHARACTERS = 10
_READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Severity(StrEnum):
    """How urgent it is: errors must be fixed before the service goes live, warnings may be fine."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that an operator must fix or know: the problem, and the remedy."""

    severity: Severity
    problem: str
    remedy: str


type Check = Callable[[Container, Settings], Iterator[Finding]]


def _error(problem: str, remedy: str) -> Finding:
    return Finding(Severity.ERROR, problem, remedy)


def _warning(problem: str, remedy: str) -> Finding:
    return Finding(Severity.WARNING, problem, remedy)


def check_database(container: Container, settings: Settings) -> Iterator[Finding]:
    """Check that the database responds, its schema, and the rights of the service's role."""
    schema = container.schema()
    try:
        current = schema.current()
        role = container.inspection().role()
    except Unavailable as error:
        yield _error(
            f"The database does not answer: {_reason(error)}",
            "Start it, and check DATABASE_URL or TODO_DATA_DIR.",
        )
        return
    if current != schema.newest:
        yield _error(
            f"The schema is at revision {current}, not {schema.newest}.", "Run: todo migrate"
        )
    if role is None:
        yield from _data_folder(settings)
        return
    if role.version < _OLDEST_POSTGRESQL:
        yield _error(
            f"The server is PostgreSQL {role.version}.",
            f"Use PostgreSQL {_OLDEST_POSTGRESQL} or later.",
        )
    if role.is_powerful:
        yield _error(
            f"The role {role.name} is a superuser, or may create databases or roles.",
            "Serve with a role without these rights: see docs/security.md, The database.",
        )
    elif role.owned:
        yield _warning(
            f"The role {role.name} owns the tables, so that it could also change the schema.",
            "Migrate with another role (TODO_MIGRATION_DATABASE_URL): see docs/security.md.",
        )
    if role.missing_grants:
        yield _error(
            f"The role {role.name} may not read and write {', '.join(role.missing_grants)}.",
            "As the owner of the tables: GRANT SELECT, INSERT, UPDATE, DELETE ON"
            f" {', '.join(role.missing_grants)} TO {role.name};",
        )
    if not role.is_local and not role.is_encrypted:
        yield _error(
            "The connection to the database is not encrypted.",
            "Add sslmode=verify-full, and sslrootcert with the authority, to DATABASE_URL.",
        )
    elif not role.is_local and "sslmode=verify-full" not in settings.database_dsn:
        yield _warning(
            "The identity of the database server is not verified.",
            "Add sslmode=verify-full, and sslrootcert with the authority, to DATABASE_URL.",
        )


def _data_folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    if not folder.is_dir():
        return
    if folder.stat().st_mode & _READABLE_BY_OTHERS:
        yield _warning(
            f"Other users of this machine can enter {folder}.", f"Run: chmod 700 {folder}"
        )
    if shutil.disk_usage(folder).free < _FREE_BYTES:
        yield _error(f"The disk of {folder} has less than 1 GiB left.", "Free or add space.")


def check_secrets(_: Container, settings: Settings) -> Iterator[Finding]:
    """Check that secrets are hard to guess, readable by the service alone, and still needed."""
    secrets = {
        "TODO_JWT_SECRET": settings.jwt_secret,
        "BETTER_AUTH_SECRET": settings.better_auth_secret,
    }
    for name, secret in secrets.items():
        if secret and len(set(secret.get_secret_value())) < _DISTINCT_CHARACTERS:
            yield _error(
                f"{name} has few different characters, and may be guessed.",
                "Create another one: openssl rand -base64 32",
            )
    if settings.jwt_previous_secrets:
        days = settings.refresh_token_idle_ttl / timedelta(days=1)
        yield _warning(
            "TODO_JWT_PREVIOUS_SECRETS is set.",
            f"Remove it {days:g} days after the last process got the new secret.",
        )
    dotenv = Path(".env")
    if dotenv.is_file() and dotenv.stat().st_mode & _READABLE_BY_OTHERS:
        yield _error("Other users of this machine can read .env.", "Run: chmod 600 .env")


def check_development(_: Container, settings: Settings) -> Iterator[Finding]:
    """Check for settings that are meant for development or for benchmarks."""
    if settings.debug:
        yield _error("TODO_DEBUG is on: the log contains every statement.", "Remove TODO_DEBUG.")
    if settings.password_bcrypt_cost < _BCRYPT_COST:
        yield _error(
            f"TODO_PASSWORD_BCRYPT_COST is {settings.password_bcrypt_cost}: a stolen database"
            " gives away more passwords.",
            f"Remove it: the default is {_BCRYPT_COST}.",
        )
    if settings.log_level in ("warning", "error"):
        yield _warning(
            "Logins, changes of passwords and revocations are not logged.",
            "Set TODO_LOG_LEVEL=info.",
        )
    if "*" in settings.cors_origins:
        yield _warning(
            "Pages of any origin may call the API (TODO_CORS_ORIGINS=*).",
            "Name the origins of the front ends.",
        )
    elif all(urlsplit(origin).hostname in _LOOPBACK for origin in settings.cors_origins):
        yield _warning(
            "Only front ends on this machine may call the API from a browser.",
            "Name the origins of the front ends in TODO_CORS_ORIGINS, with https://.",
        )
    elif any(urlsplit(origin).scheme == "http" for origin in settings.cors_origins):
        yield _warning(
            "TODO_CORS_ORIGINS has an origin without TLS.",
            "Name only origins with https://, and none of a development machine.",
        )


def check_limits(container: Container, settings: Settings) -> Iterator[Finding]:
    """Check that rate limits are on, and counted for all processes together."""
    if not settings.rate_limit_enabled:
        yield _error(
            "Rate limits are off: passwords can be guessed as fast as the machine allows.",
            "Remove TODO_RATE_LIMIT_ENABLED.",
        )
        return
    storage = urlsplit(settings.rate_limit_storage.get_secret_value())
    if storage.scheme == "memory":
        yield _warning(
            "Each process counts rate limits separately.",
            "With more than one process, set TODO_RATE_LIMIT_STORAGE=rediss://…",
        )
        return
    try:
        container.rate_limiter().check()
    except Unavailable as error:
        yield _error(
            f"The storage of the rate limits does not answer: {_reason(error)}",
            "Start it, and check TODO_RATE_LIMIT_STORAGE.",
        )
    if storage.password is None:
        yield _warning(
            "The storage of the rate limits needs no password.",
            "Set one (requirepass), and add it to TODO_RATE_LIMIT_STORAGE.",
        )


def check_mail(container: Container, settings: Settings) -> Iterator[Finding]:
    """Check that emails are sent, and that the links in them are safe."""
    if settings.smtp_url is None:
        yield _error(
            "Emails are printed to the log, with the links that reset passwords.",
            "Set TODO_SMTP_URL.",
        )
        return
    server = urlsplit(settings.smtp_url.get_secret_value())
    try:
        container.mailer().check()
    except Unavailable as error:
        yield _error(f"The mail server cannot be used: {_reason(error)}", "Check TODO_SMTP_URL.")
    if server.scheme == "smtp" and not server.username and server.hostname not in _LOOPBACK:
        yield _warning(
            "Emails may be sent without TLS.",
            "Use smtps://, or smtp:// with a user and a password, in TODO_SMTP_URL.",
        )
    if settings.mail_sender == type(settings).model_fields["mail_sender"].default:
        yield _error(
            "Emails have a sender that does not exist.",
            "Set TODO_MAIL_SENDER to an address of your domain.",
        )
    if urlsplit(settings.password_reset_url).scheme != "https":
        yield _error(
            f"The link in emails leads to {settings.password_reset_url}.",
            "Set TODO_PASSWORD_RESET_URL to the page of your front end, with https://.",
        )


def check_proxy(_: Container, settings: Settings) -> Iterator[Finding]:
    """Check that the proxy in front of the service is named."""
    if not settings.trusted_proxies:
        yield _warning(
            "No proxy is trusted: behind a proxy, all clients count as one address, and HSTS is not"
            " sent.",
            "Put a proxy with TLS in front, and set TODO_TRUSTED_PROXIES to its address.",
        )


def check_issuers(_: Container, settings: Settings) -> Iterator[Finding]:
    """Check that the keys of other issuers can be fetched, safely."""
    import httpx  # late: see docs/decisions/late-imports.md

    for issuer in settings.published_key_issuers:
        if urlsplit(issuer.jwks_url).scheme != "https":
            yield _warning(
                f"The keys of {issuer.issuer} are fetched without TLS.",
                "Use https://, except in a private network.",
            )
        if not issuer.audiences:
            yield _warning(
                f"Tokens of {issuer.issuer} are accepted for any audience.",
                "Name an audience that means only this service.",
            )
        try:
            answer = httpx.get(issuer.jwks_url, timeout=_TIMEOUT_SECONDS).raise_for_status()
            found = bool(answer.json()["keys"])
        except (httpx.HTTPError, json.JSONDecodeError, KeyError, TypeError) as error:
            yield _error(
                f"The keys of {issuer.issuer} cannot be fetched from {issuer.jwks_url}:"
                f" {type(error).__name__}.",
                "Check the URL, and whether the issuer is running.",
            )
        else:
            if not found:
                yield _error(f"{issuer.issuer} publishes no keys.", "Check the URL and the issuer.")


def check_url(url: str) -> Iterator[Finding]:
    """Check the public URL, as a client sees it: its certificate, and what the proxy forwards."""
    import httpx  # late: see docs/decisions/late-imports.md

    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        yield _error(f"{url} is not a URL with https://.", "Give the URL that clients use.")
        return
    context = ssl.create_default_context()
    try:
        expires = _certificate_expiry(parts.hostname, parts.port or 443, context)
        answer = httpx.get(f"{url.rstrip('/')}/healthz", verify=context, timeout=_TIMEOUT_SECONDS)
    except (OSError, httpx.HTTPError) as error:
        yield _error(f"{url} cannot be reached with TLS: {error}", "Check the proxy.")
        return
    if answer.status_code != HTTPStatus.OK or '"status":"ok"' not in answer.text:
        yield _error(
            f"{url}/healthz answers with {answer.status_code}, and not as this service does.",
            "Let the proxy forward all paths.",
        )
        return
    if expires - datetime.now(UTC) < timedelta(days=_CERTIFICATE_DAYS):
        yield _warning(
            f"The certificate of {parts.hostname} expires on {expires:%Y-%m-%d}.", "Renew it."
        )
    if "strict-transport-security" not in answer.headers:
        yield _error(
            "The service does not know that clients connect by TLS, and sends no HSTS.",
            "Name the proxy in TODO_TRUSTED_PROXIES, and let it set X-Forwarded-Proto and"
            " X-Forwarded-For.",
        )
    try:
        plain = httpx.get(f"http://{parts.hostname}/healthz", timeout=_TIMEOUT_SECONDS)
    except httpx.HTTPError:
        return
    if plain.status_code == HTTPStatus.OK:
        yield _error(f"http://{parts.hostname} answers without TLS.", "Close port 80 of the proxy.")


def _certificate_expiry(host: str, port: int, context: ssl.SSLContext) -> datetime:
    with (
        socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=host) as encrypted,
    ):
        certificate = encrypted.getpeercert()
    assert certificate is not None  # noqa: S101 - the context requires one
    seconds = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return datetime.fromtimestamp(seconds, UTC)


def _reason(error: Unavailable) -> str:
    """Return the error of the dependency itself."""
    reason = str(getattr(error.__cause__, "orig", None) or error.__cause__ or error)
    return " ".join(reason.split())


def check_telemetry(_: Container, __: Settings) -> Iterator[Finding]:
    """Check that the traces and logs that the environment asks for can be exported."""
    for problem in Telemetry.from_environment(os.environ).problems:
        yield _warning("Traces or logs are not exported, although they should be.", problem)


CHECKS: dict[str, Check] = {
    "database": check_database,
    "secrets": check_secrets,
    "settings": check_development,
    "limits": check_limits,
    "mail": check_mail,
    "proxy": check_proxy,
    "issuers": check_issuers,
    "telemetry": check_telemetry,
}
"""The checks that need no URL, by the name of what they look at."""
