"""Targets of the isolation rules: use cases on any storage, and the service over HTTP.

All targets report a refusal by the problem code that the API has for it.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, final
from uuid import UUID

import httpx

from tests.support.clients import client_of
from tests.support.world import World
from todo_adapters.limits.rate_limiter import Unlimited
from todo_api.container import Container
from todo_api.http.problems import CORE_PROBLEMS
from todo_core.application import Application
from todo_core.entities.caller import Caller
from todo_core.entities.session import SessionId
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.user import UserId
from todo_core.errors import TodoError
from todo_core.ports.repositories import TaskRepository

EVERYDAY_OPERATIONS = 1_000
PROOF_OPERATIONS = 20_000

PAGE = 7
"""How many tasks a page has from which a list is read."""

type Fields = dict[str, Any]  # the fields of a task, as in JSON


class Refused(Exception):
    """A call was refused, with this problem code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Tokens:
    """The tokens of a session."""

    access: str
    refresh: str


class Target(ABC):
    """A service, as a client with tokens uses it. `calls` counts the calls."""

    def __init__(self) -> None:
        self.calls = 0

    @abstractmethod
    def register(self, email: str, password: str) -> str:
        """Register a user, and return their id."""

    @abstractmethod
    def log_in(self, email: str, password: str) -> Tokens:
        """Log in, and return the tokens of the new session."""

    @abstractmethod
    def refresh(self, token: str) -> Tokens:
        """Refresh a session, and return its new tokens."""

    @abstractmethod
    def log_out(self, token: str) -> None:
        """Revoke the session of this token."""

    @abstractmethod
    def sessions(self, token: str) -> set[str]:
        """Return the ids of the caller's sessions."""

    @abstractmethod
    def revoke_session(self, token: str, session_id: str) -> None:
        """Revoke a session of the caller."""

    @abstractmethod
    def revoke_other_sessions(self, token: str) -> None:
        """Revoke all sessions of the caller except that of this token."""

    @abstractmethod
    def change_password(self, token: str, current: str, new: str) -> None:
        """Change the password."""

    @abstractmethod
    def profile(self, token: str) -> tuple[str, str, str]:
        """Return id, name and email."""

    @abstractmethod
    def change_profile(self, token: str, changes: Fields) -> None:
        """Change the name or the email."""

    @abstractmethod
    def export(self, token: str) -> tuple[str, list[Fields]]:
        """Return the caller's id and all of their tasks."""

    @abstractmethod
    def delete_account(self, token: str, password: str) -> None:
        """Delete the caller's account."""

    @abstractmethod
    def create(self, token: str, owner: str, title: str, description: str | None) -> Fields:
        """Create a task, and return it."""

    @abstractmethod
    def page(
        self, token: str, owner: str, completed: bool | None, limit: int, cursor: str | None
    ) -> tuple[list[Fields], str | None]:
        """Return a page of the owner's tasks, and the cursor of the next one."""

    @abstractmethod
    def stats(self, token: str, owner: str) -> tuple[int, int]:
        """Return how many tasks the owner has, and how many of them are completed."""

    @final
    def list(self, token: str, owner: str, completed: bool | None = None) -> list[Fields]:
        """Return all tasks of the owner, from pages."""
        tasks, cursor = self.page(token, owner, completed, PAGE, None)
        while cursor is not None:
            more, cursor = self.page(token, owner, completed, PAGE, cursor)
            tasks += more
        return tasks

    @abstractmethod
    def get(self, token: str, owner: str, task_id: int) -> Fields:
        """Return a task."""

    @abstractmethod
    def edit(self, token: str, owner: str, task_id: int, changes: Fields) -> Fields:
        """Change the given fields of a task, and return it."""

    @abstractmethod
    def edit_version(
        self, token: str, owner: str, task_id: int, changes: Fields, version: int
    ) -> Fields:
        """Change the given fields of a task if it has this version, and return it."""

    @abstractmethod
    def remove_version(self, token: str, owner: str, task_id: int, version: int) -> None:
        """Delete a task if it has this version."""

    @abstractmethod
    def toggle(self, token: str, owner: str, task_id: int, completed: bool | None) -> Fields:
        """Set completion, or toggle it if it is None; return the task."""

    @abstractmethod
    def remove(self, token: str, owner: str, task_id: int) -> None:
        """Delete a task."""

    def steal(self, task_id: int, owner: str, thief: str) -> bool:
        """Save the owner's task as the thief's, and return whether that was accepted.

        This needs a repository: callers of the API cannot do it.
        """
        del task_id, owner, thief
        return False


