"""Emails: their content, and their delivery to real SMTP servers, also faulty ones."""

import io
import ipaddress
import socket
import ssl
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
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.processes import free_port
from todo_adapters.in_memory.background import ImmediateBackground
from todo_adapters.mail.console import ConsoleMailer
from todo_adapters.mail.rendering import EmailRenderer
from todo_adapters.mail.smtp import SmtpMailer
from todo_adapters.system.background import ThreadBackground
from todo_core.entities.user import EmailAddress, PersonName
from todo_core.errors import ValidationFailed
from todo_core.ports.mail import (
    Email,
    EmailChangedEmail,
    PasswordChangedEmail,
    PasswordResetEmail,
)

RENDERER = EmailRenderer(
    sender="Todo <todo@example.com>", password_reset_url="https://app.example.com/reset?lang=en"
)
TO = EmailAddress("ada@example.com")
NAME = PersonName("Ada <b>& Söhne</b>")
RESET = PasswordResetEmail(to=TO, name=NAME, token="a-token", expires_in=timedelta(minutes=10))
EMAILS: list[Email] = [
    RESET,
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


def tls_contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS contexts of a server with its own certificate, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(folder / "certificate", folder / "key")
    client_side = ssl.create_default_context(cafile=str(folder / "certificate"))
    return server_side, client_side
