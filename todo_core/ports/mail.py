"""Letters to people."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol

from todo_core.entities.user import Email


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter to one person, as plain text and as HTML that says the same."""

    to: Email
    subject: str
    text: str
    html: str


class Mailer(Protocol):
    """Sends letters."""

    @abstractmethod
    def send(self, letter: Letter) -> None:
        """Take the letter for delivery, without making the caller wait for it.

        Delivery itself may fail later; that is logged and not raised, since it
        must not show in an answer whether there was somebody to write to.
        """
