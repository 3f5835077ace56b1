"""Writes that take effect once: the use case, its keys and its limits."""

from datetime import timedelta

import pytest

from tests.support.world import LIMITS, World
from todo_adapters.limits.rate_limiter import LimitsRateLimiter, Rule
from todo_core.entities.idempotency import (
    MAX_KEPT_BYTES,
    RETENTION,
    IdempotencyKey,
    IdempotentRequest,
    KeptResponse,
)
from todo_core.entities.task import Task
from todo_core.entities.user import User
from todo_core.errors import (
    AccountGone,
    EditConflict,
    IdempotencyKeyReused,
    IdTaken,
    InvalidIdempotencyKey,
    RateLimited,
    ResponseTooLarge,
    StaleVersion,
    TaskNotFound,
    TodoError,
    TooManyKeptResponses,
)
from todo_core.ports.limits import Limit
from todo_core.use_cases import once as use_case
from todo_core.use_cases.idempotency import ATTEMPTS
from todo_core.use_cases.once import Written
from todo_core.use_cases.task_writes import TaskWrites

SECOND = timedelta(seconds=1)


def request_of(user: User, key: str = "a-key", fingerprint: str = "a") -> IdempotentRequest:
    return IdempotentRequest(user.id, IdempotencyKey(key), fingerprint)


def tasks_of(world: World, user: User) -> list[Task]:
    return list(world.application.list_tasks(owner_id=user.id).tasks)


class Creating:
    """A write that creates a task, and counts how often it runs."""

    def __init__(self, user: User, content: bytes = b"created") -> None:
        self.user = user
        self.content = content
        self.runs = 0

    def __call__(self, writes: TaskWrites) -> bytes:
        self.runs += 1
        writes.create_task(owner_id=self.user.id, title="Buy milk")
        return self.content


@pytest.mark.parametrize("text", ["a", "!~", "x" * 255])
def test_a_key_is_visible_ascii(text: str) -> None:
    assert IdempotencyKey(text).text == text


@pytest.mark.parametrize("text", ["", " ", "a b", "x" * 256, "é", "a\n", "\x7f", "\x00", "１"])
def test_any_other_text_is_no_key(text: str) -> None:
    with pytest.raises(InvalidIdempotencyKey):
        IdempotencyKey(text)


def test_a_fingerprint_is_the_same_for_the_same_parts_only(world: World) -> None:
    ada, key = world.register(), IdempotencyKey("a-key")
    many = [(b"ab", b"c"), (b"a", b"bc"), (b"abc",), (b"abc", b""), (b"", b"abc"), (), (b"",)]
    prints = {IdempotentRequest.of(ada.id, key, *parts).fingerprint for parts in many}
    assert len(prints) == len(many)
    first, second = (IdempotentRequest.of(ada.id, key, b"a", b"b") for _ in range(2))
    assert first == second


def test_a_write_takes_effect_once_and_is_answered_alike(world: World) -> None:
    ada = world.register()
    create = Creating(ada)
    once = world.application.write_once
    assert once(request_of(ada), create) == Written(b"created", is_replay=False)
    assert once(request_of(ada), create) == Written(b"created", is_replay=True)
    assert create.runs == len(tasks_of(world, ada)) == 1
    assert once(request_of(ada, "another"), create) == Written(b"created", is_replay=False)
    assert create.runs == len(tasks_of(world, ada)) == 2


def test_a_key_with_another_fingerprint_is_refused_and_keeps_its_response(world: World) -> None:
    ada = world.register()
    create = Creating(ada)
    world.application.write_once(request_of(ada), create)
    with pytest.raises(IdempotencyKeyReused):
        world.application.write_once(request_of(ada, fingerprint="b"), create)
    assert create.runs == 1
    assert world.application.write_once(request_of(ada), create).is_replay


def test_a_response_is_kept_for_a_day_and_its_key_can_then_be_used_again(world: World) -> None:
    ada = world.register()
    create = Creating(ada)
    world.application.write_once(request_of(ada), create)
    world.clock.advance(RETENTION)
    assert world.application.write_once(request_of(ada), create).is_replay
    assert world.application.clean_up() == 0
    world.clock.advance(SECOND)
    assert not world.application.write_once(request_of(ada, fingerprint="b"), create).is_replay
    assert world.application.clean_up() == 0
    world.clock.advance(RETENTION + SECOND)
    assert world.application.clean_up() > 0
    assert world.store.kept_responses == {}


@pytest.mark.parametrize("error", [TaskNotFound, EditConflict, ValueError])
def test_a_write_that_is_refused_keeps_nothing(world: World, error: type[Exception]) -> None:
    ada = world.register()

    def refused(writes: TaskWrites) -> bytes:
        writes.create_task(owner_id=ada.id, title="Buy milk")
        raise error

    with pytest.raises(error):
        world.application.write_once(request_of(ada), refused)
    assert tasks_of(world, ada) == []
    assert world.store.kept_responses == {}
    assert not world.application.write_once(request_of(ada), Creating(ada)).is_replay


