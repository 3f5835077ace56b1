"""Changes of tasks in memory."""

from todo_core.entities.user import UserId
from todo_core.ports.changes import Changes, Observer
from todo_core.ports.repositories import TaskRepository


class InMemoryChanges(Changes):
    """Tells the observer of each change at once, on the thread that published it."""

    def __init__(self, tasks: TaskRepository) -> None:
        self.published: list[UserId] = []
        """Every owner that was announced, in order."""
        self._tasks = tasks
        self._watched: set[UserId] = set()
        self._observer: Observer | None = None

    def publish(self, owner_id: UserId) -> None:
        self.published.append(owner_id)
        if owner_id in self._watched:
            self._tell(owner_id)

    def watch(self, owner_id: UserId) -> None:
        self._watched.add(owner_id)
        self._tell(owner_id)

    def unwatch(self, owner_id: UserId) -> None:
        self._watched.discard(owner_id)

    def observe(self, observer: Observer) -> None:
        self._observer = observer

    def _tell(self, owner_id: UserId) -> None:
        if self._observer is not None:
            self._observer(self._tasks.revisions([owner_id]))
