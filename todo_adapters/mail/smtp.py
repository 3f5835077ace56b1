"""Mail by SMTP (RFC 5321), with the standard library."""

import smtplib
import ssl
from email.message import EmailMessage
from threading import Event
from urllib.parse import unquote, urlsplit

import structlog

from todo_adapters.mail.rendering import EmailRenderer
from todo_core.errors import Unavailable
from todo_core.ports.background import Background
from todo_core.ports.mail import Email, Mailer

_TIMEOUT_SECONDS = 10.0
_LAST_TIMEOUT_SECONDS = 3.0
"""The timeout while the service shuts down."""

_PAUSES_SECONDS = (1.0, 5.0)
"""How long to wait before each further attempt."""

_log = structlog.get_logger()


class SmtpMailer(Mailer):
    """Delivers emails to a server.

    The URL is `smtp://user:password@host:587`, with STARTTLS where the server
    offers it, or `smtps://…:465`, with TLS from the start. A password is never
    sent in the clear. In the background, there are two more attempts after a temporary failure, and
    none after a permanent one. Failures are logged without the address.
    """

    def __init__(
        self,
        url: str,
        renderer: EmailRenderer,
        background: Background,
        *,
        tls: ssl.SSLContext | None = None,
        timeout: float = _TIMEOUT_SECONDS,
        pauses: tuple[float, ...] = _PAUSES_SECONDS,
    ) -> None:
        parts = urlsplit(url)
        self._implicit_tls = parts.scheme == "smtps"
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (465 if self._implicit_tls else 587)
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._renderer = renderer
        self._background = background
        self._tls = tls or ssl.create_default_context()
        self._timeout = timeout
        self._pauses = pauses
        self._closing = Event()

    def send(self, email: Email) -> None:
        self._background.run(lambda: self._deliver(email))

    def deliver(self, email: Email) -> bool:
        kind = type(email).__name__
        try:
            self._transmit(self._renderer.message(email), str(email.to))
        except (OSError, smtplib.SMTPException) as error:
            is_refused = _is_refusal(error)
            _log.warning("mail.failed", message=kind, reason=type(error).__name__, last=is_refused)
            if is_refused:
                return False
            raise Unavailable("mail") from error
        _log.info("mail.sent", message=kind)
        return True

    def check(self) -> None:
        """Connect and log in to the server, without sending anything.

        Raises:
            Unavailable: if that fails; its cause says why.
        """
        try:
            with self._connect() as server:
                self._log_in(server)
        except (OSError, smtplib.SMTPException) as error:
            raise Unavailable("mail") from error

    def close(self) -> None:
        """Stop waiting between attempts, and give up on a server that does not respond.

        Emails that were accepted are still delivered in the background until `Background` closes.
        """
        self._closing.set()

    def _deliver(self, email: Email) -> None:
        message = self._renderer.message(email)
        kind = type(email).__name__
        for attempt in range(len(self._pauses) + 1):
            try:
                self._transmit(message, str(email.to))
            except (OSError, smtplib.SMTPException) as error:
                last = (
                    attempt == len(self._pauses) or _is_final(error) or self._should_give_up(error)
                )
                _log.warning("mail.failed", message=kind, reason=type(error).__name__, last=last)
                if last:
                    return
                self._closing.wait(self._pauses[attempt])
            else:
                _log.info("mail.sent", message=kind)
                return

    def _should_give_up(self, error: Exception) -> bool:
        return self._closing.is_set() and isinstance(error, TimeoutError)

    def _transmit(self, message: EmailMessage, recipient: str) -> None:
        with self._connect() as server:
            self._log_in(server)
            server.send_message(message, to_addrs=[recipient])

    def _log_in(self, server: smtplib.SMTP) -> None:
        """Begin TLS if the server offers it, and log in if there is a user."""
        if not self._implicit_tls:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=self._tls)
            elif self._user:
                raise smtplib.SMTPNotSupportedError(
                    "the server offers no TLS to protect the password"
                )
        if self._user:
            server.login(self._user, self._password)

    def _connect(self) -> smtplib.SMTP:
        longest = _LAST_TIMEOUT_SECONDS if self._closing.is_set() else self._timeout
        timeout = min(self._timeout, longest)
        if self._implicit_tls:
            return smtplib.SMTP_SSL(self._host, self._port, timeout=timeout, context=self._tls)
        return smtplib.SMTP(self._host, self._port, timeout=timeout)


def _is_refusal(error: Exception) -> bool:
    """Return whether the server permanently refuses this recipient or this message.

    Otherwise the reason may be one that the operator removes, such as a wrong password.
    """
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500


def _is_final(error: Exception) -> bool:
    """Return whether another attempt would fail too: a 5xx code, or no TLS or login."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code >= 500
    return isinstance(error, smtplib.SMTPNotSupportedError)
