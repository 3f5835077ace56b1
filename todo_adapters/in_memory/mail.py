"""A mailer that keeps the emails."""

from todo_core.errors import Unavailable
from todo_core.ports.mail import Email, Mailer


class InMemoryMailer(Mailer):
    """Delivers nothing. `sent` has every email, the oldest first.

    While it `is_down` no email can be delivered, and while it `refuses` each is refused.
    """

    def __init__(self) -> None:
        self.sent: list[Email] = []
        self.is_down = False
        self.refuses = False

    def send(self, email: Email) -> None:
        self.sent.append(email)

    def deliver(self, email: Email) -> bool:
        if self.is_down:
            raise Unavailable("mail")
        if not self.refuses:
            self.sent.append(email)
        return not self.refuses

    def close(self) -> None:
        """Do nothing: no connection is open."""
