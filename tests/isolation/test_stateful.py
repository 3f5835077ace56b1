"""Users see and change only their own data, whatever they do and in whatever order.

One set of rules, with a model of who owns what, runs on four targets. The rules choose users,
sessions and tasks from all that ever existed, including those of other users, deleted accounts,
revoked sessions, and ids that never existed.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.isolation.targets import (
    EVERYDAY_OPERATIONS,
    PROOF_OPERATIONS,
    Fields,
    Http,
    Refused,
    Target,
    Tokens,
    UseCases,
    shown_reminder,
)
from tests.support.proof import note
from tests.support.servers import RunningServer
from todo_api.container import Container
from todo_core.entities.due_date import DueDate
from todo_core.entities.priority import Priority
from todo_core.entities.rank import Rank
from todo_core.entities.reminders import Reminders
from todo_core.entities.task import Task
from todo_core.entities.task_query import Position, TaskOrder, TaskQuery
from todo_core.entities.text import fold
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import UserId

USERS = 5
STEPS = 40
CALLS_IN_AN_EXAMPLE = 100

NO_SHRINKING = "HYPOTHESIS_NO_SHRINKING"
"""The environment variable that skips the search for a smaller failing example."""

_NOW = datetime.now(UTC)  # that of the service is as far from the due dates
_emails = count(1)
_new_ids = count(1)
_run = uuid4().hex[:12]

numbers = st.integers(0, 10**6)
"""Numbers by which a rule chooses among the users, sessions or tasks that exist by then."""

titles = st.sampled_from(["Buy milk", "x", "ß 漢字 🎉", "' OR 1=1 --", "a" * 200])
descriptions = st.sampled_from([None, "Two litres", "%_\\", "line\nline", "b" * 1000])
due_dates = st.sampled_from(
    [None, "2000-01-01", "2999-12-31", "2000-01-01T16:00:00Z", "2000-01-01T12:00"]
)
FAR = "2999-12-31"
"""When tasks that repeat are due, so that the next date does not depend on now."""
tags = st.sampled_from([[], ["Home"], ["home", "a,b"], ["SHOP"], ["shop", "漢字", "Home"]])
reminders = st.sampled_from(
    [None, [{"remind_at": "2999-01-01T08:00:00Z"}], [{"remind_at": "2999-01-01T08:00"}]]
)
details = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.sampled_from([each.label for each in Priority]),
        "due_date": due_dates,
        "tags": tags,
        "reminders": reminders,
        "recurrence_rule": st.sampled_from(["daily", "FREQ=DAILY", None]),
    },
)
time_zones = st.sampled_from(["UTC", "Pacific/Kiritimati", "Pacific/Niue"])
"""Zones in which a day ends at quite different moments."""

queries = st.sampled_from(
    [
        TaskQuery(priorities=frozenset({Priority.HIGH, Priority.NONE})),
        TaskQuery(tags=frozenset({"home"})),
        TaskQuery(any_tags=frozenset({"shop", "a,b"}), completed=False),
        TaskQuery(due_after=datetime(2000, 1, 1, 23, tzinfo=UTC), order=TaskOrder.DUE_DATE),
        TaskQuery(due_before=date(2000, 1, 2), descending=False),
        TaskQuery(due_after=date(2000, 1, 1), due_before=datetime(2000, 1, 2, tzinfo=UTC)),
        TaskQuery(has_due=False),
        TaskQuery(has_due=True, order=TaskOrder.PRIORITY),
        TaskQuery(overdue=True, order=TaskOrder.DUE_DATE, descending=False),
        TaskQuery(overdue=False),
        *(
            TaskQuery(order=order, descending=descending)
            for order in (TaskOrder.DUE_DATE, TaskOrder.PRIORITY, TaskOrder.POSITION)
            for descending in (True, False)
        ),
        TaskQuery(order=TaskOrder.COMPLETED_AT),
        TaskQuery(order=TaskOrder.POSITION, completed=False, descending=False),
    ]
)
IN_ORDER = TaskQuery(order=TaskOrder.POSITION, descending=False)
KINDS = ("create", "update", "complete", "reopen", "delete")
keys = st.sampled_from(["a-key", "b-key"])
missing_ids = st.sampled_from([1, 2, 2**31, 2**53 - 1, 2**53, 2**63 - 1])


@dataclass
class Session:
    """A session of the model, and the tokens that its user has."""

    tokens: Tokens
    id: str
    used_refresh_tokens: list[str] = field(default_factory=list)
    revoked: bool = False


@dataclass
class ModelUser:
    """A user of the model."""

    id: str
    email: str
    password: str
    name: str = "User"
    zone: str = "UTC"
    deleted: bool = False
    sessions: list[Session] = field(default_factory=list)
    tasks: dict[int, Fields] = field(default_factory=dict)
    kept: dict[str, tuple[tuple[str, Any], Fields]] = field(default_factory=dict)
    writes: int = 0
    trash: dict[int, Fields] = field(default_factory=dict)
    replica: dict[int, Fields] = field(default_factory=dict)
    synced: str | None = None
    repeating: set[int] = field(default_factory=set)
    """The tasks that repeat when they are completed, or would if they were reopened."""

    def live_sessions(self) -> list[Session]:
        return [session for session in self.sessions if not session.revoked]

    def canonical(self, changes: Fields) -> Fields:
        """Return fields of a task as the service returns them."""
        fields = dict(changes)
        if "due_date" in changes:
            due_date = DueDate.or_none(changes["due_date"], TimeZone(self.zone))
            fields["due_date"] = None if due_date is None else str(due_date)
        if "reminders" in changes:
            parsed = Reminders.parse(changes["reminders"], TimeZone(self.zone))
            fields["reminders"] = [shown_reminder(each) for each in parsed]
        if "recurrence_rule" in changes:
            fields |= shown_repetition(changes["recurrence_rule"] is not None)
        return fields

    def with_far_date(self, changes: Fields, task_id: int | None = None) -> Fields:
        """Return the changes with a due date far ahead, if the task repeats after them."""
        is_repeating = changes.get("recurrence_rule", task_id in self.repeating or None) is not None
        return changes | {"due_date": FAR} if is_repeating and changes else changes

    def change(self, task_id: int, changes: Fields) -> Fields:
        """Change a task of the model, and return what it is then.

        A new successor gets a negative id, until `settle` learns the one that the service chose.
        """
        before = self.tasks[task_id]
        was_repeating = task_id in self.repeating
        is_repeating = changes.get("recurrence_rule", was_repeating or None) is not None
        after = before | self.canonical(changes)
        successor_id = None
        if after["completed"] and not before["completed"]:
            if is_repeating:
                successor_id = after["next_id"] = -next(_new_ids)
        elif before["completed"] and not after["completed"] and before["next_id"] is not None:
            after["next_id"] = None
            successor = self.tasks.get(before["next_id"])
            if successor is not None and successor["version"] == 1:
                del self.tasks[successor["id"]]
                self.writes += 1
            elif successor is not None:
                is_repeating = False
        after |= shown_repetition(is_repeating and not after["completed"])
        has_changed = after != before or is_repeating != was_repeating
        after["version"] += has_changed
        self.writes += has_changed
        self.tasks[task_id] = after
        (self.repeating.add if is_repeating else self.repeating.discard)(task_id)
        if successor_id is not None:
            due_date = DueDate.parse(after["due_date"], TimeZone(self.zone))
            following = due_date.day and due_date.day + timedelta(days=1)
            self.tasks[successor_id] = (
                after
                | {"id": successor_id, "version": 1, "completed": False, "next_id": None}
                | {"due_date": str(following), "reminders": []}
                | shown_repetition(True)
            )
            self.repeating.add(successor_id)
            self.writes += 1
        return after

    def matching(self, query: TaskQuery) -> dict[int, Fields]:
        """Return the user's tasks that match a query."""
        located = replace(query.in_zone(TimeZone(self.zone)), now=_NOW)
        return {id: task for id, task in self.tasks.items() if located.includes(self.task_of(task))}

    def task_of(self, task: Fields) -> Task:
        """Return the task of these fields."""
        fields = {
            name: task[name] for name in ("title", "description", "priority", "due_date", "tags")
        }
        made = Task.create(
            id=task["id"],
            owner_id=UserId(UUID(self.id)),
            now=_NOW,
            zone=TimeZone(self.zone),
            **fields,
        )
        placed = made.moved(Rank(task["position"]), now=_NOW)
        return placed.with_completion(task["completed"], now=_NOW)

    def stats(self) -> tuple[int, int, int]:
        """Return how many tasks the user has, and how many are completed and overdue."""
        completed = sum(task["completed"] for task in self.tasks.values())
        return len(self.tasks), completed, len(self.matching(TaskQuery(overdue=True)))

    def in_order(self) -> list[int]:
        """Return the ids of the user's tasks in the order of their positions."""
        return sorted(self.tasks, key=lambda each: (self.tasks[each]["position"], each))

    @property
    def token(self) -> str:
        """An access token of a session that is not revoked."""
        return self.live_sessions()[0].tokens.access


