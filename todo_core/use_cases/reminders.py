"""Reminding users of their tasks: what the service does by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import batched

from todo_core.entities.fired_reminder import ClaimedEmail, FiredReminder
from todo_core.entities.user import UserId
from todo_core.errors import (
    AccountGone,
    RateLimited,
    StaleVersion,
    TaskNotFound,
    Unavailable,
    UserNotFound,
)
from todo_core.ports.changes import ChangePublisher
from todo_core.ports.clock import Clock
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.mail import Mailer, ReminderEmail
from todo_core.ports.reminders import ReminderRepository
from todo_core.ports.repositories import TaskRepository, UserRepository

FIRED_RETENTION = timedelta(days=2)
"""How long fired reminders are kept, for clients that connect again."""

LEASE = timedelta(seconds=30)
"""How long an email belongs to the process that sends it. After that, another one may try."""

_BATCH = 200
_TASKS_AT_ONCE = 50
"""How many tasks of an owner are locked together. Other writers of the owner wait for them."""

_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(minutes=15)
_GIVE_UP_AFTER = timedelta(days=1)
_CLOCK_DIFFERENCE = timedelta(minutes=1)
"""How much the clocks of two machines may differ without a claim counting as expired."""


@dataclass(frozen=True, slots=True)
class FireReminders:
    """Record the reminders that are due, and announce them to their owners' clients.

    A reminder is recorded once, whatever happens in between, and never for a task that is completed
    or deleted. Each call handles a bounded number of tasks, and returns how many. Call it until it
    returns 0; several processes may do so at once.

    Raises:
        Unavailable: if the database does not respond.
    """

    reminders: ReminderRepository
    changes: ChangePublisher
    clock: Clock
    with_emails: bool

    def __call__(self) -> int:
        handled = 0
        due = self.reminders.due(now=self.clock.now(), limit=_BATCH)
        for owner_id, task_ids in due.items():
            for some in batched(task_ids, _TASKS_AT_ONCE, strict=False):
                try:
                    handled += self.reminders.fire(
                        owner_id, some, now=self.clock.now(), with_emails=self.with_emails
                    )
                except (AccountGone, StaleVersion):  # they are found again, if they still exist
                    continue
            self.changes.publish(owner_id)
        return handled


@dataclass(frozen=True, slots=True)
class SendReminderEmails:
    """Send the emails of reminders that were fired, at least once each.

    None is sent if the task was completed or deleted in the meantime, or if its owner has no email,
    does not want such emails, or has got too many: anybody can register with the address of another
    person. If the delivery fails, it is tried again after a pause that grows from half a minute to
    a quarter of an hour, for a day. Each call sends one email at most, and returns how many were
    claimed. Call it until it returns 0; several processes may do so at once.

    Raises:
        Unavailable: if the database does not respond.
    """

    reminders: ReminderRepository
    tasks: TaskRepository
    users: UserRepository
    mailer: Mailer
    limiter: RateLimiter
    clock: Clock

    def __call__(self) -> int:
        now = self.clock.now()
        claimed = self.reminders.claim_emails(
            now=now,
            until=now + LEASE,
            latest=now + _LONGEST_PAUSE + _CLOCK_DIFFERENCE,
            limit=1,
        )
        for each in claimed:
            self._send(each)
        return len(claimed)

    def _send(self, claimed: ClaimedEmail) -> None:
        try:
            self._deliver(claimed)
        except Unavailable:
            now = self.clock.now()
            if now - claimed.fired_at < _GIVE_UP_AFTER:
                until = now + pause_after(claimed.attempt)
                self.reminders.put_off_email(claimed.reminder, until=until)
                return
        self.reminders.settle_email(claimed.reminder)

    def _deliver(self, claimed: ClaimedEmail) -> None:
        """Deliver the email, unless none is to be sent."""
        email = self._email(claimed.reminder)
        if email is None:
            return
        if claimed.attempt == 1:
            try:
                self.limiter.hit(Limit.REMINDER_EMAILS, str(claimed.reminder.owner_id))
            except RateLimited:
                return
        self.mailer.deliver(email)

    def _email(self, reminder: FiredReminder) -> ReminderEmail | None:
        """Return the email, unless none is to be sent."""
        owner_id = reminder.owner_id
        try:
            user = self.users.get(owner_id)
            task = self.tasks.get(reminder.task_id, owner_id=owner_id)
        except (UserNotFound, TaskNotFound):
            return None
        wants_emails = user.reminder_emails and not user.is_disabled
        if task.completed or user.email is None or not wants_emails:
            return None
        return ReminderEmail(
            to=user.email,
            name=user.name,
            id=reminder.id,
            title=task.title,
            due_date=task.due_date,
            time_zone=user.time_zone,
        )


def pause_after(attempt: int) -> timedelta:
    """Return how long to wait after a delivery has failed this many times."""
    return min(_FIRST_PAUSE * (1 << min(attempt - 1, 10)), _LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class ListFiredReminders:
    """Return the reminders of these owners that were fired after a revision of each.

    They are in the order of revisions, and at most as old as `FIRED_RETENTION`.
    """

    reminders: ReminderRepository

    def __call__(self, revisions: Mapping[UserId, int]) -> Sequence[FiredReminder]:
        return self.reminders.fired_after(revisions) if revisions else ()
