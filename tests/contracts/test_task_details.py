"""The details of tasks are stored and queried alike on every storage.

What a query finds, and in which order, is what Python finds and sorts: `TaskQuery.includes` and
`Position.sort_key` are the definition, in memory as in SQL.
"""

import re
from collections.abc import Iterator, Sequence
from copy import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import count, pairwise, product
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tests.support.statements import recorded_statements
from tests.support.storages import Storage, storage_of, stored_owner
from tests.support.tasks import all_tasks, revisions_of
from todo_adapters.sql.tables import DELETED_TASKS, TASKS
from todo_api.container import Container
from todo_core.entities.due_date import DueDate
from todo_core.entities.priority import Priority
from todo_core.entities.rank import Rank
from todo_core.entities.recurrence import RecurrenceRule
from todo_core.entities.repetition import RepeatFrom, Repetition
from todo_core.entities.tags import Tag, TagCount, Tags
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_query import Position, TaskOrder, TaskQuery
from todo_core.entities.text import SearchText
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import User, UserId
from todo_core.errors import StaleVersion
from todo_core.ports.repositories import UNLIMITED

NOW = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
DAY, MICROSECOND = timedelta(days=1), timedelta(microseconds=1)
EXPIRES = NOW + 30 * DAY
BERLIN = TimeZone("Europe/Berlin")
ZONES = [TimeZone(name) for name in ("UTC", "Pacific/Kiritimati", "Pacific/Niue")]
NUMBERS = count(1)

ON_ONE_STORAGE = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
"""For tests whose examples share a storage: each has owners of its own."""

SPECIAL = "aAßẞıİéÉe\u0301Σς漢字🎉\U00010400\u2028\ufffe \\\"'`,;:[]{}()<>%_*/?#$&+-=.@^|~1"
RAW_TAGS = st.text(
    st.sampled_from(SPECIAL) | st.characters(exclude_categories=["Cc", "Cs"]),
    min_size=1,
    max_size=50,
).filter(lambda raw: 1 <= len(Tag.normalize(raw).strip()) <= Tag.max_length)
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
MOMENTS = st.integers(0, (LATEST - EARLIEST) // MICROSECOND).map(
    lambda microseconds: (EARLIEST + microseconds * MICROSECOND).isoformat()
)
DAYS = st.dates(date(1970, 1, 1), date(9999, 12, 31)).map(date.isoformat)


def details(tags: st.SearchStrategy[Sequence[str]], due: st.SearchStrategy[str | None]) -> Any:
    """Return fields of a new task, with these tags and due dates."""
    return st.fixed_dictionaries(
        {
            "title": st.sampled_from(["Buy milk", "Übung", "x"]),
            "description": st.sampled_from([None, "Two litres of milk"]),
            "priority": st.sampled_from([*(each.label for each in Priority), None]),
            "due_date": due,
            "tags": tags,
        }
    )


ANY_DETAILS = details(st.lists(RAW_TAGS, max_size=20), st.none() | DAYS | MOMENTS)

# So few values that several tasks have the same, and that filters match some of them.
FEW_TAGS = ("home", "Shop", "a,b", ",", '"', "\\", "ß")
FEW_DUE = (
    *("2026-02-02", "2026-02-03", "2026-02-03T04:05:06.789012Z", "2026-02-03T23:59:59.999999Z"),
    *("1970-01-01", "9999-12-31", "2026-02-03T04:05:06.789011Z"),
)
FEW_DETAILS = details(
    st.lists(st.sampled_from(FEW_TAGS), max_size=4), st.sampled_from([None, None, *FEW_DUE])
)
FEW_MOMENTS = st.none() | st.sampled_from(
    [DueDate.parse(raw, ZONES[0]).at + step for raw in FEW_DUE[:5] for step in (DAY * 0, -DAY)]
)
COMPLETED_AT = st.sampled_from([None, None, NOW, NOW + DAY, NOW - DAY])
OPTIONAL_KEYS = st.none() | st.frozensets(
    st.sampled_from([*(Tag(each).key for each in FEW_TAGS), "unknown"]), max_size=3
)
FILTERS = st.fixed_dictionaries(
    {
        "completed": st.sampled_from([None, None, True, False]),
        "priorities": st.none() | st.frozensets(st.sampled_from(Priority), min_size=1, max_size=4),
        "tags": st.none() | OPTIONAL_KEYS,
        "any_tags": st.none() | OPTIONAL_KEYS,
        "due_after": FEW_MOMENTS,
        "due_before": FEW_MOMENTS,
        "has_due": st.sampled_from([None, None, True, False]),
        "overdue": st.sampled_from([None, None, None, True, False]),
        "search": st.sampled_from([None, None, None, SearchText("MILK")]),
    }
)
NEW_ORDERS = (
    *(TaskOrder.DUE_DATE, TaskOrder.PRIORITY, TaskOrder.COMPLETED_AT, TaskOrder.POSITION),
)
# Text in another order than that of code points in most locales, with ranks around a new task's.
FEW_RANKS = [
    *map(Rank, ("a0", "a0V", "a0v", "A" + "0" * 26, "Zz", "Zz1", "a" + "z" * 198)),
    *(Rank.of_new_task(NOW + timedelta(minutes=minutes), 3) for minutes in (0, 1)),
]
RANKS = st.builds(
    lambda integer, fraction: Rank(integer + fraction.rstrip("0")),
    st.sampled_from(["a0", "Zz", "b0z", "L" + "0" * 15, "z" + "z" * 26]),
    st.text("019AZaz", max_size=170),
)


