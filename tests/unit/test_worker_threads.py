"""Worker threads, which users share fairly, and hashing threads, which addresses do."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from threading import Event, Lock

import pytest

from todo_api.runtime.threads import WorkerThreads, fair_share, give_way, without_giving_way
from todo_core.errors import Unavailable

LONG_SECONDS = 30.0
SHORT_SECONDS = 0.1


class Jobs:
    """Calls that block until they are released, and a record of the order in which they began."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.running: Counter[str] = Counter()
        self.most_running: Counter[str] = Counter()
        self._lock = Lock()
        self._releases: dict[str, Event] = {}

    def blocking(self, key: str, name: str = "") -> Callable[[], str]:
        name = name or key
        released = self._releases.setdefault(name, Event())

        def call() -> str:
            self.began.append(name)
            with self.counted(key):
                assert released.wait(LONG_SECONDS)
            return name

        return call

    @contextmanager
    def counted(self, key: str) -> Iterator[None]:
        """Count a running call of this key within the block."""
        with self._lock:
            self.running[key] += 1
            self.most_running[key] = max(self.most_running[key], self.running[key])
        yield
        with self._lock:
            self.running[key] -= 1

    def release(self, name: str) -> None:
        self._releases[name].set()

    def release_all(self) -> None:
        for released in self._releases.values():
            released.set()


@contextmanager
def started(threads: WorkerThreads) -> Iterator[WorkerThreads]:
    threads.start()
    yield threads
    threads.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(LONG_SECONDS):
        while not condition():  # noqa: ASYNC110 - other threads change the condition
            await asyncio.sleep(0.001)


async def all_of(
    threads: WorkerThreads, jobs: Jobs, key: str, count: int
) -> list[asyncio.Task[str]]:
    """Start this many calls of the key, each of which blocks until it is released."""
    return [
        asyncio.create_task(threads.run(jobs.blocking(key, f"{key} {number}"), key=key))
        for number in range(count)
    ]


def test_one_user_never_occupies_more_than_their_share_of_the_threads() -> None:
    jobs = Jobs()

    async def flood(threads: WorkerThreads) -> None:
        ada = await all_of(threads, jobs, "ada", 20)
        await until(lambda: jobs.running["ada"] == 2)
        # All of Ada's other calls are waiting, and Bob's begins at once.
        bob = asyncio.create_task(threads.run(jobs.blocking("bob"), key="bob"))
        await until(lambda: "bob" in jobs.began)
        assert len(jobs.began) == 3
        jobs.release_all()
        assert await bob == "bob"
        assert await asyncio.gather(*ada) == [f"ada {number}" for number in range(20)]

    with started(WorkerThreads(4, share=2)) as threads:
        asyncio.run(flood(threads))
    assert jobs.most_running == {"ada": 2, "bob": 1}
    assert set(jobs.began[:2]) == {"ada 0", "ada 1"}


def test_addresses_take_turns_and_each_waits_in_its_own_order() -> None:
    jobs = Jobs()

    async def flood(threads: WorkerThreads) -> None:
        calls = [*await all_of(threads, jobs, "a", 4), *await all_of(threads, jobs, "b", 3)]
        await until(lambda: len(jobs.began) == 1)
        calls += await all_of(threads, jobs, "c", 1)
        await asyncio.sleep(0)
        jobs.release_all()
        await asyncio.gather(*calls)

    with started(WorkerThreads(1, share=1)) as threads:
        asyncio.run(flood(threads))
    assert jobs.began == ["a 0", "b 0", "c 0", "a 1", "b 1", "a 2", "b 2", "a 3"]


def test_the_queue_of_one_address_is_bounded_and_that_of_another_is_not_affected() -> None:
    jobs = Jobs()

    async def flood(threads: WorkerThreads) -> None:
        calls = await all_of(threads, jobs, "a", 3)
        await until(lambda: len(jobs.began) == 1)
        with pytest.raises(Unavailable, match="threads"):
            await threads.run(jobs.blocking("a", "one too many"), key="a")
        calls += await all_of(threads, jobs, "b", 1)
        await asyncio.sleep(0)
        jobs.release_all()
        await asyncio.gather(*calls)

    with started(WorkerThreads(1, share=1, max_waiting_per_key=2)) as threads:
        asyncio.run(flood(threads))
    assert jobs.began == ["a 0", "b 0", "a 1", "a 2"]


