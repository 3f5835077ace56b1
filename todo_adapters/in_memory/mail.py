"""A mailer that keeps the messages."""

from todo_core.ports.mail import Letter, Mailer


class InMemoryMailer(Mailer):
    """Delivers nothing; `sent` holds every message, the oldest first."""

    def __init__(self) -> None:
        self.sent: list[Letter] = []

    def send(self, letter: Letter) -> None:
        self.sent.append(letter)

    def close(self) -> None:
        """Do nothing: no connection is open."""