def an_owner(storage: Storage) -> User:
    return stored_owner(storage, next(NUMBERS), now=NOW)


def a_task(
    owner: User,
    number: int = 1,
    *,
    completed_at: datetime | None = None,
    position: Rank | None = None,
    **fields: Any,
) -> Task:
    task = Task.create(
        id=TaskId(number),
        owner_id=owner.id,
        now=NOW + timedelta(minutes=number % 3),
        **{"title": "Buy milk", **fields},
    )
    return replace(task, completed_at=completed_at, position=position or task.position)


def a_query(**filters: Any) -> TaskQuery:
    return TaskQuery(**filters)


def add(storage: Storage, *tasks: Task) -> None:
    for task in tasks:
        storage.tasks.add(task)


def in_pages(storage: Storage, owner: User, query: TaskQuery, size: int) -> Sequence[Task]:
    """Return all tasks that a query matches, from pages of this size."""
    tasks: list[Task] = []
    after: Position | None = None
    while True:
        found = storage.tasks.page(owner.id, query, limit=size, after=after)
        tasks += found.tasks
        assert len(found.tasks) == size or found.last is None
        if found.last is None:
            return tasks
        after = Position.parse(str(found.last), query.order)
        assert after == found.last


def expected_tasks(
    storage: Storage, owner: User, query: TaskQuery, tasks: Sequence[Task]
) -> Sequence[Task]:
    """Return those of the tasks that a query matches, in its order, as Python sorts them."""
    revisions = revisions_of(storage.tasks, owner.id)

    def place(task: Task) -> tuple[object, ...]:
        position = Position.of(task, query.order, revision=revisions[task.id])
        return position.sort_key(descending=query.descending)

    return sorted(filter(query.includes, tasks), key=place, reverse=query.descending)


def require_found(storage: Storage, owner: User, query: TaskQuery, tasks: Sequence[Task]) -> None:
    """Check pages of several sizes, pages after an offset, and the count."""
    expected = expected_tasks(storage, owner, query, tasks)
    for size in (1, 2, 3, len(expected) or 1, 500):
        assert in_pages(storage, owner, query, size) == expected
    for offset in range(1, len(expected) + 2):
        found = storage.tasks.page(owner.id, query, limit=2, offset=offset)
        assert list(found.tasks) == expected[offset : offset + 2]
        assert (found.last is not None) == (offset + 2 < len(expected))
    assert storage.tasks.count(owner.id, query) == len(expected)


CHANGED_FIELDS = (
    *("title", "description", "priority", "due_date", "tags", "reminders", "position"),
    *("repetition", "next_id", "completed_at"),
)


INDEXED_COLUMNS = {"completed", "due_at", "parent_id", "remind_at"}


class TestSavingWhatDiffers:
    @ON_ONE_STORAGE
    @given(
        before=ANY_DETAILS,
        after=ANY_DETAILS,
        minutes=st.sampled_from([None, 5]),
        completed=st.tuples(COMPLETED_AT, COMPLETED_AT),
        names=st.sets(st.sampled_from(CHANGED_FIELDS)) | st.just({"completed_at"}),
    )
    def test_it_has_the_same_effect_as_saving_everything(
        self,
        storage: Storage,
        before: Any,
        after: Any,
        minutes: int | None,
        completed: tuple[datetime | None, datetime | None],
        names: set[str],
    ) -> None:
        owner = an_owner(storage)
        reminders = minutes and [{"remind_at": (NOW + timedelta(minutes=minutes)).isoformat()}]
        new = replace(
            a_task(owner, 3, completed_at=completed[1], reminders=reminders, **after),
            repetition=Repetition(RecurrenceRule.parse("daily"), RepeatFrom("due")),
            next_id=TaskId(9),
        )
        states = []
        for number, as_loaded in ((1, True), (2, False)):
            loaded = a_task(owner, number, completed_at=completed[0], **before)
            add(storage, loaded)
            changes = {name: getattr(new, name) for name in names}
            changed = replace(loaded, **changes, updated_at=NOW + DAY)
            saved = storage.tasks.save(changed, loaded=loaded if as_loaded else None)
            assert saved == replace(changed, version=2)
            stored = storage.tasks.get(loaded.id, owner_id=owner.id)
            assert repr(stored) == repr(saved)
            due = storage.reminders.due(now=LATEST, limit=1000).get(owner.id, [])
            counts = storage.tasks.counts(owner.id)
            completed_now = [each for each in all_tasks(storage.tasks, owner.id) if each.completed]
            states.append(
                (
                    loaded.id in due,
                    revisions_of(storage.tasks, owner.id)[loaded.id] == counts.revision,
                    counts.completed == len(completed_now),
                    counts.revision,
                )
            )
        [one, other] = states
        assert one == (*other[:3], 2)
        assert one[1:3] == (True, True)

    @pytest.mark.parametrize(
        ("fields", "written"),
        [
            ({"title": "Buy oats"}, set()),
            ({"completed": True}, {"completed", "remind_at"}),
            ({"title": "Buy oats", "completed": True}, INDEXED_COLUMNS),
        ],
    )
    def test_a_change_writes_the_columns_of_indexes_only_if_it_must(
        self, container: Container, fields: Any, written: set[str]
    ) -> None:
        application = container.application()
        owner = an_owner(storage_of(container))
        task = application.create_task(owner_id=owner.id, title="Buy milk")
        with recorded_statements(container.database().engine) as statements:
            application.update_task(owner_id=owner.id, task_id=task.id, **fields)
        [update] = [
            each.partition("UPDATE tasks SET")[2]
            for each in statements
            if "UPDATE tasks SET" in each
        ]
        assert INDEXED_COLUMNS & {*re.findall(r"[ ,](\w+)=", update)} == written

    def test_only_if_it_is_what_was_loaded(self, storage: Storage) -> None:
        owner = an_owner(storage)
        task = a_task(owner)
        add(storage, task)
        saved = storage.tasks.save(task.edited(title="Buy oats", now=NOW))
        for fields in ({"title": "Buy rice"}, {"completed": True}, {"due_date": "2026-02-03"}):
            with pytest.raises(StaleVersion):
                storage.tasks.save(task.edited(now=NOW, **fields), loaded=task)
        assert storage.tasks.get(task.id, owner_id=owner.id) == saved


