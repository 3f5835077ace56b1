"""Doing things after the answer."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol


class Background(Protocol):
    """Runs what an answer must not wait for, neither for its result nor for its time."""

    @abstractmethod
    def run(self, job: Callable[[], None]) -> None:
        """Take the job; it is run soon, or dropped when far too much is waiting.

        What it raises is logged and goes no further.
        """
