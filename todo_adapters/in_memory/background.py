"""Jobs that are done at once."""

from collections.abc import Callable

from todo_core.ports.background import Background


class ImmediateBackground(Background):
    """Runs each job before it returns, so that a test sees what came of it."""

    def run(self, job: Callable[[], None]) -> None:
        job()
