"""People who are logged in by others: who they are here."""

from dataclasses import dataclass, replace
from uuid import UUID

from todo_core.entities.identity import Identity, LinkedIdentity, Subject
from todo_core.entities.user import Email, User, UserId
from todo_core.errors import (
    EmailTaken,
    IdentityNotFound,
    IdentityTaken,
    InvalidAccessToken,
    StaleVersion,
    Unavailable,
    UserNotFound,
)
from todo_core.ports.clock import Clock
from todo_core.ports.identifiers import Identifiers
from todo_core.ports.limits import RateLimiter
from todo_core.ports.repositories import IdentityRepository, RevocationRepository, UserRepository
from todo_core.ports.security import EndedSessions, KnownPeople
from todo_core.ports.security_log import SecurityEvent, SecurityLog
from todo_core.ports.unit_of_work import BeginUnitOfWork, UnitOfWork

ATTEMPTS = 5
"""How often it is looked anew when others do the same for this person meanwhile."""


@dataclass(frozen=True, slots=True)
class RecognisePerson:
    """Somebody for whom an external issuer vouches is told apart, and gets an account at first.

    They are known by issuer and subject alone. An account that has the same email is
    never theirs for that: whoever can name any address to the issuer could take it
    over. So their own account does without an email that is another's already. Name and
    email follow what the issuer says, whenever it says something new.

    The issuer's subject may be used instead of the user id in a URL, unless it is the id of
    another user.

    Who deleted their account is not given a new one by a token from before.

    New accounts are counted against limits of the client's address, where it is known,
    and of the issuer. Users who have an account are never affected by these.

    Raises:
        InvalidAccessToken: if the account was deleted after the token was issued.
        RateLimited: after too many new accounts from this address or of this issuer.
        Unavailable: if the account keeps being changed at the same time.
    """

    users: UserRepository
    identities: IdentityRepository
    revocations: RevocationRepository
    unit_of_work: BeginUnitOfWork
    known_people: KnownPeople
    ended_sessions: EndedSessions
    limiter: RateLimiter
    identifiers: Identifiers
    clock: Clock
    log: SecurityLog

    def recall(self, identity: Identity) -> LinkedIdentity | None:
        """Who it is, if this process saw them lately and nothing has changed: it asks nobody."""
        person = self.known_people.recall(identity)
        if (
            person is None
            or identity.session_id in self.ended_sessions
            or identity.says_something_new(person.identity)
        ):
            return None
        return person

    def __call__(self, identity: Identity, *, address: str = "") -> LinkedIdentity:
        if (known := self.recall(identity)) is not None:
            return known
        email = identity.email
        is_counted = False
        for _ in range(ATTEMPTS):
            try:
                person = self._found(identity, email)
                if person is None:
                    if not is_counted:
                        self._count(identity, address)
                        is_counted = True
                    person = self._open_account(identity, email)
            except (IdentityTaken, StaleVersion):
                continue  # another request was faster
            except EmailTaken:
                # By another request for this very person, or by somebody else: if the
                # next look does not find them, then without it.
                email = None
                continue
            person = replace(person, alias=self._alias(person))
            self.known_people.remember(person)
            return person
        raise Unavailable("accounts")

    def _alias(self, person: LinkedIdentity) -> Subject | None:
        """Return the subject, unless it reads as the id of another user here.

        Issuers may choose UUIDs as subjects, and an id here is a random UUID: no user who
        registers later can get one that is a subject already, so the answer does not change.
        """
        subject = person.identity.subject
        try:
            user_id = UserId(UUID(subject))
        except ValueError:
            return subject
        if user_id != person.user_id and self._exists(user_id):
            return None
        return subject

    def _exists(self, user_id: UserId) -> bool:
        try:
            self.users.get(user_id)
        except UserNotFound:
            return False
        return True

    def _found(self, identity: Identity, email: Email | None) -> LinkedIdentity | None:
        try:
            person = self.identities.get(identity)
        except IdentityNotFound:
            person = None
        # Asked after that: who finds nobody because of a deletion, finds its note.
        ended_at = self.revocations.external_revoked_at(identity.session_id)
        if ended_at is not None and identity.issued_at <= ended_at:
            raise InvalidAccessToken
        if person is not None and identity.says_something_new(person.identity):
            return self._follow(person, identity, email)
        return person

    def _count(self, identity: Identity, address: str) -> None:
        """Count a new account, by the issuer only if its address may open one."""
        if address:
            self.limiter.hit("provision_address", address)
        self.limiter.hit("provision_issuer", identity.issuer)

    def _open_account(self, identity: Identity, email: Email | None) -> LinkedIdentity:
        user = User.register(
            id=self.identifiers.user_id(),
            name=identity.first_name_to_use,
            email=email,
            password_hash=None,
            now=self.clock.now(),
        )
        person = LinkedIdentity(identity, user.id)
        with self.unit_of_work() as work:
            work.users.add(user)
            work.identities.add(person)
        self.log.record(SecurityEvent.PROVISIONED, user_id=user.id, session_id=identity.session_id)
        return person

    def _follow(
        self, person: LinkedIdentity, identity: Identity, email: Email | None
    ) -> LinkedIdentity:
        """Take over what the issuer says anew; what the person changed here stays otherwise."""
        before = person.identity
        said = replace(
            identity, name=identity.name or before.name, email=identity.email or before.email
        )
        try:
            user = self.users.get(person.user_id)
        except UserNotFound as deleted_meanwhile:
            raise StaleVersion from deleted_meanwhile
        changed = user.with_profile(
            name=user.name if said.name in (None, before.name) else said.name,
            email=user.email if said.email == before.email else email,
            now=self.clock.now(),
        )
        with self.unit_of_work() as work:
            _save(work, user, changed)
            work.identities.save(said)
        if changed.email != user.email:
            self.log.record(SecurityEvent.EMAIL_CHANGED, user_id=user.id)
        return LinkedIdentity(said, user.id)


def _save(work: UnitOfWork, user: User, changed: User) -> None:
    if changed is not user:
        work.users.save(changed)
