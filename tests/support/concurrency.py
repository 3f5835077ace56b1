"""Running calls at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from todo_core.errors import TodoError


def at_once(count: int, action: Callable[[int], object]) -> list[type[TodoError] | None]:
    """Run this many calls at the same time, and return the outcome of each.

    An outcome is None or the class of an error of the core. Other errors are raised.
    """
    barrier = Barrier(count)

    def run(number: int) -> type[TodoError] | None:
        barrier.wait()
        try:
            action(number)
        except TodoError as error:
            return type(error)
        return None

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
