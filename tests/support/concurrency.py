"""Doing things at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from todo_core.errors import TodoError


def at_once(count: int, action: Callable[[int], object]) -> list[type[TodoError] | None]:
    """What came of each of so many calls that were started at the same moment.

    That is None, or the class of the core's error; anything else is raised.
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
