"""Users, and the rules of their names, emails and passwords."""

import re
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NewType, Self, TypedDict
from uuid import UUID

from todo_core.entities.text import Text
from todo_core.entities.time_zone import DEFAULT_TIME_ZONE, TimeZone

UserId = NewType("UserId", UUID)


class PersonName(Text):
    """The name of a user: 1 to 100 characters on one line."""

    __slots__ = ()

    field = "name"
    max_length = 100


class EmailAddress(Text):
    """An email address that mail servers accept: a dot-atom and a domain (RFC 5321 §4.1.2).

    It is stored as it was given. Addresses that differ only in case have the same `key`. The
    local part has at most 64 octets and the whole address at most 254 (RFC 5321 §4.5.3.1). An
    internationalised domain must be given in its `xn--` form. Encoded words are refused (RFC 2047
    §5), because mail software may decode them to another address.
    """

    __slots__ = ()

    field = "email"
    max_length = 254

    _ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
    _LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    _VALID = re.compile(
        rf"(?=[^@]{{1,64}}@)(?!.*=\?.*\?=){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+"
    )

    @classmethod
    def check(cls, text: str) -> None:
        """Apply the syntax. Quoted local parts, address literals and encoded words are refused."""
        if not cls._VALID.fullmatch(text):
            raise cls.refusal("invalid_email", "Email must be a valid email address.")

    @property
    def key(self) -> str:
        """The address in lower case, by which addresses are compared."""
        return self.lower()


class Password(Text):
    """A password in plain text, not hashed yet.

    It is brought to Unicode normalization form C (RFC 8265 §4.2), since keyboards differ in how
    they compose characters. `PasswordPolicy` has the rules for new passwords.
    """

    __slots__ = ()

    field = "password"
    max_length = 128

    @classmethod
    def normalize(cls, raw: str) -> str:
        """Bring the text to normalization form C."""
        return unicodedata.normalize("NFC", raw)

    @classmethod
    def strip_surroundings(cls, raw: str) -> str:
        """Keep the text as it is: every character of a password counts."""
        return raw

    def __repr__(self) -> str:
        """Return a string without the password, for logs and tracebacks."""
        return "Password(…)"


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """The rules for new passwords: length and a blocklist (NIST SP 800-63B §3.1.1.2).

    `min_length` counts characters. `common` holds the passwords that attackers try first, in
    lower case.
    """

    min_length: int
    common: frozenset[str]

    def accept(self, raw: str, *, email: str, name: str) -> Password:
        """Return the password, if a user with this email and name may choose it.

        Raises:
            ValidationFailed: if it is too short or too long, contains control characters, is one
                of the common passwords, or equals the email or name.
        """
        password = Password(raw)
        if len(password) < self.min_length:
            raise Password.refusal(
                "too_short", f"Password must have at least {self.min_length} characters."
            )
        lowered = password.lower()
        if lowered in self.common:
            raise Password.refusal("too_common", "Choose a less common password.")
        if lowered in (email.strip().lower(), name.strip().lower()):
            raise Password.refusal(
                "repeats_identity", "Choose a password that is not your email or your name."
            )
        return password


class ProfileFields(TypedDict, total=False):
    """The fields of a profile to change, as the user wrote them. The others keep their values."""

    name: str
    email: str
    time_zone: str
    reminder_emails: bool


@dataclass(frozen=True, slots=True)
class User:
    """A user, who has an account.

    Users of an external issuer have no `password_hash`. They have no `email` if the issuer gives
    none, or gives one that another account has. Their `time_zone` decides when a day ends on which
    a task of theirs is due. `reminder_emails` is whether they want emails of the reminders of their
    tasks. `disabled_at` is when the operator disabled the account: nobody can use it, but none of
    its data is deleted. `version` counts how often the user was saved.
    All times are aware and in UTC.
    """

    id: UserId
    name: PersonName
    email: EmailAddress | None
    password_hash: str | None = field(repr=False)
    version: int
    created_at: datetime
    updated_at: datetime
    time_zone: TimeZone = DEFAULT_TIME_ZONE
    reminder_emails: bool = True
    disabled_at: datetime | None = None

    @classmethod
    def register(
        cls,
        *,
        id: UserId,
        name: PersonName,
        email: EmailAddress | None,
        password_hash: str | None,
        now: datetime,
    ) -> Self:
        """Create a user."""
        return cls(
            id=id,
            name=name,
            email=email,
            password_hash=password_hash,
            version=1,
            created_at=now,
            updated_at=now,
        )

    def with_password_hash(self, password_hash: str, *, now: datetime) -> Self:
        """Return the user with another password hash."""
        return replace(self, password_hash=password_hash, updated_at=now)

    def disabled(self, *, now: datetime) -> Self:
        """Return the user with a disabled account. If it is disabled already, that is this one."""
        return self if self.is_disabled else replace(self, disabled_at=now, updated_at=now)

    def enabled(self, *, now: datetime) -> Self:
        """Return the user with an account that can be used. If it can be, that is this one."""
        return replace(self, disabled_at=None, updated_at=now) if self.is_disabled else self

    @property
    def is_disabled(self) -> bool:
        """Whether the operator has disabled the account."""
        return self.disabled_at is not None

    def with_profile(
        self,
        *,
        name: PersonName,
        email: EmailAddress | None,
        time_zone: TimeZone | None = None,
        reminder_emails: bool | None = None,
        now: datetime,
    ) -> Self:
        """Return the user with this name and email, and with the others that are not None.

        If nothing changes, it is this same object.
        """
        changed = replace(
            self,
            name=name,
            email=email,
            time_zone=self.time_zone if time_zone is None else time_zone,
            reminder_emails=self.reminder_emails if reminder_emails is None else reminder_emails,
        )
        return self if changed == self else replace(changed, updated_at=now)