class UseCases(Target):
    """The use cases, without HTTP."""

    def __init__(self, application: Application, tasks: TaskRepository) -> None:
        super().__init__()
        self._application = application
        self._tasks = tasks

    @classmethod
    def in_memory(cls) -> "UseCases":
        """Make a target on empty in-memory adapters."""
        world = World(limiter=Unlimited())
        return cls(world.application, world.tasks)

    @classmethod
    def of(cls, container: Container) -> "UseCases":
        """Make a target of the use cases that the service assembles."""
        return cls(container.application(), container.tasks())

    @contextmanager
    def _counted_call(self) -> Iterator[None]:
        self.calls += 1
        with self._translated_errors():
            yield

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except TodoError as error:
            raise Refused(CORE_PROBLEMS[type(error)].code) from error

    def _do(self, use_case: str, /, **arguments: object) -> Any:  # the result of any use case
        with self._counted_call():
            return getattr(self._application, use_case)(**arguments)

    def _caller(self, token: str) -> Caller:
        with self._translated_errors():
            return self._application.authenticate(token)

    def _owner(self, token: str) -> UserId:
        return self._caller(token).user_id

    def register(self, email: str, password: str) -> str:
        return str(self._do("register_user", name="User", email=email, password=password).id)

    def log_in(self, email: str, password: str) -> Tokens:
        tokens = self._do("log_in", email=email, password=password).tokens
        return Tokens(tokens.access_token.value, tokens.refresh_token)

    def refresh(self, token: str) -> Tokens:
        tokens = self._do("refresh_session", refresh_token=token)
        return Tokens(tokens.access_token.value, tokens.refresh_token)

    def log_out(self, token: str) -> None:
        caller = self._caller(token)
        with self._counted_call():
            self._application.log_out(caller)

    def sessions(self, token: str) -> set[str]:
        return {str(each.id) for each in self._do("list_sessions", user_id=self._owner(token))}

    def revoke_session(self, token: str, session_id: str) -> None:
        self._do(
            "revoke_session", user_id=self._owner(token), session_id=SessionId(UUID(session_id))
        )

    def revoke_other_sessions(self, token: str) -> None:
        caller = self._caller(token)
        with self._counted_call():
            self._application.revoke_other_sessions(caller)

    def change_password(self, token: str, current: str, new: str) -> None:
        caller = self._caller(token)
        self._do(
            "change_password",
            user_id=caller.user_id,
            session_id=caller.session_id,
            current_password=current,
            new_password=new,
        )

    def profile(self, token: str) -> tuple[str, str, str]:
        user = self._do("get_profile", user_id=self._owner(token))
        return str(user.id), str(user.name), str(user.email)

    def change_profile(self, token: str, changes: Fields) -> None:
        self._do("update_profile", user_id=self._owner(token), **changes)

    def export(self, token: str) -> tuple[str, list[Fields]]:
        export = self._do("export_account", user_id=self._owner(token))
        return str(export.user.id), [_fields(task) for page in export.pages for task in page]

    def delete_account(self, token: str, password: str) -> None:
        self._do("delete_account", user_id=self._owner(token), current_password=password)

    def create(self, token: str, owner: str, title: str, description: str | None) -> Fields:
        del owner  # use cases have no URL that could name another owner
        owner_id = self._owner(token)
        task = self._do("create_task", owner_id=owner_id, title=title, description=description)
        return _fields(task)

    def page(
        self, token: str, owner: str, completed: bool | None, limit: int, cursor: str | None
    ) -> tuple[list[Fields], str | None]:
        del owner
        page = self._do(
            "list_tasks",
            owner_id=self._owner(token),
            query=TaskQuery(completed=completed),
            limit=limit,
            cursor=cursor,
        )
        return [_fields(task) for task in page.tasks], page.next_cursor

    def stats(self, token: str, owner: str) -> tuple[int, int]:
        del owner
        counts = self._do("count_tasks", owner_id=self._owner(token))
        return counts.total, counts.completed

    def get(self, token: str, owner: str, task_id: int) -> Fields:
        del owner
        return _fields(self._do("get_task", owner_id=self._owner(token), task_id=TaskId(task_id)))

    def edit(self, token: str, owner: str, task_id: int, changes: Fields) -> Fields:
        del owner
        owner_id = self._owner(token)
        return _fields(
            self._do("update_task", owner_id=owner_id, task_id=TaskId(task_id), **changes)
        )

    def edit_version(
        self, token: str, owner: str, task_id: int, changes: Fields, version: int
    ) -> Fields:
        return self.edit(token, owner, task_id, changes | {"expected": {version}})

    def remove_version(self, token: str, owner: str, task_id: int, version: int) -> None:
        del owner
        owner_id = self._owner(token)
        self._do("delete_task", owner_id=owner_id, task_id=TaskId(task_id), expected={version})

    def toggle(self, token: str, owner: str, task_id: int, completed: bool | None) -> Fields:
        del owner
        owner_id, id = self._owner(token), TaskId(task_id)
        task = self._do("toggle_completion", owner_id=owner_id, task_id=id, completed=completed)
        return _fields(task)

    def remove(self, token: str, owner: str, task_id: int) -> None:
        del owner
        self._do("delete_task", owner_id=self._owner(token), task_id=TaskId(task_id))

    def steal(self, task_id: int, owner: str, thief: str) -> bool:
        task = self._tasks.get(TaskId(task_id), owner_id=UserId(UUID(owner)))
        stolen = replace(task, owner_id=UserId(UUID(thief)), title=task.title)
        self.calls += 1
        try:
            self._tasks.save(stolen)
        except TodoError:
            return False
        return True


