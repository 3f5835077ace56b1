"""Users of external issuers: which account belongs to an identity."""

from dataclasses import dataclass, replace
from uuid import UUID

from todo_core.entities.identity import Identity, LinkedIdentity, Subject
from todo_core.entities.user import EmailAddress, User, UserId
from todo_core.errors import (
    EditConflict,
    EmailTaken,
    IdentityNotFound,
    IdentityTaken,
    InvalidAccessToken,
    StaleVersion,
    Unavailable,
    UserNotFound,
)
from todo_core.ports.clock import Clock
from todo_core.ports.external_issuers import IdentityCache
from todo_core.ports.identifiers import Identifiers
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.repositories import IdentityRepository, RevocationRepository, UserRepository
from todo_core.ports.revoked_sessions import RevokedSessions
from todo_core.ports.security_log import SecurityEvent, SecurityLog
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.retrying import retry_on_conflict

ATTEMPTS = 5
"""How often the account is looked up while concurrent requests do the same for this user."""


@dataclass(frozen=True, slots=True)
class ResolveExternalUser:
    """Return the user whom an external issuer authenticated, with a new account if they have none.

    Users are identified only by issuer and subject, never by email. Otherwise a user who can choose
    any email at the issuer could take over another user's account. If another account has the
    email, the new account is created without one. Later changes of name and email at the issuer
    are applied here.

    The issuer's subject may be used instead of the user id in a URL, unless it is the id of
    another user.

    A token that was issued before its user deleted their account does not create a new one. No
    token is accepted while the operator has disabled the account.

    New accounts count against limits of the client's address, if it is known, and of the issuer.
    Users who have an account are not affected.

    Raises:
        InvalidAccessToken: if the account was deleted after the token was issued, or is disabled.
        RateLimited: after too many new accounts from this address or of this issuer.
        Unavailable: if the account keeps being changed at the same time.
    """

    users: UserRepository
    identities: IdentityRepository
    revocations: RevocationRepository
    unit_of_work: BeginUnitOfWork
    identity_cache: IdentityCache
    revoked_sessions: RevokedSessions
    limiter: RateLimiter
    identifiers: Identifiers
    clock: Clock
    security_log: SecurityLog

    def recall(self, identity: Identity) -> LinkedIdentity | None:
        """Return the user if they are cached and nothing has changed, otherwise None.

        It never waits.
        """
        linked = self.identity_cache.recall(identity)
        if (
            linked is None
            or identity.session_id in self.revoked_sessions
            or identity.supersedes(linked.identity)
        ):
            return None
        return linked

    def __call__(self, identity: Identity, *, address: str = "") -> LinkedIdentity:
        if (known := self.recall(identity)) is not None:
            return known
        email = identity.email
        is_counted = False

        def find_or_create() -> LinkedIdentity:
            nonlocal email, is_counted
            try:
                if (found := self._find(identity, email)) is not None:
                    return found
                if not is_counted:
                    self._count(identity, address)
                    is_counted = True
                return self._create_account(identity, email)
            except EmailTaken as taken:
                # A concurrent request for this identity or another user has taken the email. If the
                # next attempt does not find the identity, it creates the account without an email.
                email = None
                raise StaleVersion from taken
            except IdentityTaken as created_meanwhile:
                raise StaleVersion from created_meanwhile

        try:
            linked = retry_on_conflict(find_or_create, attempts=ATTEMPTS)
        except EditConflict as conflict:
            raise Unavailable("accounts") from conflict
        linked = replace(linked, alias=self._alias(linked))
        self.identity_cache.remember(linked)
        return linked

    def _alias(self, linked: LinkedIdentity) -> Subject | None:
        """Return the subject, unless it reads as the id of another user.

        Issuers may choose UUIDs as subjects. The result does not change later: ids are random
        UUIDs, so no user who registers later can get one that is already a subject.
        """
        subject = linked.identity.subject
        try:
            user_id = UserId(UUID(subject))
        except ValueError:
            return subject
        if user_id != linked.user_id and self._exists(user_id):
            return None
        return subject

    def _exists(self, user_id: UserId) -> bool:
        try:
            self.users.get(user_id)
        except UserNotFound:
            return False
        return True

    def _find(self, identity: Identity, email: EmailAddress | None) -> LinkedIdentity | None:
        try:
            linked = self.identities.get(identity)
        except IdentityNotFound:
            linked = None
        # The order matters: if the identity is missing because of a deletion, this finds the
        # revocation that the deletion stored.
        revoked_at = self.revocations.external_revoked_at(identity.session_id)
        if revoked_at is not None and identity.issued_at <= revoked_at:
            raise InvalidAccessToken
        if linked is None:
            return None
        try:
            user = self.users.get(linked.user_id)
        except UserNotFound as deleted_meanwhile:
            raise StaleVersion from deleted_meanwhile
        if user.is_disabled:
            raise InvalidAccessToken
        if identity.supersedes(linked.identity):
            return self._update(user, linked, identity, email)
        return linked

    def _count(self, identity: Identity, address: str) -> None:
        """Count a new account, for the issuer only if the address is within its limit."""
        if address:
            self.limiter.hit(Limit.PROVISION_ADDRESS, address)
        self.limiter.hit(Limit.PROVISION_ISSUER, identity.issuer)

    def _create_account(self, identity: Identity, email: EmailAddress | None) -> LinkedIdentity:
        user = User.register(
            id=self.identifiers.user_id(),
            name=identity.initial_display_name,
            email=email,
            password_hash=None,
            now=self.clock.now(),
        )
        linked = LinkedIdentity(identity, user.id)
        with self.unit_of_work() as work:
            work.users.add(user)
            work.identities.add(linked)
        self.security_log.record(
            SecurityEvent.PROVISIONED, user_id=user.id, session_id=identity.session_id
        )
        return linked

    def _update(
        self, user: User, linked: LinkedIdentity, identity: Identity, email: EmailAddress | None
    ) -> LinkedIdentity:
        """Apply what changed at the issuer, and keep everything else that the user changed here."""
        before = linked.identity
        claimed = replace(
            identity, name=identity.name or before.name, email=identity.email or before.email
        )
        changed = user.with_profile(
            name=user.name if claimed.name in (None, before.name) else claimed.name,
            email=user.email if claimed.email == before.email else email,
            now=self.clock.now(),
        )
        with self.unit_of_work() as work:
            if changed is not user:
                work.users.save(changed)
            work.identities.save(claimed)
        if changed.email != user.email:
            self.security_log.record(SecurityEvent.EMAIL_CHANGED, user_id=user.id)
        return LinkedIdentity(claimed, user.id)
