"""Mail for development: emails are printed where the service runs."""

import sys
from typing import TextIO

from todo_adapters.mail.rendering import EmailRenderer
from todo_core.ports.mail import Email, Mailer


class ConsoleMailer(Mailer):
    """Prints the plain text of each email to a stream, standard error by default.

    It does not use the log: logs are stored and read by others, and an email may contain a link
    that gives access to an account.
    """

    def __init__(self, renderer: EmailRenderer, stream: TextIO | None = None) -> None:
        self._renderer = renderer
        self._stream = stream or sys.stderr

    def send(self, email: Email) -> None:
        self.deliver(email)

    def deliver(self, email: Email) -> bool:
        message = self._renderer.message(email)
        body = message.get_body(("plain",))
        text = body.get_content() if body else ""
        self._stream.write(f"\nTo: {email.to}\nSubject: {message['Subject']}\n\n{text}\n")
        self._stream.flush()
        return True

    def check(self) -> None:
        """Do nothing: a stream can always be written to."""

    def close(self) -> None:
        """Do nothing: the stream belongs to the process."""
