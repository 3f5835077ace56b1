"""Changes of tasks, by this process and by others."""

import time
from collections.abc import Mapping, Sequence
from queue import Empty, SimpleQueue
from threading import Thread

import structlog

from todo_core.entities.user import UserId
from todo_core.ports.changes import Changes, Observer
from todo_core.ports.repositories import TaskRepository

_POLL_SECONDS = 1.0
_OWNERS_IN_A_QUERY = 1000
_GATHERING_SECONDS = 0.005
"""How long further changes are waited for, so that many in a row cost one query."""

_UNKNOWN = -1

_log = structlog.get_logger()


class PolledChanges(Changes):
    """Reads the revisions of the watched owners on one thread.

    It reads those of all watched owners every second, with one query for a thousand of them. If
    one is published here, it reads that one at once. While nobody is watched, it does nothing.

    If the database does not respond, it tries again after a second. The failure is logged, unless
    the query before failed in the same way.
    """

    def __init__(self, tasks: TaskRepository, *, seconds: float = _POLL_SECONDS) -> None:
        self._tasks = tasks
        self._seconds = seconds
        self._observer: Observer | None = None
        self._revisions: dict[UserId, int] = {}
        """The newest known revision of each watched owner."""
        self._published: SimpleQueue[UserId | None] = SimpleQueue()
        self._next_poll = 0.0
        self._failure: str | None = None
        self._is_closed = False
        self._thread = Thread(target=self._run, name="changes", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread, and wait for the query that may be running."""
        self._is_closed = True
        self._published.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def publish(self, owner_id: UserId) -> None:
        if owner_id in self._revisions:
            self._published.put(owner_id)

    def watch(self, owner_id: UserId) -> None:
        self._revisions.setdefault(owner_id, _UNKNOWN)
        self._published.put(owner_id)

    def unwatch(self, owner_id: UserId) -> None:
        self._revisions.pop(owner_id, None)

    def observe(self, observer: Observer) -> None:
        self._observer = observer

    # On the thread

    def _run(self) -> None:
        while not self._is_closed:
            owners = self._wait()
            if time.monotonic() >= self._next_poll:
                owners = list(self._revisions)
                self._next_poll = time.monotonic() + self._seconds
            if owners:
                self._try_to_read(owners)

    def _try_to_read(self, owners: Sequence[UserId]) -> None:
        try:
            for start in range(0, len(owners), _OWNERS_IN_A_QUERY):
                self._read(owners[start : start + _OWNERS_IN_A_QUERY])
        except Exception as error:  # noqa: BLE001 - the next query may succeed
            failure = repr(error)
            if failure != self._failure:
                _log.warning("changes.failed", reason=failure)
            self._failure = failure
        else:
            if self._failure is not None:
                _log.info("changes.recovered")
            self._failure = None

    def _wait(self) -> Sequence[UserId]:
        """Wait for published owners, until the next poll at the latest, and return them."""
        timeout = max(0.0, self._next_poll - time.monotonic()) if self._revisions else None
        published: set[UserId | None] = set()
        try:
            published.add(self._published.get(timeout=timeout))
            time.sleep(_GATHERING_SECONDS)
            while True:
                published.add(self._published.get_nowait())
        except Empty:
            pass
        return [owner for owner in published if owner is not None and owner in self._revisions]

    def _read(self, owners: Sequence[UserId]) -> None:
        revisions = self._tasks.revisions(owners)
        changed = {
            owner: revision
            for owner, revision in revisions.items()
            if self._revisions.get(owner, revision) != revision
        }
        for owner, revision in changed.items():
            if owner in self._revisions:
                self._revisions[owner] = revision
        if changed and self._observer is not None:
            self._notify(self._observer, changed)

    def _notify(self, observer: Observer, changed: Mapping[UserId, int]) -> None:
        """Notify the observer. If it fails, the next poll does so again."""
        try:
            observer(changed)
        except Exception:
            for owner in changed:
                if owner in self._revisions:
                    self._revisions[owner] = _UNKNOWN
            raise
