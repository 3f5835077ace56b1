"""Optimistic concurrency: retrying when a concurrent request changed what was read."""

from collections.abc import Callable

from todo_core.errors import EditConflict, StaleVersion

DEFAULT_ATTEMPTS = 3
"""How often a change is attempted. A second attempt is rarely needed."""


def retry_on_conflict[Result](
    attempt: Callable[[], Result], *, attempts: int = DEFAULT_ATTEMPTS
) -> Result:
    """Run `attempt` until it meets no conflict, and return its result.

    Each attempt must load what it changes, so that it sees what concurrent requests saved.

    Raises:
        EditConflict: if every attempt met a conflict.
    """
    for _ in range(attempts):
        try:
            return attempt()
        except StaleVersion:
            continue
    raise EditConflict
