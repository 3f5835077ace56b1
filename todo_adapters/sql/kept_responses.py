"""Kept responses in SQL.

A key is claimed by inserting its row, which the primary key allows only once. The response is
stored in it by the same transaction, so no other transaction ever sees a row without one. On
PostgreSQL, a transaction that inserts the same row would wait until the first one ends. An
advisory lock on a number for the key, which is tried without waiting, reveals the first one at
once. Databases that speak PostgreSQL's protocol but grant every such lock make the second
transaction wait instead.

The account is locked before the row, so that a deletion of the account waits before it has locked
anything that this transaction needs.

What is kept is counted in the owner's row: a sum over the responses of a user would take longer
the more there are. The clean-up does not subtract what it deletes, because its transactions and
those of users would wait for each other. Instead, the count begins again after some time.
"""

from datetime import datetime
from hashlib import blake2b

from sqlalchemy import LargeBinary, TextClause, exists
from sqlmodel import BigInteger, String, Uuid, bindparam, delete, or_, select, text, update

from todo_adapters.sql.database import SqlExecutor
from todo_adapters.sql.revisions import OPEN_OWNER
from todo_adapters.sql.statements import Parameters
from todo_adapters.sql.tables import (
    KEPT_RESPONSES,
    TASK_OWNERS,
    USERS,
    KeptResponseRow,
    TaskOwnerRow,
    UserRow,
    UtcDateTime,
)
from todo_core.entities.idempotency import IdempotentRequest, KeptResponse
from todo_core.errors import AccountGone, IdempotencyInProgress, TooManyKeptResponses
from todo_core.ports.repositories import KeptResponseRepository

_OWNED = KEPT_RESPONSES.c.user_id == bindparam("owner")
_THIS_KEY = KEPT_RESPONSES.c.key == bindparam("this_key")


def _claim(lock: str, *, condition: str = "") -> TextClause:
    """Return the statement that claims a key that is new or whose response has expired."""
    return text(
        "INSERT INTO kept_responses (user_id, key, fingerprint, claimed_at)"  # noqa: S608 - constants
        " SELECT users.id, :new_key, :fingerprint, :now FROM users"
        f" WHERE users.id = :owner AND users.deleted_at IS NULL{condition}{lock}"
        " ON CONFLICT (user_id, key) DO UPDATE SET fingerprint = excluded.fingerprint,"
        " claimed_at = excluded.claimed_at, response = NULL"
        " WHERE kept_responses.claimed_at < :kept_since"
    ).bindparams(
        bindparam("owner", type_=Uuid),
        bindparam("new_key", type_=String),
        bindparam("fingerprint", type_=String),
        bindparam("now", type_=UtcDateTime),
        bindparam("kept_since", type_=UtcDateTime),
    )


CLAIM = _claim("")
CLAIM_ON_POSTGRESQL = _claim(
    " FOR SHARE", condition=" AND pg_try_advisory_xact_lock(:lock)"
).bindparams(bindparam("lock", type_=BigInteger))
_GET = (
    select(KeptResponseRow)
    .with_only_columns(KEPT_RESPONSES.c.fingerprint, KEPT_RESPONSES.c.response)
    .where(
        _OWNED,
        _THIS_KEY,
        KEPT_RESPONSES.c.claimed_at >= bindparam("kept_since"),
        KEPT_RESPONSES.c.response.is_not(None),
    )
)
_COUNT = (
    update(TASK_OWNERS)
    .where(
        TASK_OWNERS.c.owner_id == bindparam("owner"),
        TASK_OWNERS.c.kept_from >= bindparam("kept_since"),
        TASK_OWNERS.c.kept_size <= bindparam("most_before"),
    )
    .values(kept_size=TASK_OWNERS.c.kept_size + bindparam("size", type_=BigInteger))
)
"""Counts a response, unless that would be too many bytes or the count has to begin."""

