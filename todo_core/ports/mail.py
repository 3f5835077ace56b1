"""Letters to people.

The core says what a letter tells; how it is worded and sent is the adapter's.
"""

from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from todo_core.entities.user import Email, PersonName


@dataclass(frozen=True, slots=True)
class PasswordResetLetter:
    """Here is the link by which you choose a new password; it is good for so long."""

    to: Email
    name: PersonName
    token: str = field(repr=False)
    expires_in: timedelta


@dataclass(frozen=True, slots=True)
class EmailChangedLetter:
    """The email of your account is another now. It goes to the old address."""

    to: Email
    name: PersonName
    new_email: Email


@dataclass(frozen=True, slots=True)
class PasswordChangedLetter:
    """The password of your account is another now."""

    to: Email
    name: PersonName


type Letter = PasswordResetLetter | EmailChangedLetter | PasswordChangedLetter


class Mailer(Protocol):
    """Sends letters."""

    @abstractmethod
    def send(self, letter: Letter) -> None:
        """Take the letter for delivery, without making the caller wait for it.

        Delivery itself may fail later; that is logged and not raised, since it
        must not show in an answer whether there was somebody to write to.
        """
