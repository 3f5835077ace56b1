"""Emails, rendered from the templates in the folder `templates`.

Each kind of email has two: `.txt`, whose first line is the subject, and `.html`, in which
every value is escaped.
"""

from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid, parseaddr
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import parse_qsl, urlencode, urlsplit

from todo_adapters.mail.dates import in_words
from todo_core.ports.mail import (
    Email,
    EmailChangedEmail,
    PasswordChangedEmail,
    PasswordResetEmail,
    ReminderEmail,
)

_TEMPLATES = files("todo_adapters.mail") / "templates"


class EmailRenderer:
    """Renders emails from `sender`, such as `Todo <todo@example.com>`.

    `password_reset_url` is the front end's page, to which `token=…` is added.
    """

    def __init__(self, *, sender: str, password_reset_url: str) -> None:
        self._sender = sender
        self._password_reset_url = password_reset_url

    def message(self, email: Email) -> EmailMessage:
        """Return the email as a message, in plain text and in HTML.

        Of all user input, only the address and the title of a task are part of the headers. `To:`
        has no display name: the email package decodes an encoded word (RFC 2047) that a user
        entered as their name, and `=?utf-8?q?=3Ceve=40example=2Ecom=3E=2C?=` would become another
        recipient. In `Subject:` there can be no encoded words of users.
        """
        template, values = self._template(email)
        subject, text = _render(f"{template}.txt", values).split("\n\n", 1)
        html = _render(f"{template}.html", {key: escape(value) for key, value in values.items()})
        sender_name, sender_address = parseaddr(self._sender)
        message = EmailMessage(policy=SMTP)
        message["From"] = Address(sender_name, addr_spec=sender_address)
        message["To"] = Address(addr_spec=str(email.to))
        message["Subject"] = subject.removeprefix("Subject: ")
        message["Date"] = formatdate(usegmt=True)
        message["Message-ID"] = _message_id(email, sender_address.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: suppresses automatic replies
        message.set_content(text)
        message.add_alternative(html, subtype="html")
        return message

    def _template(self, email: Email) -> tuple[str, Mapping[str, str]]:
        name = str(email.name)
        match email:
            case PasswordResetEmail():
                minutes = int(email.expires_in.total_seconds() // 60)
                url = _with_token(self._password_reset_url, email.token)
                return "password_reset", {"name": name, "url": url, "minutes": str(minutes)}
            case EmailChangedEmail():
                return "email_changed", {"name": name, "new_email": str(email.new_email)}
            case PasswordChangedEmail():
                return "password_changed", {"name": name}
            case ReminderEmail():
                due = "It has no due date."
                if email.due_date is not None:
                    due = f"Due on {in_words(email.due_date, email.time_zone)}."
                title = str(email.title)
                return "reminder", {
                    "name": name,
                    "title": title,
                    "subject": _header_text(title),
                    "due": due,
                }


def _message_id(email: Email, domain: str) -> str:
    """Return the same identifier each time if the email has one, and a new one otherwise."""
    return (
        f"<{email.id}@{domain}>" if isinstance(email, ReminderEmail) else make_msgid(domain=domain)
    )


def _header_text(text: str) -> str:
    """Return a text of users on one line, and without the beginning of an encoded word."""
    return " ".join(text.splitlines()).replace("=?", "= ?")


def _render(file: str, values: Mapping[str, str]) -> str:
    return Template((_TEMPLATES / file).read_text("utf-8")).substitute(values)


def _with_token(url: str, token: str) -> str:
    parts = urlsplit(url)
    query = urlencode([*parse_qsl(parts.query), ("token", token)])
    return parts._replace(query=query).geturl()
