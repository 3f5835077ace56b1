"""Notifications that the tasks of an owner have changed."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Protocol

from todo_core.entities.user import UserId

type Observer = Callable[[Mapping[UserId, int]], None]
"""Is notified of the new revisions of owners."""


class ChangePublisher(Protocol):
    """Announces changes of tasks. May be called on any thread."""

    @abstractmethod
    def publish(self, owner_id: UserId) -> None:
        """Announce that tasks of this owner were changed, after the change was stored.

        It costs next to nothing if this owner is not watched, and never waits.
        """


class Changes(ChangePublisher, Protocol):
    """Notifies an observer when the tasks of the watched owners have changed.

    A change that is published here is reported within 100 ms, and one of another process within
    1.5 seconds. Several changes may be reported as one. All methods may be called on any thread,
    and the observer is called on any thread.
    """

    @abstractmethod
    def watch(self, owner_id: UserId) -> None:
        """Start watching this owner. The current revision is reported soon."""

    @abstractmethod
    def unwatch(self, owner_id: UserId) -> None:
        """Stop watching this owner."""

    @abstractmethod
    def observe(self, observer: Observer) -> None:
        """Notify this observer from now on, in place of an earlier one.

        If it raises an error, it is notified again.
        """
