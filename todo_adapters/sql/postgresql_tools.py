"""The commands of PostgreSQL that back up and restore a database, without its password."""

import shlex
from urllib.parse import quote, urlencode

from sqlalchemy import make_url

_SECRETS = ("password", "passfile", "sslpassword")


def backup_command(dsn: str, file: str) -> str:
    """Return the command that writes a backup of this database to a file."""
    return f"pg_dump --format=custom --file={shlex.quote(file)} --dbname={_quoted(dsn)}"


def restore_commands(dsn: str, file: str) -> tuple[str, str]:
    """Return the commands that create a database beside this one, and fill it from a backup."""
    new = f"{make_url(dsn).database or 'todo'}_restored"
    create = f"createdb --maintenance-db={_quoted(dsn, database='postgres')} {shlex.quote(new)}"
    fill = (
        "pg_restore --single-transaction --exit-on-error --no-owner"
        f" --dbname={_quoted(dsn, database=new)} {shlex.quote(file)}"
    )
    return create, fill


def _quoted(dsn: str, database: str | None = None) -> str:
    """Return the URL as libpq reads it, without secrets, as one word of a shell.

    SQLAlchemy would write a space as `+`, which libpq takes for a plus sign.
    """
    url = make_url(dsn)
    host = f"[{url.host}]" if ":" in (url.host or "") else quote(url.host or "")
    user = "" if url.username is None else f"{quote(url.username, safe='')}@"
    port = "" if url.port is None else f":{url.port}"
    path = "" if (name := database or url.database) is None else f"/{quote(name, safe='')}"
    parameters = [
        (key, value)
        for key, values in url.normalized_query.items()
        for value in values
        if key not in _SECRETS
    ]
    query = f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""
    return shlex.quote(f"postgresql://{user}{host}{port}{path}{query}")
