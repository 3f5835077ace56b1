"""Targets of the isolation rules: use cases on any storage, and the service over HTTP.

All targets report a refusal by the problem code that the API has for it.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import replace
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, final
from uuid import UUID

import httpx

from tests.support.clients import client_of
from tests.support.world import World
from todo_adapters.in_memory.clock import ManualClock
from todo_adapters.limits.rate_limiter import Unlimited
from todo_api.container import Container
from todo_api.http.problems import CORE_PROBLEMS
from todo_api.http.schemas.bulk import BulkOperation
from todo_core.application import Application
from todo_core.entities.caller import Caller
from todo_core.entities.idempotency import IdempotencyKey, IdempotentRequest
from todo_core.entities.reminders import Reminder
from todo_core.entities.session import SessionId
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_query import TaskOrder, TaskQuery
from todo_core.entities.text import SearchText
from todo_core.entities.user import UserId
from todo_core.errors import TodoError
from todo_core.ports.repositories import TaskRepository
from todo_core.use_cases.bulk import MatchingChanged
from todo_core.use_cases.task_writes import TaskWrites

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
    def profile(self, token: str) -> tuple[str, str, str, str]:
        """Return id, name, email and time zone."""

    @abstractmethod
    def change_profile(self, token: str, changes: Fields) -> None:
        """Change the name, the email or the time zone."""

    @abstractmethod
    def export(self, token: str) -> tuple[str, list[Fields]]:
        """Return the caller's id and all of their tasks."""

    @abstractmethod
    def delete_account(self, token: str, password: str) -> None:
        """Delete the caller's account."""

    @abstractmethod
    def create(
        self, token: str, owner: str, title: str, description: str | None, details: Fields
    ) -> Fields:
        """Create a task with a priority, a due date, tags and a parent, and return it."""

    @abstractmethod
    def page(
        self, token: str, owner: str, completed: bool | None, limit: int, cursor: str | None
    ) -> tuple[list[Fields], str | None]:
        """Return a page of the owner's tasks, and the cursor of the next one."""

    @abstractmethod
    def stats(self, token: str, owner: str) -> tuple[int, int, int]:
        """Return how many tasks the owner has, and how many are completed and overdue."""

    @abstractmethod
    def tags(self, token: str, owner: str) -> Sequence[tuple[str, int]]:
        """Return the owner's tags, and how many tasks have each."""

    @abstractmethod
    def matching(self, token: str, owner: str, query: TaskQuery) -> Sequence[Fields]:
        """Return the owner's tasks that match the details in the query, in its order, in pages."""

    @abstractmethod
    def watch(self, token: str, owner: str) -> int:
        """Open a stream of events with a ticket, and return the revision that it tells first."""

    @final
    def list(self, token: str, owner: str, completed: bool | None = None) -> list[Fields]:
        """Return all tasks of the owner, from pages."""
        tasks, cursor = self.page(token, owner, completed, PAGE, None)
        while cursor is not None:
            more, cursor = self.page(token, owner, completed, PAGE, cursor)
            tasks += more
        return tasks

    @abstractmethod
    def search(self, token: str, owner: str, text: str, sort: str) -> Sequence[Fields]:
        """Return the owner's tasks that contain the text, in ascending order, from pages."""

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

    @abstractmethod
    def remove_permanently(self, token: str, owner: str, task_id: int) -> None:
        """Delete a task, which may be in the trash, without keeping it in the trash."""

    @abstractmethod
    def move(self, token: str, owner: str, task_id: int, place: Fields) -> Fields:
        """Move a task before or after another one, to another parent, or both, and return it."""

    @abstractmethod
    def reorder(self, token: str, owner: str, task_ids: Sequence[int]) -> Sequence[Fields]:
        """Give tasks an order, and return them."""

    @abstractmethod
    def restore(self, token: str, owner: str, task_id: int) -> Fields:
        """Take a task out of the trash, and return it."""

    @abstractmethod
    def trash(self, token: str, owner: str) -> Sequence[Fields]:
        """Return the tasks in the trash."""

    @abstractmethod
    def changes(
        self, token: str, owner: str, since: str | None
    ) -> tuple[Sequence[tuple[int, Fields | None]], str, bool]:
        """Return a page of changes, the next token, and whether there are more changes."""

    @abstractmethod
    def bulk(self, token: str, owner: str, operations: Sequence[Fields]) -> Sequence[Any]:
        """Apply all operations or none, and return each task after it, or the deleted id."""

    @abstractmethod
    def complete_matching(self, token: str, owner: str, completed: bool) -> int:
        """Complete all tasks that are completed, or all that are not; return how many changed."""

    @abstractmethod
    def remove_matching(self, token: str, owner: str, completed: bool) -> int:
        """Delete all tasks that are completed, or all that are not; return how many."""

    @abstractmethod
    def complete_matching_once(
        self, token: str, owner: str, key: str, completed: bool
    ) -> tuple[int, bool]:
        """Do it with an idempotency key. Return also whether this is a replay."""

    @abstractmethod
    def remove_matching_once(
        self, token: str, owner: str, key: str, completed: bool
    ) -> tuple[int, bool]:
        """Do it with an idempotency key. Return also whether this is a replay."""

    @abstractmethod
    def create_once(self, token: str, owner: str, key: str, title: str) -> tuple[Fields, bool]:
        """Create a task with an idempotency key. Return it, and whether this is a replay."""

    @abstractmethod
    def toggle_once(self, token: str, owner: str, key: str, task_id: int) -> tuple[Fields, bool]:
        """Toggle a task with an idempotency key. Return it, and whether this is a replay."""

    def steal(self, task_id: int, owner: str, thief: str) -> bool:
        """Save the owner's task as the thief's, and return whether that was accepted.

        This needs a repository: callers of the API cannot do it.
        """
        del task_id, owner, thief
        return False


