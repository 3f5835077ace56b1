"""How emails are sent."""

from typing import TYPE_CHECKING

from todo_adapters.mail.console import ConsoleMailer
from todo_adapters.mail.rendering import EmailRenderer
from todo_adapters.mail.smtp import SmtpMailer
from todo_adapters.system.background import ThreadBackground
from todo_api.settings import Settings

if TYPE_CHECKING:
    from todo_api.runtime.metrics import Metrics


def make_mailer(
    settings: Settings, background: ThreadBackground, metrics: "Metrics | None"
) -> ConsoleMailer | SmtpMailer:
    """Return the mailer of the configured server, or one that prints emails."""
    renderer = EmailRenderer(
        sender=settings.mail_sender, password_reset_url=settings.password_reset_url
    )
    if settings.smtp_url is None:
        return ConsoleMailer(renderer)
    url = settings.smtp_url.get_secret_value()
    if metrics is None:
        return SmtpMailer(url, renderer, background)
    return SmtpMailer(url, renderer, background, observe=metrics.count_email)