@pytest.mark.parametrize("error", [StaleVersion, IdTaken])
def test_a_write_that_meets_a_conflict_runs_again_from_the_start(
    world: World, error: type[TodoError]
) -> None:
    ada = world.register()
    create, conflicts = Creating(ada), iter(range(1, 100))

    def write(writes: TaskWrites) -> bytes:
        content = create(writes)
        if next(conflicts) < needed:
            raise error
        return content

    needed = ATTEMPTS
    assert not world.application.write_once(request_of(ada), write).is_replay
    assert (create.runs, len(tasks_of(world, ada))) == (ATTEMPTS, 1)
    needed = 100
    with pytest.raises(error):
        world.application.write_once(request_of(ada, "another"), write)
    assert (create.runs, len(tasks_of(world, ada))) == (2 * ATTEMPTS, 1)


def test_a_response_that_is_too_large_is_not_kept_and_neither_is_the_write(world: World) -> None:
    ada = world.register()
    largest = Creating(ada, b"x" * KeptResponse.MAX_SIZE)
    assert world.application.write_once(request_of(ada), largest).response == largest.content
    with pytest.raises(ResponseTooLarge):
        world.application.write_once(
            request_of(ada, "another"), Creating(ada, largest.content + b"x")
        )
    assert len(tasks_of(world, ada)) == 1


def test_a_write_is_refused_if_too_much_would_be_kept_and_earlier_ones_are_replayed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob, once = (
        world.register(),
        world.register("bob@example.com"),
        world.application.write_once,
    )
    create = Creating(ada)
    size = KeptResponse("", create.content).size
    monkeypatch.setattr(use_case, "MAX_KEPT_BYTES", 2 * size)
    for key in ("first", "second"):
        assert not once(request_of(ada, key), create).is_replay
        world.clock.advance(SECOND)
    for _ in range(2):
        with pytest.raises(TooManyKeptResponses) as error:
            once(request_of(ada, "third"), create)
        assert error.value.resets_in == RETENTION - 2 * SECOND
    assert once(request_of(ada, "first"), create).is_replay
    assert len(tasks_of(world, ada)) == 2
    assert not once(request_of(bob), Creating(bob)).is_replay
    world.clock.advance(RETENTION - SECOND)
    assert not once(request_of(ada, "third"), create).is_replay
    assert len(tasks_of(world, ada)) == 3


def test_ten_thousands_of_writes_of_one_task_are_kept_for_a_day() -> None:
    assert MAX_KEPT_BYTES / KeptResponse("", b"x" * 500).size > 30_000


def test_the_write_of_a_deleted_account_is_refused(world: World) -> None:
    ada = world.register()
    world.application.write_once(request_of(ada), Creating(ada))
    world.users.remove(ada)
    assert world.store.kept_responses == {}
    assert world.store.kept_sizes == {}
    with pytest.raises(AccountGone):
        world.application.write_once(request_of(ada), Creating(ada))


def test_every_use_case_that_changes_tasks_takes_part(world: World) -> None:
    ada = world.register()
    task = world.application.create_task(owner_id=ada.id, title="Buy milk")

    def all_of_them(writes: TaskWrites) -> bytes:
        writes.create_task(owner_id=ada.id, title="Buy oats")
        writes.update_task(owner_id=ada.id, task_id=task.id, title="Buy flour")
        writes.toggle_completion(owner_id=ada.id, task_id=task.id)
        writes.delete_task(owner_id=ada.id, task_id=task.id)
        raise TaskNotFound

    with pytest.raises(TaskNotFound):
        world.application.write_once(request_of(ada), all_of_them)
    assert tasks_of(world, ada) == [task]


def test_a_request_with_a_key_counts_once_and_a_replay_counts_too() -> None:
    limits = LIMITS | {Limit.TASKS: Rule("3/minute")}
    world = World(limiter=LimitsRateLimiter("memory://", limits))
    ada, bob = world.register(), world.register("bob@example.com")
    for _ in range(3):
        world.application.write_once(request_of(ada), Creating(ada))
    with pytest.raises(RateLimited):
        world.application.write_once(request_of(ada), Creating(ada))
    world.application.write_once(request_of(bob), Creating(bob))


def test_a_write_that_counts_as_several_requests_is_counted_before_it_begins() -> None:
    limits = LIMITS | {Limit.TASKS: Rule("10/minute")}
    world = World(limiter=LimitsRateLimiter("memory://", limits))
    ada, once = world.register(), world.application.write_once
    create = Creating(ada)
    assert not once(request_of(ada), create, hits=4).is_replay
    assert once(request_of(ada), create, hits=4).is_replay
    with pytest.raises(RateLimited):
        once(request_of(ada, "another"), create, hits=4)
    assert create.runs == len(world.store.tasks) == 1
