"""CPU affinity: the event loop and the database threads of a process share one core.

Only one thread of a process runs Python at a time (the GIL). Where the operating system spreads
the threads over several cores, each request hands the GIL over between cores some ten times, and
every hand-over wakes a sleeping core. On one core, a thread continues where the other stopped.
"""

import math
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import current_process, parent_process
from pathlib import Path
from random import Random
from socket import gethostname
from threading import Lock, get_ident, get_native_id
from typing import Self
from zlib import crc32

_CPU_STATISTICS = Path("/proc/stat")
_CONTROL_GROUP = Path("/sys/fs/cgroup")
_CPU_QUOTAS = (
    [_CONTROL_GROUP / "cpu.max"],
    [_CONTROL_GROUP / "cpu" / name for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")],
)
"""The files with the quota and its period, for both versions of control groups (cgroups(7)). A
container sees its own group as the root."""

_TICKS_PER_SECOND = 100.0
"""The unit of /proc/stat on every architecture (USER_HZ)."""

_HARDLY_BUSY = 0.1
_WORTH_MOVING = 0.25
"""Shares of the time of a core: how much other processes must use, and how much more idle time
another core must have."""


_joined: set[int] = set()
"""The threads that joined any affinity of this process, by their ids in the operating system."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """How long the threads and each core have been busy until a time, in seconds."""

    time: float
    own: float
    busy: Mapping[int, float]


class CoreAffinity:
    """The core that some threads of this process run on; other threads run on any core.

    Python threads on different cores cost list, read and create 1.8, 1.6 and 1.6 times as
    much processor time as on one core.

    `follow_load` moves the threads away from a core that other processes use.
    """

    def __init__(self, cores: Sequence[int]) -> None:
        self._cores = cores
        self._core = _first_of(cores)
        self._random = Random()  # noqa: S311 - nothing depends on it being unpredictable
        self._lock = Lock()
        """Guards all attributes below."""
        self._threads: dict[int, int] = {}
        """The CPU-time clock of each thread that joined, by its id in the operating system."""
        self._measured: _Measured | None = None

    @classmethod
    def of_this_process(cls) -> Self | None:
        """Return the affinity, or None if there is only one core or none can be chosen."""
        cores = usable_cores()
        can_choose = hasattr(os, "sched_setaffinity") and _CPU_STATISTICS.exists()
        return cls(cores) if can_choose and len(cores) > 1 else None

    def join(self) -> None:
        """Run the current thread on the core from now on."""
        with self._lock:
            self._threads[get_native_id()] = time.pthread_getcpuclockid(get_ident())
            _joined.add(get_native_id())
            _run_on({self._core}, get_native_id())

    def leave(self) -> None:
        """Run the current thread on any core again."""
        with self._lock:
            self._threads.pop(get_native_id(), None)
            _joined.discard(get_native_id())
            _run_on(self._cores, get_native_id())

    def follow_load(self) -> None:
        """Leave a core that other processes use for one with more idle time; call it every second.

        It stays while its threads are idle themselves. Every other time it stays too, at random:
        two processes on one core would otherwise both move, to the same other core.

        Threads that began later on a thread of this core, and did not join, run on any core again.

        Raises:
            OSError, ValueError: if the system does not tell how busy the cores are.
        """
        with self._lock:
            for thread in map(int, os.listdir("/proc/self/task")):  # noqa: PTH208 - only names
                if thread not in _joined:
                    _run_on(self._cores, thread)
            before, self._measured = self._measured, self._measure()
            if before is not None:
                self._move_if_worthwhile(before, self._measured)

    def _measure(self) -> _Measured:
        own = sum(map(_cpu_seconds, self._threads.values()))
        return _Measured(time.monotonic(), own, _busy_seconds())

    def _move_if_worthwhile(self, before: _Measured, after: _Measured) -> None:
        seconds = after.time - before.time
        used = {
            core: (after.busy[core] - before.busy[core]) / seconds
            for core in self._cores
            if core in after.busy and core in before.busy
        }
        if self._core not in used:  # it was removed
            return
        own = (after.own - before.own) / seconds
        best = min(used, key=lambda core: (used[core], self._random.random()))
        if (
            own > _HARDLY_BUSY
            and used[self._core] - own > _WORTH_MOVING
            and used[self._core] - used[best] > _WORTH_MOVING
            and self._random.random() < 0.5
        ):
            self._core = best
            for thread in self._threads:
                _run_on({best}, thread)


def usable_cores() -> Sequence[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return range(os.cpu_count() or 1)


def core_count() -> int:
    """Return how many cores this process can keep busy, within the CPU quota of its container."""
    return min(len(usable_cores()), _quota() or sys.maxsize)


def _quota() -> int | None:
    """Return the CPU quota of the control group in whole cores, or None if there is none."""
    for files in _CPU_QUOTAS:
        try:
            quota, period = " ".join(file.read_text("ascii") for file in files).split()
            return max(1, math.ceil(int(quota) / int(period))) if int(quota) > 0 else None
        except (OSError, ValueError):  # there is no such file, or the quota is "max"
            continue
    return None


def _first_of(cores: Sequence[int]) -> int:
    """Return a core for this process, and different ones for the workers of one service.

    Services start on different cores too, as far as possible, also in different containers.
    """
    is_worker = parent_process() is not None
    service = f"{gethostname()} {os.getppid() if is_worker else os.getpid()}"
    number = re.search("[0-9]+$", current_process().name)  # SpawnProcess-1, SpawnProcess-2 …
    return cores[(crc32(service.encode()) + int(number[0] if number else 0)) % len(cores)]


def _run_on(cores: "Sequence[int] | set[int]", thread: int) -> None:
    with suppress(OSError):  # the thread has ended, or the cores are no longer ours
        os.sched_setaffinity(thread, cores)


def _cpu_seconds(clock: int) -> float:
    """Return the CPU time of a thread, or 0 if it has ended."""
    try:
        return time.clock_gettime(clock)
    except OSError:
        return 0.0


def _busy_seconds() -> Mapping[int, float]:
    """Return how long each core has been busy since the system started (proc_stat(5))."""
    busy = {}
    for line in _CPU_STATISTICS.read_text("ascii").splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _idle, _iowait, irq, soft_irq, *_ = map(int, fields)
            busy[int(name[3:])] = (user + nice + system + irq + soft_irq) / _TICKS_PER_SECOND
    return busy
