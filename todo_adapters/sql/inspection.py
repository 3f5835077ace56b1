"""What an operator should know about a database: the rights of its role, and its encryption."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from todo_adapters.sql.database import Database
from todo_adapters.sql.errors import translate_error
from todo_adapters.sql.tables import metadata

_ROLE = """
    SELECT current_user AS role, rolsuper OR rolcreatedb OR rolcreaterole AS is_powerful,
           current_setting('server_version_num')::int / 10000 AS version,
           coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
               AS is_encrypted,
           coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true)
               AS is_local
    FROM pg_roles WHERE rolname = current_user
"""
_TABLES = """
    SELECT name, pg_get_userbyid(relowner) = current_user AS is_owner,
           has_table_privilege(to_regclass(name), 'SELECT')
           AND has_table_privilege(to_regclass(name), 'INSERT')
           AND has_table_privilege(to_regclass(name), 'UPDATE')
           AND has_table_privilege(to_regclass(name), 'DELETE') AS is_granted
    FROM unnest(cast(:names AS text[])) AS name
    JOIN pg_class ON pg_class.oid = to_regclass(name)
    ORDER BY name
"""


@dataclass(frozen=True, slots=True)
class DatabaseRole:
    """What the role of a connection to PostgreSQL may do, and how it is connected.

    `is_powerful` is whether it is a superuser, or creates databases or roles. `owned` are the
    tables of the service that it owns, `missing_grants` those that it cannot read and write.
    `is_local` is whether the server is reached by loopback or a socket. `version` is the server's
    major version.
    """

    name: str
    is_powerful: bool
    owned: Sequence[str]
    missing_grants: Sequence[str]
    is_encrypted: bool
    is_local: bool
    version: int


class SqlInspection:
    """Reads what an operator should know about the database."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine

    def role(self) -> DatabaseRole | None:
        """Return the role with which the service connects, or None on SQLite, which has none.

        Raises:
            Unavailable: if the database does not respond.
        """
        if self._engine.dialect.name != "postgresql":
            return None
        try:
            with self._engine.connect() as connection:
                role = connection.execute(text(_ROLE)).mappings().one()
                names = {"names": sorted(metadata.tables)}
                tables = connection.execute(text(_TABLES), names).mappings().all()
        except SQLAlchemyError as error:
            raise translate_error(error, {}) from error
        return DatabaseRole(
            name=role["role"],
            is_powerful=role["is_powerful"],
            owned=[table["name"] for table in tables if table["is_owner"]],
            missing_grants=[table["name"] for table in tables if not table["is_granted"]],
            is_encrypted=role["is_encrypted"],
            is_local=role["is_local"],
            version=role["version"],
        )