class TestRoundTrips:
    def require_same_everywhere(self, storage: Storage, task: Task) -> None:
        """Store the task, change it, delete it and restore it: it stays the same everywhere."""
        tasks, owner_id = storage.tasks, task.owner_id
        tasks.add(task)
        self.require_read(storage, task)
        renamed = tasks.save(task.edited(title="Another title", now=NOW + DAY))
        assert renamed == replace(
            task, title=renamed.title, version=2, updated_at=renamed.updated_at
        )
        self.require_read(storage, renamed)
        tasks.remove(task.id, owner_id=owner_id, expires_at=EXPIRES)
        trashed = tasks.get_in_trash(task.id, owner_id=owner_id)
        [listed] = tasks.page(owner_id, TaskQuery(deleted=True), limit=2).tasks
        assert repr(trashed) == repr(listed) == repr(renamed)
        restored = tasks.restore(task.id, owner_id=owner_id, now=NOW + 2 * DAY, most=UNLIMITED)
        assert repr(restored) == repr(replace(renamed, version=3, updated_at=NOW + 2 * DAY))
        self.require_read(storage, restored)

    def require_read(self, storage: Storage, task: Task) -> None:
        """Check every way to read the task. The forms of values must be the same too."""
        tasks, owner_id = storage.tasks, task.owner_id
        [change] = tasks.changes(owner_id, after=None, limit=2).changes
        found = [
            tasks.get(task.id, owner_id=owner_id),
            *tasks.lock([task.id], owner_id=owner_id),
            *all_tasks(tasks, owner_id),
            *tasks.page(owner_id, TaskQuery(order=TaskOrder.UPDATED_AT), limit=2).tasks,
            *tasks.page(owner_id, TaskQuery(search=SearchText(task.title)), limit=2).tasks,
            change.task,
        ]
        assert list(map(repr, found)) == [repr(task)] * 6
        assert found == [task] * 6

    @ON_ONE_STORAGE
    @given(
        fields=ANY_DETAILS,
        zone=st.sampled_from(ZONES),
        completed_at=COMPLETED_AT,
        position=st.none() | RANKS,
    )
    def test_a_task_is_read_as_it_was_stored(
        self,
        storage: Storage,
        fields: Any,
        zone: TimeZone,
        completed_at: datetime | None,
        position: Rank | None,
    ) -> None:
        owner = an_owner(storage)
        task = a_task(owner, completed_at=completed_at, position=position, zone=zone, **fields)
        self.require_same_everywhere(storage, task)

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            *({"priority": each.label} for each in Priority),
            {"position": Rank("a" + "z" * 198)},
            {"position": Rank("A" + "0" * 26)},
            {"due_date": "1970-01-01"},
            {"due_date": "1970-01-01T00:00:00Z"},
            {"due_date": "9999-12-31"},
            {"due_date": "9999-12-31T23:59:59.999999Z"},
            {"due_date": "2026-12-01T16:00:00.000001+05:45"},
            {"due_date": "2026-03-29"},
            {"tags": ["a" * 50, "漢" * 50, "🎉" * 50]},
            {"tags": [f"{number:050}" for number in range(20)]},
            {"tags": ['"', "\\", '\\"', "\\u0022", '","', ",", "[", "]", "[]", "null", "{}"]},
            {"tags": ["Home", "straße", "İstanbul", "e\u0301", "\U0001f468\u200d\U0001f469"]},
        ],
        ids=str,
    )
    def test_a_task_with_an_unusual_value_is_read_as_it_was_stored(
        self, storage: Storage, fields: Any
    ) -> None:
        owner = an_owner(storage)
        self.require_same_everywhere(storage, a_task(owner, zone=BERLIN, **fields))

    def test_every_detail_can_be_changed_and_removed(self, storage: Storage) -> None:
        owner = an_owner(storage)
        task = a_task(owner)
        add(storage, task)
        edits: Sequence[dict[str, Any]] = [
            {"priority": "urgent", "due_date": "2026-12-01", "tags": ["home"], "completed": True},
            {"priority": "none", "due_date": "2026-12-01T16:00:00Z", "tags": ["Home", "b"]},
            {"reminders": [{"minutes_before": 15}, {"remind_at": "2026-11-01T16:00:00.5Z"}]},
            {"due_date": "2026-12-02", "completed": False},
            {"priority": "", "due_date": "", "tags": []},
            {"reminders": []},
        ]
        for edit in edits:
            task = storage.tasks.save(task.edited(zone=BERLIN, now=NOW + DAY, **edit))
            assert repr(storage.tasks.get(task.id, owner_id=owner.id)) == repr(task)
        assert task == replace(a_task(owner), version=7, updated_at=NOW + DAY)


