"""Tags in SQL: arrays in JSON, in which tags can be found as text.

Each is written in quotes, and what is special in a string of JSON, or between two of them, as an
escape of six characters. So the text contains a tag in quotes if, and only if, the array contains
the tag: without the escape, each array of several tags would contain `","`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, false, or_, text, true
from sqlalchemy.sql.base import ColumnCollection
from sqlmodel import Integer, Uuid, bindparam

from todo_adapters.sql.folding import PositionIn
from todo_adapters.sql.revisions import ZERO
from todo_adapters.sql.statements import Parameters

_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in '"\\,'})


def in_quotes(tag: str) -> str:
    """Return a tag as it is in an array. Tags have no control characters."""
    return f'"{tag.translate(_ESCAPES)}"'


def json_array(tags: Iterable[str]) -> str:
    """Return an array of tags."""
    return f"[{','.join(map(in_quotes, tags))}]"


def tag_parameters(name: str, keys: Iterable[str]) -> Parameters:
    """Return the parameters of `has_tags` or `has_any_tag`."""
    return {f"{name}_{number}": in_quotes(key) for number, key in enumerate(sorted(keys))}


def has_tags(columns: ColumnCollection[str, Any], name: str, count: int) -> ColumnElement[bool]:
    """Return the condition that a task has all of this number of tags in the parameters."""
    return and_(true(), *_has_each(columns, name, count))


def has_any_tag(columns: ColumnCollection[str, Any], name: str, count: int) -> ColumnElement[bool]:
    """Return the condition that a task has one of this number of tags in the parameters."""
    return or_(false(), *_has_each(columns, name, count))


def _has_each(
    columns: ColumnCollection[str, Any], name: str, count: int
) -> Iterator[ColumnElement[bool]]:
    for number in range(count):
        tag = bindparam(f"{name}_{number}", type_=Text)
        yield PositionIn(columns["tag_keys"], tag) > ZERO


_COUNTS = """
SELECT min(name), count(*) FROM ({names}) AS each_tag
GROUP BY tag_key ORDER BY count(*) DESC, tag_key LIMIT :limit
"""
_NAMES = {
    "array": """
        SELECT each_key.value COLLATE "C" AS tag_key,
            (tags::json ->> (each_key.number - 1)::int) COLLATE "C" AS name
        FROM tasks, json_array_elements_text(tag_keys::json) WITH ORDINALITY
            AS each_key (value, number)
        WHERE owner_id = :owner AND tag_keys IS NOT NULL""",
    "json": """
        SELECT each_key.value AS tag_key, json_extract(tags, each_key.fullkey) AS name
        FROM tasks, json_each(tag_keys) AS each_key
        WHERE owner_id = :owner AND tag_keys IS NOT NULL""",
}
TAG_COUNTS = {
    kind: text(_COUNTS.format(names=names)).bindparams(
        bindparam("owner", type_=Uuid), bindparam("limit", type_=Integer)
    )
    for kind, names in _NAMES.items()
}
"""The tags of an owner with the numbers of their tasks, by how a database takes arrays."""
