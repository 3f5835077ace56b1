"""Background jobs that run immediately."""

from collections.abc import Callable

from todo_core.ports.background import Background


class ImmediateBackground(Background):
    """Runs each job before `run` returns, so that a test sees its effect."""

    def run(self, job: Callable[[], None]) -> None:
        job()

    def close(self) -> None:
        """Do nothing: no job is waiting."""