class TestFilters:
    @ON_ONE_STORAGE
    @given(
        made=st.lists(
            st.tuples(FEW_DETAILS, COMPLETED_AT, st.none() | st.sampled_from(FEW_RANKS)),
            max_size=9,
        ),
        filters=FILTERS,
        order=st.sampled_from(TaskOrder),
        descending=st.booleans(),
        deleted=st.booleans(),
    )
    def test_a_query_finds_what_python_finds(
        self,
        storage: Storage,
        made: Sequence[tuple[Any, datetime | None, Rank | None]],
        filters: Any,
        order: TaskOrder,
        descending: bool,
        deleted: bool,
    ) -> None:
        ada, bob = an_owner(storage), an_owner(storage)
        tasks = [
            a_task(ada, number, completed_at=completed_at, position=position, **fields)
            for number, (fields, completed_at, position) in enumerate(made, 1)
        ]
        add(storage, *tasks)
        add(storage, *(replace(task, owner_id=bob.id) for task in tasks))
        # Every second task is in the trash, the last one first.
        for task in tasks[::-2]:
            for owner in (ada, bob):
                storage.tasks.remove(task.id, owner_id=owner.id, expires_at=EXPIRES)
        in_trash = tasks[::-2]
        kept = [task for task in tasks if task not in in_trash]
        query = TaskQuery(**filters, order=order, descending=descending, deleted=deleted, now=NOW)
        require_found(storage, ada, query, in_trash if deleted else kept)

    def test_each_filter_by_itself_finds_what_python_finds(self, storage: Storage) -> None:
        ada = an_owner(storage)
        tasks = various_tasks(ada)
        add(storage, *tasks)
        for filters in single_filters():
            for order in (TaskOrder.CREATED_AT, *NEW_ORDERS):
                query = TaskQuery(**filters, order=order, now=NOW)
                expected = expected_tasks(storage, ada, query, tasks)
                assert 0 < len(expected) < len(tasks), query
                assert in_pages(storage, ada, query, 4) == expected, query
                assert storage.tasks.count(ada.id, query) == len(expected), query

    def test_a_filter_of_no_priorities_or_no_tags_finds_what_python_finds(
        self, storage: Storage
    ) -> None:
        ada = an_owner(storage)
        tasks = various_tasks(ada)
        add(storage, *tasks)
        for name in ("priorities", "tags", "any_tags"):
            query = a_query(**{name: frozenset()})
            found = storage.tasks.page(ada.id, query, limit=99).tasks
            assert list(found) == expected_tasks(storage, ada, query, tasks)

    @pytest.mark.parametrize(
        ("tags", "key", "is_found"),
        [
            (["a", "b"], ",", False),
            (["a", "b"], '","', False),
            (["a,b"], "a", False),
            (["a,b"], "a,b", True),
            (['a"b'], "b", False),
            (['a"b'], 'a"b', True),
            (["a\\"], "a\\", True),
            (["a\\"], "a", False),
            (["\\u0022"], '"', False),
            (['"'], "\\u0022", False),
            (["[", "]"], "[", True),
            (["home"], "hom", False),
            (["home"], "home", True),
            (["a%", "b_"], "%", False),
            (["STRASSE"], Tag("straße").key, True),
            (["É"], Tag("e\u0301").key, True),
        ],
    )
    def test_a_tag_is_found_as_a_whole(
        self, storage: Storage, tags: Sequence[str], key: str, is_found: bool
    ) -> None:
        ada = an_owner(storage)
        add(storage, a_task(ada, tags=tags), a_task(ada, 2))
        for name in ("tags", "any_tags"):
            query = a_query(**{name: frozenset({key})})
            assert storage.tasks.count(ada.id, query) == is_found

    @ON_ONE_STORAGE
    @given(tags=st.lists(RAW_TAGS, min_size=1, max_size=6), data=st.data())
    @example(tags=["a", "b"], data=None)
    def test_tags_that_a_task_has_are_found_and_no_others(
        self, storage: Storage, tags: list[str], data: st.DataObject | None
    ) -> None:
        ada = an_owner(storage)
        task = a_task(ada, tags=tags)
        add(storage, task)
        stored = "".join(f'"{key}",' for key in task.tags.keys)
        parts = {stored[start:end] for start, end in product(range(6), range(1, 9))} - {""}
        others = set() if data is None else {data.draw(RAW_TAGS)}
        for key in {*task.tags.keys, *parts, *(Tag(each).key for each in others)}:
            for name in ("tags", "any_tags"):
                query = a_query(**{name: frozenset({key})})
                assert storage.tasks.count(ada.id, query) == (key in task.tags.keys)

    def test_a_task_is_due_after_a_moment_if_it_is_due_then_and_not_before_it(
        self, storage: Storage
    ) -> None:
        ada = an_owner(storage)
        add(storage, a_task(ada, due_date="2026-02-03T12:00:00.000001Z"), a_task(ada, 2))
        at = datetime(2026, 2, 3, 12, microsecond=1, tzinfo=UTC)
        counts = [
            storage.tasks.count(ada.id, query)
            for step in (-MICROSECOND, MICROSECOND * 0, MICROSECOND)
            for query in (
                TaskQuery(due_after=at + step),
                TaskQuery(due_before=at + step),
                TaskQuery(overdue=True, now=at + step),
                TaskQuery(overdue=False, now=at + step),
            )
        ]
        assert counts == [1, 0, 0, 2, 1, 0, 0, 2, 0, 1, 1, 1]


