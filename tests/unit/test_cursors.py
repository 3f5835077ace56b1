"""Cursors: signed for one scope."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todo_adapters.security.cursors import HmacCursors
from todo_adapters.security.keys import KeyRing
from todo_core.errors import InvalidCursor

SECRET = "the secret of this service, long enough"
CURSORS = HmacCursors(KeyRing.of(SECRET))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)


@given(TEXTS, TEXTS)
def test_a_cursor_is_read_as_it_was_issued(content: str, scope: str) -> None:
    cursor = CURSORS.issue(content, scope=scope)
    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert CURSORS.read(cursor, scope=scope) == content


@given(TEXTS, TEXTS, TEXTS)
def test_a_cursor_is_valid_in_its_scope_only(content: str, scope: str, other: str) -> None:
    cursor = CURSORS.issue(content, scope=scope)
    for wrong in {other, scope + content, scope[:-1], ""} - {scope}:
        with pytest.raises(InvalidCursor):
            CURSORS.read(cursor, scope=wrong)


@given(TEXTS, st.data())
def test_a_changed_cursor_is_refused(content: str, data: st.DataObject) -> None:
    cursor = CURSORS.issue(content, scope="a list")
    place = data.draw(st.integers(0, len(cursor) - 1))
    with_another = st.sampled_from("AZaz09-_ =+/.\n\0é").map(
        lambda character: cursor[:place] + character + cursor[place + 1 :]
    )
    shorter, longer = cursor[:place], cursor[:place] + "A" + cursor[place:]
    for changed in (data.draw(with_another), shorter, longer, cursor + "=", cursor + "\n"):
        if changed != cursor:
            with pytest.raises(InvalidCursor):
                CURSORS.read(changed, scope="a list")


@given(st.text() | st.text("AZaz09-_", max_size=2000))
def test_a_text_that_was_not_issued_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.read(text, scope="a list")


def test_a_cursor_is_valid_as_long_as_its_key() -> None:
    cursor = CURSORS.issue("a place", scope="a list")
    rotated = HmacCursors(KeyRing.of("another secret, which is new and long", [SECRET]))
    assert rotated.read(cursor, scope="a list") == "a place"
    assert rotated.issue("a place", scope="a list") != cursor
    with pytest.raises(InvalidCursor):
        HmacCursors(KeyRing.of("another secret, which is new and long")).read(
            cursor, scope="a list"
        )
