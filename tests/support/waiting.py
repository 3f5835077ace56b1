"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable

SOON_SECONDS = 10.0


def until(condition: Callable[[], object], *, seconds: float = SOON_SECONDS) -> None:
    """Return as soon as the condition holds.

    Raises:
        AssertionError: if it does not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true within {seconds:g} seconds"
        time.sleep(0.002)
