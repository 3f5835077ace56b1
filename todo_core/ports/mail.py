"""Emails to users.

The core decides what an email is about. The adapter renders and delivers it.
"""

from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from todo_core.entities.due_date import DueDate
from todo_core.entities.fired_reminder import ReminderId
from todo_core.entities.task import Title
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import EmailAddress, PersonName


@dataclass(frozen=True, slots=True)
class PasswordResetEmail:
    """A link with which the user can choose a new password within `expires_in`."""

    to: EmailAddress
    name: PersonName
    token: str = field(repr=False)
    expires_in: timedelta


@dataclass(frozen=True, slots=True)
class EmailChangedEmail:
    """A notice that the email of the account was changed. It goes to the old address."""

    to: EmailAddress
    name: PersonName
    new_email: EmailAddress


@dataclass(frozen=True, slots=True)
class PasswordChangedEmail:
    """A notice that the password of the account was changed."""

    to: EmailAddress
    name: PersonName


@dataclass(frozen=True, slots=True)
class ReminderEmail:
    """A reminder of a task, and when that is due in the time zone of the user.

    The message is identified by the `id` of the reminder: software for mail recognises the same
    one if it is delivered twice.
    """

    to: EmailAddress
    name: PersonName
    id: ReminderId
    title: Title
    due_date: DueDate | None
    time_zone: TimeZone


type Email = PasswordResetEmail | EmailChangedEmail | PasswordChangedEmail | ReminderEmail


class Mailer(Protocol):
    """Sends emails."""

    @abstractmethod
    def send(self, email: Email) -> None:
        """Accept the email for delivery, which happens in the background.

        A failure of the delivery is logged and not raised: a response must not reveal whether an
        email was sent.
        """

    @abstractmethod
    def deliver(self, email: Email) -> bool:
        """Deliver the email now, in one attempt. Return false if it is refused permanently.

        A failure and a refusal are logged.

        Raises:
            Unavailable: if it could not be delivered, and another attempt may succeed.
        """