_BEGIN_COUNT = (
    update(TASK_OWNERS)
    .where(
        TASK_OWNERS.c.owner_id == bindparam("owner"),
        or_(TASK_OWNERS.c.kept_from.is_(None), TASK_OWNERS.c.kept_from < bindparam("kept_since")),
    )
    .values(kept_size=0, kept_from=bindparam("now"))
)
_KEEP = (
    update(KEPT_RESPONSES)
    .where(_OWNED, _THIS_KEY)
    .values(response=bindparam("new_response", type_=LargeBinary))
)
_COUNTED = _COUNT.returning(TASK_OWNERS.c.owner_id).cte("counted")
KEEP_ON_POSTGRESQL = _KEEP.where(exists(select(_COUNTED.c.owner_id)))
"""Counts and keeps a response in one round trip."""

_GET_KEPT_FROM = (
    select(TaskOwnerRow)
    .with_only_columns(TASK_OWNERS.c.kept_from)
    .where(TASK_OWNERS.c.owner_id == bindparam("owner"))
)
_GET_ACCOUNT = (
    select(UserRow)
    .with_only_columns(USERS.c.id)
    .where(USERS.c.id == bindparam("owner"), USERS.c.deleted_at.is_(None))
)
# As a part of the deletion, PostgreSQL may choose several times, and delete more than the limit.
_CHOOSE_OLD = (
    select(KeptResponseRow)
    .with_only_columns(KEPT_RESPONSES.c.user_id, KEPT_RESPONSES.c.key)
    .where(KEPT_RESPONSES.c.claimed_at < bindparam("claimed_before"))
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_PURGE = delete(KEPT_RESPONSES).where(_OWNED, _THIS_KEY)


class SqlKeptResponseRepository(KeptResponseRepository):
    """Kept responses in the table `kept_responses`."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def claim(
        self, request: IdempotentRequest, *, now: datetime, kept_since: datetime
    ) -> KeptResponse | None:
        owner: Parameters = {"owner": request.user_id}
        claim = {
            **owner,
            "new_key": request.key.text,
            "fingerprint": request.fingerprint,
            "now": now,
            "kept_since": kept_since,
        }
        if self._executor.dialect.has_advisory_locks:
            claim["lock"] = _lock_number(request)
            claimed = self._executor.write(CLAIM_ON_POSTGRESQL, claim)
        else:
            claimed = self._executor.write(CLAIM, claim)
        if claimed:
            return None
        this_one = {**owner, "this_key": request.key.text, "kept_since": kept_since}
        row = self._executor.row(_GET, this_one)
        if row is not None:
            fingerprint, response = row
            return KeptResponse(fingerprint, response)
        if self._executor.row(_GET_ACCOUNT, owner) is None:
            raise AccountGone
        raise IdempotencyInProgress

    def keep(
        self,
        request: IdempotentRequest,
        response: KeptResponse,
        *,
        now: datetime,
        kept_since: datetime,
        most: int,
    ) -> None:
        parameters: Parameters = {
            "owner": request.user_id,
            "this_key": request.key.text,
            "new_response": response.content,
            "size": response.size,
            "most_before": most - response.size,
            "now": now,
            "kept_since": kept_since,
        }
        if self._keep(parameters):
            return
        self._executor.write(OPEN_OWNER, parameters)
        self._executor.write(_BEGIN_COUNT, parameters)
        if not self._keep(parameters):
            [kept_from] = self._executor.values(_GET_KEPT_FROM, parameters)
            raise TooManyKeptResponses(kept_from - kept_since)

    def _keep(self, parameters: Parameters) -> int:
        """Count the response and keep it, or return 0."""
        if self._executor.dialect.queries_may_write:
            return self._executor.write(KEEP_ON_POSTGRESQL, parameters)
        return self._executor.write(_COUNT, parameters) and self._executor.write(_KEEP, parameters)

    def purge(self, *, claimed_before: datetime, limit: int) -> int:
        with self._executor.atomically() as executor:
            old = executor.rows(_CHOOSE_OLD, {"claimed_before": claimed_before, "limit": limit})
            if old:
                executor.write_many(
                    _PURGE, [{"owner": user_id, "this_key": key} for user_id, key in old]
                )
        return len(old)


def _lock_number(request: IdempotentRequest) -> int:
    """Return a number that is different for almost every other user and key."""
    digest = blake2b(request.user_id.bytes + request.key.text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