def various_tasks(owner: User) -> Sequence[Task]:
    """Return tasks with different details, of which each filter matches some."""
    due = [None, *FEW_DUE[:4], FEW_DUE[6]]
    return [
        a_task(
            owner,
            number,
            title="Buy milk" if number % 7 < 5 else "Oats",
            priority=Priority(number % 5).label,
            due_date=due[number % 11 % len(due)],
            tags=[tag for index, tag in enumerate(FEW_TAGS) if number >> index & 1],
            completed_at=[None, NOW, NOW - DAY][number % 3],
            position=[None, *FEW_RANKS][number % 13 % 10],
        )
        for number in range(1, 41)
    ]


def single_filters() -> Iterator[dict[str, Any]]:
    """Yield filters that each match some of the various tasks."""
    alone: Sequence[dict[str, Any]] = [
        *({"priorities": frozenset({each})} for each in Priority),
        {"priorities": frozenset({Priority.NONE, Priority.URGENT})},
        {"tags": frozenset({"home"})},
        {"tags": frozenset({"home", "shop"})},
        {"any_tags": frozenset({"home", "a,b"})},
        {"any_tags": frozenset({"unknown", "a,b"})},
        {"due_after": NOW},
        {"due_before": NOW},
        {"due_after": NOW - DAY, "due_before": NOW},
        {"has_due": True},
        {"has_due": False},
        {"overdue": True},
        {"overdue": False},
    ]
    for filters in alone:
        yield filters
        yield {**filters, "search": SearchText("milk")}
        if not filters.get("overdue"):
            yield {**filters, "completed": True}
        yield {**filters, "completed": False}


