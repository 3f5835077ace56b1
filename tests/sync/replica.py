"""A copy of an owner's tasks that is fed by the pages of their changes, and checks each of them."""

from collections.abc import Mapping
from random import Random

from todo_core.application import Application
from todo_core.entities.task import Task, TaskId
from todo_core.entities.user import UserId
from todo_core.errors import SyncTokenExpired

LONGEST_PAGE = 7
"""Pages are short, so that tasks are changed between the pages of one pass."""


class Replica:
    """A client with a copy of the tasks. It requires of each page what the service promises."""

    def __init__(self, application: Application, owner_id: UserId, seed: int) -> None:
        self._application = application
        self._owner_id = owner_id
        self._random = Random(seed)  # noqa: S311 - lengths of pages
        self._tasks: dict[TaskId, Task] = {}
        self._versions: dict[TaskId, int] = {}
        self._token: str | None = None
        self._revision = -(2**62)
        self.pages = self.changes = self.drains = self.restarts = 0

    @property
    def tasks(self) -> Mapping[TaskId, Task]:
        """Its copy."""
        return self._tasks

    def drain(self) -> None:
        """Read changes until there are no more."""
        while self.read_page():
            pass
        self.drains += 1

    def read_page(self) -> bool:
        """Read a page of changes, and return whether there are more. Begin again if need be."""
        limit = self._random.randint(1, LONGEST_PAGE)
        try:
            page = self._application.list_changes(
                owner_id=self._owner_id, since=self._token, limit=limit
            )
        except SyncTokenExpired:
            assert self._token is not None, "a pass cannot be refused before it begins"
            self._begin_again()
            return True
        assert len(page.changes) <= limit
        for change in page.changes:
            self._apply(change.id, change.revision, change.task)
        self._token = page.next_token
        self.pages += 1
        self.changes += len(page.changes)
        return page.has_more

    def _begin_again(self) -> None:
        self._token = None
        self._revision = -(2**62)
        self._tasks.clear()
        self._versions.clear()
        self.restarts += 1

    def _apply(self, task_id: TaskId, revision: int, task: Task | None) -> None:
        # So no change is listed twice either: each has its own revision.
        assert revision > self._revision, "a change is not newer than the one before"
        self._revision = revision
        if task is None:
            self._tasks.pop(task_id, None)
            return
        assert (task.id, task.owner_id) == (task_id, self._owner_id)
        assert task.version > self._versions.get(task_id, 0), "a task goes back, or is listed twice"
        self._versions[task_id] = task.version
        self._tasks[task_id] = task
