"""A user: a person with an account, and the rules of what they tell about themselves."""

import re
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NewType, Self
from uuid import UUID

from todo_core.entities.text import Text

UserId = NewType("UserId", UUID)


class PersonName(Text):
    """What a person wants to be called: 1 to 100 characters on one line."""

    __slots__ = ()

    field = "name"
    max_length = 100


class Email(Text):
    """An email address that mail servers take: a dot-atom at a domain (RFC 5321 §4.1.2).

    It is kept as it was written; `key` is what two spellings have in common.
    The local part has at most 64 octets and the whole at most 254 (RFC 5321
    §4.5.3.1); a domain outside ASCII is written in its `xn--` form. An encoded word
    has no place in an address (RFC 2047 §5): mail software may decode it into another one.
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
        """Apply the syntax, which leaves out quoted parts, literals and encoded words."""
        if not cls._VALID.fullmatch(text):
            raise cls.refusal("invalid_email", "must be a valid email address")

    @property
    def key(self) -> str:
        """The same for every spelling of this address: it is compared by this."""
        return self.lower()


class Password(Text):
    """A password in the clear, on its way to being hashed.

    Characters outside ASCII are brought to Unicode's normal form C (RFC 8265
    §4.2), since keyboards differ in how they compose them. How long it has to
    be, and what it must not be, is for `PasswordPolicy` to say.
    """

    __slots__ = ()

    field = "password"
    max_length = 128

    @classmethod
    def normalize(cls, raw: str) -> str:
        """Compose characters in one way (NFC)."""
        return unicodedata.normalize("NFC", raw)

    @classmethod
    def strip_surroundings(cls, raw: str) -> str:
        """Every character of a password counts."""
        return raw

    def __repr__(self) -> str:
        """Nothing that a log or a traceback could give away."""
        return "Password(…)"


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """Which passwords are accepted (NIST SP 800-63B §3.1.1.2: length and a blocklist).

    `min_length` counts characters; `common` holds passwords that are tried first
    by whoever guesses, in lower case.
    """

    min_length: int
    common: frozenset[str]

    def accept(self, raw: str, *, email: str, name: str) -> Password:
        """The password, if a person with this email and name may choose it.

        Raises:
            ValidationFailed: if it is too short or too long, has control
                characters, is among the commonest, or repeats the email or name.
        """
        password = Password(raw)
        if len(password) < self.min_length:
            raise Password.refusal("too_short", f"must have at least {self.min_length} characters")
        lowered = password.lower()
        if lowered in self.common:
            raise Password.refusal("too_common", "is among the commonest passwords")
        if lowered in (email.strip().lower(), name.strip().lower()):
            raise Password.refusal("repeats_identity", "must not be your email or your name")
        return password


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account.

    People who come through an external issuer have no `password_hash`, and no `email`
    where it says none, or one that is another account's. `version` counts how often
    the user was saved. All times are aware and in UTC.
    """

    id: UserId
    name: PersonName
    email: Email | None
    password_hash: str | None = field(repr=False)
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def register(
        cls,
        *,
        id: UserId,
        name: PersonName,
        email: Email | None,
        password_hash: str | None,
        now: datetime,
    ) -> Self:
        """Make a new account."""
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
        """The user with another password, or the same one hashed anew."""
        return replace(self, password_hash=password_hash, updated_at=now)

    def with_profile(self, *, name: PersonName, email: Email | None, now: datetime) -> Self:
        """The user with another name or email; this very object if both are the same."""
        if (name, email) == (self.name, self.email):
            return self
        return replace(self, name=name, email=email, updated_at=now)
