"""Three endpoints of the service written by hand, on the database driver, without a framework.

They use the database of the service, with the same token check and the same responses, but
without layers, middleware and logs. The difference to the service is the cost of its architecture.
They have every field of a task, but know neither repetition nor reminders: the benchmark has none.

Each worker thread has its own connection, in autocommit. There are as many threads as the framework
has by default (40).
"""

import json
import secrets
import sqlite3
import threading
from datetime import UTC, date, datetime
from typing import Annotated, cast
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow
from pydantic import BaseModel, StringConstraints
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from todo_api.container import Container
from todo_api.settings import load_settings
from todo_core.entities.rank import Rank
from todo_core.errors import InvalidAccessToken

type Connection = sqlite3.Connection | psycopg.Connection[TupleRow]

settings = load_settings()
access_tokens = Container(settings=settings).access_tokens()
kept = threading.local()

# The drivers use different placeholders for parameters.
MARK = "?" if settings.is_embedded else "%s"
COLUMNS = """
    id, title, description, completed, created_at, updated_at, version, completed_at, priority,
    due_at, due_on, tags, next_id, position, parent_id
"""
LIST = f"""
    SELECT {COLUMNS} FROM tasks WHERE owner_id = ? ORDER BY created_at DESC, id DESC
""".replace("?", MARK)
READ = f"""
    SELECT {COLUMNS} FROM tasks WHERE owner_id = ? AND id = ?
""".replace("?", MARK)
CREATE = """
    INSERT INTO tasks
    (id, owner_id, title, description, completed, created_at, updated_at, version)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
""".replace("?", MARK)

PRIORITIES = ("none", "low", "medium", "high", "urgent")

# SQLite has no types for these values. The service stores them in this form.
sqlite3.register_adapter(UUID, lambda value: value.hex)
sqlite3.register_adapter(datetime, lambda value: value.isoformat(" ", "microseconds"))
sqlite3.register_converter("DATETIME", lambda value: datetime.fromisoformat(value.decode()))
sqlite3.register_converter("BOOLEAN", lambda value: value == b"1")


class TaskCreate(BaseModel):
    """A new task."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    description: Annotated[str, StringConstraints(max_length=1000)] | None = None


def list_tasks(user_id: UUID) -> Response:
    """Return all tasks of a user, the newest first."""
    rows = connection().execute(LIST, (user_id,)).fetchall()
    tasks = [task(user_id, *row) for row in rows]
    return Response(to_json(tasks), media_type="application/json")


def read_task(user_id: UUID, task_id: int) -> Response:
    """Return a task of a user."""
    row = connection().execute(READ, (user_id, task_id)).fetchone()
    if row is None:
        raise HTTPException(404)
    return Response(to_json(task(user_id, *row)), media_type="application/json")


def create_task(user_id: UUID, new: TaskCreate) -> Response:
    """Create a task of a user."""
    now, id = datetime.now(UTC), 1 + secrets.randbelow(2**53 - 1)
    description = new.description or None
    connection().execute(CREATE, (id, user_id, new.title, description, False, now, now, 1))
    created = task(user_id, id, new.title, description, False, now, now, 1)
    location = f"/api/{user_id}/tasks/{id}"
    return Response(to_json(created), 201, {"Location": location}, "application/json")


def check_caller(authorization: str, user_id: UUID, url_user_id: UUID) -> None:
    """Check the token, and that its user requests their own tasks."""
    scheme, _, token = authorization.partition(" ")
    try:
        caller = access_tokens.verify(token, now=datetime.now(UTC))
    except InvalidAccessToken:
        raise HTTPException(401) from None
    if scheme.lower() != "bearer":
        raise HTTPException(401)
    if not caller.user_id == user_id == url_user_id:
        raise HTTPException(404)


def task(
    user_id: UUID,
    id: int,
    title: str,
    description: str | None,
    completed: bool,
    created_at: datetime,
    updated_at: datetime,
    version: int,
    completed_at: datetime | None = None,
    priority: int | None = None,
    due_at: datetime | None = None,
    due_on: date | None = None,
    tags: str | None = None,
    next_id: int | None = None,
    position: str | None = None,
    parent_id: int | None = None,
) -> dict[str, object]:
    """Return a task as in JSON."""
    return {
        "id": id,
        "user_id": user_id,
        "title": title,
        "description": description,
        "completed": completed,
        "created_at": created_at,
        "updated_at": updated_at,
        "version": version,
        "status": "completed" if completed else "pending",
        "completed_at": completed_at,
        "priority": "medium" if priority is None else PRIORITIES[priority],
        "due_date": due_on or due_at,
        "tags": [] if tags is None else json.loads(tags),
        "reminders": [],
        "recurrence_rule": None,
        "recurrence_pattern": None,
        "recurrence_interval": None,
        "repeat_from": None,
        "next_id": next_id,
        "position": position or Rank.of_new_task(created_at, id),
        "parent_id": parent_id,
    }


def connection() -> Connection:
    """Return the connection of this thread."""
    if not hasattr(kept, "connection"):
        kept.connection = connect()
    return cast("Connection", kept.connection)


def connect() -> Connection:
    """Open a connection in autocommit, to the database of the settings."""
    if not settings.is_embedded:
        return psycopg.connect(settings.database_dsn.replace("+psycopg", ""), autocommit=True)
    connection = sqlite3.connect(
        settings.database_dsn.removeprefix("sqlite:///"),
        isolation_level=None,
        detect_types=sqlite3.PARSE_DECLTYPES,
    )
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
