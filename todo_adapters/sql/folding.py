"""Search and order by text that the core has folded, in every database and locale alike.

The core folds text (`todo_core.entities.text.fold`), because each database does it differently. The
result is stored only for text that is not in ASCII. For other text it is the lower case, which SQL
can compute. So most tasks take no more space, and no index has to be maintained.
"""

from typing import Any

from sqlalchemy import ColumnElement, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import func

from todo_core.entities.text import SearchText, fold

_ESCAPE = "/"
_ESCAPED = str.maketrans({character: _ESCAPE + character for character in f"%_{_ESCAPE}"})


class _AsciiLower(FunctionElement[str]):
    """The text with ASCII letters in lower case and all other characters unchanged.

    The result is compared code point by code point.
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
    """Return the folded text to be stored, or None if the text is in ASCII."""
    return None if text is None or text.isascii() else fold(text)


def folded(stored: ColumnElement[Any], text: ColumnElement[Any]) -> ColumnElement[str]:
    """Return the folded form of the column `text`: what was `stored`, or else its lower case."""
    return func.coalesce(stored, _AsciiLower(text))


def contains(text: ColumnElement[str], pattern: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a folded text matches a `search_pattern`."""
    return text.like(pattern, escape=_ESCAPE)


def search_pattern(text: SearchText) -> str:
    """Return the LIKE pattern of folded texts that contain this one, with wildcards escaped."""
    return f"%{fold(text).translate(_ESCAPED)}%"
