"""Emails: their content, and their delivery to real SMTP servers, also faulty ones."""

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import compat32, default
from email.utils import getaddresses
from html import escape
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.certificates import tls_contexts
from tests.support.processes import free_port
from todo_adapters.in_memory.background import ImmediateBackground
from todo_adapters.mail.console import ConsoleMailer
from todo_adapters.mail.rendering import EmailRenderer
from todo_adapters.mail.smtp import SmtpMailer
from todo_adapters.system.background import ThreadBackground
from todo_core.entities.due_date import DueDate
from todo_core.entities.fired_reminder import ReminderId
from todo_core.entities.task import Title
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import EmailAddress, PersonName
from todo_core.errors import Unavailable, ValidationFailed
from todo_core.ports.mail import (
    Email,
    EmailChangedEmail,
    PasswordChangedEmail,
    PasswordResetEmail,
    ReminderEmail,
)

RENDERER = EmailRenderer(
    sender="Todo <todo@example.com>", password_reset_url="https://app.example.com/reset?lang=en"
)
TO = EmailAddress("ada@example.com")
NAME = PersonName("Ada <b>& Söhne</b>")
RESET = PasswordResetEmail(to=TO, name=NAME, token="a-token", expires_in=timedelta(minutes=10))
REMINDER = ReminderEmail(
    to=TO,
    name=NAME,
    id=ReminderId(UUID(int=5)),
    title=Title("Buy <milk> & Müsli"),
    due_date=DueDate(datetime(2026, 12, 1, 15, tzinfo=UTC)),
    time_zone=TimeZone("Europe/Berlin"),
)
EMAILS: list[Email] = [
    RESET,
    REMINDER,
    EmailChangedEmail(to=TO, name=NAME, new_email=EmailAddress("new@example.com")),
    PasswordChangedEmail(to=TO, name=NAME),
]


# Names that contain the pieces of text that mail software treats specially.
names = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cc", "Cs"]),
        st.sampled_from('=?_,;:<>@"()\\'),
    ),
    min_size=1,
    max_size=100,
) | st.lists(
    st.sampled_from(
        [
            *("=?utf-8?q?", "=?utf-8?b?", "=?iso-8859-1?Q?", "=?us-ascii*en?q?", "?=", " "),
            *("=3C", "=3E", "=40", "=2C", "=0D=0A", "eve", "@", "example.com", "<", ">", ","),
            *('"', "(", ")", ":", ";", "Söhne", "ZXZlQGV4YW1wbGUuY29tLA==", "Bcc:"),
        ]
    ),
    min_size=1,
    max_size=16,
).map(lambda pieces: "".join(pieces)[:100])
titles = names.map(str.strip).filter(bool)
emails = st.from_regex(
    r"[a-zA-Z0-9!#$%&'*+/^_`{|}~?=-]{1,64}@[a-z]{1,60}(\.[a-z]{1,60}){1,2}", fullmatch=True
).filter(lambda address: "?=" not in address)


def parts(message: EmailMessage) -> tuple[str, str]:
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


