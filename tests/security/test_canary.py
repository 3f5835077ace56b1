"""Secrets that are sent to every endpoint occur in no log, no error and no column.

The service runs as the command starts it, with the most verbose log. It receives a password, tokens
and a reset token, in correct and in incorrect requests. Everything that it wrote is then searched
for them.
"""

import re
import sqlite3
from pathlib import Path

import httpx

from tests.support.canary import misuse_secret, use_secrets
from tests.support.command import served


def test_no_secret_is_stored_logged_or_repeated_in_an_error(tmp_path: Path) -> None:
    with served(tmp_path, TODO_DEBUG="true", TODO_RATE_LIMIT_ENABLED="false") as server:
        http = httpx.Client(base_url=server.url, timeout=30)
        secrets, answers = use_secrets(http, server.log)
        for secret in secrets:
            answers += misuse_secret(http, secret)
        http.close()
    log = server.log.read_text()
    stored = stored_values(tmp_path / "todo-data" / "todo.db")
    emails = re.sub(r"\nTo: .*?\n(?=\{|\Z)", "\n", log, flags=re.DOTALL)
    assert len(secrets) >= 8
    assert "canary@example.com" in stored
    assert "INSERT INTO users" in log
    for secret in secrets:
        # The email is printed for its recipient. Only the email may contain its link.
        assert secret not in emails
        assert secret not in stored
    errors = [answer.text for answer in answers if answer.status_code >= 400]
    assert len(errors) > 50
    for secret in secrets:
        assert not any(secret in error for error in errors)


def stored_values(database: Path) -> str:
    """Return every value of every column of every table, as text."""
    with sqlite3.connect(database) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        rows = [
            row
            for (table,) in tables.fetchall()
            for row in connection.execute(f'SELECT * FROM "{table}"').fetchall()
        ]
    connection.close()
    return repr(rows)