def test_a_full_queue_refuses_the_newest_call_of_the_address_that_waits_most() -> None:
    jobs = Jobs()

    async def flood(threads: WorkerThreads) -> None:
        flooding = await all_of(threads, jobs, "a", 4)
        await until(lambda: len(jobs.began) == 1)
        others = await all_of(threads, jobs, "b", 1)
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="threads"):
            await flooding.pop()
        with pytest.raises(Unavailable, match="threads"):
            await threads.run(jobs.blocking("a", "one too many"), key="a")
        jobs.release_all()
        await asyncio.gather(*flooding, *others)

    with started(WorkerThreads(1, share=1, max_waiting=3)) as threads:
        asyncio.run(flood(threads))
    assert jobs.began == ["a 0", "b 0", "a 1", "a 2"]


def test_a_call_beyond_the_share_of_its_user_is_refused_after_the_longest_wait() -> None:
    jobs = Jobs()

    async def flood(threads: WorkerThreads) -> None:
        first = asyncio.create_task(threads.run(jobs.blocking("ada", "first"), key="ada"))
        await until(lambda: jobs.began == ["first"])
        with pytest.raises(Unavailable, match="threads"):
            await threads.run(jobs.blocking("ada", "second"), key="ada")
        jobs.release_all()
        assert await first == "first"
        assert await threads.run(lambda: "third", key="ada") == "third"

    with started(WorkerThreads(2, share=1, longest_wait=SHORT_SECONDS)) as threads:
        asyncio.run(flood(threads))
    assert jobs.began == ["first"]


def test_a_cancelled_call_leaves_the_queue_and_one_that_has_begun_is_completed() -> None:
    jobs = Jobs()
    completed = []

    def complete() -> None:
        completed.append(jobs.blocking("ada", "begun")())

    async def cancel(threads: WorkerThreads) -> None:
        begun = asyncio.create_task(threads.run(complete, key="ada"))
        waiting = asyncio.create_task(threads.run(jobs.blocking("ada", "waiting"), key="ada"))
        await until(lambda: jobs.began == ["begun"])
        begun.cancel()
        waiting.cancel()
        await asyncio.wait([begun, waiting])
        jobs.release("begun")
        assert await threads.run(lambda: "next", key="ada") == "next"

    with started(WorkerThreads(1, share=1)) as threads:
        asyncio.run(cancel(threads))
    assert completed == jobs.began == ["begun"]


@pytest.mark.parametrize("crowd_size", [1, 2, 5])
def test_each_of_many_concurrent_calls_runs_once_and_frees_its_thread(crowd_size: int) -> None:
    jobs, made = Jobs(), Counter[int]()
    random = Random(0)  # noqa: S311 - no secret
    keys = [f"user {number}" for number in range(6)]

    def call(key: str, number: int) -> int:
        with jobs.counted(key):
            made[number] += 1
        return number

    async def crowd(threads: WorkerThreads) -> None:
        calls = []
        for number in range(3000):
            key = random.choice(keys)
            calls.append(asyncio.create_task(threads.run(partial(call, key, number), key=key)))
            if random.random() < 0.05:
                await asyncio.sleep(0)
                random.choice(calls).cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        for number, outcome in enumerate(outcomes):
            assert outcome == number or isinstance(outcome, asyncio.CancelledError)
            assert made[number] == 1 or isinstance(outcome, asyncio.CancelledError)
        assert max(made.values()) == 1
        last = [asyncio.create_task(threads.run(jobs.blocking(key), key=key)) for key in keys[:4]]
        await until(lambda: len(jobs.began) == 4)
        jobs.release_all()
        await asyncio.gather(*last)

    with started(
        WorkerThreads(4, share=2, crowd=crowd_size, max_waiting=5000, max_waiting_per_key=5000)
    ) as threads:
        asyncio.run(crowd(threads))
    assert max(jobs.most_running.values()) <= 2