class TestWording:
    @pytest.mark.parametrize("email", EMAILS, ids=lambda email: type(email).__name__)
    def test_an_email_has_its_headers_and_the_same_content_in_both_parts(
        self, email: Email
    ) -> None:
        message = RENDERER.message(email)
        assert message["From"] == "Todo <todo@example.com>"
        assert message["To"] == TO
        assert message["Subject"]
        assert message["Date"]
        assert message["Message-ID"].endswith("@example.com>")
        plain, html = parts(message)
        assert f"Hello {NAME}," in plain
        assert "Hello Ada &lt;b&gt;&amp; Söhne&lt;/b&gt;," in html
        assert "$" not in plain + html

    def test_the_link_of_a_reset_email_is_in_both_parts(self) -> None:
        plain, html = parts(RENDERER.message(RESET))
        assert "https://app.example.com/reset?lang=en&token=a-token\n" in plain
        assert 'href="https://app.example.com/reset?lang=en&amp;token=a-token"' in html
        assert "10 minutes" in plain

    def test_a_reminder_says_what_is_due_and_when_in_the_zone_of_the_user(self) -> None:
        message = RENDERER.message(REMINDER)
        assert message["Subject"] == "Reminder: Buy <milk> & Müsli"
        assert message["Message-ID"] == f"<{UUID(int=5)}@example.com>"
        plain, html = parts(message)
        when = "Due on Tuesday, 1 December 2026, at 16:00 (Europe/Berlin)."
        assert f"\nBuy <milk> & Müsli\n{when}\n" in plain
        assert f"<b>Buy &lt;milk&gt; &amp; Müsli</b><br>{when}" in html
        assert "turn off reminder emails in the settings of your" in plain

    @pytest.mark.parametrize(
        ("due_date", "zone", "words"),
        [
            (None, "UTC", "It has no due date."),
            ("2026-12-01", "Pacific/Niue", "Due on Tuesday, 1 December 2026."),
            ("1970-01-01", "Pacific/Kiritimati", "Due on Thursday, 1 January 1970."),
            ("9999-12-31", "Pacific/Kiritimati", "Due on Friday, 31 December 9999."),
            ("2026-02-28T23:59Z", "UTC", "Due on Saturday, 28 February 2026, at 23:59 (UTC)."),
            (
                "2026-02-28T23:59Z",
                "Asia/Kathmandu",
                "Due on Sunday, 1 March 2026, at 05:44 (Asia/Kathmandu).",
            ),
            (
                "9999-12-31T23:59Z",
                "Pacific/Kiritimati",
                "Due on Friday, 31 December 9999, at 23:59 (UTC).",
            ),
        ],
        ids=str,
    )
    def test_a_due_date_is_written_in_words(
        self, due_date: str | None, zone: str, words: str
    ) -> None:
        when = DueDate.or_none(due_date, TimeZone(zone))
        reminder = replace(REMINDER, due_date=when, time_zone=TimeZone(zone))
        for part in parts(RENDERER.message(reminder)):
            assert words in part

    @settings(max_examples=200, deadline=None)
    @given(title=titles)
    @example(title="=?utf-8?q?x=0D=0ABcc:_eve=40example=2Ecom?=")
    @example(title="=?utf-8?b?QmNjOiBldmU=?= =?utf-8?b?QmNjOiBldmU=?=")
    @example(title="Buy\u2028Bcc: eve@example.com")
    @example(title="=" * 3 + "?=?" * 30)
    @example(title="$name ${token} $$")
    def test_no_title_adds_a_header_or_markup_to_a_message(self, title: str) -> None:
        reminder = replace(REMINDER, title=Title.stored(title))
        message = RENDERER.message(reminder)
        received = BytesParser(policy=default).parsebytes(message.as_bytes())
        assert isinstance(received, EmailMessage)
        for read in (message, received):
            assert read.keys() == RENDERER.message(REMINDER).keys()
            subject = " ".join(str(read["Subject"]).split()).replace("= ?", "=?")
            assert subject == " ".join(f"Reminder: {title}".split()).replace("= ?", "=?")
            plain, html = parts(read)
            assert title in plain
            assert escape(title) in html
            assert html.count("<") == parts(RENDERER.message(REMINDER))[1].count("<")

    @pytest.mark.parametrize("email", EMAILS, ids=lambda email: type(email).__name__)
    @settings(max_examples=50, deadline=None)
    @given(name=names, to=emails)
    @example(name="=?utf-8?q?=3Ceve=40example=2Ecom=3E=2C?=", to=str(TO))
    @example(name="=?utf-8?b?ZXZlQGV4YW1wbGUuY29tLA==?=", to=str(TO))
    @example(name="Ada =?utf-8?q?x=2C_eve=40example=2Ecom=2C?= L.", to=str(TO))
    @example(name="Ada\r\nBcc: eve@example.com", to=str(TO))
    @example(name="Ada\nX: y", to=str(TO))
    @example(name='Ada" <eve@example.com>, "', to=str(TO))
    def test_no_name_adds_a_recipient_or_header_to_a_message(
        self, email: Email, name: str, to: str
    ) -> None:
        addressed = replace(email, to=EmailAddress(to), name=PersonName.stored(name))
        message = RENDERER.message(addressed)
        sent = message.as_bytes()
        received = BytesParser(policy=default).parsebytes(sent)
        for read in (message, received):
            assert [address.addr_spec for address in read["To"].addresses] == [to]
            assert getaddresses([read["To"]]) == [("", to)]
            assert [address.addr_spec for address in read["From"].addresses] == ["todo@example.com"]
            assert read.keys() == RENDERER.message(email).keys()
        # A long address may be folded onto a line of its own, which this policy does not undo.
        assert BytesParser(policy=compat32).parsebytes(sent)["To"].removeprefix("\r\n ") == to


