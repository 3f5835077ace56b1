"""Replacing adapters of a service that is already assembled."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dependency_injector import providers

from todo_api.container import Container


@contextmanager
def replaced(container: Container, **adapters: object) -> Iterator[None]:
    """Assemble the application with these adapters, by the names of their providers.

    Afterwards it is assembled again with the container's own.
    """
    with ExitStack() as stack:
        for name, adapter in adapters.items():
            stack.enter_context(getattr(container, name).override(providers.Object(adapter)))
        container.application.reset()
        yield
    container.application.reset()
