"""Search and the order of titles give the same answers on every storage, in every locale.

The core folds text in Python, in memory directly; the databases compare what was stored, and lower
text in ASCII by themselves.
"""

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.storages import Storage, stored_owner
from tests.support.tasks import revisions_of
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_query import Position, TaskOrder, TaskQuery
from todo_core.entities.text import SearchText
from todo_core.entities.user import User

pytestmark = pytest.mark.parametrize(
    "storage", ["in_memory", "sqlite", "postgresql", "turkish_postgresql"], indirect=True
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NUMBERS = count(1)
SPECIAL = (
    "aAiIİıbßẞs%_/\\*?[]'\" éÉe\u0301\u0345ᾳſﬁfKk\u212aǅΣςσ漢"
    "\uac00\u1100\u1161😀\U00010400\u00a0٪％"
)
LINE = st.text(st.sampled_from(SPECIAL) | st.characters(exclude_categories=["Cc", "Cs"]))
TITLES = LINE.map(lambda text: text.strip()[:200]).filter(bool)
DESCRIPTIONS = st.none() | st.text(st.sampled_from(SPECIAL + "\n\t"), min_size=1, max_size=30)

ON_ONE_STORAGE = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
"""For tests whose examples share a storage: each has owners of its own."""


def an_owner(storage: Storage) -> User:
    return stored_owner(storage, next(NUMBERS), now=NOW)


def add(storage: Storage, owner: User, *texts: tuple[str, str | None]) -> Sequence[Task]:
    tasks = [
        Task.create(
            id=TaskId(number),
            owner_id=owner.id,
            title=title,
            description=description,
            now=NOW + timedelta(minutes=number % 3),
        )
        for number, (title, description) in enumerate(texts, 1)
    ]
    for task in tasks:
        storage.tasks.add(task)
    return tasks


def found(storage: Storage, owner: User, text: str) -> set[int]:
    query = TaskQuery(search=SearchText(text))
    ids = [task.id for task in storage.tasks.page(owner.id, query, limit=99).tasks]
    assert storage.tasks.count(owner.id, query) == len(ids)
    return set(ids)


def caseless(text: str) -> str:
    """Return the form for compatibility caseless matching, as Unicode defines it (D146)."""
    for form in ("NFD", "NFKC"):
        text = unicodedata.normalize(form, text).casefold()
    return unicodedata.normalize("NFKC", text)


def in_pages(storage: Storage, owner: User, query: TaskQuery, size: int) -> list[int]:
    ids: list[int] = []
    after: Position | None = None
    while True:
        found = storage.tasks.page(owner.id, query, limit=size, after=after)
        ids += [task.id for task in found.tasks]
        if found.last is None:
            return ids
        after = Position.parse(str(found.last), query.order)


@ON_ONE_STORAGE
@given(
    texts=st.lists(st.tuples(TITLES, DESCRIPTIONS), min_size=1, max_size=6),
    edited=TITLES,
    data=st.data(),
)
def test_every_storage_finds_what_python_finds(
    storage: Storage, texts: list[tuple[str, str | None]], edited: str, data: st.DataObject
) -> None:
    ada, bob = an_owner(storage), an_owner(storage)
    tasks = list(add(storage, ada, *texts))
    add(storage, bob, *texts)
    tasks[0] = storage.tasks.save(tasks[0].edited(title=edited, completed=True, now=NOW))
    stored = [text for task in tasks for text in (task.title, task.description) if text]
    some_text = data.draw(st.sampled_from(stored))
    start = data.draw(st.integers(0, len(some_text) - 1))
    part = some_text[start : start + data.draw(st.integers(1, 5))]
    for needle in (part, part.upper(), part.swapcase(), data.draw(TITLES)):
        if not needle.strip() or len(caseless(needle.strip())) > 200:
            continue
        expected = {
            task.id
            for task in tasks
            for text in (task.title, task.description)
            if text is not None and caseless(needle.strip()) in caseless(text)[:2000]
        }
        assert found(storage, ada, needle) == expected


@ON_ONE_STORAGE
@given(st.lists(TITLES, min_size=1, max_size=8), st.booleans(), st.sampled_from([1, 3]))
def test_every_storage_sorts_titles_by_code_points(
    storage: Storage, titles: list[str], descending: bool, size: int
) -> None:
    ada = an_owner(storage)
    tasks = add(storage, ada, *((title, None) for title in titles))
    query = TaskQuery(order=TaskOrder.TITLE, descending=descending)
    expected = sorted(
        tasks, key=lambda task: (caseless(task.title)[:200], task.id), reverse=descending
    )
    assert in_pages(storage, ada, query, size) == [task.id for task in expected]
    some = TaskQuery(order=TaskOrder.TITLE, descending=descending, completed=False)
    assert in_pages(storage, ada, some, size) == [task.id for task in expected]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("MILK", {1}),
        ("strasse", {2}),
        ("STRASSE", {2}),
        ("info", {3}),
        ("ınfo", set()),
        ("istanbul", set()),  # İ is folded to an i with a dot above
        ("i\u0307stanbul", {4}),
        ("100%", {5}),
        ("%", {5}),
        ("_", {6}),
        ("\\", {7}),
        ("/", {8}),
        ("a%c", set()),
        ("fish", {9}),
        ("cafe\u0301", {10}),
        ("CAFÉ", {10}),
        ("cafe", set()),
        ("the\nSECOND", {11}),
        ("the\r\nsecond", {11}),
        ("title1 of", set()),
        ("of the end1", set()),
        ("😀", {12}),
        ("k", {1, 6, 13}),
    ],
)
def test_what_a_search_finds(storage: Storage, text: str, ids: set[int]) -> None:
    ada = an_owner(storage)
    add(
        storage,
        ada,
        ("Buy milk", None),
        ("Hauptstraße", None),
        ("INFO", None),
        ("İstanbul", None),
        ("100% done", None),
        ("snake_case", None),
        ("C:\\", None),
        ("and/or", None),
        ("ﬁsh", None),
        ("Café", None),
        ("title1", "of the\nsecond line\nof the end"),
        ("😀", None),
        ("5 \u212a", None),  # the sign of kelvin
    )
    assert found(storage, ada, text) == ids