@pytest.mark.parametrize(
    "address",
    [
        "=?utf-8?q?eve=40example=2Ecom=2C?=@example.com",
        "=?utf-8?q?=3Ceve=40example=2Ecom=3E=2C?=.x@example.com",
        "x.=?utf-8?b?ZXZlQGV4YW1wbGUuY29tLA?=@example.com",
        "ada=?utf-8?q?_?=@example.com",
    ],
)
def test_an_address_with_an_encoded_word_is_not_a_valid_email(address: str) -> None:
    with pytest.raises(ValidationFailed):
        EmailAddress(address)


def test_the_console_mailer_prints_a_link_that_can_be_copied() -> None:
    stream = io.StringIO()
    ConsoleMailer(RENDERER, stream).send(RESET)
    assert "https://app.example.com/reset?lang=en&token=a-token\n" in stream.getvalue()


class Inbox:
    """The emails that a server accepted, and its replies to the next ones."""

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        self.tries = 0
        self.taken: list[Envelope] = []

    async def handle_DATA(self, _: object, __: object, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.tries += 1
        if self.replies:
            return self.replies.pop(0)
        self.taken.append(envelope)
        return "250 OK"


@contextmanager
def smtp_server(inbox: object, **options: Any) -> Iterator[int]:
    """A real server on a free port."""
    controller = Controller(inbox, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def mailer(port: int, url: str = "smtp://127.0.0.1:{}", **options: Any) -> SmtpMailer:
    return SmtpMailer(
        url.format(port), RENDERER, ImmediateBackground(), pauses=(0.01, 0.01), **options
    )


class TestSmtp:
    @pytest.mark.parametrize(
        "name",
        ["=?utf-8?q?=3Ceve=40example=2Ecom=3E=2C?=", "=?utf-8?b?ZXZlQGV4YW1wbGUuY29tLA==?="],
    )
    def test_an_encoded_word_as_a_name_adds_no_recipient(self, name: str) -> None:
        inbox = Inbox()
        with smtp_server(inbox) as port:
            mailer(port).send(replace(RESET, name=PersonName(name)))
        [envelope] = inbox.taken
        assert envelope.rcpt_tos == [TO]
        assert isinstance(envelope.content, bytes)
        read = BytesParser(policy=default).parsebytes(envelope.content)
        assert [address.addr_spec for address in read["To"].addresses] == [TO]

    def test_an_email_is_delivered(self) -> None:
        inbox = Inbox()
        with smtp_server(inbox) as port:
            mailer(port).send(RESET)
        [envelope] = inbox.taken
        assert (envelope.mail_from, envelope.rcpt_tos) == ("todo@example.com", [TO])
        assert isinstance(envelope.content, bytes)
        read = BytesParser(policy=default).parsebytes(envelope.content)
        assert isinstance(read, EmailMessage)
        assert "token=a-token" in parts(read)[0]

    def test_a_temporarily_refused_email_is_tried_again(self) -> None:
        inbox = Inbox("451 later", "421 later")
        with smtp_server(inbox) as port:
            mailer(port).send(RESET)
        assert (inbox.tries, len(inbox.taken)) == (3, 1)

    def test_delivery_attempts_are_bounded_and_a_failure_is_logged_without_the_address(
        self,
    ) -> None:
        inbox = Inbox(*["451 later"] * 10)
        with smtp_server(inbox) as port, structlog.testing.capture_logs() as lines:
            mailer(port).send(RESET)
        assert inbox.tries == 3
        assert [line["last"] for line in lines] == [False, False, True]
        assert TO not in str(lines)
        assert "a-token" not in str(lines)

    def test_a_permanently_refused_email_is_not_tried_again(self) -> None:
        inbox = Inbox("550 never", "550 never")
        with smtp_server(inbox) as port:
            mailer(port).send(RESET)
        assert inbox.tries == 1

    def test_an_email_that_is_delivered_at_once_is_tried_once(self) -> None:
        inbox = Inbox("451 later", "250 OK", "550 never", "250 OK")
        with smtp_server(inbox) as port:
            with pytest.raises(Unavailable):
                mailer(port).deliver(REMINDER)
            assert mailer(port).deliver(REMINDER) is True
            assert mailer(port).deliver(REMINDER) is False
        assert inbox.tries == 3

    def test_an_email_whose_recipient_is_refused_is_not_tried_again(self) -> None:
        class Picky:
            async def handle_RCPT(self, *_: object) -> str:  # noqa: N802 - aiosmtpd's name
                return "550 unknown"

        with smtp_server(Picky()) as port:
            assert mailer(port).deliver(REMINDER) is False

    def test_a_server_that_does_not_take_the_password_may_do_so_later(self) -> None:
        with smtp_server(Inbox()) as port, pytest.raises(Unavailable):
            mailer(port, "smtp://u:p@127.0.0.1:{}").deliver(REMINDER)

    def test_a_server_that_is_gone_is_unavailable(self) -> None:
        with pytest.raises(Unavailable):
            mailer(free_port()).deliver(REMINDER)

    def test_a_mail_server_that_drops_the_connection_is_tried_again(self) -> None:
        with misbehaving_server(lambda connection: connection.close()) as (port, visits):
            mailer(port).send(RESET)
        assert len(visits) == 3

    def test_a_mail_server_that_hangs_is_given_up_after_a_timeout(self) -> None:
        with misbehaving_server(lambda _: None) as (port, visits):
            began = time.perf_counter()
            mailer(port, timeout=0.2).send(RESET)
        assert len(visits) == 3
        assert time.perf_counter() - began < 5

    @pytest.mark.alone
    def test_no_request_waits_for_a_mail_server_that_hangs(self) -> None:
        background = ThreadBackground()
        with misbehaving_server(lambda _: None) as (port, _):
            url = f"smtp://127.0.0.1:{port}"
            slow = SmtpMailer(url, RENDERER, background, timeout=0.3, pauses=())
            began = time.perf_counter()
            for _ in range(5):
                slow.send(RESET)
            assert time.perf_counter() - began < 0.2
            background.close()

    def test_the_password_is_sent_to_a_mail_server_after_starttls(self, tmp_path: Path) -> None:
        server_side, client_side = tls_contexts(tmp_path)
        inbox, logins = Inbox(), []

        def authenticate(*arguments: Any) -> AuthResult:
            logins.append(arguments[4])
            return AuthResult(success=True)

        with smtp_server(
            inbox,
            tls_context=server_side,
            authenticator=authenticate,
            auth_required=True,
            require_starttls=True,
        ) as port:
            mailer(port, "smtp://todo:p%40ss@127.0.0.1:{}", tls=client_side).send(RESET)
        assert logins == [LoginPassword(b"todo", b"p@ss")]
        assert len(inbox.taken) == 1

    def test_the_password_is_never_sent_to_a_mail_server_without_tls(self) -> None:
        inbox = Inbox()
        with smtp_server(inbox, auth_require_tls=False) as port:
            mailer(port, "smtp://todo:pass@127.0.0.1:{}").send(RESET)
        assert inbox.tries == 0

    def test_a_mail_server_can_be_reached_by_implicit_tls(self, tmp_path: Path) -> None:
        server_side, client_side = tls_contexts(tmp_path)
        inbox = Inbox()
        with smtp_server(inbox, ssl_context=server_side) as port:
            mailer(port, "smtps://127.0.0.1:{}", tls=client_side).send(RESET)
        assert len(inbox.taken) == 1

    def test_a_check_logs_in_and_sends_nothing(self, tmp_path: Path) -> None:
        server_side, client_side = tls_contexts(tmp_path)
        inbox = Inbox()

        def authenticate(*arguments: Any) -> AuthResult:
            return AuthResult(success=arguments[4] == LoginPassword(b"todo", b"p"), handled=False)

        options = {"tls_context": server_side, "authenticator": authenticate}
        with smtp_server(inbox, auth_required=True, **options) as port:
            mailer(port, "smtp://todo:p@127.0.0.1:{}", tls=client_side).check()
            for refused in ("smtp://todo:wrong@127.0.0.1:{}", "smtps://127.0.0.1:{}"):
                with pytest.raises(Unavailable):
                    mailer(port, refused, tls=client_side).check()
        assert inbox.tries == 0

    def test_a_check_fails_if_there_is_no_server_or_no_tls_for_the_password(self) -> None:
        with pytest.raises(Unavailable):
            mailer(free_port()).check()
        with smtp_server(Inbox(), auth_require_tls=False) as port:
            mailer(port).check()
            with pytest.raises(Unavailable):
                mailer(port, "smtp://todo:p@127.0.0.1:{}").check()

    def test_a_self_signed_certificate_is_not_trusted(self, tmp_path: Path) -> None:
        server_side, _ = tls_contexts(tmp_path)
        inbox = Inbox()
        with smtp_server(inbox, tls_context=server_side) as port:
            mailer(port).send(RESET)
        assert inbox.tries == 0


@contextmanager
def misbehaving_server(treat: Any) -> Iterator[tuple[int, list[socket.socket]]]:
    """A server that handles each connection with a given function."""
    visits: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            visits.append(connection)
            treat(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], visits
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=5)
        for connection in visits:
            connection.close()
