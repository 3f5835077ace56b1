"""Ids of new tasks."""

from datetime import UTC, datetime, timedelta

import pytest

from todo_adapters.system.identifiers import TimeOrderedIdentifiers

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
LARGEST = 2**53 - 1


def test_ids_of_later_tasks_are_greater() -> None:
    identifiers = TimeOrderedIdentifiers()
    times = [NOW + timedelta(hours=5 * number) for number in range(1000)]
    ids = [identifiers.task_ids(1, created_at=time)[0] for time in times]
    assert ids == sorted(set(ids))


def test_ids_of_tasks_that_are_created_together_follow_each_other() -> None:
    ids = TimeOrderedIdentifiers().task_ids(500, created_at=NOW)
    assert list(ids) == list(range(ids[0], ids[0] + 500))


def test_ids_of_one_moment_differ() -> None:
    identifiers = TimeOrderedIdentifiers()
    ids = {identifiers.task_ids(1, created_at=NOW)[0] for _ in range(1000)}
    # Two of them are equal once in 137,000 times, and ten practically never.
    assert len(ids) > 990


@pytest.mark.parametrize("year", [1, 1970, 2019, 2020, 2026, 2089, 2090, 9999])
def test_javascript_can_read_the_ids_of_any_time(year: int) -> None:
    for time in (datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, tzinfo=UTC)):
        ids = TimeOrderedIdentifiers().task_ids(500, created_at=time)
        assert 1 <= ids[0] < ids[-1] <= LARGEST
