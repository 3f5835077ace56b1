"""The mapping between rows and entities: one convention for all repositories of this package.

In each module, `_COLUMNS` has the columns that are selected, `_to_<entity>` unpacks a row in that
order (by name, it would take 15 % longer for a list of tasks), and `_to_row` returns the columns
of a new entity. The functions are pure. A query for a single column uses `SqlExecutor.values`.
"""

from todo_core.entities.text import Text


def plain_text(text: str | None) -> str | None:
    """Return a value object as the plain string that drivers know."""
    return None if text is None else str(text)


def stored_text[Kind: Text](kind: type[Kind], text: str | None) -> Kind | None:
    """Return the value object of a nullable column."""
    return None if text is None else kind.stored(text)
