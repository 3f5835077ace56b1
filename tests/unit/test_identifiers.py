"""Ids of new tasks."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from todo_adapters.system.identifiers import TimeOrderedIdentifiers
from todo_core.entities.task import TaskId
from todo_core.entities.user import UserId

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
LARGEST = 2**53 - 1


OWNER, OTHER = UserId(UUID(int=1)), UserId(UUID(int=2))
SECOND = timedelta(seconds=1)


def drawn(
    identifiers: TimeOrderedIdentifiers, times: Iterable[datetime], owner_id: UserId = OWNER
) -> list[TaskId]:
    """Draw an id for a new task of the owner at each of these times."""
    return [identifiers.task_ids(owner_id, 1, created_at=time)[0] for time in times]


def test_ids_of_later_tasks_are_greater() -> None:
    ids = drawn(
        TimeOrderedIdentifiers(), [NOW + timedelta(hours=5 * number) for number in range(1000)]
    )
    assert ids == sorted(set(ids))


def test_ids_of_different_times_are_in_the_same_order_in_all_processes() -> None:
    times = [NOW + timedelta(hours=5 * number) for number in range(1000)]
    ids = [drawn(TimeOrderedIdentifiers(), [time])[0] for time in times]
    assert ids == sorted(set(ids))


def test_ids_of_tasks_that_are_created_after_each_other_are_close_together() -> None:
    ids = drawn(TimeOrderedIdentifiers(), [NOW + number * SECOND for number in range(1000)])
    gaps = [after - before for before, after in pairwise(ids)]
    assert min(gaps) > 0
    assert max(gaps) <= 2**16
    assert len(set(gaps)) > 900  # so they count nothing


def test_ids_of_one_moment_differ() -> None:
    ids = drawn(TimeOrderedIdentifiers(), [NOW] * 1000)
    assert len(set(ids)) == 1000


def test_no_id_is_drawn_twice_when_the_clock_is_set_back() -> None:
    times = [NOW + number * SECOND for number in (0, 1, 2, 0, 1, 2)]
    assert len(set(drawn(TimeOrderedIdentifiers(), times))) == len(times)


def test_ids_of_tasks_that_are_created_together_follow_each_other() -> None:
    ids = TimeOrderedIdentifiers().task_ids(OWNER, 500, created_at=NOW)
    assert list(ids) == list(range(ids[0], ids[0] + 500))


def test_an_id_after_a_bulk_is_greater_than_all_of_its_ids() -> None:
    identifiers = TimeOrderedIdentifiers()
    *_, last = identifiers.task_ids(OWNER, 500, created_at=NOW)
    assert drawn(identifiers, [NOW])[0] > last


def test_ids_of_two_processes_are_far_from_each_other() -> None:
    ids = [drawn(TimeOrderedIdentifiers(), [NOW])[0] for _ in range(1000)]
    # Two of them are equal once in 69,000 times, and ten practically never.
    assert len(set(ids)) > 990
    assert max(ids) - min(ids) > 2**34


def test_ids_do_not_depend_on_what_others_create() -> None:
    identifiers = TimeOrderedIdentifiers()
    [before] = drawn(identifiers, [NOW])
    drawn(identifiers, [NOW] * 1000, OTHER)
    [after] = drawn(identifiers, [NOW])
    assert before < after <= before + 2**16


def test_ids_continue_elsewhere_when_a_time_has_none_left() -> None:
    identifiers = TimeOrderedIdentifiers()
    [first] = drawn(identifiers, [NOW])
    end = (first // 2**36 + 1) * 2**36
    identifiers._last[OWNER] = end - 2**17  # so that the first one fits, and the last one does not
    ids = identifiers.task_ids(OWNER, 2**17, created_at=NOW)
    assert end - 2**36 < ids[0] < ids[-1] < end


def test_owners_are_forgotten_when_there_are_too_many() -> None:
    identifiers = TimeOrderedIdentifiers()
    for number in range(20_001):
        drawn(identifiers, [NOW], UserId(UUID(int=number)))
    assert len(identifiers._last) <= 10_000


@pytest.mark.parametrize("year", [1, 1970, 2019, 2020, 2026, 2089, 2090, 9999])
def test_javascript_can_read_the_ids_of_any_time(year: int) -> None:
    identifiers = TimeOrderedIdentifiers()
    for time in (datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, tzinfo=UTC)):
        ids = identifiers.task_ids(OWNER, 500, created_at=time)
        assert 1 <= ids[0] < ids[-1] <= LARGEST