def test_expensive_calls_of_a_user_run_one_at_a_time() -> None:
    jobs = Jobs()

    def compute() -> None:
        began = time.thread_time()
        with jobs.counted("ada"):
            while time.thread_time() - began < 0.02:
                pass

    async def flood(threads: WorkerThreads) -> None:
        await threads.run(compute, key="ada")
        # No call is left, so the next ones begin together, and are found expensive again.
        first = await all_of(threads, jobs, "ada", 3)
        await until(lambda: jobs.running["ada"] == 3)
        calls = [asyncio.create_task(threads.run(compute, key="ada")) for _ in range(10)]
        jobs.release_all()
        await asyncio.gather(*first)
        await until(lambda: calls[0].done())
        await until(lambda: jobs.running["ada"] <= 1 or all(each.done() for each in calls))
        jobs.most_running.clear()
        bob = asyncio.create_task(threads.run(jobs.blocking("bob"), key="bob"))
        await until(lambda: "bob" in jobs.began)
        jobs.release("bob")
        await asyncio.gather(bob, *calls)

    with started(WorkerThreads(4, share=3, expensive_seconds=0.01)) as threads:
        asyncio.run(flood(threads))
    assert jobs.most_running["ada"] <= 1


def test_no_call_of_a_user_begins_beside_one_that_is_slow() -> None:
    jobs = Jobs()

    async def flood(threads: WorkerThreads) -> None:
        first = asyncio.create_task(threads.run(jobs.blocking("ada", "first"), key="ada"))
        await until(lambda: jobs.began == ["first"])
        second = asyncio.create_task(threads.run(jobs.blocking("ada", "second"), key="ada"))
        await until(lambda: "second" in jobs.began)
        await asyncio.sleep(2 * SHORT_SECONDS)
        others = await all_of(threads, jobs, "ada", 3)
        bob = asyncio.create_task(threads.run(jobs.blocking("bob"), key="bob"))
        await until(lambda: "bob" in jobs.began)
        jobs.release("second")
        await second
        assert jobs.began == ["first", "second", "bob"]
        jobs.most_running.clear()
        jobs.release_all()
        await asyncio.gather(first, bob, *others)

    with started(WorkerThreads(4, share=3, slow_seconds=SHORT_SECONDS)) as threads:
        asyncio.run(flood(threads))
    assert jobs.began[3:] == ["ada 0", "ada 1", "ada 2"]
    assert jobs.most_running["ada"] == 1


def test_calls_of_a_user_run_together_again_after_slow_ones() -> None:
    jobs = Jobs()

    async def two_rounds(threads: WorkerThreads) -> None:
        await threads.run(partial(time.sleep, 2 * SHORT_SECONDS), key="ada")
        calls = await all_of(threads, jobs, "ada", 3)
        await until(lambda: jobs.running["ada"] == 3)
        jobs.release_all()
        await asyncio.gather(*calls)

    with started(WorkerThreads(4, share=3, slow_seconds=SHORT_SECONDS)) as threads:
        asyncio.run(two_rounds(threads))


def test_a_few_users_with_long_calls_leave_threads_to_others() -> None:
    jobs = Jobs()
    users = ("ada", "bob", "carol", "dan")

    async def flood(threads: WorkerThreads) -> None:
        calls = [call for user in users for call in await all_of(threads, jobs, user, 3)]
        await until(lambda: len(jobs.began) == 7)
        assert jobs.running == {"ada": 3, "bob": 2, "carol": 1, "dan": 1}
        others = [
            asyncio.create_task(threads.run(jobs.blocking(name), key=name))
            for name in ("erin", "frank", "grace")
        ]
        await until(lambda: len(jobs.began) == 10)
        jobs.release_all()
        await asyncio.gather(*calls, *others)

    with started(WorkerThreads(10, share=3, crowd=5)) as threads:
        asyncio.run(flood(threads))
    assert set(jobs.began[7:10]) == {"erin", "frank", "grace"}
    assert len(jobs.began) == 15