class TestOrders:
    @pytest.mark.parametrize("deleted", [False, True], ids=["tasks", "trash"])
    @pytest.mark.parametrize("order", NEW_ORDERS)
    def test_tasks_without_a_value_come_last_in_either_direction(
        self, storage: Storage, order: TaskOrder, deleted: bool
    ) -> None:
        ada = an_owner(storage)
        tasks = various_tasks(ada)
        add(storage, *tasks)
        if deleted:
            for task in tasks:
                storage.tasks.remove(task.id, owner_id=ada.id, expires_at=EXPIRES)
        for descending, completed in product((True, False), (None, True, False)):
            query = TaskQuery(completed, order=order, descending=descending, deleted=deleted)
            require_found(storage, ada, query, tasks)
            values = [
                Position.of(task, order, revision=0).value
                for task in in_pages(storage, ada, query, 500)
            ]
            assert values == sorted(values, key=lambda value: value is None)

    def test_every_position_continues_where_it_stands(self, storage: Storage) -> None:
        ada = an_owner(storage)
        tasks = various_tasks(ada)
        add(storage, *tasks)
        for order, descending in product(NEW_ORDERS, (True, False)):
            query = TaskQuery(order=order, descending=descending)
            expected = expected_tasks(storage, ada, query, tasks)
            for index, task in enumerate(expected):
                after = Position.of(task, order, revision=0)
                for offset in (0, 2):
                    found = storage.tasks.page(ada.id, query, limit=3, after=after, offset=offset)
                    begins = index + 1 + offset
                    assert list(found.tasks) == expected[begins : begins + 3]
                    assert (found.last is not None) == (begins + 3 < len(expected))

    @pytest.mark.parametrize("descending", [True, False])
    @pytest.mark.parametrize(("dated", "others"), [(0, 0), (0, 2), (3, 0), (3, 1), (3, 3)])
    def test_a_page_may_end_at_the_last_task_with_a_due_date(
        self, storage: Storage, dated: int, others: int, descending: bool
    ) -> None:
        ada = an_owner(storage)
        tasks = [
            a_task(ada, number, due_date=f"2026-03-0{number}" if number <= dated else None)
            for number in range(1, dated + others + 1)
        ]
        add(storage, *tasks)
        revision = storage.tasks.counts(ada.id).revision
        query = TaskQuery(order=TaskOrder.DUE_DATE, descending=descending)
        expected = expected_tasks(storage, ada, query, tasks)
        for limit in range(1, len(tasks) + 2):
            found = storage.tasks.page(ada.id, query, limit=limit)
            assert list(found.tasks) == expected[:limit]
            assert found.revision == (revision if tasks else 0)
            if limit >= len(tasks):
                assert found.last is None
                continue
            assert found.last == Position.of(expected[limit - 1], query.order, revision=0)
            rest = storage.tasks.page(ada.id, query, limit=99, after=found.last)
            assert list(rest.tasks) == expected[limit:]
            assert rest.revision == revision
        require_found(storage, ada, query, tasks)

    def test_a_page_goes_on_after_its_last_task_has_lost_the_value(self, storage: Storage) -> None:
        ada = an_owner(storage)
        tasks = [
            a_task(ada, number, due_date=f"2026-03-0{number}" if number < 4 else None)
            for number in range(1, 6)
        ]
        add(storage, *tasks)
        query = TaskQuery(order=TaskOrder.DUE_DATE, descending=False)
        first = storage.tasks.page(ada.id, query, limit=2)
        storage.tasks.save(tasks[1].edited(due_date=None, now=NOW))
        rest = storage.tasks.page(ada.id, query, limit=9, after=first.last)
        assert [task.id for task in rest.tasks] == [3, 2, 4, 5]


@pytest.mark.parametrize(
    "storage", ["in_memory", "sqlite", "postgresql", "turkish_postgresql"], indirect=True
)
class TestTagCounts:
    def test_tags_are_counted_by_their_keys_those_of_most_tasks_first(
        self, storage: Storage
    ) -> None:
        ada, bob = an_owner(storage), an_owner(storage)
        spellings = [["home", "İ", "b"], ["Home", "ß", "a"], ["HOME", "SS", "I"], ["ı", "i", "a"]]
        for number, tags in enumerate(spellings, 1):
            add(storage, a_task(ada, number, tags=tags))
            add(storage, a_task(bob, number, tags=[*tags, "Home again"]))
        add(storage, a_task(ada, 9), a_task(ada, 10, tags=["deleted"]))
        storage.tasks.remove(TaskId(10), owner_id=ada.id, expires_at=EXPIRES)
        expected = [
            TagCount("HOME", 3),
            TagCount("a", 2),
            TagCount("I", 2),
            TagCount("SS", 2),
            TagCount("b", 1),
            TagCount("İ", 1),
            TagCount("ı", 1),
        ]
        assert list(storage.tasks.tag_counts(ada.id, limit=99)) == expected
        for limit in range(1, 8):
            assert list(storage.tasks.tag_counts(ada.id, limit=limit)) == expected[:limit]
        of_bob = list(storage.tasks.tag_counts(bob.id, limit=99))
        assert of_bob[:2] == [TagCount("Home again", 4), TagCount("HOME", 3)]
        assert storage.tasks.tag_counts(UserId(an_owner(storage).id), limit=9) == []

    def test_tags_with_as_many_tasks_are_in_the_order_of_code_points(
        self, storage: Storage
    ) -> None:
        ada = an_owner(storage)
        tags = ["z", "ä", "_", "B", "a b", "ab", "a-b", "ı", "i", "\ufffd", "🎉", '"', "\\", "10"]
        add(storage, a_task(ada, tags=tags))
        names = [each.name for each in storage.tasks.tag_counts(ada.id, limit=99)]
        assert names == sorted(tags, key=lambda tag: Tag(tag).key)

    @ON_ONE_STORAGE
    @given(st.lists(st.lists(RAW_TAGS | st.sampled_from("aAbB"), max_size=6), max_size=4))
    def test_every_storage_counts_what_python_counts(
        self, storage: Storage, lists: list[list[str]]
    ) -> None:
        ada = an_owner(storage)
        tasks = [a_task(ada, number, tags=tags) for number, tags in enumerate(lists, 1)]
        add(storage, *tasks)
        names: dict[str, list[str]] = {}
        for task in tasks:
            for tag in task.tags:
                names.setdefault(tag.key, []).append(tag)
        expected = sorted(names.items(), key=lambda each: (-len(each[1]), each[0]))
        assert [(each.name, each.count) for each in storage.tasks.tag_counts(ada.id, limit=99)] == [
            (min(spellings), len(spellings)) for _, spellings in expected
        ]


