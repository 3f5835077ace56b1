"""Keeping a copy of an owner's tasks up to date."""

from dataclasses import dataclass

from todo_core.entities.task_changes import ChangesPage
from todo_core.entities.user import UserId
from todo_core.errors import SyncTokenExpired
from todo_core.ports.cursors import Cursors
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.repositories import TaskRepository
from todo_core.use_cases.tasks import LONGEST_PAGE


@dataclass(frozen=True, slots=True)
class ListChanges:
    """List the tasks that were changed or deleted since the token was issued, oldest change first.

    Without a token, all tasks are listed. A task that was changed several times is listed once, as
    it is now. The token that is returned continues after the listed changes.

    A token holds two revisions: up to which one changes were listed, and the newest one when the
    first list without a token was read. What was deleted before that was never listed, so that it
    does not matter if it is purged.

    Raises:
        InvalidCursor: if the token was not issued for this owner.
        SyncTokenExpired: if deletions that were not listed yet are no longer known.
        RateLimited: after too many requests of this user about tasks.
    """

    tasks: TaskRepository
    cursors: Cursors
    limiter: RateLimiter

    def __call__(
        self, *, owner_id: UserId, since: str | None = None, limit: int = LONGEST_PAGE
    ) -> ChangesPage:
        self.limiter.hit(Limit.TASKS, str(owner_id))
        return self.again(owner_id=owner_id, since=since, limit=limit)

    def again(
        self, *, owner_id: UserId, since: str | None = None, limit: int = LONGEST_PAGE
    ) -> ChangesPage:
        """Do the same for a request that was counted, and has waited for changes since."""
        scope = f"changes {owner_id}"
        listed, began = None, None
        if since is not None:
            listed, began = map(int, self.cursors.read(since, scope=scope).split())
        # One more than the page tells whether another page follows.
        found = self.tasks.changes(owner_id, after=listed, limit=limit + 1)
        if listed is None or began is None:
            began = found.revision
        elif max(listed, began) < found.purged_revision:
            raise SyncTokenExpired
        changes = found.changes[:limit]
        listed = changes[-1].revision if changes else (listed or 0)
        token = self.cursors.issue(f"{listed} {began}", scope=scope)
        return ChangesPage(changes, token, len(found.changes) > limit, found.revision)