class _TickingClock(ManualClock):
    """A clock that never tells the same time twice, as that of the system."""

    def now(self) -> datetime:
        self.advance(timedelta(milliseconds=1))
        return super().now()


class UseCases(Target):
    """The use cases, without HTTP."""

    def __init__(self, application: Application, tasks: TaskRepository) -> None:
        super().__init__()
        self._application = application
        self._tasks = tasks

    @classmethod
    def in_memory(cls) -> "UseCases":
        """Make a target on empty in-memory adapters."""
        world = World(clock=_TickingClock(), limiter=Unlimited())
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

    def profile(self, token: str) -> tuple[str, str, str, str]:
        user = self._do("get_profile", user_id=self._owner(token))
        return str(user.id), str(user.name), str(user.email), str(user.time_zone)

    def change_profile(self, token: str, changes: Fields) -> None:
        self._do("update_profile", user_id=self._owner(token), **changes)

    def export(self, token: str) -> tuple[str, list[Fields]]:
        export = self._do("export_account", user_id=self._owner(token))
        return str(export.user.id), [_fields(task) for page in export.pages for task in page]

    def delete_account(self, token: str, password: str) -> None:
        self._do("delete_account", user_id=self._owner(token), current_password=password)

    def create(
        self, token: str, owner: str, title: str, description: str | None, details: Fields
    ) -> Fields:
        del owner  # use cases have no URL that could name another owner
        fields = {"title": title, "description": description, **details}
        return _fields(self._do("create_task", owner_id=self._owner(token), **fields))

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

    def search(self, token: str, owner: str, text: str, sort: str) -> Sequence[Fields]:
        del owner
        query = TaskQuery(search=SearchText(text), order=TaskOrder(sort), descending=False)
        return self._all_pages(self._owner(token), query)

    def _all_pages(self, owner_id: UserId, query: TaskQuery) -> Sequence[Fields]:
        cursor = None
        found: Sequence[Fields] = []
        while True:
            page = self._do(
                "list_tasks",
                owner_id=owner_id,
                query=query,
                limit=PAGE,
                cursor=cursor,
                counts=True,
            )
            found = [*found, *map(_fields, page.tasks)]
            cursor = page.next_cursor
            if cursor is None:
                assert page.total == len(found)
                return found

    def stats(self, token: str, owner: str) -> tuple[int, int, int]:
        del owner
        counts = self._do("count_tasks", owner_id=self._owner(token))
        return counts.total, counts.completed, counts.overdue

    def tags(self, token: str, owner: str) -> Sequence[tuple[str, int]]:
        del owner
        tags = self._do("list_tags", owner_id=self._owner(token))
        return [(tag.name, tag.count) for tag in tags]

    def matching(self, token: str, owner: str, query: TaskQuery) -> Sequence[Fields]:
        del owner
        return self._all_pages(self._owner(token), query)

    def watch(self, token: str, owner: str) -> int:
        del owner
        caller = self._caller(token)
        name = str(caller.user_id)
        ticket = self._do("issue_stream_ticket", caller=caller, owner_name=name)
        redeemed = self._do("redeem_stream_ticket", value=ticket.value, owner_name=name)
        return int(self._do("watch_tasks", owner_id=redeemed.user_id))

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

    def remove_permanently(self, token: str, owner: str, task_id: int) -> None:
        del owner
        arguments = {"owner_id": self._owner(token), "task_id": TaskId(task_id)}
        self._do("delete_task", **arguments, permanently=True)

    def move(self, token: str, owner: str, task_id: int, place: Fields) -> Fields:
        del owner
        arguments = {"owner_id": self._owner(token), "task_id": TaskId(task_id)}
        return _fields(self._do("move_task", **arguments, **place))

    def reorder(self, token: str, owner: str, task_ids: Sequence[int]) -> Sequence[Fields]:
        del owner
        ids = [TaskId(task_id) for task_id in task_ids]
        tasks = self._do("reorder_tasks", owner_id=self._owner(token), task_ids=ids)
        return [_fields(task) for task in tasks]

    def restore(self, token: str, owner: str, task_id: int) -> Fields:
        del owner
        arguments = {"owner_id": self._owner(token), "task_id": TaskId(task_id)}
        return _fields(self._do("restore_task", **arguments))

    def trash(self, token: str, owner: str) -> Sequence[Fields]:
        del owner
        query = TaskQuery(deleted=True)
        found = self._do("list_tasks", owner_id=self._owner(token), query=query)
        return [_fields(task) for task in found.tasks]

    def changes(
        self, token: str, owner: str, since: str | None
    ) -> tuple[Sequence[tuple[int, Fields | None]], str, bool]:
        del owner
        page = self._do("list_changes", owner_id=self._owner(token), since=since, limit=PAGE)
        changes = [(each.id, each.task and _fields(each.task)) for each in page.changes]
        return changes, page.next_token, page.has_more

    def bulk(self, token: str, owner: str, operations: Sequence[Fields]) -> Sequence[Any]:
        del owner
        core = [BulkOperation.model_validate(each).to_core() for each in operations]
        outcomes = self._do("change_tasks", owner_id=self._owner(token), operations=core)
        return [_fields(each) if isinstance(each, Task) else each for each in outcomes]

    def complete_matching(self, token: str, owner: str, completed: bool) -> int:
        del owner
        return self._change_matching("complete_matching_tasks", token, completed).count

    def remove_matching(self, token: str, owner: str, completed: bool) -> int:
        del owner
        return self._change_matching("delete_matching_tasks", token, completed).count

    def complete_matching_once(
        self, token: str, owner: str, key: str, completed: bool
    ) -> tuple[int, bool]:
        del owner
        changed = self._change_matching("complete_matching_tasks", token, completed, key)
        return changed.count, changed.is_replay

    def remove_matching_once(
        self, token: str, owner: str, key: str, completed: bool
    ) -> tuple[int, bool]:
        del owner
        changed = self._change_matching("delete_matching_tasks", token, completed, key)
        return changed.count, changed.is_replay

    def _change_matching(
        self, name: str, token: str, completed: bool, key: str | None = None
    ) -> MatchingChanged:
        owner_id = self._owner(token)
        query, once = TaskQuery(completed=completed), None
        if key is not None:
            parts = (name.encode(), str(completed).encode())
            once = IdempotentRequest.of(owner_id, IdempotencyKey(key), *parts)
        changed: MatchingChanged = self._do(name, owner_id=owner_id, query=query, once=once)
        return changed

    def create_once(self, token: str, owner: str, key: str, title: str) -> tuple[Fields, bool]:
        del owner
        owner_id = self._owner(token)
        return self._once(
            IdempotentRequest.of(owner_id, IdempotencyKey(key), b"create", title.encode()),
            lambda writes: writes.create_task(owner_id=owner_id, title=title),
        )

    def toggle_once(self, token: str, owner: str, key: str, task_id: int) -> tuple[Fields, bool]:
        del owner
        owner_id = self._owner(token)
        return self._once(
            IdempotentRequest.of(owner_id, IdempotencyKey(key), b"toggle", b"%d" % task_id),
            lambda writes: writes.toggle_completion(owner_id=owner_id, task_id=TaskId(task_id)),
        )

    def _once(
        self, request: IdempotentRequest, write: Callable[[TaskWrites], Task]
    ) -> tuple[Fields, bool]:
        def response(writes: TaskWrites) -> bytes:
            return json.dumps(_fields(write(writes))).encode()

        written = self._do("write_once", request=request, write=response)
        return json.loads(written.response), written.is_replay

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
    repetition = None if task.completed else task.repetition
    return {
        "id": task.id,
        "user_id": str(task.owner_id),
        "title": str(task.title),
        "description": None if task.description is None else str(task.description),
        "completed": task.completed,
        "version": task.version,
        "priority": task.priority.label,
        "due_date": None if task.due_date is None else str(task.due_date),
        "tags": list(map(str, task.tags)),
        "reminders": [shown_reminder(each) for each in task.reminders],
        "recurrence_rule": None if repetition is None else str(repetition.rule),
        "repeat_from": None if repetition is None else str(repetition.repeat_from),
        "next_id": task.next_id,
        "position": str(task.position),
        "parent_id": task.parent_id,
    }