def shown_repetition(is_repeating: bool) -> Fields:
    """Return how the service shows whether a task repeats."""
    if is_repeating:
        return {"recurrence_rule": "FREQ=DAILY", "repeat_from": "due"}
    return {"recurrence_rule": None, "repeat_from": None}


class Isolation(RuleBasedStateMachine):
    """The rules and the model. A subclass sets the target."""

    target: ClassVar[Target]

    def __init__(self) -> None:
        super().__init__()
        self.users: list[ModelUser] = []
        self.tasks_ever: list[tuple[ModelUser, int]] = []
        self.turn = 0

    # Choosing

    def draw_session(self, number: int) -> tuple[ModelUser, Session]:
        """Return any session of any user, including deleted users."""
        everything = [(user, session) for user in self.users for session in user.sessions]
        return everything[number % len(everything)]

    def draw_task(self, user: ModelUser, number: int, missing_id: int) -> int:
        """Return a task of the user half of the time; else any earlier id, or one of no task."""
        if number % 2 and user.tasks:
            own = [*user.tasks]
            return own[number // 2 % len(own)]
        if not self.tasks_ever or number % 7 == 0:
            return missing_id
        return self.tasks_ever[number % len(self.tasks_ever)][1]

    def draw_owner(self, caller: ModelUser, number: int) -> str:
        """Return the owner that the URL names: mostly the caller, and always in use cases."""
        if isinstance(self.target, UseCases) or number % 3:
            return caller.id
        others = [*(user.id for user in self.users), str(uuid4())]
        return others[number % len(others)]

    # Checking

    def require_refusal(self, code: str, call: Callable[..., object], *arguments: object) -> None:
        with pytest.raises(Refused) as refusal:
            call(*arguments)
        assert refusal.value.code == code

    def on_task[Response](
        self,
        drawn: tuple[int, int, int, int],
        call: Callable[[str, str, int], Response],
    ) -> tuple[ModelUser, int, Response] | None:
        """Call an operation on a task, and return the outcome if it was allowed, else None."""
        session_number, task_number, missing_id, owner_number = drawn
        user, session = self.draw_session(session_number)
        task_id = self.draw_task(user, task_number, missing_id)
        owner = self.draw_owner(user, owner_number)
        if session.revoked:
            self.require_refusal("invalid_token", call, session.tokens.access, owner, task_id)
        elif owner != user.id or task_id not in user.tasks:
            self.require_refusal("task_not_found", call, session.tokens.access, owner, task_id)
        else:
            return user, task_id, call(session.tokens.access, owner, task_id)
        return None

    # Users

    @initialize()
    def register_users(self) -> None:
        for number in range(USERS):
            self.register_user()
            user = self.users[number]
            for title in ("The first", "The second"):
                self.remember_task(user, self.target.create(user.token, user.id, title, None, {}))

    def register_user(self) -> None:
        email = f"{_run}.{next(_emails)}@example.com"
        user = ModelUser(self.target.register(email, "a first password"), email, "a first password")
        self.users.append(user)
        self.begin_session(user)

    def begin_session(self, user: ModelUser) -> None:
        before = {session.id for session in user.live_sessions()}
        tokens = self.target.log_in(user.email, user.password)
        [session_id] = self.target.sessions(tokens.access) - before
        user.sessions.append(Session(tokens, session_id))

    @rule(number=numbers)
    def log_in(self, number: int) -> None:
        user = self.users[number % len(self.users)]
        if user.deleted:
            self.require_refusal(
                "invalid_credentials", self.target.log_in, user.email, user.password
            )
        elif len(user.live_sessions()) < 4:
            self.begin_session(user)

    @rule(number=numbers, other=numbers)
    def log_in_with_a_wrong_password(self, number: int, other: int) -> None:
        user = self.users[number % len(self.users)]
        wrong = f"{self.users[other % len(self.users)].password} perhaps"
        self.require_refusal("invalid_credentials", self.target.log_in, user.email, wrong)

    @rule(number=numbers)
    def register_a_taken_email(self, number: int) -> None:
        user = self.users[number % len(self.users)]
        if not user.deleted:
            email = user.email.upper()
            self.require_refusal("email_taken", self.target.register, email, "another password")

    @rule(number=numbers)
    def refresh(self, number: int) -> None:
        _, session = self.draw_session(number)
        if session.revoked:
            token = session.tokens.refresh
            self.require_refusal("invalid_refresh_token", self.target.refresh, token)
            return
        session.used_refresh_tokens.append(session.tokens.refresh)
        session.tokens = self.target.refresh(session.tokens.refresh)

    @rule(number=numbers)
    def reuse_an_old_refresh_token(self, number: int) -> None:
        user, session = self.draw_session(number)
        if len(session.used_refresh_tokens) >= 2:
            self.require_refusal(
                "invalid_refresh_token", self.target.refresh, session.used_refresh_tokens[-2]
            )
            session.revoked = True
            if not user.deleted and not user.live_sessions():
                self.begin_session(user)

    @rule(number=numbers)
    def log_out(self, number: int) -> None:
        user, session = self.draw_session(number)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.log_out, session.tokens.access)
        elif len(user.live_sessions()) > 1:
            self.target.log_out(session.tokens.access)
            session.revoked = True

    @rule(number=numbers, other=numbers)
    def revoke_a_session(self, number: int, other: int) -> None:
        user, session = self.draw_session(number)
        owner, other_session = self.draw_session(other)
        arguments = (session.tokens.access, other_session.id)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.revoke_session, *arguments)
        elif owner is not user or other_session.revoked:
            self.require_refusal("session_not_found", self.target.revoke_session, *arguments)
        else:
            self.target.revoke_session(*arguments)
            other_session.revoked = True
            if not user.live_sessions():
                self.begin_session(user)

    @rule(number=numbers)
    def revoke_other_sessions(self, number: int) -> None:
        user, session = self.draw_session(number)
        if session.revoked:
            self.require_refusal(
                "invalid_token", self.target.revoke_other_sessions, session.tokens.access
            )
            return
        self.target.revoke_other_sessions(session.tokens.access)
        for other in user.live_sessions():
            other.revoked = other is not session

    @rule(number=numbers, other=numbers)
    def change_password(self, number: int, other: int) -> None:
        user, session = self.draw_session(number)
        new = f"password number {other}"
        arguments = (session.tokens.access, user.password, new)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.change_password, *arguments)
            return
        wrong = (session.tokens.access, "not " + user.password, new)
        self.require_refusal("validation_failed", self.target.change_password, *wrong)
        self.target.change_password(*arguments)
        user.password = new
        for each in user.live_sessions():
            each.revoked = each is not session

    @rule(number=numbers, name=st.sampled_from(["Ada", "Bob", "User"]))
    def change_name(self, number: int, name: str) -> None:
        user, session = self.draw_session(number)
        changes = {"name": name}
        if session.revoked:
            self.require_refusal(
                "invalid_token", self.target.change_profile, session.tokens.access, changes
            )
            return
        self.target.change_profile(session.tokens.access, changes)
        user.name = name

    @rule(number=numbers, zone=time_zones)
    def change_time_zone(self, number: int, zone: str) -> None:
        user, session = self.draw_session(number)
        arguments = (session.tokens.access, {"time_zone": zone})
        if session.revoked:
            self.require_refusal("invalid_token", self.target.change_profile, *arguments)
            return
        self.target.change_profile(*arguments)
        user.writes += zone != user.zone and user.writes > 0
        user.zone = zone

    @rule(number=numbers, other=numbers)
    def change_email(self, number: int, other: int) -> None:
        user, session = self.draw_session(number)
        owner = self.users[other % len(self.users)]
        if session.revoked:
            return
        taken = owner is not user and not owner.deleted
        email = owner.email.upper() if taken else f"{_run}.{next(_emails)}@example.com"
        changes = {"email": email, "current_password": user.password}
        if taken:
            token = session.tokens.access
            self.require_refusal("email_taken", self.target.change_profile, token, changes)
        else:
            self.target.change_profile(session.tokens.access, changes)
            user.email = email

    @rule(number=numbers)
    def read_the_account(self, number: int) -> None:
        user, session = self.draw_session(number)
        token = session.tokens.access
        if session.revoked:
            self.require_refusal("invalid_token", self.target.profile, token)
            self.require_refusal("invalid_token", self.target.sessions, token)
            self.require_refusal("invalid_token", self.target.export, token)
            return
        assert self.target.profile(token) == (user.id, user.name, user.email, user.zone)
        assert self.target.sessions(token) == {each.id for each in user.live_sessions()}
        exported, tasks = self.target.export(token)
        assert exported == user.id
        assert by_id(tasks) == user.tasks

    @rule(number=numbers, wrong=st.booleans())
    def delete_the_account(self, number: int, wrong: bool) -> None:
        user, session = self.draw_session(number)
        token = session.tokens.access
        if session.revoked:
            self.require_refusal("invalid_token", self.target.delete_account, token, user.password)
        elif wrong:
            self.require_refusal(
                "validation_failed", self.target.delete_account, token, "a wrong one"
            )
        elif number % 3 == 0:
            self.target.delete_account(token, user.password)
            user.deleted = True
            user.tasks = {}
            for each in user.sessions:
                each.revoked = True
            self.register_user()

    # Tasks

    def remember_task(self, user: ModelUser, task: Fields) -> None:
        user.tasks[task["id"]] = task
        user.writes += 1
        self.tasks_ever.append((user, task["id"]))
        if task["recurrence_rule"] is not None:
            user.repeating.add(task["id"])

    def settle(self, user: ModelUser, expected: Fields, task: Fields) -> None:
        """Require that a changed task is as expected, and learn the id of a new successor."""
        placeholder, next_id = expected["next_id"], task["next_id"]
        if placeholder is None or placeholder > 0:
            assert task == expected
            return
        assert task == expected | {"next_id": next_id}
        assert next_id not in {None, *(known for _, known in self.tasks_ever)}
        self.tasks_ever.append((user, next_id))
        for each in (*user.tasks.values(), *user.trash.values()):
            if each["next_id"] == placeholder:
                each["next_id"] = next_id
        successor = user.tasks.pop(placeholder, None)
        user.repeating.discard(placeholder)
        if successor is not None:
            found = self.target.get(user.token, user.id, next_id)
            place = {name: found[name] for name in ("id", "position") if name in found}
            assert found == successor | place
            assert found["id"] == next_id
            user.tasks[next_id] = found
            user.repeating.add(next_id)

    @rule(
        number=numbers,
        owner_number=numbers,
        title=titles,
        description=descriptions,
        details=details,
    )
    def create(
        self,
        number: int,
        owner_number: int,
        title: str,
        description: str | None,
        details: Fields,
    ) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        details = user.with_far_date(details)
        arguments = (session.tokens.access, owner, title, description, details)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.create, *arguments)
        elif owner != user.id:
            self.require_refusal("task_not_found", self.target.create, *arguments)
        else:
            task = self.target.create(*arguments)
            expected = {"user_id": user.id, "title": title, "description": description}
            defaults: Fields = {"priority": "medium", "due_date": None, "tags": [], "reminders": []}
            defaults |= {"next_id": None, **shown_repetition(False)}
            assert task == task | expected | defaults | user.canonical(details)
            assert (task["completed"], task["version"]) == (False, 1)
            assert task["id"] not in {known for _, known in self.tasks_ever}
            self.remember_task(user, task)

    @rule(number=numbers, owner_number=numbers, key=keys, title=titles)
    def create_once(self, number: int, owner_number: int, key: str, title: str) -> None:
        user, session = self.draw_session(number)
        arguments = (session.tokens.access, self.draw_owner(user, owner_number), key, title)
        if self.is_answered_before(
            user, session, ("create", title), self.target.create_once, arguments
        ):
            return
        task, is_replay = self.target.create_once(*arguments)
        assert not is_replay
        assert (task["user_id"], task["title"], task["version"]) == (user.id, title, 1)
        assert task["id"] not in {known for _, known in self.tasks_ever}
        self.remember_task(user, task)
        user.kept[key] = ("create", title), task

    @rule(drawn=st.tuples(numbers, numbers, missing_ids, numbers), key=keys)
    def toggle_once(self, drawn: tuple[int, int, int, int], key: str) -> None:
        session_number, task_number, missing_id, owner_number = drawn
        user, session = self.draw_session(session_number)
        task_id = self.draw_task(user, task_number, missing_id)
        arguments = (session.tokens.access, self.draw_owner(user, owner_number), key, task_id)
        call = self.target.toggle_once
        if self.is_answered_before(user, session, ("toggle", task_id), call, arguments):
            return
        if task_id not in user.tasks:
            self.require_refusal("task_not_found", call, *arguments)
            return
        task, is_replay = call(*arguments)
        assert not is_replay
        completed = not user.tasks[task_id]["completed"]
        self.settle(user, user.change(task_id, {"completed": completed}), task)
        user.kept[key] = ("toggle", task_id), task

    @rule(number=numbers, key=keys)
    def send_again(self, number: int, key: str) -> None:
        user, session = self.draw_session(number)
        if key in user.kept and not session.revoked:
            (kind, value), task = user.kept[key]
            call = self.target.create_once if kind == "create" else self.target.toggle_once
            assert call(session.tokens.access, user.id, key, value) == (task, True)

    def is_answered_before(
        self,
        user: ModelUser,
        session: Session,
        request: tuple[str, Any],
        call: Callable[..., tuple[Fields, bool]],
        arguments: tuple[Any, ...],
    ) -> bool:
        """Return whether a request with a key is refused or a replay, and check that it is."""
        _, owner, key, _ = arguments
        if session.revoked:
            self.require_refusal("invalid_token", call, *arguments)
        elif owner != user.id:
            self.require_refusal("task_not_found", call, *arguments)
        elif key not in user.kept:
            return False
        elif user.kept[key][0] != request:
            self.require_refusal("idempotency_key_reused", call, *arguments)
        else:
            assert call(*arguments) == (user.kept[key][1], True)
        return True

    @rule(number=numbers, owner_number=numbers, completed=st.sampled_from([None, True, False]))
    def list(self, number: int, owner_number: int, completed: bool | None) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        arguments = (session.tokens.access, owner, completed)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.list, *arguments)
        elif owner != user.id:
            self.require_refusal("task_not_found", self.target.list, *arguments)
        else:
            assert by_id(self.target.list(*arguments)) == {
                id: task
                for id, task in user.tasks.items()
                if completed in (None, task["completed"])
            }

    @rule(
        number=numbers,
        owner_number=numbers,
        text=st.sampled_from(["I", "ss", "%", "漢", "a"]),
        sort=st.sampled_from(["title", "created_at"]),
    )
    def search(self, number: int, owner_number: int, text: str, sort: str) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        arguments = (session.tokens.access, owner, text, sort)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.search, *arguments)
        elif owner != user.id:
            self.require_refusal("task_not_found", self.target.search, *arguments)
        else:
            found = self.target.search(*arguments)
            assert by_id(list(found)) == {
                id: task
                for id, task in user.tasks.items()
                if any(fold(text) in fold(task[name] or "") for name in ("title", "description"))
            }
            if sort == "title":
                places = [(fold(task["title"]), task["id"]) for task in found]
                assert places == sorted(places)

    @rule(drawn=st.tuples(numbers, numbers, missing_ids, numbers))
    def get(self, drawn: tuple[int, int, int, int]) -> None:
        if done := self.on_task(drawn, self.target.get):
            user, task_id, task = done
            assert task == user.tasks[task_id]

    @rule(
        drawn=st.tuples(numbers, numbers, missing_ids, numbers),
        changes=st.fixed_dictionaries(
            {},
            optional={"title": titles, "description": descriptions, "completed": st.booleans()},
        ),
        details=details,
    )
    def edit(self, drawn: tuple[int, int, int, int], changes: Fields, details: Fields) -> None:
        changes |= details

        def edit(token: str, owner: str, task_id: int) -> tuple[Fields, Fields]:
            theirs = (each for each in self.users if task_id in each.tasks)
            owned = next(theirs, None)
            far = owned.with_far_date(changes, task_id) if owned else changes
            return self.target.edit(token, owner, task_id, far), far

        if done := self.on_task(drawn, edit):
            user, task_id, (task, changed) = done
            self.settle(user, user.change(task_id, changed), task)

    def version_of(self, task_id: int) -> int:
        """Return the version of a task of any user, or 1 if there is none with this id."""
        known = (user.tasks[task_id] for user in self.users if task_id in user.tasks)
        return int(next((task["version"] for task in known), 1))

    def unless_stale[Response](
        self, call: Callable[[str, str, int, int], Response], difference: int
    ) -> Callable[[str, str, int], Response | None]:
        """Return the call for a version that differs by so many; it returns None if it is stale."""

        def call_for_version(token: str, owner: str, task_id: int) -> Response | None:
            try:
                return call(token, owner, task_id, self.version_of(task_id) + difference)
            except Refused as refusal:
                if refusal.code != "stale_version":
                    raise
                return None

        return call_for_version

    @rule(
        drawn=st.tuples(numbers, numbers, missing_ids, numbers),
        title=titles,
        difference=st.sampled_from([0, 0, -1, 1]),
    )
    def edit_a_version(self, drawn: tuple[int, int, int, int], title: str, difference: int) -> None:
        def edit(token: str, owner: str, task_id: int, version: int) -> Fields:
            return self.target.edit_version(token, owner, task_id, {"title": title}, version)

        if done := self.on_task(drawn, self.unless_stale(edit, difference)):
            user, task_id, task = done
            before = user.tasks[task_id]
            assert (task is None) == (difference != 0)
            if task is not None:
                grown = task["title"] != before["title"]
                assert task == before | {"title": title, "version": before["version"] + grown}
                user.tasks[task_id] = task
                user.writes += grown

    @rule(drawn=st.tuples(numbers, numbers, missing_ids, numbers), difference=st.integers(0, 9))
    def remove_a_version(self, drawn: tuple[int, int, int, int], difference: int) -> None:
        def remove(token: str, owner: str, task_id: int, version: int) -> bool:
            self.target.remove_version(token, owner, task_id, version)
            return True

        if done := self.on_task(drawn, self.unless_stale(remove, difference)):
            user, task_id, removed = done
            assert (removed is True) == (difference == 0)
            if removed:
                user.trash[task_id] = user.tasks.pop(task_id)
                user.writes += 1

    @rule(
        drawn=st.tuples(numbers, numbers, missing_ids, numbers),
        completed=st.sampled_from([None, True, False]),
    )
    def toggle(self, drawn: tuple[int, int, int, int], completed: bool | None) -> None:
        if done := self.on_task(
            drawn, lambda token, owner, task: self.target.toggle(token, owner, task, completed)
        ):
            user, task_id, task = done
            wanted = not user.tasks[task_id]["completed"] if completed is None else completed
            self.settle(user, user.change(task_id, {"completed": wanted}), task)

    @rule(
        drawn=st.tuples(numbers, numbers, missing_ids, numbers),
        place=st.sampled_from(["before", "after"]),
        other_number=numbers,
    )
    def move(self, drawn: tuple[int, int, int, int], place: str, other_number: int) -> None:
        session_number, task_number, missing_id, owner_number = drawn
        user, session = self.draw_session(session_number)
        task_id = self.draw_task(user, task_number, missing_id)
        other = self.draw_task(user, other_number, missing_id)
        owner = self.draw_owner(user, owner_number)
        arguments = (session.tokens.access, owner, task_id, place, other)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.move, *arguments)
        elif owner != user.id or not {task_id, other} <= user.tasks.keys():
            self.require_refusal("task_not_found", self.target.move, *arguments)
        else:
            expected = user.in_order()
            if task_id != other:
                expected.remove(task_id)
                expected.insert(expected.index(other) + (place == "after"), task_id)
            self.require_placed(user, session, [self.target.move(*arguments)], expected)

    @rule(
        number=numbers,
        owner_number=numbers,
        drawn=st.lists(st.tuples(numbers, missing_ids), min_size=1, max_size=4),
    )
    def reorder(self, number: int, owner_number: int, drawn: Sequence[tuple[int, int]]) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        task_ids = [self.draw_task(user, *each) for each in drawn]
        arguments = (session.tokens.access, owner, task_ids)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.reorder, *arguments)
        elif owner != user.id:
            self.require_refusal("task_not_found", self.target.reorder, *arguments)
        elif len({*task_ids}) < len(task_ids):
            self.require_refusal("validation_failed", self.target.reorder, *arguments)
        elif not user.tasks.keys() >= {*task_ids}:
            self.require_refusal("task_not_found", self.target.reorder, *arguments)
        else:
            following = iter(task_ids)
            expected = [next(following) if id in task_ids else id for id in user.in_order()]
            tasks = self.target.reorder(*arguments)
            assert [task["id"] for task in tasks] == task_ids
            self.require_placed(user, session, tasks, expected)

    def require_placed(
        self, user: ModelUser, session: Session, tasks: Sequence[Fields], expected: Sequence[int]
    ) -> None:
        """Check that only the places of these tasks have changed, and give this order."""
        for task in tasks:
            before = user.tasks[task["id"]]
            grown = task["position"] != before["position"]
            changes = {"position": task["position"], "version": before["version"] + grown}
            assert task == before | changes
            user.tasks[task["id"]] = task
            user.writes += grown
        assert user.in_order() == expected
        found = self.target.matching(session.tokens.access, user.id, IN_ORDER)
        assert list(found) == [user.tasks[id] for id in expected]

    @rule(
        number=numbers,
        owner_number=numbers,
        drawn=st.lists(
            st.tuples(st.sampled_from(KINDS), numbers, missing_ids), min_size=1, max_size=4
        ),
        title=titles,
        details=details,
    )
    def change_several(
        self,
        number: int,
        owner_number: int,
        drawn: Sequence[tuple[str, int, int]],
        title: str,
        details: Fields,
    ) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        after = deepcopy(user)
        expected: list[Any] = []
        operations: list[Fields] = []
        is_foreign = False
        for kind, task_number, missing_id in drawn:
            task_id = self.draw_task(user, task_number, missing_id)
            named = None if kind == "create" else task_id
            fields: Fields = {}
            if kind in {"create", "update"}:
                fields = after.with_far_date({"title": title, **details}, named)
            elif kind == "reopen":
                fields = {"completed": False}
            operations.append(
                {
                    "complete" if kind == "reopen" else kind: fields
                    | ({} if named is None else {"id": task_id})
                }
            )
            if kind == "create":
                created = {"title": title, "version": 1, "user_id": user.id}
                expected.append(created | user.canonical(fields))
            elif task_id not in after.tasks:
                is_foreign = True
            elif kind == "delete":
                after.trash[task_id] = after.tasks.pop(task_id)
                after.writes += 1
                expected.append(task_id)
            else:
                expected.append(dict(after.change(task_id, fields or {"completed": True})))
        arguments = (session.tokens.access, owner, operations)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.bulk, *arguments)
        elif owner != user.id or is_foreign:
            self.require_refusal("task_not_found", self.target.bulk, *arguments)
        else:
            outcomes = self.target.bulk(*arguments)
            for name in ("tasks", "trash", "repeating", "writes"):
                setattr(user, name, getattr(after, name))
            for operation, outcome, each in zip(operations, outcomes, expected, strict=True):
                if "create" in operation:
                    assert outcome == outcome | each
                    self.remember_task(user, outcome)
                elif isinstance(each, int):
                    assert outcome == each
                else:
                    self.settle(user, each, outcome)

    @rule(number=numbers, owner_number=numbers, completed=st.booleans(), deletes=st.booleans())
    def change_those_that_a_filter_chooses(
        self, number: int, owner_number: int, completed: bool, deletes: bool
    ) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        call = self.target.remove_matching if deletes else self.target.complete_matching
        arguments = (session.tokens.access, owner, completed)
        chosen = [task for task in user.tasks.values() if task["completed"] == completed]
        if session.revoked:
            self.require_refusal("invalid_token", call, *arguments)
        elif owner != user.id:
            self.require_refusal("task_not_found", call, *arguments)
        elif deletes:
            assert call(*arguments) == len(chosen)
            for task in chosen:
                user.trash[task["id"]] = user.tasks.pop(task["id"])
            user.writes += len(chosen)
        else:
            changed = [] if completed else chosen
            assert call(*arguments) == len(changed)
            for task in changed:
                expected = user.change(task["id"], {"completed": True})
                self.settle(user, expected, self.target.get(user.token, user.id, task["id"]))

    @rule(number=numbers, owner_number=numbers)
    def count(self, number: int, owner_number: int) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        arguments = (session.tokens.access, owner)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.stats, *arguments)
        elif owner != user.id:
            self.require_refusal("task_not_found", self.target.stats, *arguments)
        else:
            assert self.target.stats(*arguments) == user.stats()

    @rule(number=numbers, owner_number=numbers)
    def list_tags(self, number: int, owner_number: int) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        arguments = (session.tokens.access, owner)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.tags, *arguments)
        elif owner != user.id:
            self.require_refusal("task_not_found", self.target.tags, *arguments)
        else:
            used = [tag for task in user.tasks.values() for tag in task["tags"]]
            spellings = {
                tag.lower(): [each for each in used if each.lower() == tag.lower()] for tag in used
            }
            assert list(self.target.tags(*arguments)) == [
                (min(each), len(each))
                for _, each in sorted(spellings.items(), key=lambda each: (-len(each[1]), each[0]))
            ]

    @rule(number=numbers, owner_number=numbers, query=queries)
    def list_by_details(self, number: int, owner_number: int, query: TaskQuery) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        arguments = (session.tokens.access, owner, query)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.matching, *arguments)
        elif owner != user.id:
            self.require_refusal("task_not_found", self.target.matching, *arguments)
        else:
            found = list(self.target.matching(*arguments))
            assert by_id(found) == user.matching(query)
            if query.order in {TaskOrder.DUE_DATE, TaskOrder.PRIORITY, TaskOrder.POSITION}:
                places = [
                    Position.of(user.task_of(task), query.order, revision=0).sort_key(
                        descending=query.descending
                    )
                    for task in found
                ]
                assert places == sorted(places, reverse=query.descending)

    @rule(number=numbers, owner_number=numbers)
    def watch(self, number: int, owner_number: int) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        arguments = (session.tokens.access, owner)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.watch, *arguments)
        elif owner != user.id:
            self.require_refusal("task_not_found", self.target.watch, *arguments)
        else:
            assert self.target.watch(*arguments) == user.writes

    @rule(number=numbers, other=numbers)
    def continue_the_list_of_another_user(self, number: int, other: int) -> None:
        (user, session), (thief, stolen) = self.draw_session(number), self.draw_session(other)
        if session.revoked or stolen.revoked or user is thief:
            return
        _, cursor = self.target.page(session.tokens.access, user.id, None, 1, None)
        if cursor is not None:
            for broken in (cursor, cursor[:-1], "x" + cursor, cursor.swapcase()):
                arguments = (stolen.tokens.access, thief.id, None, 1, broken)
                self.require_refusal("invalid_cursor", self.target.page, *arguments)
            another = (session.tokens.access, user.id, True, 1, cursor)
            self.require_refusal("invalid_cursor", self.target.page, *another)

    @rule(drawn=st.tuples(numbers, numbers, missing_ids, numbers))
    def remove(self, drawn: tuple[int, int, int, int]) -> None:
        if done := self.on_task(drawn, self.target.remove):
            user, task_id, _ = done
            user.trash[task_id] = user.tasks.pop(task_id)
            user.writes += 1

    @rule(drawn=st.tuples(numbers, numbers, missing_ids, numbers))
    def restore(self, drawn: tuple[int, int, int, int]) -> None:
        session_number, task_number, missing_id, owner_number = drawn
        user, session = self.draw_session(session_number)
        theirs = [id for each in self.users for id in each.trash]  # and those of others
        in_trash = [*theirs, self.draw_task(user, task_number, missing_id)]
        task_id = in_trash[task_number % len(in_trash)]
        owner = self.draw_owner(user, owner_number)
        arguments = (session.tokens.access, owner, task_id)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.restore, *arguments)
        elif owner != user.id or task_id not in user.trash:
            self.require_refusal("task_not_found", self.target.restore, *arguments)
        else:
            trashed = user.trash.pop(task_id)
            restored = trashed | {"version": trashed["version"] + 1}
            assert self.target.restore(*arguments) == restored
            user.tasks[task_id] = restored
            user.writes += 1

    @rule(number=numbers, owner_number=numbers)
    def list_the_trash(self, number: int, owner_number: int) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        arguments = (session.tokens.access, owner)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.trash, *arguments)
        elif owner != user.id:
            self.require_refusal("task_not_found", self.target.trash, *arguments)
        else:
            assert by_id(list(self.target.trash(*arguments))) == user.trash

    @rule(number=numbers, owner_number=numbers, thief_number=numbers)
    def synchronize(self, number: int, owner_number: int, thief_number: int) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        if session.revoked:
            arguments = (session.tokens.access, owner, user.synced)
            self.require_refusal("invalid_token", self.target.changes, *arguments)
            return
        if owner != user.id:
            arguments = (session.tokens.access, owner, user.synced)
            self.require_refusal("task_not_found", self.target.changes, *arguments)
            return
        has_more = True
        while has_more:
            changes, user.synced, has_more = self.target.changes(
                session.tokens.access, user.id, user.synced
            )
            for id, task in changes:
                if task is None:
                    user.replica.pop(id, None)
                else:
                    user.replica[id] = task
        assert user.replica == user.tasks
        thief, stolen = self.draw_session(thief_number)
        if thief is not user and not stolen.revoked:
            arguments = (stolen.tokens.access, thief.id, user.synced)
            self.require_refusal("invalid_cursor", self.target.changes, *arguments)

    @rule(number=numbers, other=numbers)
    def save_a_task_of_another_user_as_own(self, number: int, other: int) -> None:
        living = [(owner, id) for owner, id in self.tasks_ever if id in owner.tasks]
        if living:
            owner, task_id = living[number % len(living)]
            thief = self.users[other % len(self.users)]
            if thief is not owner:
                assert not self.target.steal(task_id, owner.id, thief.id)

    @rule(number=numbers, toggles=st.integers(1, 4))
    def toggle_concurrently_while_others_delete(self, number: int, toggles: int) -> None:
        living = [(owner, id) for owner, id in self.tasks_ever if id in owner.tasks]
        if not living:
            return
        owner, task_id = living[number % len(living)]
        mine = owner.token
        others = [
            session.tokens.access
            for user in self.users
            if user is not owner
            for session in user.live_sessions()[:1]
        ]

        def foreign(token: str) -> str:
            caller = next(
                user.id
                for user in self.users
                for session in user.sessions
                if session.tokens.access == token
            )
            try:
                self.target.remove(token, caller, task_id)
            except Refused as refusal:
                return refusal.code
            return "removed"

        with ThreadPoolExecutor(8) as pool:
            theirs = [pool.submit(foreign, token) for token in others]
            toggled = [
                pool.submit(self.target.toggle, mine, owner.id, task_id, None)
                for _ in range(toggles)
            ]
            for each in toggled:
                each.result()
            assert {each.result() for each in theirs} <= {"task_not_found"}
        expected = owner.tasks[task_id]
        for _ in range(toggles):
            expected = owner.change(task_id, {"completed": not expected["completed"]})
        self.settle(owner, expected, self.target.get(mine, owner.id, task_id))

    # Invariants

    @invariant()
    def tasks_of_a_user_are_not_changed_by_others(self) -> None:
        """Check one user after the other: checking all of them at each step takes too long."""
        if self.users:
            self.turn += 1
            self.require_own_tasks(self.users[self.turn % len(self.users)])

    def require_own_tasks(self, user: ModelUser) -> None:
        for session in user.live_sessions()[:1]:
            token = session.tokens.access
            assert by_id(self.target.list(token, user.id)) == user.tasks
            assert self.target.stats(token, user.id) == user.stats()

    def teardown(self) -> None:
        for user in self.users:
            self.require_own_tasks(user)


