"""Whatever people do, in whatever order, each sees and changes what is theirs alone.

One set of rules, with a model that knows who owns what, on four targets. The rules draw
people, sessions and tasks from all that there ever were: others', deleted, ended ones and
ids that nobody ever had.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any, ClassVar
from uuid import uuid4

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
)
from tests.support.proof import note
from tests.support.servers import RunningServer
from todo_api.container import Container

PEOPLE = 5
STEPS = 40
CALLS_IN_AN_EXAMPLE = 100

NO_SHRINKING = "HYPOTHESIS_NO_SHRINKING"
"""Set where it is enough to know that there is a failure, however long it takes to tell."""

_emails = count(1)
_run = uuid4().hex[:12]

anything = st.integers(0, 10**6)
"""A number by which a rule draws one of several, however many there are then."""

titles = st.sampled_from(["Buy milk", "x", "ß 漢字 🎉", "' OR 1=1 --", "a" * 200])
descriptions = st.sampled_from([None, "Two litres", "%_\\", "line\nline", "b" * 1000])
nobodys_ids = st.sampled_from([1, 2, 2**31, 2**53 - 1, 2**53, 2**63 - 1])


@dataclass
class Session:
    """A session of the model, and what its person holds of it."""

    tokens: Tokens
    id: str
    used_up: list[str] = field(default_factory=list)
    ended: bool = False


@dataclass
class ApiUser:
    """A person of the model."""

    id: str
    email: str
    password: str
    name: str = "Somebody"
    gone: bool = False
    sessions: list[Session] = field(default_factory=list)
    tasks: dict[int, Fields] = field(default_factory=dict)

    def live_sessions(self) -> list[Session]:
        return [session for session in self.sessions if not session.ended]

    @property
    def token(self) -> str:
        """One that is good now."""
        return self.live_sessions()[0].tokens.access


class Isolation(RuleBasedStateMachine):
    """The rules. A subclass says what the target is."""

    target: ClassVar[Target]

    def __init__(self) -> None:
        super().__init__()
        self.people: list[ApiUser] = []
        self.tasks_ever: list[tuple[ApiUser, int]] = []
        self.turn = 0

    # Drawing

    def a_session(self, number: int) -> tuple[ApiUser, Session]:
        """Any session of anybody; of those who have gone as well."""
        everything = [(person, session) for person in self.people for session in person.sessions]
        return everything[number % len(everything)]

    def a_task(self, person: ApiUser, number: int, nobodys: int) -> int:
        """Half of the time one of their own; else any that there ever was, or that never was."""
        if number % 2 and person.tasks:
            own = [*person.tasks]
            return own[number // 2 % len(own)]
        if not self.tasks_ever or number % 7 == 0:
            return nobodys
        return self.tasks_ever[number % len(self.tasks_ever)][1]

    def an_owner(self, caller: ApiUser, number: int) -> str:
        """Whom the address names: mostly the caller, if it can name anybody else at all."""
        if isinstance(self.target, UseCases) or number % 3:
            return caller.id
        others = [*(person.id for person in self.people), str(uuid4())]
        return others[number % len(others)]

    # What must come of it

    def refused(self, code: str, call: Callable[..., object], *arguments: object) -> None:
        with pytest.raises(Refused) as refusal:
            call(*arguments)
        assert refusal.value.code == code

    def on_task[Answer](
        self,
        drawn: tuple[int, int, int, int],
        call: Callable[[str, str, int], Answer],
    ) -> tuple[ApiUser, int, Answer] | None:
        """Do something with a task; who did it, if it was theirs to do."""
        session_number, task_number, nobodys, owner_number = drawn
        person, session = self.a_session(session_number)
        task_id = self.a_task(person, task_number, nobodys)
        owner = self.an_owner(person, owner_number)
        if session.ended:
            self.refused("invalid_token", call, session.tokens.access, owner, task_id)
        elif owner != person.id or task_id not in person.tasks:
            self.refused("task_not_found", call, session.tokens.access, owner, task_id)
        else:
            return person, task_id, call(session.tokens.access, owner, task_id)
        return None

    # People

    @initialize()
    def people_come(self) -> None:
        for number in range(PEOPLE):
            self.join()
            person = self.people[number]
            for title in ("The first", "The second"):
                self.keep(person, self.target.create(person.token, person.id, title, None))

    def join(self) -> None:
        email = f"{_run}.{next(_emails)}@example.com"
        person = ApiUser(self.target.register(email, "a first password"), email, "a first password")
        self.people.append(person)
        self.begin_session(person)

    def begin_session(self, person: ApiUser) -> None:
        before = {session.id for session in person.live_sessions()}
        tokens = self.target.log_in(person.email, person.password)
        [session_id] = self.target.sessions(tokens.access) - before
        person.sessions.append(Session(tokens, session_id))

    @rule(number=anything)
    def log_in(self, number: int) -> None:
        person = self.people[number % len(self.people)]
        if person.gone:
            self.refused("invalid_credentials", self.target.log_in, person.email, person.password)
        elif len(person.live_sessions()) < 4:
            self.begin_session(person)

    @rule(number=anything, other=anything)
    def log_in_with_anothers_password(self, number: int, other: int) -> None:
        person = self.people[number % len(self.people)]
        wrong = f"{self.people[other % len(self.people)].password} perhaps"
        self.refused("invalid_credentials", self.target.log_in, person.email, wrong)

    @rule(number=anything)
    def register_a_taken_email(self, number: int) -> None:
        person = self.people[number % len(self.people)]
        if not person.gone:
            email = person.email.upper()
            self.refused("email_taken", self.target.register, email, "another password")

    @rule(number=anything)
    def refresh(self, number: int) -> None:
        _, session = self.a_session(number)
        if session.ended:
            token = session.tokens.refresh
            self.refused("invalid_refresh_token", self.target.refresh, token)
            return
        session.used_up.append(session.tokens.refresh)
        session.tokens = self.target.refresh(session.tokens.refresh)

    @rule(number=anything)
    def use_an_old_refresh_token(self, number: int) -> None:
        _, session = self.a_session(number)
        if len(session.used_up) >= 2:
            self.refused("invalid_refresh_token", self.target.refresh, session.used_up[-2])
            session.ended = True

    @rule(number=anything)
    def log_out(self, number: int) -> None:
        person, session = self.a_session(number)
        if session.ended:
            self.refused("invalid_token", self.target.log_out, session.tokens.access)
        elif len(person.live_sessions()) > 1:
            self.target.log_out(session.tokens.access)
            session.ended = True

    @rule(number=anything, other=anything)
    def end_a_session(self, number: int, other: int) -> None:
        person, session = self.a_session(number)
        owner, ending = self.a_session(other)
        arguments = (session.tokens.access, ending.id)
        if session.ended:
            self.refused("invalid_token", self.target.end_session, *arguments)
        elif owner is not person or ending.ended:
            self.refused("session_not_found", self.target.end_session, *arguments)
        else:
            self.target.end_session(*arguments)
            ending.ended = True
            if not person.live_sessions():
                self.begin_session(person)

    @rule(number=anything)
    def end_other_sessions(self, number: int) -> None:
        person, session = self.a_session(number)
        if session.ended:
            self.refused("invalid_token", self.target.end_others, session.tokens.access)
            return
        self.target.end_others(session.tokens.access)
        for other in person.live_sessions():
            other.ended = other is not session

    @rule(number=anything, other=anything)
    def change_password(self, number: int, other: int) -> None:
        person, session = self.a_session(number)
        new = f"password number {other}"
        arguments = (session.tokens.access, person.password, new)
        if session.ended:
            self.refused("invalid_token", self.target.change_password, *arguments)
            return
        wrong = (session.tokens.access, "not " + person.password, new)
        self.refused("validation_failed", self.target.change_password, *wrong)
        self.target.change_password(*arguments)
        person.password = new
        for each in person.live_sessions():
            each.ended = each is not session

    @rule(number=anything, name=st.sampled_from(["Ada", "Bob", "Somebody"]))
    def change_name(self, number: int, name: str) -> None:
        person, session = self.a_session(number)
        changes = {"name": name}
        if session.ended:
            self.refused(
                "invalid_token", self.target.change_profile, session.tokens.access, changes
            )
            return
        self.target.change_profile(session.tokens.access, changes)
        person.name = name

    @rule(number=anything, other=anything)
    def change_email(self, number: int, other: int) -> None:
        person, session = self.a_session(number)
        owner = self.people[other % len(self.people)]
        if session.ended:
            return
        taken = owner is not person and not owner.gone
        email = owner.email.upper() if taken else f"{_run}.{next(_emails)}@example.com"
        changes = {"email": email, "current_password": person.password}
        if taken:
            token = session.tokens.access
            self.refused("email_taken", self.target.change_profile, token, changes)
        else:
            self.target.change_profile(session.tokens.access, changes)
            person.email = email

    @rule(number=anything)
    def look_at_the_account(self, number: int) -> None:
        person, session = self.a_session(number)
        token = session.tokens.access
        if session.ended:
            self.refused("invalid_token", self.target.profile, token)
            self.refused("invalid_token", self.target.sessions, token)
            self.refused("invalid_token", self.target.export, token)
            return
        assert self.target.profile(token) == (person.id, person.name, person.email)
        assert self.target.sessions(token) == {each.id for each in person.live_sessions()}
        exported, tasks = self.target.export(token)
        assert exported == person.id
        assert by_id(tasks) == person.tasks

    @rule(number=anything, wrong=st.booleans())
    def delete_the_account(self, number: int, wrong: bool) -> None:
        person, session = self.a_session(number)
        token = session.tokens.access
        if session.ended:
            self.refused("invalid_token", self.target.delete_account, token, person.password)
        elif wrong:
            self.refused("validation_failed", self.target.delete_account, token, "a wrong one")
        elif number % 3 == 0:
            self.target.delete_account(token, person.password)
            person.gone = True
            person.tasks = {}
            for each in person.sessions:
                each.ended = True
            self.join()

    # Tasks

    def keep(self, person: ApiUser, task: Fields) -> None:
        person.tasks[task["id"]] = task
        self.tasks_ever.append((person, task["id"]))

    @rule(number=anything, owner_number=anything, title=titles, description=descriptions)
    def create(self, number: int, owner_number: int, title: str, description: str | None) -> None:
        person, session = self.a_session(number)
        owner = self.an_owner(person, owner_number)
        arguments = (session.tokens.access, owner, title, description)
        if session.ended:
            self.refused("invalid_token", self.target.create, *arguments)
        elif owner != person.id:
            self.refused("task_not_found", self.target.create, *arguments)
        else:
            task = self.target.create(*arguments)
            expected = {"user_id": person.id, "title": title, "description": description}
            assert expected.items() <= task.items()
            assert (task["completed"], task["version"]) == (False, 1)
            assert task["id"] not in {known for _, known in self.tasks_ever}
            self.keep(person, task)

    @rule(number=anything, owner_number=anything, completed=st.sampled_from([None, True, False]))
    def list(self, number: int, owner_number: int, completed: bool | None) -> None:
        person, session = self.a_session(number)
        owner = self.an_owner(person, owner_number)
        arguments = (session.tokens.access, owner, completed)
        if session.ended:
            self.refused("invalid_token", self.target.list, *arguments)
        elif owner != person.id:
            self.refused("task_not_found", self.target.list, *arguments)
        else:
            assert by_id(self.target.list(*arguments)) == {
                id: task
                for id, task in person.tasks.items()
                if completed in (None, task["completed"])
            }

    @rule(drawn=st.tuples(anything, anything, nobodys_ids, anything))
    def get(self, drawn: tuple[int, int, int, int]) -> None:
        if done := self.on_task(drawn, self.target.get):
            person, task_id, task = done
            assert task == person.tasks[task_id]

    @rule(
        drawn=st.tuples(anything, anything, nobodys_ids, anything),
        changes=st.fixed_dictionaries(
            {},
            optional={"title": titles, "description": descriptions, "completed": st.booleans()},
        ),
    )
    def edit(self, drawn: tuple[int, int, int, int], changes: Fields) -> None:
        if done := self.on_task(
            drawn, lambda token, owner, task: self.target.edit(token, owner, task, changes)
        ):
            person, task_id, task = done
            before = person.tasks[task_id]
            after = before | changes
            grown = after != before
            assert task == after | {"version": before["version"] + grown}
            person.tasks[task_id] = task

    @rule(
        drawn=st.tuples(anything, anything, nobodys_ids, anything),
        completed=st.sampled_from([None, True, False]),
    )
    def toggle(self, drawn: tuple[int, int, int, int], completed: bool | None) -> None:
        if done := self.on_task(
            drawn, lambda token, owner, task: self.target.toggle(token, owner, task, completed)
        ):
            person, task_id, task = done
            before = person.tasks[task_id]
            wanted = not before["completed"] if completed is None else completed
            grown = wanted != before["completed"]
            expected = {"completed": wanted, "version": before["version"] + grown}
            assert task == before | expected
            person.tasks[task_id] = task

    @rule(drawn=st.tuples(anything, anything, nobodys_ids, anything))
    def remove(self, drawn: tuple[int, int, int, int]) -> None:
        if done := self.on_task(drawn, self.target.remove):
            person, task_id, _ = done
            del person.tasks[task_id]

    @rule(number=anything, other=anything)
    def save_anothers_task_as_ones_own(self, number: int, other: int) -> None:
        living = [(owner, id) for owner, id in self.tasks_ever if id in owner.tasks]
        if living:
            owner, task_id = living[number % len(living)]
            thief = self.people[other % len(self.people)]
            if thief is not owner:
                assert not self.target.steal(task_id, owner.id, thief.id)

    @rule(number=anything, flips=st.integers(1, 4))
    def flip_at_once_while_others_try(self, number: int, flips: int) -> None:
        living = [(owner, id) for owner, id in self.tasks_ever if id in owner.tasks]
        if not living:
            return
        owner, task_id = living[number % len(living)]
        mine = owner.token
        others = [
            session.tokens.access
            for person in self.people
            if person is not owner
            for session in person.live_sessions()[:1]
        ]

        def foreign(token: str) -> str:
            caller = next(
                person.id
                for person in self.people
                for session in person.sessions
                if session.tokens.access == token
            )
            try:
                self.target.remove(token, caller, task_id)
            except Refused as refusal:
                return refusal.code
            return "removed"

        with ThreadPoolExecutor(8) as pool:
            theirs = [pool.submit(foreign, token) for token in others]
            flipped = [
                pool.submit(self.target.toggle, mine, owner.id, task_id, None) for _ in range(flips)
            ]
            for each in flipped:
                each.result()
            assert {each.result() for each in theirs} <= {"task_not_found"}
        before = owner.tasks[task_id]
        owner.tasks[task_id] = before | {
            "completed": before["completed"] ^ bool(flips % 2),
            "version": before["version"] + flips,
        }
        assert self.target.get(mine, owner.id, task_id) == owner.tasks[task_id]

    # What is always so

    @invariant()
    def somebodys_tasks_are_as_they_left_them(self) -> None:
        """One person after the other: all of them at each step would take too long."""
        if self.people:
            self.turn += 1
            self.require_own(self.people[self.turn % len(self.people)])

    def require_own(self, person: ApiUser) -> None:
        for session in person.live_sessions()[:1]:
            assert by_id(self.target.list(session.tokens.access, person.id)) == person.tasks

    def teardown(self) -> None:
        for person in self.people:
            self.require_own(person)


def by_id(tasks: list[Fields]) -> dict[int, Fields]:
    found = {task["id"]: task for task in tasks}
    assert len(found) == len(tasks)
    return found


def run(target: Target, where: str, *, operations: int) -> None:
    """Let the rules play until the target was asked so many times."""

    class Here(Isolation):
        pass

    Here.target = target
    playing = settings(
        # Not a few: the first that are played are the simplest that there are.
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
            run_state_machine_as_test(Here, settings=playing)
    except BaseException:
        note("operations", where, tried=target.calls, failed=1)
        raise
    note("operations", where, tried=target.calls)


OPERATIONS = [
    pytest.param(EVERYDAY_OPERATIONS, id="everyday"),
    pytest.param(PROOF_OPERATIONS, id="proof", marks=pytest.mark.proof),
]


@pytest.mark.parametrize("operations", OPERATIONS)
def test_on_in_memory_adapters(operations: int) -> None:
    run(UseCases.in_memory(), "use cases, in memory", operations=operations)


@pytest.mark.parametrize("operations", OPERATIONS)
def test_on_sqlite(sqlite_container: Container, operations: int) -> None:
    run(UseCases.of(sqlite_container), "use cases, SQLite", operations=operations)


@pytest.mark.parametrize("operations", OPERATIONS)
def test_on_postgresql(postgresql_container: Container, operations: int) -> None:
    run(UseCases.of(postgresql_container), "use cases, PostgreSQL", operations=operations)


@pytest.fixture
def http_target(request: pytest.FixtureRequest) -> Iterator[Any]:
    server: RunningServer = request.getfixturevalue("sqlite_server")
    target = Http(server.url)
    yield target
    target.close()


@pytest.mark.parametrize("operations", OPERATIONS)
def test_over_http(http_target: Http, operations: int) -> None:
    run(http_target, "HTTP", operations=operations)
