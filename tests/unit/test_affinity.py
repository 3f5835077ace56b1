"""The event loop and the database threads of a process share a core, and leave a busy one."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from threading import Event, Thread, get_native_id
from types import SimpleNamespace

import pytest

from tests.support.waiting import until
from todo_api.runtime import affinity as module
from todo_api.runtime.affinity import CoreAffinity, _first_of, core_count, usable_cores
from todo_api.runtime.threads import WorkerThreads

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system lets no thread choose its core"
)

MANY_SECONDS = 40
"""So often follow_load is called; it moves at random, every other time that it should."""

LONG_SECONDS = 30.0

BUSY_KINDS = ["user", "nice", "system", "irq", "softirq"]
IDLE_KINDS = ["idle", "iowait"]
KINDS = [*BUSY_KINDS[:3], *IDLE_KINDS, *BUSY_KINDS[3:], "steal", "guest", "guest_nice"]
"""The kinds of time that a core spends, in the order of proc_stat(5)."""


def on_own_thread[Result](call: Callable[[], Result]) -> Result:
    """Make the call on a thread of its own, so that this one keeps its affinity."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(call).result(timeout=LONG_SECONDS)


class Machine:
    """The system's clock and its statistics of processors, which count as a test tells them to."""

    def __init__(self, folder: Path) -> None:
        self.cores = usable_cores()
        self.kind = "user"
        """The kind of time that passes."""
        self.used_by_each_thread = 0.0
        self._seconds = 100.0
        self._busy = dict.fromkeys(self.cores, 1000.0)
        self.statistics = folder / "stat"
        self._write()

    def clock(self) -> SimpleNamespace:
        return SimpleNamespace(
            monotonic=lambda: self._seconds,
            pthread_getcpuclockid=time.pthread_getcpuclockid,
            clock_gettime=self._used_by_thread,
        )

    def _used_by_thread(self, clock: int) -> float:
        time.clock_gettime(clock)  # fails as it does for a thread that has ended
        return self.used_by_each_thread

    def run(self, busy: Mapping[int, float], *, own: float = 0.2) -> None:
        """Let a second pass in which each core is busy for a part of it.

        `own` is how long each thread that joined was busy.
        """
        self._seconds += 1.0
        self.used_by_each_thread += own
        for core, share in busy.items():
            self._busy[core] += share
        self._write()

    def busy(self, core: int) -> float:
        return self._busy[core]

    def _write(self) -> None:
        lines = ["cpu  1 2 3 4 5 6 7 8 9 10"]
        for core, seconds in self._busy.items():
            ticks = [int(seconds * 100) if kind == self.kind else 0 for kind in KINDS]
            lines.append(f"cpu{core} {' '.join(map(str, ticks))}")
        self.statistics.write_text("\n".join([*lines, "intr 1 2 3", "ctxt 5"]) + "\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setattr(module, "_CPU_STATISTICS", machine.statistics)
    monkeypatch.setattr(module, "time", machine.clock())
    return machine


@contextmanager
def joined_thread(affinity: CoreAffinity) -> Iterator[int]:
    """Run a thread that has joined until the block ends, and yield its id."""
    ids: list[int] = []
    joined, ends = Event(), Event()

    def wait() -> None:
        ids.append(get_native_id())
        affinity.join()
        joined.set()
        ends.wait(LONG_SECONDS)

    thread = Thread(target=wait)
    thread.start()
    assert joined.wait(LONG_SECONDS)
    try:
        yield ids[0]
    finally:
        ends.set()
        thread.join()


def core_of(*threads: int) -> int:
    """Return the only core on which all of these threads run."""
    [core] = {core for thread in threads for core in os.sched_getaffinity(thread)}
    return core


class TestJoining:
    def test_a_thread_that_joins_runs_on_one_core_until_it_leaves(self) -> None:
        cores = usable_cores()
        affinity = CoreAffinity(cores)

        def join_and_leave() -> tuple[set[int], set[int]]:
            affinity.join()
            joined = os.sched_getaffinity(0)
            affinity.leave()
            return joined, os.sched_getaffinity(0)

        joined, left = on_own_thread(join_and_leave)
        assert len(joined) == 1
        assert joined < set(cores) or len(cores) == 1
        assert left == set(cores)

    def test_other_threads_run_on_any_core(self) -> None:
        cores = set(usable_cores())
        affinity = CoreAffinity(usable_cores())
        with joined_thread(affinity) as joined:
            assert len(os.sched_getaffinity(joined)) == 1
            assert on_own_thread(lambda: os.sched_getaffinity(0)) == cores
        assert os.sched_getaffinity(0) == cores

    def test_all_threads_that_join_run_on_the_same_core(self) -> None:
        affinity = CoreAffinity(usable_cores())
        with joined_thread(affinity) as first, joined_thread(affinity) as second:
            assert core_of(first, second) in usable_cores()

    def test_worker_threads_join_their_affinity(self) -> None:
        threads = WorkerThreads(3, share=3, affinity=CoreAffinity(usable_cores()))
        threads.start()
        try:
            ids = [thread.native_id for thread in threads._threads]
            deadline = time.monotonic() + LONG_SECONDS
            while any(len(os.sched_getaffinity(each or 0)) > 1 for each in ids):
                assert time.monotonic() < deadline
                time.sleep(0.001)
            core_of(*(each for each in ids if each))
        finally:
            threads.stop()

    def test_there_is_no_affinity_on_the_only_core(self) -> None:
        def on_one_core() -> CoreAffinity | None:
            os.sched_setaffinity(0, usable_cores()[:1])
            return CoreAffinity.of_this_process()

        assert on_own_thread(on_one_core) is None
        assert (CoreAffinity.of_this_process() is None) == (len(usable_cores()) == 1)

    def test_there_is_no_affinity_without_statistics_of_the_cores(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_CPU_STATISTICS", tmp_path / "missing")
        assert CoreAffinity.of_this_process() is None


class TestFirstCore:
    def test_the_workers_of_one_service_begin_on_different_cores(self) -> None:
        cores = [2, 3, 5, 7]
        with ExitStack() as stack:
            workers = [
                stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"))) for _ in cores
            ]
            begun = [worker.submit(_first_of, cores) for worker in workers]
            assert {each.result(timeout=LONG_SECONDS) for each in begun} == set(cores)

    def test_a_process_without_siblings_begins_on_any_of_its_cores(self) -> None:
        assert _first_of([2, 3, 5]) in {2, 3, 5}

    @pytest.mark.parametrize("name", ["api", "SpawnProcess-1:2"])
    def test_a_child_process_of_any_name_begins_on_one_of_its_cores(self, name: str) -> None:
        process = get_context("spawn").Process(target=_first_of, args=([2, 3, 5],), name=name)
        process.start()
        process.join(LONG_SECONDS)
        assert process.exitcode == 0


@pytest.mark.skipif(
    len(usable_cores()) < 2, reason="with only one core, no thread can move to another"
)
class TestFollowingTheLoad:
    def test_all_threads_leave_a_core_that_another_process_keeps_busy(
        self, machine: Machine
    ) -> None:
        affinity = CoreAffinity(machine.cores)
        with joined_thread(affinity) as first, joined_thread(affinity) as second:
            affinity.follow_load()
            # There and back: the load of the other process follows the threads.
            for _ in range(3):
                before = core_of(first, second)
                for _ in range(MANY_SECONDS):
                    machine.run({before: 0.9})
                    affinity.follow_load()
                    if core_of(first, second) != before:
                        break
                assert core_of(first, second) != before

    @pytest.mark.parametrize(
        ("here", "elsewhere", "own"),
        [
            pytest.param(0.0, 0.0, 0.0, id="nothing is busy"),
            pytest.param(1.0, 0.0, 1.0, id="only these threads are busy"),
            pytest.param(0.4, 0.0, 0.2, id="another process is hardly busy"),
            pytest.param(1.0, 0.0, 0.8, id="another process takes little beside these threads"),
            pytest.param(1.0, 0.0, 0.05, id="these threads are hardly busy"),
            pytest.param(1.0, 1.0, 0.3, id="the other cores are as busy"),
            pytest.param(0.9, 0.7, 0.3, id="the other cores are nearly as busy"),
            pytest.param(0.2, 1.0, 0.2, id="otherwise only the other cores are busy"),
        ],
    )
    def test_threads_stay_on_their_core_if_moving_gains_little(
        self, machine: Machine, here: float, elsewhere: float, own: float
    ) -> None:
        affinity = CoreAffinity(machine.cores)
        with joined_thread(affinity) as thread:
            before = core_of(thread)
            for _ in range(MANY_SECONDS):
                machine.run(dict.fromkeys(machine.cores, elsewhere) | {before: here}, own=own)
                affinity.follow_load()
            assert core_of(thread) == before

    def test_one_of_two_processes_leaves_the_core_that_both_fill(self, machine: Machine) -> None:
        affinity = CoreAffinity(machine.cores)
        with joined_thread(affinity) as thread:
            affinity.follow_load()
            before = core_of(thread)
            for _ in range(MANY_SECONDS):
                machine.run(dict.fromkeys(machine.cores, 0.4) | {before: 1.0}, own=0.5)
                affinity.follow_load()
                if core_of(thread) != before:
                    break
            assert core_of(thread) != before

    @pytest.mark.parametrize("kind", [*BUSY_KINDS, *IDLE_KINDS])
    def test_threads_leave_a_core_for_every_kind_of_load_and_not_for_waiting(
        self, machine: Machine, kind: str
    ) -> None:
        machine.kind = kind
        affinity = CoreAffinity(machine.cores)
        with joined_thread(affinity) as thread:
            before = core_of(thread)
            affinity.follow_load()
            for _ in range(MANY_SECONDS):
                machine.run({before: 1.0})
                affinity.follow_load()
            assert (core_of(thread) != before) == (kind in BUSY_KINDS)

    def test_threads_that_have_moved_stay_when_all_cores_are_busy(self, machine: Machine) -> None:
        affinity = CoreAffinity(machine.cores)
        with joined_thread(affinity) as thread:
            affinity.follow_load()
            first = core_of(thread)
            for _ in range(MANY_SECONDS):
                machine.run({first: 1.0})
                affinity.follow_load()
            second = core_of(thread)
            assert second != first
            for _ in range(MANY_SECONDS):
                machine.run(dict.fromkeys(machine.cores, 1.0))
                affinity.follow_load()
            assert core_of(thread) == second

    def test_two_disturbed_processes_do_not_always_move_at_the_same_time(
        self, machine: Machine
    ) -> None:
        moved = set()
        for _ in range(MANY_SECONDS):
            affinity = CoreAffinity(machine.cores)
            with joined_thread(affinity) as thread:
                before = core_of(thread)
                affinity.follow_load()
                machine.run({before: 1.0})
                affinity.follow_load()
                moved.add(core_of(thread) != before)
        assert moved == {True, False}

    def test_a_thread_that_joins_later_runs_on_the_core_of_the_others(
        self, machine: Machine
    ) -> None:
        affinity = CoreAffinity(machine.cores)
        with joined_thread(affinity) as first:
            before = core_of(first)
            affinity.follow_load()
            for _ in range(MANY_SECONDS):
                machine.run({before: 1.0})
                affinity.follow_load()
            with joined_thread(affinity) as second:
                assert core_of(first, second) != before

    def test_a_thread_that_has_left_stays_on_any_core(self, machine: Machine) -> None:
        affinity = CoreAffinity(machine.cores)
        with joined_thread(affinity) as joined:
            before = core_of(joined)

            def leave_and_follow() -> set[int]:
                affinity.join()
                affinity.leave()
                affinity.follow_load()
                for _ in range(MANY_SECONDS):
                    machine.run({before: 1.0})
                    affinity.follow_load()
                return os.sched_getaffinity(0)

            assert on_own_thread(leave_and_follow) == set(machine.cores)
            assert core_of(joined) != before

    def test_a_thread_that_was_started_by_a_joined_one_runs_on_any_core(
        self, machine: Machine
    ) -> None:
        affinity = CoreAffinity(machine.cores)

        def start_thread() -> tuple[set[int], set[int]]:
            affinity.join()
            ids: list[int] = []
            ends = Event()

            def wait() -> None:
                ids.append(get_native_id())
                ends.wait(LONG_SECONDS)

            thread = Thread(target=wait)
            thread.start()
            until(lambda: ids)
            before = os.sched_getaffinity(ids[0])
            affinity.follow_load()
            after = os.sched_getaffinity(ids[0])
            ends.set()
            thread.join()
            return before, after

        before, after = on_own_thread(start_thread)
        assert len(before) == 1
        assert after == set(machine.cores)

    def test_affinities_of_one_process_leave_each_others_threads_alone(
        self, machine: Machine
    ) -> None:
        one, other = CoreAffinity(machine.cores), CoreAffinity(machine.cores)
        with joined_thread(one) as first, joined_thread(other) as second:
            one.follow_load()
            other.follow_load()
            assert {core_of(first), core_of(second)} <= set(machine.cores)

    def test_cores_that_the_system_does_not_count_are_not_used(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        affinity = CoreAffinity(machine.cores)
        with joined_thread(affinity) as thread:
            before = core_of(thread)
            monkeypatch.setattr(module, "_busy_seconds", lambda: {before: machine.busy(before)})
            affinity.follow_load()
            for _ in range(MANY_SECONDS):
                machine.run({before: 1.0})
                affinity.follow_load()
            assert core_of(thread) == before
            monkeypatch.setattr(module, "_busy_seconds", dict)
            affinity.follow_load()
            affinity.follow_load()
            assert core_of(thread) == before

    def test_a_thread_that_has_ended_does_no_harm(self, machine: Machine) -> None:
        affinity = CoreAffinity(machine.cores)
        with joined_thread(affinity) as running:
            on_own_thread(affinity.join)
            before = core_of(running)
            affinity.follow_load()
            for _ in range(MANY_SECONDS):
                machine.run({before: 1.0})
                affinity.follow_load()
            assert core_of(running) != before


class TestCoreCount:
    @pytest.mark.parametrize(
        ("files", "count"),
        [
            ({}, 8),
            ({"cpu.max": "max 100000"}, 8),
            ({"cpu.max": "150000 100000"}, 2),
            ({"cpu.max": "20000 100000"}, 1),
            ({"cpu.max": "6400000 100000"}, 8),
            ({"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, 8),
            ({"cpu.cfs_quota_us": "300000", "cpu.cfs_period_us": "100000"}, 3),
        ],
    )
    def test_as_many_cores_count_as_the_quota_of_the_container_allows(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str], count: int
    ) -> None:
        monkeypatch.setattr(module, "usable_cores", lambda: range(8))
        version_1 = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        monkeypatch.setattr(
            module, "_CPU_QUOTAS", ([tmp_path / "cpu.max"], [tmp_path / name for name in version_1])
        )
        for name, content in files.items():
            (tmp_path / name).write_text(f"{content}\n")
        assert core_count() == count