def test_calls_that_waited_in_a_crowd_begin_before_newer_ones_of_their_user() -> None:
    jobs = Jobs()

    async def flood(threads: WorkerThreads) -> None:
        calls = [
            asyncio.create_task(threads.run(jobs.blocking(key, name), key=key))
            for key, name in (("ada", "first"), ("bob", "bob"), ("ada", "second"))
        ]
        await until(lambda: len(jobs.began) == 2)
        jobs.release("bob")
        await calls[1]
        calls.append(asyncio.create_task(threads.run(jobs.blocking("ada", "third"), key="ada")))
        await asyncio.sleep(SHORT_SECONDS)
        jobs.release_all()
        await asyncio.gather(*calls)

    with started(WorkerThreads(3, share=3, crowd=2)) as threads:
        asyncio.run(flood(threads))
    assert set(jobs.began[:2]) == {"first", "bob"}
    assert jobs.began[2:] == ["second", "third"]


def compute(seconds: float) -> None:
    """Use the processor for this many seconds."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def seconds_to_give_way() -> float:
    """Give way several times, and return the shortest duration."""
    waits = []
    for _ in range(10):
        began = time.perf_counter()
        give_way()
        waits.append(time.perf_counter() - began)
    return min(waits)


@pytest.mark.alone
def test_a_long_call_pauses_while_another_user_is_served_and_not_much_longer() -> None:
    jobs = Jobs()
    measured_alone = Event()

    def long_call() -> tuple[float, float]:
        compute(0.005)
        alone = seconds_to_give_way()
        measured_alone.set()
        while not jobs.running["bob"]:
            time.sleep(0.001)
        return alone, seconds_to_give_way()

    async def run() -> tuple[float, float]:
        with started(WorkerThreads(2, share=1)) as threads:
            ada = asyncio.create_task(threads.run(long_call, key="ada"))
            await until(measured_alone.is_set)
            bob = asyncio.create_task(threads.run(jobs.blocking("bob"), key="bob"))
            pauses = await ada
            jobs.release("bob")
            await bob
            return pauses

    alone, beside_another = asyncio.run(run())
    assert alone < 0.003
    assert 0.003 <= beside_another < 0.02


def test_a_short_call_and_other_threads_do_not_pause() -> None:
    async def run() -> float:
        with started(WorkerThreads(2, share=1)) as threads:
            return await threads.run(seconds_to_give_way, key="ada")

    assert asyncio.run(run()) < 0.0001
    compute(0.005)
    assert seconds_to_give_way() < 0.0001


def test_a_long_call_does_not_pause_while_others_wait_for_what_it_holds() -> None:
    def long_call() -> tuple[float, float]:
        compute(0.005)
        with without_giving_way():
            held = seconds_to_give_way()
        return held, seconds_to_give_way()

    async def run() -> tuple[float, float]:
        with started(WorkerThreads(2, share=1)) as threads:
            return await threads.run(long_call, key="ada")

    held, after_that = asyncio.run(run())
    assert held < 0.0001 <= after_that
    with without_giving_way():  # on any other thread too
        assert seconds_to_give_way() < 0.0001


def test_an_exception_of_a_call_reaches_its_caller_and_frees_the_thread() -> None:
    def fail() -> None:
        raise LookupError("of the call")

    async def twice(threads: WorkerThreads) -> None:
        for _ in range(2):
            with pytest.raises(LookupError, match="of the call"):
                await threads.run(fail, key="ada")

    with started(WorkerThreads(1, share=1)) as threads:
        asyncio.run(twice(threads))


def test_threads_that_are_not_running_refuse_every_call() -> None:
    threads = WorkerThreads(1, share=1)
    with pytest.raises(Unavailable, match="threads"):
        asyncio.run(threads.run(lambda: None, key="ada"))


@pytest.mark.parametrize(("count", "share"), [(1, 2), (2, 2), (6, 2), (10, 3), (100, 33)])
def test_a_fair_share_is_a_third_of_the_threads_and_two_at_least(count: int, share: int) -> None:
    assert fair_share(count) == share
