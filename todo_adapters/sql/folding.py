"""Search and order by text that the core has folded, in every database and locale alike.

The core folds text (`todo_core.entities.text.fold`), because each database does it differently. The
result is stored only for text that is not in ASCII. For other text it is the lower case, which SQL
can compute. So most tasks take no more space, and no index has to be maintained.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Integer, Text, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import bindparam, func

from todo_core.entities.text import SearchText, fold, searchable

_ESCAPE = "/"
_ESCAPED = str.maketrans({character: _ESCAPE + character for character in f"%_{_ESCAPE}"})
_PATTERN_LENGTH = 32
"""How many characters of the text that is searched for are compared by a pattern.

An index of trigrams finds patterns only. To compare a long one takes its length times that of the
text, so it has only the beginning.
"""


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
    return None if text is None or text.isascii() else searchable(text)


def folded(stored: ColumnElement[Any], text: ColumnElement[Any]) -> ColumnElement[str]:
    """Return the folded form of the column `text`: what was `stored`, or else its lower case."""
    return func.coalesce(stored, _AsciiLower(text))


class PositionIn(FunctionElement[int]):
    """The position in the first text at which the second one begins, from 1 on, or 0."""

    type = Integer()
    inherit_cache = True


@compiles(PositionIn, "sqlite")
def _position_in_sqlite(element: PositionIn, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - as SQLAlchemy passes them
    return f"instr({compiler.process(element.clauses, **options)})"


@compiles(PositionIn, "postgresql")
def _position_in_postgresql(element: PositionIn, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - as SQLAlchemy passes them
    return f"strpos({compiler.process(element.clauses, **options)})"


class _Contains(FunctionElement[bool]):
    """Whether the first text contains the second. The third is the pattern of its beginning."""

    type = Boolean()
    inherit_cache = True


@compiles(_Contains, "sqlite")
def _contains_in_sqlite(element: _Contains, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - as SQLAlchemy passes them
    text, searched, _ = element.clauses
    condition = PositionIn(text, searched) > literal_column("0")
    return f"({compiler.process(condition, **options)})"


@compiles(_Contains, "postgresql")
def _contains_in_postgresql(element: _Contains, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - as SQLAlchemy passes them
    text, searched, pattern = element.clauses
    condition = text.like(pattern, escape=_ESCAPE) & (
        PositionIn(text, searched) > literal_column("0")
    )
    return f"({compiler.process(condition, **options)})"


def contains(text: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a folded text contains the one of `search_parameters`."""
    return _Contains(text, bindparam("search", type_=Text), bindparam("search_pattern", type_=Text))


def search_parameters(text: SearchText) -> Mapping[str, str]:
    """Return the parameters of `contains`, in which no character is special."""
    searched = fold(text)
    pattern = searched[:_PATTERN_LENGTH].translate(_ESCAPED)
    return {"search": searched, "search_pattern": f"%{pattern}%"}
