"""Emails to users.

The core decides what an email is about. The adapter renders and delivers it.
"""

from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

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


type Email = PasswordResetEmail | EmailChangedEmail | PasswordChangedEmail


class Mailer(Protocol):
    """Sends emails."""

    @abstractmethod
    def send(self, email: Email) -> None:
        """Accept the email for delivery, which happens in the background.

        A failure of the delivery is logged and not raised: a response must not reveal whether an
        email was sent.
        """
