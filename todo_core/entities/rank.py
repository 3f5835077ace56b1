"""The ranks of tasks: keys whose order as text is the order that an owner gave their tasks.

This is fractional indexing (https://observablehq.com/@dgreensp/implementing-fractional-indexing).
A rank has an integer part, whose first letter tells its sign and its length, and may have a
fraction: `a0` is 0, `Zz` is -1 and `a1V` is one and a half. So there is always room between two
ranks, and ranks at either end stay short. The digits are in the order of ASCII, so that Python,
SQLite (BINARY) and PostgreSQL (COLLATE "C") compare ranks alike.

The first rank of a task follows from when it was created and from its id, so that nothing has to be
read to create one, and a new task comes before all others.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Self

MAX_LENGTH = 199
"""The length of the longest rank that may be stored."""

_DIGITS = digits + ascii_uppercase + ascii_lowercase
_BASE = len(_DIGITS)
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_LENGTHS = {letter: length for length, letter in enumerate(ascii_lowercase, start=2)} | {
    letter: length for length, letter in enumerate(reversed(ascii_uppercase), start=2)
}
"""The lengths of the integer parts that begin with these letters."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
LAST_TIME = 16**15 - 1
"""All times are earlier, in microseconds since 1970."""

ID_LIMIT = 2**53
"""All ids are smaller."""

_SPREAD_AT_LEAST = 16


