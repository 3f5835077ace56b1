"""Background jobs."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol


class Background(Protocol):
    """Runs jobs that a response must not wait for."""

    @abstractmethod
    def run(self, job: Callable[[], None]) -> None:
        """Run the job soon, or drop it if far too many are waiting.

        Errors that the job raises are logged.
        """
