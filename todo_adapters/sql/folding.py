"""Search and order by text that the core has folded, in every database and locale alike.

The core folds text (`todo_core.entities.text.fold`), because each database does it differently. The
result is stored only for text that is not in ASCII. Of other text it is the lower case, for which
SQL has a function. So most tasks take no more space, and no index has to be maintained.
"""

from typing import Any

from sqlalchemy import ColumnElement, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import func

from todo_core.entities.text import SearchText, fold, searchable

_ESCAPE = "/"
_ESCAPED = str.maketrans({character: _ESCAPE + character for character in f"%_{_ESCAPE}"})


class _AsciiLower(FunctionElement[str]):
    """The text with the letters of ASCII in lower case, and all others as they are.

    Text that is derived from it is compared code point by code point.
    """

    type = Text()
    inherit_cache = True


@compiles(_AsciiLower, "sqlite")
def _in_sqlite(element: _AsciiLower, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - as SQLAlchemy passes them
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(_AsciiLower, "postgresql")
def _in_postgresql(element: _AsciiLower, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - as SQLAlchemy passes them
    # Without the collation, the locale of the database decides.
    return f'lower({compiler.process(element.clauses, **options)} COLLATE "C")'


def folded_unless_ascii(text: str | None) -> str | None:
    """Return the folded text to be stored, or None if it is in ASCII."""
    return None if text is None or text.isascii() else searchable(text)


def folded(stored: ColumnElement[Any], text: ColumnElement[Any]) -> ColumnElement[str]:
    """Return the folded text of a column, from it and from the column of what was stored."""
    return func.coalesce(stored, _AsciiLower(text))


def contains(text: ColumnElement[str], pattern: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a folded text contains that of a `search_pattern`."""
    return text.like(pattern, escape=_ESCAPE)


def search_pattern(text: SearchText) -> str:
    """Return the pattern of texts that contain this one, in which no character is special."""
    return f"%{fold(text).translate(_ESCAPED)}%"