class Rank(str):
    """The place of a task in the manual order of its owner, from the first on.

    No fraction ends with the lowest digit: there would be no rank between `a0` and `a00`. The
    same neighbours always give the same rank, so that all storages give the same answers. Two
    changes at the same place at the same time may therefore give two tasks the same rank. Their
    ids decide then, as in every order. No task fits between them until they are spread.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Validate the text.

        Raises:
            ValueError: if it is not a rank.
        """
        length = _LENGTHS.get(text[:1], len(text) + 1)
        if len(text) < length or not set(text) <= _VALUES.keys() or text[length:].endswith("0"):
            raise ValueError(f"Not a rank: {text[:MAX_LENGTH]!r}")
        return super().__new__(cls, text)

    @classmethod
    def stored(cls, text: str) -> Self:
        """Return a rank that was validated before it was stored."""
        return str.__new__(cls, text)

    @classmethod
    def of_new_task(cls, created_at: datetime, task_id: int) -> Self:
        """Return the first rank of a task that is created in 1970 or later.

        Newer tasks come first, and of those with the same time those with the larger id. The rank
        has 30 characters or less. The integer falls with the time, and the fraction with the id;
        they are written in hexadecimal digits, which SQL can write too.
        """
        microseconds = (created_at - _EPOCH) // _MICROSECOND
        return cls.stored(f"L{LAST_TIME - microseconds:015x}{ID_LIMIT - task_id:014x}".rstrip("0"))

    @classmethod
    def first(cls, before: Self | None, *, now: datetime, task_id: int) -> Self:
        """Return the rank of a task that is moved before all others, of which `before` is first.

        It is that of a task created now, so that tasks created later come before it. If the clock
        is behind that of the first task, it is the next one before that task.
        """
        rank = cls.of_new_task(now, task_id)
        return rank if before is None or rank < before else cls.between(None, before)

    @classmethod
    def between(cls, after: Self | None, before: Self | None) -> Self:
        """Return a rank strictly between these two. None stands for the end of the list.

        At either end of the list, 10,000 ranks after one another have 4 characters, or 16 if they
        start at a task's first rank. At any other place, every fifth or sixth rank may be one
        character longer than the one before: 10,000 at the same place would have 2,000. So the
        tasks around a place must be spread when a rank `is_too_long`.

        Raises:
            ValueError: if `after` does not come before `before`, or there are no more integers.
        """
        if after is not None and before is not None and after >= before:
            raise ValueError(f"There is no rank between {after!r} and {before!r}.")
        if after is None:
            return cls.stored("a0" if before is None else _integer_before(before))
        integer, fraction = _split(after)
        next_integer = _write_integer(_read_integer(integer) + 1)
        if before is None or next_integer < before:
            return cls.stored(next_integer)
        limit = _split(before)[1] if before.startswith(integer) else ""
        return cls.stored(integer + _fraction_between(fraction, limit))

    @classmethod
    def spread(
        cls, count: int, *, after: Self | None = None, before: Self | None = None
    ) -> list[Self]:
        """Return ranks for tasks that follow each other between these two, evenly spaced.

        Without limits, 100,000 of them have at most 5 characters. Between two others, they have at
        most 4 more than a single one would have.

        Raises:
            ValueError: as `between` does.
        """
        return list(cls._spread(count, after, before))

    @classmethod
    def spread_around(cls, place: int, ranks: Sequence[Self]) -> tuple[int, list[Self]]:
        """Return ranks with which a task fits in at this place, and where they begin.

        `ranks` are those of all tasks, in their order. From the returned index on, as few tasks
        around the place as possible get the ranks in the list, among which is that of the new
        task. None is longer than half of `MAX_LENGTH`, so that the next time is far.
        """
        reach = _SPREAD_AT_LEAST
        while True:
            start, stop = max(place - reach, 0), place + reach
            after = ranks[start - 1] if start > 0 else None
            before = ranks[stop] if stop < len(ranks) else None
            if after is None or before is None or after < before:
                count = min(stop, len(ranks)) - start + 1
                spread = cls.spread(count, after=after, before=before)
                if max(map(len, spread)) <= MAX_LENGTH // 2:
                    return start, spread
            reach *= 2

    @classmethod
    def _spread(cls, count: int, after: Self | None, before: Self | None) -> Iterator[Self]:
        if count:
            middle = cls.between(after, before)
            yield from cls._spread((count - 1) // 2, after, middle)
            yield middle
            yield from cls._spread(count // 2, middle, before)

    @property
    def is_too_long(self) -> bool:
        """Whether the tasks around this place must be spread instead of storing this rank."""
        return len(self) > MAX_LENGTH


def _split(rank: str) -> tuple[str, str]:
    """Return the integer part and the digits of the fraction."""
    length = _LENGTHS[rank[0]]
    return rank[:length], rank[length:]


def _integer_before(rank: str) -> str:
    """Return the largest integer part that comes before this rank."""
    integer, fraction = _split(rank)
    return integer if fraction else _write_integer(_read_integer(integer) - 1)


def _write(number: int, length: int) -> str:
    """Return the lowest digits of this number."""
    return "".join(_DIGITS[number // _BASE**place % _BASE] for place in reversed(range(length)))


def _read(text: str) -> int:
    number = 0
    for digit in text:
        number = number * _BASE + _VALUES[digit]
    return number


def _write_integer(number: int) -> str:
    """Return the integer part for this number. Each length begins where the shorter ones end."""
    rest, places = number if number >= 0 else ~number, 1
    while rest >= _BASE**places:
        rest -= _BASE**places
        places += 1
    if places > len(ascii_lowercase):
        raise ValueError(f"There is no rank for the integer {number}.")
    if number >= 0:
        return ascii_lowercase[places - 1] + _write(rest, places)
    return ascii_uppercase[-places] + _write(_BASE**places - 1 - rest, places)


def _read_integer(part: str) -> int:
    places = len(part) - 1
    shorter: int = sum(_BASE**fewer for fewer in range(1, places))
    rest: int = _BASE**places - 1 - _read(part[1:])
    return shorter + _read(part[1:]) if part[0] in ascii_lowercase else ~(shorter + rest)


def _fraction_between(after: str, before: str) -> str:
    """Return the digits of a fraction between these two. Without digits, `before` stands for 1."""
    found = ""
    while True:
        low = _VALUES[after[0]] if after else 0
        high = _VALUES[before[0]] if before else _BASE
        if high - low > 1:
            return found + _DIGITS[(low + high + 1) // 2]
        if low < high and len(before) > 1:
            return found + _DIGITS[high]
        found += _DIGITS[low]
        after, before = after[1:], before[1:] if low == high else ""
