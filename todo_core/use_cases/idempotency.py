"""Writes that take effect once, however often the client sends them.

A client whose connection breaks does not know whether its write took effect. It sends the request
again with the same key (draft-ietf-httpapi-idempotency-key-header-07).
"""

from collections.abc import Callable
from dataclasses import dataclass

from todo_core.entities.idempotency import IdempotentRequest
from todo_core.errors import EditConflict, IdTaken, StaleVersion
from todo_core.ports.changes import ChangePublisher
from todo_core.ports.clock import Clock
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.once import Written, write_once_within
from todo_core.use_cases.task_writes import TaskWrites

ATTEMPTS = 3
"""How many units of work are begun while each meets a conflict. The first usually suffices."""


@dataclass(frozen=True, slots=True)
class WriteOnce:
    """Run a write unless a request with the same key did before, and return the response to it.

    `write` gets the use cases that change tasks, and returns the response as bytes that only the
    caller interprets. A replay is the response to the first request, even if the task was changed
    since. Writes and response are stored in one unit of work: both, or neither. If `write` raises,
    nothing is kept, and the key can be used again. Responses are kept for `RETENTION`.

    No response is dropped earlier, because its write would take effect twice if it was sent again.
    Instead, a write is refused if more than `MAX_KEPT_BYTES` would be kept.

    `write` may be called several times, each time in a new unit of work, so it must not change
    anything else.

    The request counts as `hits` requests, before the unit of work begins. So a replay counts as
    much as the write: only the unit of work tells the two apart.

    Raises:
        IdempotencyKeyReused: if the key was sent before with a request of another fingerprint.
        IdempotencyInProgress: if a request with this key is in progress.
        ResponseTooLarge: if the response is too large to be kept.
        TooManyKeptResponses: if too much would be kept for this user.
        IdTaken, StaleVersion, EditConflict: if every attempt met a conflict.
        AccountGone: if the user was deleted.
        RateLimited: after too many requests of this user about tasks.
    """

    writes: TaskWrites
    unit_of_work: BeginUnitOfWork
    limiter: RateLimiter
    changes: ChangePublisher
    clock: Clock

    def __call__(
        self, request: IdempotentRequest, write: Callable[[TaskWrites], bytes], *, hits: int = 1
    ) -> Written:
        for _ in range(hits):
            self.limiter.hit(Limit.TASKS, str(request.user_id))
        for remaining in reversed(range(ATTEMPTS)):
            try:
                written = self._attempt(request, write)
                break
            except (IdTaken, StaleVersion, EditConflict):
                if not remaining:
                    raise
        if not written.is_replay:
            self.changes.publish(request.user_id)
        return written

    def _attempt(self, request: IdempotentRequest, write: Callable[[TaskWrites], bytes]) -> Written:
        with self.unit_of_work() as work:
            return write_once_within(
                work, request, lambda: write(self.writes.within(work)), now=self.clock.now()
            )
