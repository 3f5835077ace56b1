"""A mailer that keeps the emails."""

from todo_core.ports.mail import Email, Mailer


class InMemoryMailer(Mailer):
    """Delivers nothing. `sent` has every email, the oldest first."""

    def __init__(self) -> None:
        self.sent: list[Email] = []

    def send(self, email: Email) -> None:
        self.sent.append(email)

    def close(self) -> None:
        """Do nothing: no connection is open."""
