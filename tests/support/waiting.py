"""Waiting for other threads and processes."""

import time
from collections.abc import Callable

SOON_SECONDS = 10.0


def until(condition: Callable[[], object], *, seconds: float = SOON_SECONDS) -> None:
    """Wait until the condition is true.

    Raises:
        AssertionError: if it is not true in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition was not true within {seconds:g} seconds"
        time.sleep(0.002)
