"""The step of every write that takes effect once, however often the client sends it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from todo_core.entities.idempotency import (
    MAX_KEPT_BYTES,
    RETENTION,
    IdempotentRequest,
    KeptResponse,
)
from todo_core.errors import IdempotencyKeyReused
from todo_core.ports.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Written:
    """The response to a write: to this request, or to an earlier one of which it is a replay."""

    response: bytes
    is_replay: bool


def write_once_within(
    work: UnitOfWork, request: IdempotentRequest, write: Callable[[], bytes], *, now: datetime
) -> Written:
    """Run `write` unless a request with the same key did before, and return the response to it.

    Call it first in the unit of work. The response is stored by it, with what `write` stores.

    Raises:
        IdempotencyKeyReused: if the key was sent before with a request of another fingerprint.
        IdempotencyInProgress: if a request with this key is in progress.
        ResponseTooLarge: if the response is too large to be kept.
        TooManyKeptResponses: if too much would be kept for this user.
        AccountGone: if the user was deleted.
    """
    kept_since = now - RETENTION
    kept = work.kept_responses.claim(request, now=now, kept_since=kept_since)
    if kept is None:
        response = KeptResponse(request.fingerprint, write())
        work.kept_responses.keep(
            request, response, now=now, kept_since=kept_since, most=MAX_KEPT_BYTES
        )
        return Written(response.content, is_replay=False)
    if kept.fingerprint != request.fingerprint:
        raise IdempotencyKeyReused
    return Written(kept.content, is_replay=True)