KEPT_OF_A_TOMBSTONE = {
    *("owner_id", "id", "completed", "version", "created_at", "updated_at", "revision"),
    "expires_at",
}


class TestErasedTasks:
    @pytest.mark.parametrize("way", ["permanently", "erased", "expired"])
    @pytest.mark.parametrize("due_date", ["2026-12-01", "2026-12-01T16:00:00Z"])
    def test_nothing_that_its_owner_entered_is_left_of_a_task(
        self, container: Container, way: str, due_date: str
    ) -> None:
        storage = storage_of(container)
        ada, bob = an_owner(storage), an_owner(storage)
        for owner in (ada, bob):
            task = a_task(
                owner,
                title="Übung",
                description="Übung",
                priority="urgent",
                due_date=due_date,
                tags=["ein Geheimnis"],
                reminders=[{"minutes_before": 15}],
                completed_at=NOW,
            )
            daily = Repetition(RecurrenceRule.parse("daily"), RepeatFrom.DUE, time(2, 30))
            parent = a_task(owner, 2)
            full = replace(task, repetition=daily, next_id=TaskId(9), parent_id=parent.id)
            add(storage, parent, full)
        permanently = way == "permanently"
        storage.tasks.remove(task.id, owner_id=ada.id, expires_at=EXPIRES, permanently=permanently)
        if way == "erased":
            storage.tasks.erase(task.id, owner_id=ada.id, expires_at=EXPIRES)
        elif way == "expired":
            storage.tasks.erase_expired(now=EXPIRES + DAY, expires_at=EXPIRES + DAY, limit=9)
        # The other owner's task has a value in each column that is to be erased.
        storage.tasks.remove(task.id, owner_id=bob.id, expires_at=EXPIRES)
        tombstone, kept = (self.filled_columns(container, owner) for owner in (ada, bob))
        assert tombstone == KEPT_OF_A_TOMBSTONE
        assert kept == {*DELETED_TASKS.c.keys()} - ({"due_on"} if "T" in due_date else set())

    def filled_columns(self, container: Container, owner: User) -> set[str]:
        """Return the columns of the owner's deleted task that are not null."""
        statement = DELETED_TASKS.select().where(DELETED_TASKS.c.owner_id == owner.id)
        with container.database().engine.connect() as connection:
            row = connection.execute(statement).one()
        return {name for name, value in row._mapping.items() if value is not None}


class TestOlderRows:
    """Rows that a release without these columns has written, which may run at the same time."""

    @pytest.fixture
    def storage(self, container: Container) -> Storage:
        return storage_of(container)

    @pytest.fixture
    def ada(self, container: Container, storage: Storage) -> User:
        """An owner with older tasks and newer ones, of which every second one is completed."""
        owner = an_owner(storage)
        for number in range(1, 5):
            add(
                storage,
                a_task(
                    owner,
                    number,
                    priority=Priority(number).label,
                    completed_at=NOW + number * DAY if number % 2 else None,
                ),
            )
        for number in range(5, 9):
            add(storage, a_task(owner, number, completed_at=NOW if number % 2 else None))
        with container.database().engine.connect() as connection:
            connection.execute(
                text(
                    "UPDATE tasks SET priority = NULL, completed_at = NULL, position = NULL"
                    " WHERE id >= 5"
                )
            )
        return owner

    def test_an_older_task_has_a_medium_priority_and_was_completed_when_it_was_changed(
        self, storage: Storage, ada: User
    ) -> None:
        for number in range(5, 9):
            task = storage.tasks.get(TaskId(number), owner_id=ada.id)
            assert task.priority is Priority.MEDIUM
            assert task.completed_at == (task.updated_at if number % 2 else None)
            assert (task.due_date, task.tags) == (None, Tags())
            assert task.position == Rank.of_new_task(task.created_at, task.id)

    def test_older_tasks_are_filtered_and_sorted_as_they_are_read(
        self, storage: Storage, ada: User
    ) -> None:
        self.require_all_orders(storage, ada, all_tasks(storage.tasks, ada.id), deleted=False)

    def test_older_tasks_in_the_trash_are_filtered_and_sorted_as_they_are_read(
        self, storage: Storage, ada: User
    ) -> None:
        tasks = all_tasks(storage.tasks, ada.id)
        for task in tasks:
            storage.tasks.remove(task.id, owner_id=ada.id, expires_at=EXPIRES)
        self.require_all_orders(storage, ada, tasks, deleted=True)

    def require_all_orders(
        self, storage: Storage, ada: User, tasks: Sequence[Task], *, deleted: bool
    ) -> None:
        filters: Sequence[dict[str, Any]] = [
            {},
            {"completed": True},
            {"priorities": frozenset({Priority.MEDIUM})},
            {"priorities": frozenset({Priority.HIGH, Priority.NONE})},
        ]
        for each, order, descending in product(filters, NEW_ORDERS, (True, False)):
            query = TaskQuery(**each, order=order, descending=descending, deleted=deleted)
            require_found(storage, ada, query, tasks)

    def test_an_older_task_stays_completed_when_it_was_if_its_title_is_changed(
        self, storage: Storage, ada: User
    ) -> None:
        loaded = storage.tasks.get(TaskId(5), owner_id=ada.id)
        renamed = loaded.edited(title="Buy oats", now=NOW + 9 * DAY)
        saved = storage.tasks.save(renamed, loaded=loaded)
        assert saved.completed_at == loaded.completed_at is not None
        assert storage.tasks.get(loaded.id, owner_id=ada.id) == saved

    def test_an_older_task_is_written_as_a_newer_one_when_it_is_changed(
        self, container: Container, storage: Storage, ada: User
    ) -> None:
        task = storage.tasks.get(TaskId(5), owner_id=ada.id)
        storage.tasks.save(task.edited(title="Oats", now=NOW + 9 * DAY))
        [row] = container.database().rows(
            text("SELECT priority, position FROM tasks WHERE id = 5 AND completed_at IS NOT NULL"),
            {},
        )
        assert tuple(row) == (2, Rank.of_new_task(task.created_at, task.id))
        saved = storage.tasks.get(task.id, owner_id=ada.id)
        assert saved.completed_at == task.completed_at != saved.updated_at


