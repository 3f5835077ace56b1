"""Periodic jobs, which work in batches with pauses in between."""

import time
from collections.abc import Callable
from threading import Barrier, Event

import pytest
from structlog.testing import capture_logs

from tests.support.waiting import until
from todo_adapters.system.periodic import Periodic, PeriodicBatches, in_batches, on_threads


def working_off(left: int, *, batch: int = 1, seconds: float = 0.0) -> Callable[[], int]:
    """A job with this many rows left."""

    def job() -> int:
        nonlocal left
        done = min(batch, left)
        left -= done
        if done:
            time.sleep(seconds)
        return done

    return job


def test_batches_run_until_nothing_is_left() -> None:
    assert in_batches(working_off(7, batch=3)) == 7
    assert in_batches(working_off(0)) == 0


def test_between_batches_the_job_pauses_for_the_duration_of_a_batch() -> None:
    began = time.monotonic()
    assert in_batches(working_off(4, seconds=0.05)) == 4
    assert time.monotonic() - began >= 2 * 4 * 0.05


def test_no_batch_begins_after_the_time_is_up() -> None:
    began = time.monotonic()
    assert 0 < in_batches(working_off(1_000), seconds=0.1) < 1_000
    assert time.monotonic() - began < 5


def test_no_batch_begins_after_a_stop() -> None:
    stopped, done = Event(), []

    def job() -> int:
        done.append(1)
        if len(done) == 2:
            stopped.set()
        return 1

    assert in_batches(job, stopped=stopped) == 2


@pytest.mark.alone
def test_a_periodic_job_starts_without_waiting_and_runs_until_nothing_is_left() -> None:
    counted: list[int] = []
    job = working_off(5, seconds=0.1)

    def count() -> int:
        counted.append(job())
        return counted[-1]

    periodic = PeriodicBatches("test", count, seconds=3_600, longest=60)
    began = time.monotonic()
    periodic.start()
    assert time.monotonic() - began < 0.1
    until(lambda: counted == [1, 1, 1, 1, 1, 0])
    periodic.close()


def test_a_closed_periodic_job_stops_after_its_current_batch() -> None:
    counted: list[int] = []

    def endless() -> int:
        counted.append(1)
        time.sleep(0.02)
        return 1

    periodic = PeriodicBatches("test", endless, seconds=3_600, longest=60)
    periodic.start()
    until(lambda: len(counted) >= 2)
    began = time.monotonic()
    periodic.close()
    assert time.monotonic() - began < 2
    after = len(counted)
    time.sleep(0.1)
    assert len(counted) == after


def test_a_failed_batch_is_retried_by_the_next_run() -> None:
    calls: list[int] = []

    def failing() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return 0

    periodic = PeriodicBatches("test", failing, seconds=0.01, longest=60)
    periodic.start()
    until(lambda: len(calls) >= 2)
    periodic.close()


def test_a_failure_is_logged_once_until_it_changes_or_ends() -> None:
    calls: list[int] = []
    failures = [None, ValueError("a"), ValueError("a"), ValueError("b"), None, ValueError("b")]

    def failing() -> None:
        calls.append(1)
        if len(calls) <= len(failures) and (failure := failures[len(calls) - 1]):
            raise failure

    with capture_logs() as lines:
        periodic = Periodic("test", failing, seconds=0.01)
        periodic.start()
        until(lambda: len(calls) > len(failures))
        periodic.close()
    assert [(line["event"], line.get("reason")) for line in lines] == [
        ("periodic.failed", "ValueError('a')"),
        ("periodic.failed", "ValueError('b')"),
        ("periodic.recovered", None),
        ("periodic.failed", "ValueError('b')"),
        ("periodic.recovered", None),
    ]


def test_an_observer_is_told_of_each_run() -> None:
    calls: list[int] = []
    told: list[tuple[str, bool]] = []

    def failing_first() -> None:
        calls.append(1)
        time.sleep(0.01)
        if len(calls) == 1:
            raise ZeroDivisionError

    def observe(name: str, seconds: float, failed: bool) -> None:
        assert 0.01 <= seconds < 10
        told.append((name, failed))

    periodic = Periodic("test", failing_first, seconds=0.01)
    periodic.observe(observe)
    periodic.start()
    until(lambda: len(told) >= 2)
    periodic.close()
    assert told[:2] == [("test", True), ("test", False)]


def test_a_job_on_threads_is_called_once_if_there_is_nothing_to_do() -> None:
    calls: list[int] = []

    def idle() -> int:
        calls.append(1)
        return 0

    assert on_threads(idle, 4)() == 0
    assert calls == [1]


def test_a_job_on_threads_is_called_on_all_of_them_at_once() -> None:
    barrier = Barrier(3)
    calls: list[int] = []

    def wait_for_the_others() -> int:
        calls.append(1)
        if len(calls) > 1:
            barrier.wait(timeout=10)
        return 1

    job = on_threads(wait_for_the_others, 3)
    assert job() == 4


def test_an_error_on_a_thread_is_raised() -> None:
    calls: list[int] = []

    def fail() -> int:
        calls.append(1)
        if len(calls) > 1:
            raise ZeroDivisionError
        return 1

    with pytest.raises(ZeroDivisionError):
        on_threads(fail, 2)()
