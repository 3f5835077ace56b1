"""What differs between the supported databases."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import URL, Connection, Engine, TextClause, text


class DatabaseDialect(ABC):
    """One kind of database: how to connect to it, begin a transaction, and change its schema."""

    connect_arguments: Mapping[str, Any]
    """The arguments that its driver connects with."""

    commit = text("COMMIT")
    roll_back = text("ROLLBACK")
    begin: TextClause
    """The statement that begins a transaction."""

    queries_may_write: bool
    """Whether common table expressions may write (`WITH … AS (UPDATE …)`)."""

    has_advisory_locks: bool
    """Whether a transaction can try to lock a number, without waiting if another one has."""

    limits_parts: bool
    """Whether the parts of a union can have a limit of their own, and need it to be fast."""

    has_arrays: bool
    """Whether a parameter may be an array. Otherwise several values are sent as JSON."""

    needs_checkpoints: bool
    """Whether `checkpoint` should be called several times a second."""

    @abstractmethod
    def check_url(self, url: URL) -> None:
        """Check what is specific to this kind of database in the URL.

        Raises:
            ValueError: if the driver would refuse it when it connects.
        """

    @abstractmethod
    def configure(self, engine: Engine) -> None:
        """Prepare each new connection of this engine."""

    @abstractmethod
    def checkpoint(self, connection: Connection) -> None:
        """Do what the database has postponed, unless it has a process for that."""

    @abstractmethod
    def schema_change(
        self, connection: Connection, transaction: AbstractContextManager[object]
    ) -> AbstractContextManager[None]:
        """Run the transaction on this connection under the conditions that migrations need.

        Several processes may do so at the same time; they run one after another.

        Raises:
            ValueError: if rows are left that refer to rows that do not exist.
        """
