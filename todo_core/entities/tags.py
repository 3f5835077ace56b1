"""The tags of a task."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from todo_core.entities.text import Text
from todo_core.errors import FieldError, ValidationFailed

MAX_TAGS = 20
"""How many tags a task may have."""


class Tag(Text):
    """A tag: 1 to 50 characters on one line, without surrounding white space.

    It is brought to Unicode normalization form C. Tags that differ only in case have the same
    `key`.
    """

    __slots__ = ()

    field = "tag"
    max_length = 50

    @classmethod
    def normalize(cls, raw: str) -> str:
        """Bring the text to normalization form C."""
        return unicodedata.normalize("NFC", raw)

    @property
    def key(self) -> str:
        """The text by which tags are compared."""
        return unicodedata.normalize("NFC", self.casefold())


class Tags(tuple[Tag, ...]):
    """Up to 20 tags in the order in which they were given, no two of which have the same key."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: Sequence[str] | None) -> Self:
        """Return the tags with these names. Of several with the same key, the first is kept.

        Raises:
            ValidationFailed: naming every tag that breaks its rules, as `tags/3`, or `tags` if
                there are too many.
        """
        errors: list[FieldError] = []
        tags: dict[str, Tag] = {}
        for index, name in enumerate(raw or ()):
            try:
                tag = Tag(name)
            except ValidationFailed as failure:
                errors += (replace(each, field=f"tags/{index}") for each in failure.errors)
            else:
                tags.setdefault(tag.key, tag)
        if len(tags) > MAX_TAGS:
            message = f"Tags must have at most {MAX_TAGS} items."
            errors.append(FieldError("tags", "too_long", message))
        if errors:
            raise ValidationFailed(*errors)
        return cls(tags.values())

    @classmethod
    def stored(cls, names: Iterable[str]) -> Self:
        """Return tags that were validated before they were stored."""
        return cls(map(Tag.stored, names))

    @property
    def keys(self) -> Sequence[str]:
        """The keys of the tags, in their order."""
        return [tag.key for tag in self]


NO_TAGS = Tags()


@dataclass(frozen=True, slots=True)
class TagCount:
    """A tag, and how many of an owner's tasks have it."""

    name: str
    count: int
