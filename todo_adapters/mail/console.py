"""Mail for development: the letter is printed where the service runs."""

import sys
from typing import TextIO

from todo_adapters.mail.rendering import LetterRenderer
from todo_core.ports.mail import Letter, Mailer


class ConsoleMailer(Mailer):
    """Prints each letter's plain text to a stream, standard error by default.

    It is not logged, since logs are kept and read by others, and a letter may
    hold a link that lets its reader in.
    """

    def __init__(self, renderer: LetterRenderer, stream: TextIO | None = None) -> None:
        self._renderer = renderer
        self._stream = stream or sys.stderr

    def send(self, letter: Letter) -> None:
        message = self._renderer.message(letter)
        body = message.get_body(("plain",))
        text = body.get_content() if body else ""
        self._stream.write(f"\nTo: {letter.to}\nSubject: {message['Subject']}\n\n{text}\n")
        self._stream.flush()

    def close(self) -> None:
        """Do nothing: the stream belongs to the process."""
