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
from datetime import UTC, date, datetime
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
from todo_core.entities.task import Task, TaskId
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
_moments = count(1)
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
        TaskQuery(has_parent=False, order=TaskOrder.POSITION),
        TaskQuery(has_parent=False, completed=True),
        TaskQuery(order=TaskOrder.COMPLETED_AT),
        TaskQuery(order=TaskOrder.POSITION, completed=False, descending=False),
    ]
)
IN_ORDER = TaskQuery(order=TaskOrder.POSITION, descending=False)
KINDS = ("create", "update", "complete", "reopen", "delete")
keys = st.sampled_from(["a-key", "b-key"])
parents = st.none() | numbers
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
    kept: dict[str, tuple[tuple[str, Any], Any]] = field(default_factory=dict)
    writes: int = 0
    trash: dict[int, Fields] = field(default_factory=dict)
    replica: dict[int, Fields] = field(default_factory=dict)
    synced: str | None = None
    repeating: set[int] = field(default_factory=set)
    """The tasks that repeat when they are completed, or would if they were reopened."""
    copies: dict[int, set[int]] = field(default_factory=dict)
    """The subtasks that tasks had when they followed others, by their ids."""
    born: dict[int, int] = field(default_factory=dict)
    """When tasks were created, by their ids: a number, which is the same for those at once."""
    deletions: dict[int, int] = field(default_factory=dict)
    """By which deletion tasks came into the trash."""

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

    def subtasks(self, task_id: int) -> list[Fields]:
        return [task for task in self.tasks.values() if task["parent_id"] == task_id]

    def can_have(self, parent_id: int, task_id: int | None = None) -> bool:
        """Return whether a task, or a new one, can become a subtask of this parent."""
        parent = self.tasks.get(parent_id)
        return (
            parent is not None
            and parent["parent_id"] is None
            and parent_id != task_id
            and (task_id is None or not self.subtasks(task_id))
        )

    def remove(self, *task_ids: int, permanently: bool = False) -> int:
        """Delete tasks at once, with their subtasks, and return how many these are."""
        family = {each["id"] for task_id in task_ids for each in self.subtasks(task_id)}
        family |= {*task_ids}
        deletion = next(_moments)
        for each in family:
            task = self.tasks.pop(each)
            if not permanently:
                self.trash[each] = task
                self.deletions[each] = deletion
        self.writes += len(family)
        return len(family)

    def deleted_with(self, task_id: int) -> list[int]:
        """Return the subtasks that came into the trash with a task."""
        return [
            each["id"]
            for each in self.trash.values()
            if each["parent_id"] == task_id
            and self.deletions[each["id"]] == self.deletions[task_id]
        ]

    def erase(self, task_id: int) -> None:
        """Take a task from the trash, with the subtasks that were deleted with it."""
        for each in (*self.deleted_with(task_id), task_id):
            del self.trash[each]

    def restore(self, task_id: int) -> Fields:
        """Take a task out of the trash, with the subtasks that were deleted with it."""
        parent_id = self.trash[task_id]["parent_id"]
        if parent_id is not None and not self.can_have(parent_id):
            parent_id = None
        members = [(task_id, parent_id)]
        if self.trash[task_id]["parent_id"] is None:
            members += [(each, task_id) for each in self.deleted_with(task_id)]
        for each, parent in members:
            task = self.trash.pop(each)
            self.tasks[each] = task | {"parent_id": parent, "version": task["version"] + 1}
        self.writes += len(members)
        return self.tasks[task_id]

    def change(self, task_id: int, changes: Fields) -> Fields:
        """Change a task of the model, and return what it is then.

        A new successor and its subtasks get negative ids, until `settle` learns those that the
        service chose.
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
            if successor is not None and self.is_as_created(successor):
                self.remove(successor["id"], permanently=True)
            elif successor is not None:
                is_repeating = False
        after |= shown_repetition(is_repeating and not after["completed"])
        has_changed = after != before or is_repeating != was_repeating
        after["version"] += has_changed
        self.writes += has_changed
        self.tasks[task_id] = after
        (self.repeating.add if is_repeating else self.repeating.discard)(task_id)
        subtasks = self.subtasks(task_id)
        if successor_id is not None:
            moment = next(_moments)
            self.follow(after, successor_id, after["parent_id"], moment)
            copied = {-next(_new_ids): each for each in subtasks if each["next_id"] is None}
            self.copies[successor_id] = {*copied}
            for copy_id, each in copied.items():
                self.follow(each, copy_id, successor_id, moment)
        if after["completed"] and not before["completed"]:
            for each in subtasks:
                self.end(each)
        return after

    def is_as_created(self, successor: Fields) -> bool:
        """Return whether a task that followed another one has not changed, nor its subtasks."""
        subtasks = self.subtasks(successor["id"])
        return all(each["version"] == 1 for each in (successor, *subtasks)) and {
            each["id"] for each in subtasks
        } <= self.copies.get(successor["id"], set())

    def follow(self, task: Fields, new_id: int, parent_id: int | None, moment: int) -> None:
        """Add a task that follows this one, which is due a day later."""
        zone = TimeZone(self.zone)
        due_date = DueDate.or_none(task["due_date"], zone)
        following = None if due_date is None else due_date.postponed(1, zone)
        is_repeating = task["id"] in self.repeating
        self.tasks[new_id] = (
            task
            | {"id": new_id, "version": 1, "completed": False, "next_id": None}
            | {"due_date": None if following is None else str(following), "parent_id": parent_id}
            | {"reminders": []}
            | shown_repetition(is_repeating)
        )
        self.born[new_id] = moment
        if is_repeating:
            self.repeating.add(new_id)
        self.writes += 1

    def end(self, subtask: Fields) -> None:
        """Complete a subtask, as its parent is."""
        if not subtask["completed"]:
            changes = {"completed": True, "version": subtask["version"] + 1}
            self.tasks[subtask["id"]] = subtask | changes | shown_repetition(False)
            self.writes += 1

    def know(self, placeholder: int, task: Fields) -> None:
        """Replace the negative id of a task that was created by the one that the service chose."""
        task_id = task["id"]
        for tasks in (self.tasks, self.trash):
            if placeholder in tasks:
                known = tasks.pop(placeholder)
                tasks[task_id] = known | {"id": task_id, "position": task["position"]}
            for each in tasks.values():
                for name in ("next_id", "parent_id"):
                    if each[name] == placeholder:
                        each[name] = task_id
        for numbers_by_id in (self.born, self.deletions):
            if placeholder in numbers_by_id:
                numbers_by_id[task_id] = numbers_by_id.pop(placeholder)
        if placeholder in self.copies:
            self.copies[task_id] = self.copies.pop(placeholder)
        for ids in (self.repeating, *self.copies.values()):
            if placeholder in ids:
                ids.remove(placeholder)
                ids.add(task_id)

    def matching(self, query: TaskQuery) -> dict[int, Fields]:
        """Return the user's tasks that match a query."""
        located = replace(query.in_zone(TimeZone(self.zone)), now=_NOW)
        return {id: task for id, task in self.tasks.items() if located.includes(self.task_of(task))}

    def task_of(self, task: Fields) -> Task:
        """Return the task of these fields."""
        fields = {
            name: task[name]
            for name in ("title", "description", "priority", "due_date", "tags", "parent_id")
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


def content(task: Fields) -> str:
    """Return what a task says, apart from where it is."""
    return repr({name: task[name] for name in sorted(task) if name not in {"id", "position"}})


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
        self.learned: dict[int, int] = {}
        self.turn = 0

    # Choosing

    def draw_session(self, number: int) -> tuple[ModelUser, Session]:
        """Return any session of any user, including deleted users."""
        everything = [(user, session) for user in self.users for session in user.sessions]
        return everything[number % len(everything)]

    def draw_task(self, user: ModelUser, number: int, missing_id: int) -> int:
        """Return a task of the user half of the time; else any earlier id, or one of no task.

        Half of the user's tasks are some that have subtasks, if there are any.
        """
        if number % 2 and user.tasks:
            parents = [id for id in user.tasks if user.subtasks(id)]
            own = parents if parents and number % 4 == 1 else [*user.tasks]
            return own[number // 4 % len(own)]
        if not self.tasks_ever or number % 7 == 0:
            return missing_id
        return self.tasks_ever[number % len(self.tasks_ever)][1]

    def draw_deleted(self, user: ModelUser, number: int, missing_id: int) -> int:
        """Return a task in the trash of the user half of the time; else of anyone, or any task."""
        if number % 2 and user.trash:
            own = [*user.trash]
            return own[number // 2 % len(own)]
        in_trash = [id for each in self.users for id in each.trash]
        in_trash.append(self.draw_task(user, number, missing_id))
        return in_trash[number % len(in_trash)]

    def draw_parent(self, user: ModelUser, number: int | None, missing_id: int) -> int | None:
        return None if number is None else self.draw_task(user, number, missing_id)

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
            for title, details in (
                ("The first", {}),
                ("The second", {"due_date": FAR, "recurrence_rule": "daily"}),
            ):
                parent = self.target.create(user.token, user.id, title, None, details)
                self.remember_task(user, parent)
                of_parent = {"parent_id": parent["id"]}
                subtask = self.target.create(user.token, user.id, "A subtask", None, of_parent)
                self.remember_task(user, subtask)

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
        user.born[task["id"]] = next(_moments)
        self.tasks_ever.append((user, task["id"]))
        if task["recurrence_rule"] is not None:
            user.repeating.add(task["id"])

    def learn(self, user: ModelUser, placeholder: int, task: Fields) -> None:
        """Learn the id of a new task of the model."""
        assert task["id"] not in {known for _, known in self.tasks_ever}
        self.tasks_ever.append((user, task["id"]))
        self.learned[placeholder] = task["id"]
        user.know(placeholder, task)

    def settle(self, user: ModelUser, expected: Fields, task: Fields) -> None:
        """Require that a changed task is as expected, and learn the ids of what follows it."""
        placeholder, next_id = expected["next_id"], task["next_id"]
        if placeholder is None or placeholder > 0:
            assert task == expected
            return
        assert task == expected | {"next_id": next_id}
        if placeholder in self.learned:  # from an earlier operation of the same bulk
            assert next_id == self.learned[placeholder]
            return
        if placeholder not in user.tasks:
            self.learn(user, placeholder, {"id": next_id, "position": None})
            return
        found = self.target.get(user.token, user.id, next_id)
        self.learn(user, placeholder, found)
        assert found == user.tasks[next_id]
        query = TaskQuery(parent_id=TaskId(next_id))
        copies = self.target.matching(user.token, user.id, query)
        expected_copies = sorted(user.subtasks(next_id), key=content)
        for each, copy in zip(expected_copies, sorted(copies, key=content), strict=True):
            self.learn(user, each["id"], copy)
            assert copy == user.tasks[copy["id"]]

    @rule(
        number=numbers,
        owner_number=numbers,
        title=titles,
        description=descriptions,
        details=details,
        parent_number=parents,
        missing_id=missing_ids,
    )
    def create(
        self,
        number: int,
        owner_number: int,
        title: str,
        description: str | None,
        details: Fields,
        parent_number: int | None,
        missing_id: int,
    ) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        parent_id = self.draw_parent(user, parent_number, missing_id)
        details = user.with_far_date(details) | {"parent_id": parent_id}
        arguments = (session.tokens.access, owner, title, description, details)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.create, *arguments)
        elif owner != user.id:
            self.require_refusal("task_not_found", self.target.create, *arguments)
        elif parent_id is not None and not user.can_have(parent_id):
            self.require_refusal("invalid_parent", self.target.create, *arguments)
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
            (kind, value), kept = user.kept[key]
            assert self.once[kind](session.tokens.access, user.id, key, value) == (kept, True)

    @property
    def once(self) -> dict[str, Callable[..., tuple[Any, bool]]]:
        """What can be sent with a key, by its name."""
        return {
            "create": self.target.create_once,
            "toggle": self.target.toggle_once,
            "complete": self.target.complete_matching_once,
            "remove": self.target.remove_matching_once,
        }

    def is_answered_before(
        self,
        user: ModelUser,
        session: Session,
        request: tuple[str, Any],
        call: Callable[..., tuple[Any, bool]],
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

    @rule(
        drawn=st.tuples(numbers, numbers, missing_ids, numbers),
        parent_number=parents,
        changes=st.fixed_dictionaries(
            {}, optional={"title": titles, "completed": st.booleans(), "tags": tags}
        ),
        in_bulk=st.booleans(),
    )
    def set_parent(
        self,
        drawn: tuple[int, int, int, int],
        parent_number: int | None,
        changes: Fields,
        in_bulk: bool,
    ) -> None:
        user, _ = self.draw_session(drawn[0])
        parent_id = self.draw_parent(user, parent_number, drawn[2])
        changes |= {"parent_id": parent_id}

        def edit(token: str, owner: str, task_id: int) -> Fields | None:
            try:
                if not in_bulk:
                    return self.target.edit(token, owner, task_id, changes)
                operations = [{"update": {"id": task_id, **changes}}]
                [changed] = self.target.bulk(token, owner, operations)
            except Refused as refusal:
                if refusal.code != "invalid_parent":
                    raise
                return None
            return dict(changed)

        if done := self.on_task(drawn, edit):
            user, task_id, task = done
            if parent_id in (None, user.tasks[task_id]["parent_id"]) or (
                user.can_have(parent_id, task_id)
            ):
                assert task is not None
                self.settle(user, user.change(task_id, changes), task)
            else:
                assert task is None

    @rule(
        number=numbers,
        owner_number=numbers,
        task_number=numbers,
        missing_id=missing_ids,
        completed=st.sampled_from([None, True, False]),
    )
    def list_subtasks(
        self,
        number: int,
        owner_number: int,
        task_number: int,
        missing_id: int,
        completed: bool | None,
    ) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        parent_id = self.draw_task(user, task_number, missing_id)
        query = TaskQuery(parent_id=TaskId(parent_id), completed=completed)
        arguments = (session.tokens.access, owner, query)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.matching, *arguments)
        elif owner != user.id:
            self.require_refusal("task_not_found", self.target.matching, *arguments)
        else:
            found = [*self.target.matching(*arguments)]
            assert by_id(found) == user.matching(query)
            assert by_id(found).keys() <= {each["id"] for each in user.subtasks(parent_id)}

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
                user.remove(task_id)

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
        side=st.sampled_from(["before", "after", None]),
        other_number=numbers,
        parent_number=parents,
        keeps_parent=st.booleans(),
    )
    def move(
        self,
        drawn: tuple[int, int, int, int],
        side: str | None,
        other_number: int,
        parent_number: int | None,
        keeps_parent: bool,
    ) -> None:
        session_number, task_number, missing_id, owner_number = drawn
        user, session = self.draw_session(session_number)
        task_id = self.draw_task(user, task_number, missing_id)
        other = self.draw_task(user, other_number, missing_id)
        owner = self.draw_owner(user, owner_number)
        place: Fields = {} if side is None else {side: other}
        if not place or not keeps_parent:
            place["parent_id"] = self.draw_parent(user, parent_number, missing_id)
        arguments = (session.tokens.access, owner, task_id, place)
        named = {task_id} if side is None else {task_id, other}
        if session.revoked:
            self.require_refusal("invalid_token", self.target.move, *arguments)
            return
        if owner != user.id or not named <= user.tasks.keys():
            self.require_refusal("task_not_found", self.target.move, *arguments)
            return
        former = user.tasks[task_id]["parent_id"]
        parent_id = place.get("parent_id", former)
        if parent_id not in (None, former) and not user.can_have(parent_id, task_id):
            self.require_refusal("invalid_parent", self.target.move, *arguments)
            return
        expected = user.in_order()
        if side is not None and task_id != other:
            expected.remove(task_id)
            expected.insert(expected.index(other) + (side == "after"), task_id)
        moved = self.target.move(*arguments)
        if parent_id != former:  # both changes are one, unless room is made
            user.change(task_id, {"parent_id": parent_id})
            if moved["version"] == user.tasks[task_id]["version"]:
                user.tasks[task_id]["position"] = moved["position"]
        self.require_placed(user, session, [moved], expected)

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
            st.tuples(st.sampled_from(KINDS), numbers, missing_ids, parents), min_size=1, max_size=4
        ),
        title=titles,
        details=details,
    )
    def change_several(
        self,
        number: int,
        owner_number: int,
        drawn: Sequence[tuple[str, int, int, int | None]],
        title: str,
        details: Fields,
    ) -> None:
        user, session = self.draw_session(number)
        owner = self.draw_owner(user, owner_number)
        after = deepcopy(user)
        expected: list[Any] = []
        operations: list[Fields] = []
        refusal: str | None = None
        moment = next(_moments)
        deleted_subtasks: set[int] = set()
        for kind, task_number, missing_id, parent_number in drawn:
            task_id = self.draw_task(user, task_number, missing_id)
            named = None if kind == "create" else task_id
            fields: Fields = {}
            if kind in {"create", "update"}:
                fields = after.with_far_date({"title": title, **details}, named)
            if kind == "create" and parent_number is not None:
                fields["parent_id"] = self.draw_task(user, parent_number, missing_id)
            elif kind == "reopen":
                fields = {"completed": False}
            operations.append(
                {
                    "complete" if kind == "reopen" else kind: fields
                    | ({} if named is None else {"id": task_id})
                }
            )
            if refusal is not None:
                continue
            if kind == "create":
                if "parent_id" in fields and not after.can_have(fields["parent_id"]):
                    refusal = "invalid_parent"
                    continue
                created = {
                    "id": -next(_new_ids),
                    "user_id": user.id,
                    "version": 1,
                    "description": None,
                    "completed": False,
                    "priority": "medium",
                    "due_date": None,
                    "tags": [],
                    "reminders": [],
                    "next_id": None,
                    "parent_id": None,
                    "position": None,
                    **shown_repetition(False),
                    **after.canonical(fields),
                }
                after.tasks[created["id"]] = created
                after.born[created["id"]] = moment
                after.writes += 1
                if created["recurrence_rule"] is not None:
                    after.repeating.add(created["id"])
                expected.append(dict(created))
            elif kind == "delete" and task_id in deleted_subtasks:
                deleted_subtasks.remove(task_id)
                expected.append(task_id)
            elif task_id not in after.tasks:
                refusal = "task_not_found"
            elif kind == "delete":
                deleted_subtasks |= {each["id"] for each in after.subtasks(task_id)}
                after.remove(task_id)
                expected.append(task_id)
            else:
                expected.append(dict(after.change(task_id, fields or {"completed": True})))
        arguments = (session.tokens.access, owner, operations)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.bulk, *arguments)
        elif owner != user.id:
            self.require_refusal("task_not_found", self.target.bulk, *arguments)
        elif refusal is not None:
            self.require_refusal(refusal, self.target.bulk, *arguments)
        else:
            outcomes = self.target.bulk(*arguments)
            vars(user).update(vars(after))
            for each, outcome in zip(expected, outcomes, strict=True):
                if not isinstance(each, int) and each["id"] < 0:
                    known = {"id": outcome["id"], "position": outcome["position"]}
                    assert outcome == each | known
                    self.learn(user, each["id"], outcome)
            for each, outcome in zip(expected, outcomes, strict=True):
                if isinstance(each, int):
                    assert outcome == each
                elif each["id"] > 0:
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
        else:
            self.require_change(user, chosen, lambda: call(*arguments), deletes=deletes)

    @rule(drawn=st.tuples(numbers, numbers), key=keys, deletes=st.booleans())
    def change_those_that_are_open_once(
        self, drawn: tuple[int, int], key: str, deletes: bool
    ) -> None:
        user, session = self.draw_session(drawn[0])
        kind = "remove" if deletes else "complete"
        call = self.once[kind]
        arguments = (session.tokens.access, self.draw_owner(user, drawn[1]), key, False)
        if self.is_answered_before(user, session, (kind, False), call, arguments):
            return

        def change() -> object:
            count, is_replay = call(*arguments)
            assert not is_replay
            user.kept[key] = (kind, False), count
            return count

        chosen = [task for task in user.tasks.values() if not task["completed"]]
        self.require_change(user, chosen, change, deletes=deletes)

    def require_change(
        self,
        user: ModelUser,
        chosen: Sequence[Fields],
        change: Callable[[], object],
        *,
        deletes: bool,
    ) -> None:
        """Check that all chosen tasks are deleted, or that those that are open are completed."""
        if deletes:
            assert change() == user.remove(*(task["id"] for task in chosen))
            return
        changed: list[int] = []
        counted = 0
        open_ids = {each["id"] for each in chosen if not each["completed"]}
        # A subtask is completed with its parent, as if only that was chosen.
        alone = [each for each in chosen if each["parent_id"] not in open_ids]
        in_order = sorted(alone, key=lambda each: (user.born[each["id"]], each["id"]))
        for task_id in [each["id"] for each in reversed(in_order) if each["id"] in open_ids]:
            counted += 1 + sum(not each["completed"] for each in user.subtasks(task_id))
            user.change(task_id, {"completed": True})
            changed.append(task_id)
        assert change() == counted
        for task_id in changed:
            found = self.target.get(user.token, user.id, task_id)
            self.settle(user, user.tasks[task_id], found)

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

    @rule(
        drawn=st.tuples(numbers, numbers, missing_ids, numbers),
        then=st.lists(st.sampled_from(["restore", "restore a subtask", "erase"]), max_size=2),
    )
    def remove(self, drawn: tuple[int, int, int, int], then: Sequence[str]) -> None:
        """Delete a task, and mostly do something with what is in the trash then."""
        if not (done := self.on_task(drawn, self.target.remove)):
            return
        user, task_id, _ = done
        user.remove(task_id)
        for what in then:
            subtasks = [each for each in user.deleted_with(task_id) if each in user.trash]
            arguments = (user.token, user.id, task_id)
            if what == "restore a subtask" and subtasks:
                restored = self.target.restore(user.token, user.id, subtasks[0])
                assert restored == user.restore(subtasks[0])
            elif what == "restore" and task_id in user.trash:
                assert self.target.restore(*arguments) == user.restore(task_id)
            elif what == "erase" and task_id in user.trash:
                self.target.remove_permanently(*arguments)
                user.erase(task_id)
            self.require_own_tasks(user)

    @rule(drawn=st.tuples(numbers, numbers, missing_ids, numbers))
    def remove_permanently(self, drawn: tuple[int, int, int, int]) -> None:
        session_number, task_number, missing_id, owner_number = drawn
        user, session = self.draw_session(session_number)
        draw = self.draw_deleted if task_number % 3 else self.draw_task
        task_id = draw(user, task_number, missing_id)
        owner = self.draw_owner(user, owner_number)
        call, arguments = self.target.remove_permanently, (session.tokens.access, owner, task_id)
        if session.revoked:
            self.require_refusal("invalid_token", call, *arguments)
        elif owner != user.id or task_id not in {*user.tasks, *user.trash}:
            self.require_refusal("task_not_found", call, *arguments)
        elif task_number % 4:
            return  # so that some of the trash remains
        else:
            call(*arguments)
            if task_id in user.tasks:
                user.remove(task_id, permanently=True)
                return
            user.erase(task_id)

    @rule(drawn=st.tuples(numbers, numbers, missing_ids, numbers))
    def restore(self, drawn: tuple[int, int, int, int]) -> None:
        session_number, task_number, missing_id, owner_number = drawn
        user, session = self.draw_session(session_number)
        task_id = self.draw_deleted(user, task_number, missing_id)
        owner = self.draw_owner(user, owner_number)
        arguments = (session.tokens.access, owner, task_id)
        if session.revoked:
            self.require_refusal("invalid_token", self.target.restore, *arguments)
        elif owner != user.id or task_id not in user.trash:
            self.require_refusal("task_not_found", self.target.restore, *arguments)
        else:
            assert self.target.restore(*arguments) == user.restore(task_id)

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