def test_a_search_can_be_combined_with_every_other_choice(storage: Storage) -> None:
    ada, bob = an_owner(storage), an_owner(storage)
    texts = [(f"{'Übung' if number % 2 else 'Rest'} {number}", None) for number in range(12)]
    tasks = list(add(storage, ada, *texts))
    add(storage, bob, *texts)
    for index in range(0, 12, 3):
        done = tasks[index].with_completion(True, now=NOW + timedelta(hours=1))
        tasks[index] = storage.tasks.save(done)
    revisions = revisions_of(storage.tasks, ada.id)
    for order in TaskOrder:
        for completed in (None, True, False):
            for time in (None, NOW + timedelta(minutes=1)):
                query = TaskQuery(
                    search=SearchText("ÜBUNG"),
                    completed=completed,
                    created_before=time,
                    updated_after=NOW - timedelta(hours=1),
                    order=order,
                )
                expected = sorted(
                    (task for task in tasks if query.includes(task)),
                    key=lambda task: Position.of(
                        task, query.order, revision=revisions[task.id]
                    ).sort_key(descending=True),
                    reverse=True,
                )
                ids = [task.id for task in expected]
                assert in_pages(storage, ada, query, 2) == ids
                assert storage.tasks.count(ada.id, query) == len(ids)
                skipped = storage.tasks.page(ada.id, query, limit=2, offset=1).tasks
                assert skipped == expected[1:3]
    assert len(in_pages(storage, ada, TaskQuery(search=SearchText("übung")), 5)) == 6


def test_the_titles_of_a_task_can_be_folded_to_more_than_they_were(storage: Storage) -> None:
    ada = an_owner(storage)
    longest = "\ufdfa" * 200  # one character that stands for eighteen
    add(storage, ada, (longest, None), ("ﷺ" * 12, None), (longest[:199], "x"))
    assert found(storage, ada, "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647") == {1, 2, 3}
    for descending in (True, False):
        query = TaskQuery(order=TaskOrder.TITLE, descending=descending)
        assert sorted(in_pages(storage, ada, query, 1)) == [1, 2, 3]


def test_a_search_looks_at_the_beginning_of_a_text_that_becomes_long(storage: Storage) -> None:
    ada = an_owner(storage)
    ligature = "\ufdfa"
    add(
        storage,
        ada,
        (f"{ligature * 111}yz", f"{ligature * 111}yz"),  # 18 times 111 is 1998
        (f"{ligature * 112}yz", f"{ligature * 112}yz"),
        ("Buy milk", f"{'ß' * 999}y"),
        ("Buy milk", f"{'x' * 998}yz"),
    )
    assert found(storage, ada, "yz") == {1, 4}
    assert found(storage, ada, "Y") == {1, 3, 4}
    changed = storage.tasks.page(ada.id, TaskQuery(), limit=4).tasks
    [second] = [task for task in changed if task.id == 2]
    storage.tasks.save(second.edited(title=f"{ligature * 111}yz", now=NOW))
    assert found(storage, ada, "yz") == {1, 2, 4}


@pytest.mark.parametrize(
    "text", ["a" * 200, "a" * 199 + "b", "b" + "a" * 199, "%_/" * 66, "é" * 200]
)
def test_a_long_text_is_found_as_a_whole(storage: Storage, text: str) -> None:
    ada = an_owner(storage)
    texts = (text, text[:-1], text[1:], f"{text[:33]}c{text[33:]}", f"{text[:100]}c{text[100:]}")
    add(storage, ada, *(("Buy milk", f"{text[:40]} {each.upper()} {text[:40]}") for each in texts))
    assert found(storage, ada, text) == {1}
    assert found(storage, ada, text[:-1]) == {1, 2} | ({3} if text[1:] == text[:-1] else set())
