"""Distributes the default suite over processors, and then runs some tests one at a time.

A run of the whole suite is distributed over worker processes (pytest-xdist). A run of a part is
not, because starting workers takes longer than the part. The marker `alone` is for tests that
measure time or processor use. They are scheduled after all others, and each waits until no other
test runs: such a test holds a lock exclusively, and other tests share it.
"""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, override

import pytest
from xdist.remote import Producer
from xdist.scheduler import WorkStealingScheduling
from xdist.workermanage import WorkerController

MAX_WORKERS = 4
"""The number of workers is limited because each runs its own PostgreSQL server."""

_MIN_PENDING = 2
"""A worker runs a test only when it knows the next one, so it needs at least two."""

_FOLDER = pytest.StashKey[Path]()
_INPUT = "distribution_folder"


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many workers a run is distributed over; none if it is not the whole suite."""
    options: list[str] = config.getini("addopts")
    everyday = options[options.index("-m") + 1]
    is_whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    is_everyday = config.option.markexpr == everyday and not config.option.keyword
    processors = os.process_cpu_count() or 1
    if not (is_whole and is_everyday) or processors == 1:
        return 0
    # One more than processors, because tests wait for servers part of the time.
    return min(processors + 1, MAX_WORKERS)


def pytest_configure(config: pytest.Config) -> None:
    """Create the folder that the processes of this run share, or find it in a worker."""
    given = getattr(config, "workerinput", {}).get(_INPUT)
    if given is not None:
        config.stash[_FOLDER] = Path(given)
    elif config.option.dist != "no":
        config.stash[_FOLDER] = Path(tempfile.mkdtemp(prefix="todo-tests-"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder in the process that created it."""
    if _FOLDER in config.stash and not hasattr(config, "workerinput"):
        shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)


def pytest_configure_node(node: WorkerController) -> None:
    """Pass the folder to a worker."""
    node.workerinput[_INPUT] = str(node.config.stash[_FOLDER])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell the scheduler which tests must run alone."""
    if hasattr(session.config, "workerinput"):
        alone = [item.nodeid for item in session.items if _is_alone(item)]
        folder = session.config.stash[_FOLDER]
        temporary = folder / f"alone-{os.getpid()}"
        temporary.write_text(json.dumps(alone))
        temporary.rename(folder / "alone")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a test alone or together with others."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    with turn(item.config.stash[_FOLDER], alone=_is_alone(item)):
        return (yield)


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Wait until a test may run. It holds its lock until the block ends.

    All tests pass the gate before they lock the room. A test that must run alone waits while it
    holds the gate, so that later tests cannot keep the room locked.
    """
    with (folder / "gate").open("w") as gate, (folder / "room").open("w") as room:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> WorkStealingScheduling:
    """Return the scheduler of this module."""
    return AloneLast(config, log)


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


class AloneLast(WorkStealingScheduling):  # type: ignore[misc]  # it has no type information
    """A work-stealing scheduler that schedules tests that run alone after all others."""

    pending: list[int]  # indices in the collection

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        self._alone: Sequence[int] | None = None

    @property
    @override
    def tests_finished(self) -> bool:
        return not self._alone and bool(super().tests_finished)

    @property
    @override
    def has_pending(self) -> bool:
        return bool(self._alone) or bool(super().has_pending)

    @override
    def check_schedule(self) -> None:
        if self._alone is None and self.collection is not None:
            named = set(json.loads((self.config.stash[_FOLDER] / "alone").read_text()))
            self._alone = [index for index in self.pending if self.collection[index] in named]
            self.pending = [index for index in self.pending if index not in set(self._alone)]
        if self._alone and not self.pending and self._is_all_else_done():
            self.pending, self._alone = list(self._alone), ()
        super().check_schedule()

    def _is_all_else_done(self) -> bool:
        pending: Any = self.node2pending  # a list of tests for each worker
        return self.steal_requested_from_node is None and all(
            len(tests) < _MIN_PENDING for node, tests in pending.items() if not node.shutting_down
        )
