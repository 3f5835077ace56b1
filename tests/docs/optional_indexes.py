"""The indexes that operators may create, as the documentation says."""

from collections.abc import Sequence

from tests.docs.pages import ROOT, blocks

_OPERATIONS = ROOT / "docs" / "operations.md"
_ONLY_POSTGRESQL = "CONCURRENTLY"


def optional_index(name: str, database: str) -> Sequence[str] | None:
    """Return the statements that create an index, or None if it is not for this database.

    `database` is "sqlite" or "postgresql".
    """
    for block in blocks(_OPERATIONS.read_text(), "sql"):
        if f" {name} ON " in block and (_ONLY_POSTGRESQL in block) == (database == "postgresql"):
            return [statement for statement in block.split(";") if statement.strip()]
    return None