def shown_reminder(reminder: Reminder) -> Fields:
    """Return a reminder as the service returns it."""
    at = None if reminder.at is None else reminder.at.isoformat().replace("+00:00", "Z")
    if reminder.minutes_before is None:
        return {"remind_at": at}
    return {"minutes_before": reminder.minutes_before, "remind_at": at}


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

    def profile(self, token: str) -> tuple[str, str, str, str]:
        profile = self._ask("GET", "/api/auth/me", token)
        return profile["id"], profile["name"], profile["email"], profile["time_zone"]

    def change_profile(self, token: str, changes: Fields) -> None:
        self._ask("PATCH", "/api/auth/me", token, changes)

    def export(self, token: str) -> tuple[str, list[Fields]]:
        export = self._ask("GET", "/api/auth/me/export", token)
        return export["user"]["id"], [_without_times(task) for task in export["tasks"]]

    def delete_account(self, token: str, password: str) -> None:
        self._ask("DELETE", "/api/auth/me", token, {"current_password": password})

    def create(
        self, token: str, owner: str, title: str, description: str | None, details: Fields
    ) -> Fields:
        body = {"title": title, "description": description, **details}
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

    def search(self, token: str, owner: str, text: str, sort: str) -> Sequence[Fields]:
        return self._all_pages(token, owner, {"q": text, "sort": sort})

    def matching(self, token: str, owner: str, query: TaskQuery) -> Sequence[Fields]:
        parameters = {"sort": query.order.value, "order": "desc" if query.descending else "asc"}
        if query.priorities is not None:
            parameters["priority"] = ",".join(each.label for each in query.priorities)
        for name, tags in (("tags", query.tags), ("tags_any", query.any_tags)):
            if tags is not None:
                parameters[name] = ",".join(tag.replace(",", "\\,") for tag in tags)
        for name in ("due_after", "due_before"):
            if (when := getattr(query, name)) is not None:
                parameters[name] = when.isoformat()
        if query.parent_id is not None:
            parameters["parent_id"] = str(query.parent_id)
        elif query.has_parent is not None:
            assert not query.has_parent, "no parameter asks for all subtasks"
            parameters["parent_id"] = "none"
        for name in ("has_due", "overdue", "completed"):
            if (flag := getattr(query, name)) is not None:
                parameters[name] = str(flag).lower()
        return self._all_pages(token, owner, parameters)

    def _all_pages(self, token: str, owner: str, parameters: Mapping[str, str]) -> Sequence[Fields]:
        found = []
        query = {**parameters, "limit": str(PAGE), "count": "true"}
        while True:
            found += self._tasks("GET", token, owner, **query)
            link = self._last.links.get("next")
            if link is None:
                assert self._last.headers["X-Total-Count"] == str(len(found))
                return [_without_times(task) for task in found]
            query["cursor"] = httpx.URL(link["url"]).params["cursor"]

    def stats(self, token: str, owner: str) -> tuple[int, int, int]:
        counts = self._tasks("GET", token, owner, "/stats")
        return counts["total"], counts["completed"], counts["overdue"]

    def tags(self, token: str, owner: str) -> Sequence[tuple[str, int]]:
        return [(tag["name"], tag["count"]) for tag in self._tasks("GET", token, owner, "/tags")]

    def watch(self, token: str, owner: str) -> int:
        ticket = self._tasks("POST", token, owner, "/events/ticket")["ticket"]
        url = f"/api/{owner}/tasks/events?url_user_id={owner}&ticket={ticket}"
        with self._http.stream("GET", url) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    return int(line.removeprefix("id: "))
        raise AssertionError("the stream has ended")

    def get(self, token: str, owner: str, task_id: int) -> Fields:
        return _without_times(self._tasks("GET", token, owner, f"/{task_id}"))

    def edit(self, token: str, owner: str, task_id: int, changes: Fields) -> Fields:
        # Use either PUT or PATCH where both mean the same.
        method = "PATCH" if "completed" in changes or "title" not in changes else "PUT"
        return _without_times(self._tasks(method, token, owner, f"/{task_id}", changes))

    def edit_version(
        self, token: str, owner: str, task_id: int, changes: Fields, version: int
    ) -> Fields:
        with self._header("If-Match", f'"{version}"'):
            return self.edit(token, owner, task_id, changes)

    def remove_version(self, token: str, owner: str, task_id: int, version: int) -> None:
        with self._header("If-Match", f'"{version}"'):
            self.remove(token, owner, task_id)

    @contextmanager
    def _header(self, name: str, value: str) -> Iterator[None]:
        """Send a header with the requests of the block."""
        self._http.headers[name] = value
        try:
            yield
        finally:
            del self._http.headers[name]

    def toggle(self, token: str, owner: str, task_id: int, completed: bool | None) -> Fields:
        body = None if completed is None else {"completed": completed}
        return _without_times(self._tasks("PATCH", token, owner, f"/{task_id}/complete", body))

    def remove(self, token: str, owner: str, task_id: int) -> None:
        self._tasks("DELETE", token, owner, f"/{task_id}")

    def remove_permanently(self, token: str, owner: str, task_id: int) -> None:
        self._tasks("DELETE", token, owner, f"/{task_id}", permanent="true")

    def move(self, token: str, owner: str, task_id: int, place: Fields) -> Fields:
        return _without_times(self._tasks("POST", token, owner, f"/{task_id}/move", place))

    def reorder(self, token: str, owner: str, task_ids: Sequence[int]) -> Sequence[Fields]:
        answer = self._tasks("PATCH", token, owner, "/reorder", {"task_ids": task_ids})
        return [_without_times(task) for task in answer]

    def restore(self, token: str, owner: str, task_id: int) -> Fields:
        return _without_times(self._tasks("POST", token, owner, f"/{task_id}/restore"))

    def trash(self, token: str, owner: str) -> Sequence[Fields]:
        return [_without_times(each) for each in self._tasks("GET", token, owner, deleted="true")]

    def changes(
        self, token: str, owner: str, since: str | None
    ) -> tuple[Sequence[tuple[int, Fields | None]], str, bool]:
        query = {"limit": str(PAGE)} | ({} if since is None else {"since": since})
        answer = self._tasks("GET", token, owner, "/changes", **query)
        changes = [
            (each["id"], None if each.get("deleted") else _without_times(each["task"]))
            for each in answer["changes"]
        ]
        return changes, answer["next"], answer["more"]

    def bulk(self, token: str, owner: str, operations: Sequence[Fields]) -> Sequence[Any]:
        answer = self._tasks("POST", token, owner, "/bulk", {"operations": operations})
        return [
            _without_times(each["task"]) if "task" in each else each["deleted"]
            for each in answer["results"]
        ]

    def complete_matching(self, token: str, owner: str, completed: bool) -> int:
        query = {"completed": str(completed).lower()}
        return int(self._tasks("POST", token, owner, "/complete", **query)["completed"])

    def remove_matching(self, token: str, owner: str, completed: bool) -> int:
        query = {"completed": str(completed).lower()}
        return int(self._tasks("DELETE", token, owner, **query)["deleted"])

    def complete_matching_once(
        self, token: str, owner: str, key: str, completed: bool
    ) -> tuple[int, bool]:
        with self._header("Idempotency-Key", key):
            return self.complete_matching(token, owner, completed), self._is_replay()

    def remove_matching_once(
        self, token: str, owner: str, key: str, completed: bool
    ) -> tuple[int, bool]:
        with self._header("Idempotency-Key", key):
            return self.remove_matching(token, owner, completed), self._is_replay()

    def create_once(self, token: str, owner: str, key: str, title: str) -> tuple[Fields, bool]:
        with self._header("Idempotency-Key", key):
            return self.create(token, owner, title, None, {}), self._is_replay()

    def toggle_once(self, token: str, owner: str, key: str, task_id: int) -> tuple[Fields, bool]:
        with self._header("Idempotency-Key", key):
            return self.toggle(token, owner, task_id, None), self._is_replay()

    def _is_replay(self) -> bool:
        return "idempotent-replayed" in self._last.headers


def _tokens(answer: Fields) -> Tokens:
    return Tokens(answer["access_token"], answer["refresh_token"])


def _without_times(task: Fields) -> Fields:
    """Return the task without times, and without what is told twice."""
    assert task["status"] == ("completed" if task["completed"] else "pending")
    assert (task["completed_at"] is not None) == task["completed"]
    told_twice = {"status", "recurrence_pattern", "recurrence_interval"}
    return {
        name: value
        for name, value in task.items()
        if not name.endswith("_at") and name not in told_twice
    }
