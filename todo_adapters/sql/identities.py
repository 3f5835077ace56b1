"""Identities in SQL."""

from collections.abc import Sequence

from sqlmodel import bindparam, insert, select, update

from todo_adapters.sql.database import SqlExecutor
from todo_adapters.sql.rows import plain_text, stored_text
from todo_adapters.sql.statements import AnyRow, Parameters
from todo_adapters.sql.tables import IDENTITIES, IdentityRow
from todo_core.entities.identity import Identity, LinkedIdentity
from todo_core.entities.user import EmailAddress, PersonName, UserId
from todo_core.errors import AccountGone, IdentityNotFound, IdentityTaken, StaleVersion
from todo_core.ports.repositories import IdentityRepository

_THIS_ONE = (
    IDENTITIES.c.issuer == bindparam("of_issuer"),
    IDENTITIES.c.subject == bindparam("of_subject"),
)
_COLUMNS = (
    IDENTITIES.c.issuer,
    IDENTITIES.c.subject,
    IDENTITIES.c.user_id,
    IDENTITIES.c.name,
    IDENTITIES.c.email,
    IDENTITIES.c.issued_at,
)

_ADD = insert(IDENTITIES)
_SELECT = select(IdentityRow).with_only_columns(*_COLUMNS)
_GET = _SELECT.where(*_THIS_ONE)
_LIST = _SELECT.where(IDENTITIES.c.user_id == bindparam("user_id")).order_by(
    IDENTITIES.c.issued_at.desc()
)
_SAVE = (
    update(IDENTITIES)
    .where(*_THIS_ONE, IDENTITIES.c.issued_at < bindparam("new_issued_at"))
    .values(name=bindparam("name"), email=bindparam("email"), issued_at=bindparam("new_issued_at"))
)
_CONSTRAINT_ERRORS = {"pk_identities": IdentityTaken, "fk_identities_user_id_users": AccountGone}


class SqlIdentityRepository(IdentityRepository):
    """Identities in the table `identities`."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def add(self, linked: LinkedIdentity) -> None:
        self._executor.write(_ADD, _to_row(linked), _CONSTRAINT_ERRORS)

    def get(self, identity: Identity) -> LinkedIdentity:
        key = {"of_issuer": identity.issuer, "of_subject": identity.subject}
        row = self._executor.row(_GET, key)
        if row is None:
            raise IdentityNotFound
        return _to_linked_identity(row)

    def list(self, user_id: UserId) -> Sequence[Identity]:
        rows = self._executor.rows(_LIST, {"user_id": user_id})
        return [_to_linked_identity(row).identity for row in rows]

    def save(self, identity: Identity) -> None:
        saved = self._executor.write(
            _SAVE,
            {
                "of_issuer": identity.issuer,
                "of_subject": identity.subject,
                "name": plain_text(identity.name),
                "email": plain_text(identity.email),
                "new_issued_at": identity.issued_at,
            },
        )
        if not saved:
            raise StaleVersion


def _to_row(linked: LinkedIdentity) -> Parameters:
    identity = linked.identity
    return {
        "issuer": identity.issuer,
        "subject": identity.subject,
        "user_id": linked.user_id,
        "name": plain_text(identity.name),
        "email": plain_text(identity.email),
        "issued_at": identity.issued_at,
    }


def _to_linked_identity(row: AnyRow) -> LinkedIdentity:
    issuer, subject, user_id, name, email, issued_at = row
    return LinkedIdentity(
        Identity(
            issuer=issuer,
            subject=subject,
            name=stored_text(PersonName, name),
            email=stored_text(EmailAddress, email),
            issued_at=issued_at,
        ),
        user_id,
    )