MICROSECONDS = st.sampled_from([0, 1, 500_000, 999_999]) | st.integers(0, 999_999)
CREATIONS = st.builds(
    lambda second, microsecond: second.replace(microsecond=microsecond, tzinfo=UTC),
    st.sampled_from([datetime(2026, 2, 3, 4, 5, 6), datetime(2026, 2, 3, 4, 5, 7)])  # noqa: DTZ001 - it becomes UTC
    | st.datetimes(datetime(1970, 1, 1)),  # noqa: DTZ001 - as hypothesis takes it
    MICROSECONDS,
)
TASK_IDS = st.sampled_from([1, 15, 16, 2**32, 2**53 - 16, 2**53 - 1]) | st.integers(1, 2**53 - 1)


@pytest.mark.parametrize(
    "storage_name", ["sqlite_container", "postgresql_container", "turkish_postgresql_container"]
)
class TestOlderRowsWithoutPosition:
    @ON_ONE_STORAGE
    @given(
        rows=st.lists(
            st.tuples(TASK_IDS, CREATIONS, st.none() | st.none() | st.sampled_from(FEW_RANKS)),
            max_size=8,
            unique_by=lambda row: row[0],
        ),
        descending=st.booleans(),
        deleted=st.booleans(),
        completed=st.sampled_from([None, True, False]),
    )
    @example(
        rows=[
            (number, NOW.replace(microsecond=microsecond), None)
            for number, microsecond in enumerate([999_999, 0, 1, 999_998, 500_000, 0], 1)
        ],
        descending=False,
        deleted=False,
        completed=None,
    )
    @example(
        rows=[
            (2**53 - 1, LATEST, None),
            (1, EARLIEST, None),
            (2, EARLIEST + MICROSECOND, None),
            (16, EARLIEST, None),
        ],
        descending=True,
        deleted=True,
        completed=None,
    )
    def test_they_are_sorted_where_the_position_of_a_new_task_is(
        self,
        request: pytest.FixtureRequest,
        storage_name: str,
        rows: Sequence[tuple[int, datetime, Rank | None]],
        descending: bool,
        deleted: bool,
        completed: bool | None,
    ) -> None:
        container: Container = request.getfixturevalue(storage_name)
        storage = storage_of(container)
        owner = an_owner(storage)
        tasks = []
        for number, created_at, position in rows:
            made = a_task(owner, number, completed_at=NOW if number % 2 else None)
            rank = position or Rank.of_new_task(created_at, number)
            tasks.append(replace(made, created_at=created_at, position=rank))
        add(storage, *tasks)
        older = [number for number, _, position in rows if position is None]
        with container.database().engine.connect() as connection:
            for number in older:
                connection.execute(
                    TASKS.update()
                    .where(TASKS.c.owner_id == owner.id, TASKS.c.id == number)
                    .values(position=None)
                )
        if deleted:
            for task in tasks:
                storage.tasks.remove(task.id, owner_id=owner.id, expires_at=EXPIRES)
        query = TaskQuery(
            completed, order=TaskOrder.POSITION, descending=descending, deleted=deleted
        )
        require_found(storage, owner, query, tasks)


def test_the_days_of_an_order_are_not_those_of_their_text(storage: Storage) -> None:
    ada = an_owner(storage)
    due = ["2026-03-01", "2026-02-28T23:59:59Z", "2026-03-01T00:00:00+01:00", "1970-01-01"]
    tasks = [
        a_task(ada, number, due_date=raw, zone=ZONES[number % 3])
        for number, raw in enumerate(due, 1)
    ]
    add(storage, *tasks)
    query = TaskQuery(order=TaskOrder.DUE_DATE, descending=False)
    found = in_pages(storage, ada, query, 2)
    assert [task.id for task in found] == [4, 3, 2, 1]
    moments = [task.due_date.at for task in found if task.due_date is not None]
    assert all(first < second for first, second in pairwise(moments))
