"""Identities in SQL."""

from collections.abc import Sequence

from sqlmodel import bindparam, insert, select, update

from todo_adapters.sql.database import AnyRow, SqlExecutor
from todo_adapters.sql.tables import IDENTITIES, IdentityRow
from todo_core.entities.identity import Identity, Issuer, LinkedIdentity, Subject
from todo_core.entities.user import Email, PersonName, UserId
from todo_core.errors import AccountGone, IdentityNotFound, IdentityTaken, StaleVersion
from todo_core.ports.repositories import IdentityRepository

_THIS_ONE = (
    IDENTITIES.c.issuer == bindparam("of_issuer"),
    IDENTITIES.c.subject == bindparam("of_subject"),
)
_ADD = insert(IDENTITIES)
_GET = select(IdentityRow).where(*_THIS_ONE)
_LIST = (
    select(IdentityRow)
    .where(IDENTITIES.c.user_id == bindparam("user_id"))
    .order_by(IDENTITIES.c.issued_at.desc())
)
_SAVE = (
    update(IDENTITIES)
    .where(*_THIS_ONE, IDENTITIES.c.issued_at < bindparam("new_issued_at"))
    .values(name=bindparam("name"), email=bindparam("email"), issued_at=bindparam("new_issued_at"))
)
_REFUSALS = {"pk_identities": IdentityTaken, "fk_identities_user_id_users": AccountGone}


class SqlIdentityRepository(IdentityRepository):
    """Identities in the table `identities`."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def add(self, person: LinkedIdentity) -> None:
        identity = person.identity
        self._executor.write(
            _ADD,
            {
                "issuer": identity.issuer,
                "subject": identity.subject,
                "user_id": person.user_id,
                "name": _text(identity.name),
                "email": _text(identity.email),
                "issued_at": identity.issued_at,
            },
            _REFUSALS,
        )

    def get(self, identity: Identity) -> LinkedIdentity:
        named = {"of_issuer": identity.issuer, "of_subject": identity.subject}
        for row in self._executor.rows(_GET, named):
            return LinkedIdentity(_to_identity(row), UserId(row.user_id))
        raise IdentityNotFound

    def list(self, user_id: UserId) -> Sequence[Identity]:
        return [_to_identity(row) for row in self._executor.rows(_LIST, {"user_id": user_id})]

    def save(self, identity: Identity) -> None:
        saved = self._executor.write(
            _SAVE,
            {
                "of_issuer": identity.issuer,
                "of_subject": identity.subject,
                "name": _text(identity.name),
                "email": _text(identity.email),
                "new_issued_at": identity.issued_at,
            },
        )
        if not saved:
            raise StaleVersion


def _text(value: str | None) -> str | None:
    """A plain string, which is what drivers know."""
    return None if value is None else str(value)


def _to_identity(row: AnyRow) -> Identity:
    return Identity(
        issuer=Issuer(row.issuer),
        subject=Subject(row.subject),
        name=None if row.name is None else PersonName.stored(row.name),
        email=None if row.email is None else Email.stored(row.email),
        issued_at=row.issued_at,
    )
