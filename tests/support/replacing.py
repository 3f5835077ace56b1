"""Replacing adapters of an assembled service."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dependency_injector import providers

from todo_api.container import Container


@contextmanager
def replaced(container: Container, **adapters: object) -> Iterator[None]:
    """Assemble the application with these adapters, named by their providers, until the block ends.

    Afterwards it is assembled with the container's own adapters again.
    """
    with ExitStack() as stack:
        for name, adapter in adapters.items():
            stack.enter_context(getattr(container, name).override(providers.Object(adapter)))
        container.application.reset()
        yield
    container.application.reset()