def by_id(tasks: list[Fields]) -> dict[int, Fields]:
    found = {task["id"]: task for task in tasks}
    assert len(found) == len(tasks)
    return found


def run(target: Target, where: str, *, operations: int) -> None:
    """Run the rules until the target has been called this often."""

    class Machine(Isolation):
        pass

    Machine.target = target
    options = settings(
        # The first examples are the simplest ones, so a few would not be enough.
        max_examples=max(20, operations // CALLS_IN_AN_EXAMPLE),
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        print_blob=True,
        phases=[Phase.generate] if NO_SHRINKING in os.environ else [Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    try:
        while target.calls < operations:
            run_state_machine_as_test(Machine, settings=options)
    except BaseException:
        note("operations", where, tried=target.calls, failed=1)
        raise
    note("operations", where, tried=target.calls)


OPERATIONS = [
    pytest.param(EVERYDAY_OPERATIONS, id="everyday"),
    pytest.param(PROOF_OPERATIONS, id="proof", marks=pytest.mark.proof),
]


@pytest.mark.parametrize("operations", OPERATIONS)
def test_users_are_isolated_on_in_memory_adapters(operations: int) -> None:
    run(UseCases.in_memory(), "use cases, in memory", operations=operations)


@pytest.mark.parametrize("operations", OPERATIONS)
def test_users_are_isolated_on_sqlite(sqlite_container: Container, operations: int) -> None:
    run(UseCases.of(sqlite_container), "use cases, SQLite", operations=operations)


@pytest.mark.parametrize("operations", OPERATIONS)
def test_users_are_isolated_on_postgresql(postgresql_container: Container, operations: int) -> None:
    run(UseCases.of(postgresql_container), "use cases, PostgreSQL", operations=operations)


@pytest.fixture
def http_target(request: pytest.FixtureRequest) -> Iterator[Any]:
    server: RunningServer = request.getfixturevalue("sqlite_server")
    target = Http(server.url)
    yield target
    target.close()


@pytest.mark.parametrize("operations", OPERATIONS)
def test_users_are_isolated_over_http(http_target: Http, operations: int) -> None:
    run(http_target, "HTTP", operations=operations)
