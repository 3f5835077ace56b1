"""Copies of an owner's tasks equal the server's, while many writers change them.

Writers, and the clean-up that purges deletions, work at the same time as two replicas that read
short pages. When the writers pause, each replica reads what is left, and is compared. Many of the
tasks are subtasks, so that several rows change in one write.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from tests.support.proof import note
from tests.support.storages import storage_of
from tests.support.tasks import all_tasks
from tests.support.world import POLICY, World
from tests.sync.replica import Replica
from tests.sync.writer import Tasks, Writer
from todo_adapters.limits.rate_limiter import Unlimited
from todo_api.container import Container
from todo_core.application import Application
from todo_core.entities.user import UserId
from todo_core.errors import StaleVersion
from todo_core.ports.repositories import TaskRepository

WRITERS = 8
EVERYDAY_OPERATIONS = 540
PROOF_OPERATIONS = 15_075  # a third of them is refused, so that 10,000 take effect
ROUNDS = 6
PROOF_ROUNDS = 25

ERASED_AFTER = timedelta(days=365)
"""By then, all of the trash has expired."""


@dataclass(frozen=True)
class Service:
    """The use cases on a storage, and its tasks."""

    application: Application
    tasks: TaskRepository

    def register(self, email: str) -> UserId:
        return self.application.register_user(
            name="Ada", email=email, password="a rather long sentence"
        ).id


@pytest.fixture(params=["in_memory", "sqlite", "postgresql"])
def service(request: pytest.FixtureRequest) -> Service:
    if request.param == "in_memory":
        world = World(limiter=Unlimited(), policy=replace(POLICY, max_tasks_per_user=100_000))
        return Service(world.application, world.tasks)
    container: Container = request.getfixturevalue(f"{request.param}_container")
    return Service(container.application(), storage_of(container).tasks)


class Stage:
    """Eight writers of an owner, and two replicas; and one of each for another owner.

    A replica requires that no task is the other owner's.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.ada, self.bob = (
            Tasks(service.register(f"{name}@example.com")) for name in ("ada", "bob")
        )
        self.writers = [Writer(service.application, number) for number in range(WRITERS + 1)]
        self.replicas = [
            (tasks, Replica(service.application, tasks.owner_id, seed))
            for seed, tasks in enumerate((self.ada, self.ada, self.bob))
        ]

    def run(self, operations: int, *, rounds: int, purges: bool = False) -> None:
        """Run rounds with so many operations in all. After each, the replicas equal the server."""
        each = operations // rounds // len(self.writers)
        for number in range(rounds):
            # A replica that is not read for a round misses what is purged in the meantime.
            reading = self.replicas[number % 2 :]
            with ThreadPoolExecutor(len(self.writers) + len(self.replicas) + 1) as threads:
                done = Event()
                others = [threads.submit(self._read, replica, done) for _, replica in reading]
                if purges:
                    others.append(threads.submit(self._purge, done))
                writing = [
                    threads.submit(self._write, index, each) for index in range(len(self.writers))
                ]
                try:
                    for future in writing:
                        future.result(timeout=300)
                finally:
                    done.set()
                for future in others:
                    future.result(timeout=60)
            self.compare()

    def compare(self) -> None:
        """Drain each replica, and require that it equals the server."""
        for tasks, replica in self.replicas:
            replica.drain()
            stored = all_tasks(self._service.tasks, tasks.owner_id)
            assert dict(replica.tasks) == {task.id: task for task in stored}
            assert self._service.tasks.counts(tasks.owner_id).total == len(stored)
            with_parents = {task.id: task.parent_id for task in stored}
            for parent_id in filter(None, with_parents.values()):
                assert with_parents[parent_id] is None, "a subtask has no parent, or subtasks"

    def purge_all(self) -> None:
        """Forget all deletions, as the clean-up does after some months."""
        while self._purge_some(limit=100):
            pass

    def _write(self, index: int, operations: int) -> None:
        tasks = self.ada if index else self.bob
        for _ in range(operations):
            self.writers[index].write(tasks)

    @staticmethod
    def _read(replica: Replica, done: Event) -> None:
        while not done.is_set():
            replica.read_page()

    def _purge(self, done: Event) -> None:
        while not done.wait(0.01):
            # A task that is deleted while it gets a subtask that changes is a deadlock. PostgreSQL
            # ends it by rolling back any of those that wait. The clean-up goes on the next time.
            with suppress(StaleVersion):
                self._purge_some(limit=3)
                self._service.tasks.purge_excess(most=10, limit=3)

    def _purge_some(self, *, limit: int) -> int:
        now = datetime.now(UTC) + ERASED_AFTER
        erased = self._service.tasks.erase_expired(now=now, expires_at=now, limit=limit)
        later = now + timedelta(seconds=1)
        return erased + self._service.tasks.purge_tombstones(now=later, limit=limit)

    def note(self, where: str) -> None:
        done = sum((writer.done for writer in self.writers), Counter[str]())
        replicas = [replica for _, replica in self.replicas]
        note("sync", f"writes, {where}", tried=done.total())
        note("sync", f"changes read, {where}", tried=sum(each.changes for each in replicas))
        note("sync", f"drains compared, {where}", tried=sum(each.drains for each in replicas))
        note("sync", f"new starts, {where}", tried=sum(each.restarts for each in replicas))


@contextmanager
def staged(service: Service, where: str) -> Iterator[Stage]:
    stage = Stage(service)
    yield stage
    stage.note(where)


def require_every_operation(stage: Stage) -> None:
    """Require that no kind of operation was always refused."""
    done = sum((writer.done for writer in stage.writers), Counter[str]())
    assert set(done) == set(stage.writers[0].operations)


def test_replicas_equal_the_server_after_each_drain(service: Service) -> None:
    with staged(service, "everyday") as stage:
        stage.run(EVERYDAY_OPERATIONS, rounds=ROUNDS)
        assert all(replica.restarts == 0 for _, replica in stage.replicas)


def test_a_replica_that_missed_purged_deletions_begins_again_and_equals_the_server(
    service: Service,
) -> None:
    with staged(service, "everyday") as stage:
        stage.run(EVERYDAY_OPERATIONS, rounds=ROUNDS, purges=True)
        [(tasks, replica), *_] = stage.replicas
        task = service.application.create_task(owner_id=tasks.owner_id, title="Buy milk")
        stage.compare()
        before = replica.restarts
        service.application.delete_task(owner_id=tasks.owner_id, task_id=task.id)
        stage.purge_all()
        stage.compare()
        assert replica.restarts == before + 1
        # What was purged before it began again does not matter to it.
        stage.compare()
        assert replica.restarts == before + 1


@pytest.mark.proof
@pytest.mark.parametrize("purges", [False, True], ids=["", "purging"])
def test_replicas_equal_the_server_over_ten_thousand_operations(
    service: Service, purges: bool, request: pytest.FixtureRequest
) -> None:
    with staged(service, request.node.callspec.id) as stage:
        stage.run(PROOF_OPERATIONS, rounds=PROOF_ROUNDS, purges=purges)
        require_every_operation(stage)
