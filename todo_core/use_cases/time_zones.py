"""The time zones of owners, for use cases whose input depends on them."""

from dataclasses import dataclass, replace

from todo_core.entities.task_query import TaskQuery
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import UserId
from todo_core.errors import AccountGone, UserNotFound
from todo_core.ports.clock import Clock
from todo_core.ports.repositories import UserRepository


def zone_of(owner_id: UserId, users: UserRepository) -> TimeZone:
    """Return the time zone of an owner, which stays the same until the unit of work ends.

    Raises:
        AccountGone: if the owner was deleted.
    """
    try:
        return users.time_zone(owner_id)
    except UserNotFound as gone:
        raise AccountGone from gone


@dataclass(frozen=True, slots=True)
class LocateQuery:
    """Return a query with its local times as moments, and with the current time.

    Raises:
        AccountGone: if the zone of the owner is needed, and the owner was deleted.
    """

    users: UserRepository
    clock: Clock

    def __call__(self, owner_id: UserId, query: TaskQuery) -> TaskQuery:
        if query.depends_on_clock:
            query = replace(query, now=self.clock.now())
        if query.depends_on_zone:
            query = query.in_zone(zone_of(owner_id, self.users))
        return query
