"""Ranks: the keys of the order that an owner gives their tasks."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from todo_core.entities.rank import MAX_LENGTH, Rank

NOW = datetime(2026, 12, 1, 16, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LARGEST_ID = 2**53 - 1

FIRST = Rank.of_new_task(NOW, 7_543_210_987_654)
SECOND = Rank.of_new_task(NOW - timedelta(seconds=5), 7_543_210_123_456)

# A few times and ids near each other, so that tasks of the same moment occur.
CREATIONS = st.tuples(
    st.integers(0, 3).map(lambda ticks: NOW - ticks * MICROSECOND),
    st.integers(7_543_210_987_650, 7_543_210_987_660),
) | st.tuples(
    st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as hypothesis takes it
    st.integers(1, LARGEST_ID),
)
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@st.composite
def some_ranks(draw: st.DrawFn) -> Rank:
    """Return any rank with at most nine digits before its fraction, or the first one of a task."""
    if draw(st.booleans()):
        return Rank.of_new_task(*draw(CREATIONS))
    places = draw(st.integers(1, 9))
    head = draw(st.sampled_from(["abcdefghi"[places - 1], "ZYXWVUTSR"[places - 1]]))
    integer = draw(st.text(DIGITS, min_size=places, max_size=places))
    return Rank(head + integer + draw(st.text("01Vz", max_size=12)).rstrip("0"))


RANKS = some_ranks()


def longest(ranks: Sequence[str]) -> int:
    return max(map(len, ranks))


class TestText:
    @pytest.mark.parametrize("text", ["a0", "a1Vx", "Zz", "b00", "Rsn30PhnNSKcqObyg6x"])
    def test_a_rank_is_its_text(self, text: str) -> None:
        assert Rank(text) == Rank.stored(text) == text

    @pytest.mark.parametrize(
        "text",
        ["", "a", "0", "00", "b0", "a00", "a1V0", "Zz0", "a-1", "a1 ", " a1", "a1\n", "á1", "a١"],
    )
    def test_other_text_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="Not a rank"):
            Rank(text)

    @given(st.text("Zab0z1 \x00é", max_size=5))
    def test_whatever_is_not_refused_has_ranks_on_both_sides(self, text: str) -> None:
        try:
            rank = Rank(text)
        except ValueError:
            return
        assert Rank.between(None, rank) < rank < Rank.between(rank, None)


class TestBetween:
    @pytest.mark.parametrize(
        ("after", "before", "rank"),
        [
            # As the JavaScript package `fractional-indexing` has them.
            (None, None, "a0"),
            (None, "a0", "Zz"),
            (None, "Zz", "Zy"),
            (None, "Y00", "Xzzz"),
            (None, "a0V", "a0"),
            (None, "b999", "b99"),
            ("a0", None, "a1"),
            ("bzz", None, "c000"),
            ("a0", "a1", "a0V"),
            ("a1", "a2", "a1V"),
            ("a0V", "a1", "a0l"),
            ("Zz", "a0", "ZzV"),
            ("Zz", "a1", "a0"),
            ("a0", "a0V", "a0G"),
            ("a0", "a0G", "a08"),
            ("b125", "b129", "b127"),
            ("a0", "a1V", "a1"),
            ("Zz", "a01", "a0"),
        ],
    )
    def test_the_rank_between_two_is_a_short_one(
        self, after: str | None, before: str | None, rank: str
    ) -> None:
        limits = [None if text is None else Rank(text) for text in (after, before)]
        assert Rank.between(*limits) == rank

    @given(RANKS, RANKS)
    @example(Rank("a0"), Rank("a001"))
    @example(Rank("a0z"), Rank("a1"))
    @example(Rank("a0zzV"), Rank("a1"))
    def test_there_is_a_rank_between_any_two(self, one: Rank, other: Rank) -> None:
        assume(one != other)
        after, before = sorted([one, other])
        rank = Rank.between(after, before)
        assert after < rank < before
        assert Rank(rank) == rank
        assert Rank.between(after, before) == rank
        assert len(rank) <= max(len(after), len(before)) + 1

    @given(RANKS)
    def test_there_is_a_rank_on_both_sides_of_any(self, rank: Rank) -> None:
        before, after = Rank.between(None, rank), Rank.between(rank, None)
        assert Rank(before) < rank < Rank(after)
        assert longest([before, after]) <= len(rank) + 1

    @given(RANKS, RANKS)
    def test_there_is_no_rank_between_two_in_the_wrong_order(self, one: Rank, other: Rank) -> None:
        before, after = sorted([one, other])
        with pytest.raises(ValueError, match="no rank between"):
            Rank.between(after, before)

    @pytest.mark.parametrize(("last", "end"), [("z" * 27, False), ("A" + "0" * 26, True)])
    def test_there_is_no_rank_beyond_the_last_integer(self, last: str, end: bool) -> None:
        limits = (None, Rank(last)) if end else (Rank(last), None)
        with pytest.raises(ValueError, match="no rank for the integer"):
            Rank.between(*limits)

    @given(st.lists(st.tuples(st.integers(0, 2**32), st.booleans()), max_size=200))
    def test_any_moves_give_the_order_that_was_asked_for(
        self, moves: list[tuple[int, bool]]
    ) -> None:
        ranks = [FIRST, SECOND]
        for place, removes in moves:
            if removes and len(ranks) > 1:
                del ranks[place % len(ranks)]
                continue
            at = place % (len(ranks) + 1)
            ranks.insert(at, Rank.between(*around(ranks, at)))
        assert all(one < other for one, other in pairwise(ranks))


def around(ranks: Sequence[Rank], place: int) -> tuple[Rank | None, Rank | None]:
    """Return the neighbours of a task that is inserted at this place."""
    return ranks[place - 1] if place else None, ranks[place] if place < len(ranks) else None


GAPS = [
    (Rank("a0"), Rank("a1")),
    (FIRST, SECOND),
    # Two tasks of one bulk.
    (Rank.of_new_task(NOW, 2**52 + 1), Rank.of_new_task(NOW, 2**52)),
]
PLACES: dict[str, Callable[[int], int]] = {
    "first": lambda _: 0,
    "last": lambda count: count,
    "after the first": lambda _: 1,
    "before the last": lambda count: count - 1,
    "between the two newest": lambda count: count // 2,
}
"""Where the next task is inserted, by how many there are."""


class TestLength:
    @pytest.mark.parametrize(("start", "length"), [(None, 4), (Rank("a0"), 4), (FIRST, 16)])
    def test_ten_thousand_ranks_at_either_end_are_short(
        self, start: Rank | None, length: int
    ) -> None:
        first, last, ranks = start, start, []
        for _ in range(10_000):
            first, last = Rank.between(None, first), Rank.between(last, None)
            ranks += [first, last]
        assert longest(ranks) == length

    @pytest.mark.parametrize("gap", GAPS)
    @pytest.mark.parametrize("place", PLACES)
    def test_nine_hundred_tasks_fit_at_one_place(self, place: str, gap: tuple[Rank, Rank]) -> None:
        ranks = [*gap]
        for _ in range(900):
            at = PLACES[place](len(ranks))
            ranks.insert(at, Rank.between(*around(ranks, at)))
        assert not any(rank.is_too_long for rank in ranks)

    def test_a_rank_becomes_too_long_for_the_database(self) -> None:
        after, before = Rank("a0"), Rank("a1")
        while not before.is_too_long:
            last, before = before, Rank.between(after, before)
        assert (len(last), len(before)) == (MAX_LENGTH, MAX_LENGTH + 1) == (199, 200)


class TestSpread:
    @pytest.mark.parametrize("count", [0, 1, 2, 5_000])
    @pytest.mark.parametrize(
        ("after", "before"),
        [(None, None), (FIRST, None), (None, FIRST), *GAPS],
    )
    def test_spread_ranks_are_in_order_and_short(
        self, count: int, after: Rank | None, before: Rank | None
    ) -> None:
        ranks = Rank.spread(count, after=after, before=before)
        ends = [each for each in (after, *ranks, before) if each is not None]
        assert len(ranks) == count
        assert all(one < other for one, other in pairwise(ends))
        assert all(Rank(rank) == rank for rank in ranks)
        assert longest(["", *ranks]) <= len(Rank.between(after, before)) + 4

    @pytest.mark.parametrize(
        ("after", "before", "length"), [(None, None, 5), (FIRST, SECOND, 16 + 4)]
    )
    def test_a_hundred_thousand_spread_ranks_are_short(
        self, after: Rank | None, before: Rank | None, length: int
    ) -> None:
        ranks = Rank.spread(100_000, after=after, before=before)
        assert longest(ranks) == length
        assert Rank.of_new_task(NOW + MICROSECOND, 1) < ranks[0]

    @pytest.mark.parametrize("place", PLACES)
    def test_ten_thousand_tasks_at_one_place_stay_short_and_change_few_others(
        self, place: str
    ) -> None:
        ranks = Rank.spread(200, after=FIRST)
        changed = 0
        for _ in range(10_000):
            at = PLACES[place](len(ranks))
            rank = Rank.between(*around(ranks, at))
            if rank.is_too_long:
                start, spread = Rank.spread_around(at, ranks)
                assert longest(spread) <= MAX_LENGTH // 2
                ranks[start : start + len(spread) - 1] = spread
                changed += len(spread)
            else:
                ranks.insert(at, rank)
        assert all(one < other for one, other in pairwise(ranks))
        assert longest(ranks) <= MAX_LENGTH
        assert changed < 11_000

    @given(st.lists(RANKS, min_size=1, max_size=80), st.data())
    def test_a_task_fits_anywhere_after_spreading(
        self, unsorted: list[Rank], data: st.DataObject
    ) -> None:
        # Also between two that have the same rank.
        ranks = sorted(unsorted * data.draw(st.integers(1, 3)))
        place = data.draw(st.integers(0, len(ranks)))
        start, spread = Rank.spread_around(place, ranks)
        stop = start + len(spread) - 1
        assert start <= place <= stop
        near = [*ranks[max(start - 1, 0) : start], *spread, *ranks[stop : stop + 1]]
        assert all(one < other for one, other in pairwise(near))

    def test_a_task_fits_between_many_with_the_same_rank(self) -> None:
        start, spread = Rank.spread_around(50, [FIRST] * 100)
        assert (start, len(spread)) == (0, 101)
        assert all(one < other for one, other in pairwise(spread))

    def test_few_tasks_are_spread_if_those_around_them_have_room(self) -> None:
        start, spread = Rank.spread_around(50, Rank.spread(100))
        assert (start, len(spread)) == (34, 33)


class TestNewTasks:
    @given(CREATIONS, CREATIONS)
    def test_newer_tasks_come_first_and_those_of_one_moment_by_their_ids(
        self, one: tuple[datetime, int], other: tuple[datetime, int]
    ) -> None:
        ranks = Rank.of_new_task(*one), Rank.of_new_task(*other)
        assert (ranks[0] < ranks[1]) == (one > other)
        assert (ranks[0] == ranks[1]) == (one == other)

    @given(CREATIONS)
    def test_the_rank_of_a_new_task_is_a_rank(self, creation: tuple[datetime, int]) -> None:
        rank = Rank.of_new_task(*creation)
        assert Rank(rank) == rank
        assert len(rank) <= 30

    def test_a_task_that_is_moved_to_the_top_comes_after_later_ones(self) -> None:
        moved = Rank.first(SECOND, now=NOW, task_id=5)
        assert moved < SECOND
        assert Rank.of_new_task(NOW + MICROSECOND, 1) < moved
        assert Rank.first(None, now=NOW, task_id=5) == moved

    def test_tasks_that_are_moved_to_the_top_at_one_moment_are_short_and_in_order(self) -> None:
        ranks = [SECOND]
        for task_id in range(10_000, 0, -1):
            ranks.append(Rank.first(ranks[-1], now=NOW, task_id=task_id))
        assert all(newer < older for older, newer in pairwise(ranks))
        assert longest(ranks) <= 30

    def test_a_task_is_moved_to_the_top_when_the_clock_is_behind(self) -> None:
        moved = Rank.first(FIRST, now=NOW - timedelta(hours=1), task_id=5)
        assert moved < FIRST
        assert Rank.of_new_task(NOW + MICROSECOND, 1) < moved