def _fields(task: Task) -> Fields:
    return {
        "id": task.id,
        "user_id": str(task.owner_id),
        "title": str(task.title),
        "description": None if task.description is None else str(task.description),
        "completed": task.completed,
        "version": task.version,
    }


class Http(Target):
    """The service over HTTP."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._http = client_of(url)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(
        self, method: str, path: str, token: str | None = None, body: object = None, **query: str
    ) -> Any:  # JSON
        self.calls += 1
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        answer = self._http.request(method, path, params=query, headers=headers, json=body)
        self._last = answer
        if answer.status_code >= 400:
            raise Refused(answer.json()["code"])
        return json.loads(answer.content) if answer.content else None

    def _tasks(
        self,
        method: str,
        token: str,
        owner: str,
        path: str = "",
        body: object = None,
        **query: str,
    ) -> Any:  # JSON
        return self._ask(
            method, f"/api/{owner}/tasks{path}", token, body, url_user_id=owner, **query
        )

    def register(self, email: str, password: str) -> str:
        body = {"name": "User", "email": email, "password": password}
        return str(self._ask("POST", "/api/auth/register", body=body)["id"])

    def log_in(self, email: str, password: str) -> Tokens:
        return _tokens(
            self._ask("POST", "/api/auth/login", body={"email": email, "password": password})
        )

    def refresh(self, token: str) -> Tokens:
        return _tokens(self._ask("POST", "/api/auth/refresh", body={"refresh_token": token}))

    def log_out(self, token: str) -> None:
        self._ask("POST", "/api/auth/logout", token)

    def sessions(self, token: str) -> set[str]:
        return {each["id"] for each in self._ask("GET", "/api/auth/sessions", token)}

    def revoke_session(self, token: str, session_id: str) -> None:
        self._ask("DELETE", f"/api/auth/sessions/{session_id}", token)

    def revoke_other_sessions(self, token: str) -> None:
        self._ask("DELETE", "/api/auth/sessions", token)

    def change_password(self, token: str, current: str, new: str) -> None:
        body = {"current_password": current, "new_password": new}
        self._ask("POST", "/api/auth/change-password", token, body)

    def profile(self, token: str) -> tuple[str, str, str]:
        profile = self._ask("GET", "/api/auth/me", token)
        return profile["id"], profile["name"], profile["email"]

    def change_profile(self, token: str, changes: Fields) -> None:
        self._ask("PATCH", "/api/auth/me", token, changes)

    def export(self, token: str) -> tuple[str, list[Fields]]:
        export = self._ask("GET", "/api/auth/me/export", token)
        return export["user"]["id"], [_without_times(task) for task in export["tasks"]]

    def delete_account(self, token: str, password: str) -> None:
        self._ask("DELETE", "/api/auth/me", token, {"current_password": password})

    def create(self, token: str, owner: str, title: str, description: str | None) -> Fields:
        body = {"title": title, "description": description}
        return _without_times(self._tasks("POST", token, owner, body=body))

    def page(
        self, token: str, owner: str, completed: bool | None, limit: int, cursor: str | None
    ) -> tuple[list[Fields], str | None]:
        query = {"limit": str(limit)}
        if completed is not None:
            query["completed"] = str(completed).lower()
        if cursor is not None:
            query["cursor"] = cursor
        tasks = self._tasks("GET", token, owner, **query)
        link = self._last.links.get("next")
        following = None if link is None else httpx.URL(link["url"]).params["cursor"]
        return [_without_times(task) for task in tasks], following

    def stats(self, token: str, owner: str) -> tuple[int, int]:
        counts = self._tasks("GET", token, owner, "/stats")
        return counts["total"], counts["completed"]

    def get(self, token: str, owner: str, task_id: int) -> Fields:
        return _without_times(self._tasks("GET", token, owner, f"/{task_id}"))

    def edit(self, token: str, owner: str, task_id: int, changes: Fields) -> Fields:
        # Use either PUT or PATCH where both mean the same.
        method = "PATCH" if "completed" in changes or "title" not in changes else "PUT"
        return _without_times(self._tasks(method, token, owner, f"/{task_id}", changes))

    def edit_version(
        self, token: str, owner: str, task_id: int, changes: Fields, version: int
    ) -> Fields:
        with self._if_match(version):
            return self.edit(token, owner, task_id, changes)

    def remove_version(self, token: str, owner: str, task_id: int, version: int) -> None:
        with self._if_match(version):
            self.remove(token, owner, task_id)

    @contextmanager
    def _if_match(self, version: int) -> Iterator[None]:
        """Send `If-Match` with the requests of the block."""
        self._http.headers["If-Match"] = f'"{version}"'
        try:
            yield
        finally:
            del self._http.headers["If-Match"]

    def toggle(self, token: str, owner: str, task_id: int, completed: bool | None) -> Fields:
        body = None if completed is None else {"completed": completed}
        return _without_times(self._tasks("PATCH", token, owner, f"/{task_id}/complete", body))

    def remove(self, token: str, owner: str, task_id: int) -> None:
        self._tasks("DELETE", token, owner, f"/{task_id}")


def _tokens(answer: Fields) -> Tokens:
    return Tokens(answer["access_token"], answer["refresh_token"])


def _without_times(task: Fields) -> Fields:
    return {name: value for name, value in task.items() if not name.endswith("_at")}
