"""Identities: users as an external issuer of access tokens knows them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NewType, Self
from uuid import UUID, uuid5

from todo_core.entities.session import SessionId
from todo_core.entities.text import UNPRINTABLE
from todo_core.entities.user import EmailAddress, PersonName, UserId
from todo_core.errors import FieldError, ValidationFailed

Issuer = NewType("Issuer", str)
Subject = NewType("Subject", str)

_SUBJECT_MAX_LENGTH = 255
"""The limit of OpenID Connect Core §2."""

_SESSIONS = UUID("6a1e0a1c-6f0b-5d5c-9a55-1b0f5f3c8f0e")


@dataclass(frozen=True, slots=True)
class Identity:
    """What an external issuer says about a user in one of its tokens.

    Issuer and subject together identify the user permanently (OpenID Connect Core §5.7). Name and
    email are what the issuer stated at `issued_at`. They may change, and are not proof of
    anything. They are None if the token has no suitable value. `expires_at` is when the token
    expires. It is not stored.
    """

    issuer: Issuer
    subject: Subject
    name: PersonName | None
    email: EmailAddress | None
    issued_at: datetime
    expires_at: datetime | None = field(default=None, compare=False)

    @classmethod
    def claimed(
        cls,
        *,
        issuer: str,
        subject: str,
        name: object,
        email: object,
        issued_at: datetime,
        expires_at: datetime | None = None,
    ) -> Self:
        """Return the identity that a token claims.

        A name is truncated and stripped of control characters. An invalid email is dropped.

        Raises:
            ValidationFailed: if the subject is not valid.
        """
        if not 1 <= len(subject) <= _SUBJECT_MAX_LENGTH or UNPRINTABLE.search(subject):
            raise ValidationFailed(
                FieldError("subject", "invalid_subject", "Subject is not valid.")
            )
        return cls(
            issuer=Issuer(issuer),
            subject=Subject(subject),
            name=_name(name),
            email=_email(email),
            issued_at=issued_at,
            expires_at=expires_at,
        )

    @property
    def session_id(self) -> SessionId:
        """The id of the session that all tokens of this issuer and subject belong to.

        It is derived from issuer and subject, and does not reveal them.
        """
        return SessionId(uuid5(_SESSIONS, f"{self.issuer}\0{self.subject}"))

    @property
    def initial_display_name(self) -> PersonName:
        """The name of a new account, even if the issuer gives none."""
        if self.name is not None:
            return self.name
        local_part = self.email.partition("@")[0] if self.email else ""
        return PersonName(local_part or "User")

    def supersedes(self, since: "Identity") -> bool:
        """Return whether this was issued later than `since`, with another name or email."""
        return self.issued_at > since.issued_at and (
            self.name not in (None, since.name) or self.email not in (None, since.email)
        )


@dataclass(frozen=True, slots=True)
class LinkedIdentity:
    """An identity, with its latest name and email, and the user it belongs to.

    `alias` is the subject, if it may be used instead of `user_id` in a URL. `ResolveExternalUser`
    decides that. It is not stored.
    """

    identity: Identity
    user_id: UserId
    alias: Subject | None = None


def _name(claim: object) -> PersonName | None:
    if not isinstance(claim, str):
        return None
    cleaned = UNPRINTABLE.sub("", claim).strip()[: PersonName.max_length].strip()
    return PersonName(cleaned) if cleaned else None


def _email(claim: object) -> EmailAddress | None:
    if not isinstance(claim, str):
        return None
    try:
        return EmailAddress(claim)
    except ValidationFailed:
        return None
