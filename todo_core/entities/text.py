"""The rules for text, which all value objects that are strings share.

A value object is a subclass of `str` whose constructor validates. A `Title` in a signature means
"a string that satisfies the rules of titles". It is stored, compared and serialised like any
other string.

Control characters (Unicode category Cc) and unpaired surrogates (Cs) are refused, since
databases and terminals treat them in surprising ways. Lengths count code points.
"""

import re
import unicodedata
from collections.abc import Callable
from types import TracebackType
from typing import ClassVar, Self, cast

from todo_core.errors import FieldError, ValidationFailed

UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters and unpaired surrogates, which no text of one line may contain."""

_FORBIDDEN_IN_PROSE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def fold(text: str) -> str:
    """Return the form in which texts are equal that differ only in case or in character form.

    This is the form for compatibility caseless matching (Unicode 3.13, D146). For text in ASCII,
    it is the text in lower case.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFD", text).casefold()
    folded = unicodedata.normalize("NFKC", folded).casefold()
    return unicodedata.normalize("NFKC", folded)


SEARCHABLE_LENGTH = 2000
"""How many characters of a folded text are searched.

One character may fold to eighteen, so without a limit the longest description would take 18,000.
All of a text is searched unless most of its characters fold to several.
"""


def searchable(text: str) -> str:
    """Return the part of the folded text in which a search looks."""
    return fold(text)[:SEARCHABLE_LENGTH]


class Text(str):
    """A string that satisfies the rules of its class.

    Subclasses set `field` and the limits of the length, and override `normalize` or `check` if
    they have more rules.
    """

    __slots__ = ()

    field: ClassVar[str]
    min_length: ClassVar[int] = 1
    max_length: ClassVar[int]
    forbidden: ClassVar[re.Pattern[str]] = UNPRINTABLE

    def __new__(cls, raw: str) -> Self:
        """Validate `raw`.

        Raises:
            ValidationFailed: with one FieldError, named after the class's field.
        """
        if cls.forbidden.search(raw := cls.normalize(raw)):
            raise cls.refusal(
                "invalid_characters", f"{cls.label()} must not contain control characters."
            )
        text = cls.strip_surroundings(raw)
        if len(text) < cls.min_length:
            if cls.min_length == 1:
                raise cls.refusal("too_short", f"{cls.label()} must not be empty.")
            raise cls.refusal(
                "too_short", f"{cls.label()} must have at least {cls.min_length} characters."
            )
        if len(text) > cls.max_length:
            raise cls.refusal(
                "too_long", f"{cls.label()} must have at most {cls.max_length} characters."
            )
        cls.check(text)
        return super().__new__(cls, text)

    @classmethod
    def stored(cls, text: str) -> Self:
        """Return a value that was validated before it was stored."""
        return str.__new__(cls, text)

    @classmethod
    def normalize(cls, raw: str) -> str:
        """Bring equivalent forms of a text to one form, before the rules apply."""
        return raw

    @classmethod
    def strip_surroundings(cls, raw: str) -> str:
        """Remove surrounding white space."""
        return raw.strip()

    @classmethod
    def check(cls, text: str) -> None:
        """Apply further rules of this class. Raise `cls.refusal(…)` if one is broken."""

    @classmethod
    def label(cls) -> str:
        """Return the name of the field for a message to users, such as `Title`."""
        return cls.field.replace("_", " ").capitalize()

    @classmethod
    def refusal(cls, code: str, message: str) -> ValidationFailed:
        """Return the error for a text that breaks a rule of this class."""
        return ValidationFailed(FieldError(cls.field, code, message))


class Prose(Text):
    """Text of several lines: tabs and line breaks are allowed, and white space is kept.

    Line breaks of the form CR LF are stored as LF.
    """

    __slots__ = ()

    forbidden = _FORBIDDEN_IN_PROSE

    @classmethod
    def normalize(cls, raw: str) -> str:
        """Replace CR LF by LF."""
        return raw.replace("\r\n", "\n")

    @classmethod
    def strip_surroundings(cls, raw: str) -> str:
        """Keep the text as it is."""
        return raw


class SearchText(Prose):
    """What is searched for: 1 to 200 characters, without surrounding white space.

    The folded text, which is what is compared, has at most as many.
    """

    __slots__ = ()

    field = "search"
    max_length = 200

    @classmethod
    def strip_surroundings(cls, raw: str) -> str:
        """Remove surrounding white space."""
        return raw.strip()

    @classmethod
    def check(cls, text: str) -> None:
        """Refuse a text that becomes too long when it is folded."""
        if len(fold(text)) > cls.max_length:
            raise cls.refusal(
                "too_long",
                f"{cls.label()} must have at most {cls.max_length} characters,"
                " where a ligature counts as its letters.",
            )


class Validation:
    """Validates several fields, and reports all of their errors at once.

    ```
    with Validation() as valid:
        title = valid(Title, raw_title)
        description = valid(Description.or_none, raw_description)
    ```

    Leaving the block raises one ValidationFailed with all errors.
    """

    def __init__(self) -> None:
        self._errors: list[FieldError] = []

    def __call__[**Raw, Value](
        self, build: Callable[Raw, Value], *raw: Raw.args, **named: Raw.kwargs
    ) -> Value:
        """Build a value object. Collect its errors instead of raising them."""
        try:
            return build(*raw, **named)
        except ValidationFailed as failure:
            self._errors.extend(failure.errors)
            # This None is never used: leaving the block raises.
            return cast(Value, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exception is None and self._errors:
            raise ValidationFailed(*self._errors)
