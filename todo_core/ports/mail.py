"""Emails to users.

The core decides what an email says. The adapter words it, and delivers it.
"""

from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from todo_core.entities.user import Email, PersonName


@dataclass(frozen=True, slots=True)
class PasswordResetLetter:
    """A link with which the user can choose a new password within `expires_in`."""

    to: Email
    name: PersonName
    token: str = field(repr=False)
    expires_in: timedelta


@dataclass(frozen=True, slots=True)
class EmailChangedLetter:
    """A notice that the email of the account was changed. It goes to the old address."""

    to: Email
    name: PersonName
    new_email: Email


@dataclass(frozen=True, slots=True)
class PasswordChangedLetter:
    """A notice that the password of the account was changed."""

    to: Email
    name: PersonName


type Letter = PasswordResetLetter | EmailChangedLetter | PasswordChangedLetter


class Mailer(Protocol):
    """Sends emails."""

    @abstractmethod
    def send(self, letter: Letter) -> None:
        """Accept the email for delivery, which happens in the background.

        A failure of the delivery is logged and not raised: a response must not reveal whether an
        email was sent.
        """
