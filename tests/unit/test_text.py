"""The rules of text: allowed characters, lengths, and the messages about violations."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todo_core.entities.task import Description, Title
from todo_core.entities.text import SearchText, Text, Validation, fold, searchable
from todo_core.entities.user import EmailAddress, Password, PasswordPolicy, PersonName
from todo_core.errors import ValidationFailed

CONTROL = st.sampled_from(sorted({chr(code) for code in (*range(32), *range(127, 160))}))
SURROGATE = st.characters(categories=["Cs"])
PLAIN = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=300)


def code_of(build: Callable[[], object]) -> str | None:
    """Return the code of the error of a value, or None."""
    try:
        build()
    except ValidationFailed as failure:
        [error] = failure.errors
        return error.code
    return None


@pytest.mark.parametrize("kind", [Title, PersonName, EmailAddress, Password])
@given(before=PLAIN, bad=CONTROL | SURROGATE, after=PLAIN)
def test_a_control_character_or_surrogate_is_refused_at_any_position(
    kind: type[Text], before: str, bad: str, after: str
) -> None:
    assert code_of(lambda: kind(before + bad + after)) == "invalid_characters"


@given(before=PLAIN, bad=CONTROL.filter(lambda c: c not in "\t\n") | SURROGATE, after=PLAIN)
def test_a_description_refuses_control_characters_but_tab_and_line_break(
    before: str, bad: str, after: str
) -> None:
    text = before + bad + after + "."
    if "\r\n" not in text:
        assert code_of(lambda: Description(text)) == "invalid_characters"


@given(PLAIN)
def test_a_title_is_stripped_and_then_counted(raw: str) -> None:
    stripped = raw.strip()
    if 1 <= len(stripped) <= 200:
        assert Title(raw) == stripped
    else:
        expected = "too_long" if stripped else "too_short"
        assert code_of(lambda: Title(raw)) == expected


@given(PLAIN)
def test_a_description_is_kept_as_it_was_written(raw: str) -> None:
    assert Description.or_none(raw) == (raw or None)


def test_crlf_line_breaks_are_stored_as_lf() -> None:
    assert Description("a\r\nb\n\tc") == "a\nb\n\tc"


def test_lengths_of_text_count_code_points() -> None:
    assert len(Title("🎉" * 200)) == 200
    assert code_of(lambda: Title("🎉" * 201)) == "too_long"
    assert code_of(lambda: Description("a" * 1001)) == "too_long"
    assert code_of(lambda: PersonName("a" * 101)) == "too_long"


def test_validation_collects_the_errors_of_all_fields() -> None:
    with pytest.raises(ValidationFailed) as failure, Validation() as valid:
        valid(Title, "")
        valid(Description.or_none, None)
        valid(Description.or_none, "a" * 1001)
    assert [error.field for error in failure.value.errors] == ["title", "description"]


def test_an_unexpected_error_is_not_hidden_by_validation_errors() -> None:
    with pytest.raises(ZeroDivisionError), Validation() as valid:
        valid(Title, "")
        raise ZeroDivisionError


class TestEmail:
    @pytest.mark.parametrize(
        "address",
        [
            "ada@example.com",
            "a.b+tag@sub.example.co.uk",
            "!#$%&'*+/=?^_`{|}~-@example.com",
            "1@2.3",
            "a" * 64 + "@example.com",
            "ada@xn--bcher-kva.example",
            f"a@{'b' * 63}.com",
        ],
    )
    def test_a_valid_email_address_is_kept_as_it_is(self, address: str) -> None:
        assert EmailAddress(address) == address

    @pytest.mark.parametrize(
        "address",
        [
            "ada",
            "@example.com",
            "ada@",
            "ada@localhost",
            "ada@example..com",
            "ada@.com",
            "ada@-a.com",
            "ada@a-.com",
            "ada@exa mple.com",
            "ada@@example.com",
            "ada@example.com, bob@example.com",
            "Ada <ada@example.com>",
            "ada@bücher.example",
            "ada@[127.0.0.1]",
            "a" * 65 + "@example.com",
            "a..b@example.com",
            ".a@example.com",
            "a.@example.com",
            f"a@{'b' * 64}.com",
        ],
    )
    def test_an_invalid_email_address_is_refused(self, address: str) -> None:
        assert code_of(lambda: EmailAddress(address)) == "invalid_email"

    def test_emails_are_compared_without_regard_to_case(self) -> None:
        assert EmailAddress("Ada@Example.COM").key == EmailAddress("ada@example.com").key


class TestPassword:
    policy = PasswordPolicy(min_length=8, common=frozenset({"password1"}))

    def accept(self, raw: str) -> Password:
        return self.policy.accept(raw, email="ada@example.com", name="Ada Lovelace")

    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            ("", "too_short"),
            ("1234567", "too_short"),
            ("a" * 129, "too_long"),
            ("PassWord1", "too_common"),
            ("ADA@example.com", "repeats_identity"),
            ("ada lovelace", "repeats_identity"),
            ("a" * 8 + "\x00", "invalid_characters"),
        ],
    )
    def test_an_unacceptable_password_is_refused(self, raw: str, code: str) -> None:
        assert code_of(lambda: self.accept(raw)) == code

    def test_white_space_in_a_password_counts(self) -> None:
        assert self.accept("  12345 ") == "  12345 "

    def test_differently_composed_characters_make_the_same_password(self) -> None:
        assert self.accept("e\u0301" * 8) == "é" * 8

    def test_a_password_is_not_shown_by_repr(self) -> None:
        assert repr(self.accept("correct horse")) == "Password(…)"


POLICY = PasswordPolicy(min_length=8, common=frozenset({"password1"}))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Title(""), "Title must not be empty."),
        (lambda: Title("a" * 201), "Title must have at most 200 characters."),
        (lambda: Title("\0"), "Title must not contain control characters."),
        (lambda: EmailAddress("ada"), "Email must be a valid email address."),
        (
            lambda: POLICY.accept("short", email="", name=""),
            "Password must have at least 8 characters.",
        ),
        (
            lambda: POLICY.accept("password1", email="", name=""),
            "Choose a less common password.",
        ),
        (
            lambda: POLICY.accept("ada lovelace", email="", name="Ada Lovelace"),
            "Choose a password that is not your email or your name.",
        ),
    ],
)
def test_a_validation_message_is_a_sentence_that_says_what_to_do(
    build: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValidationFailed) as failure:
        build()
    assert [error.message for error in failure.value.errors] == [message]


def test_text_in_ascii_is_folded_to_lower_case() -> None:
    ascii_text = "".join(map(chr, range(128)))
    assert fold(ascii_text) == ascii_text.lower()


def test_no_character_is_folded_to_a_capital_letter_of_ascii() -> None:
    for code in range(0x110000):
        assert not re.search("[A-Z]", fold(chr(code))), hex(code)


@given(PLAIN)
def test_a_folded_text_does_not_change_when_it_is_folded_again(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    "texts",
    [
        ("STRASSE", "straße", "STRAẞE"),
        ("ΣΊΣΥΦΟΣ", "Σίσυφος"),
        ("ﬁsh", "FISH", "ｆｉｓｈ"),
        ("Café", "CAFE\u0301"),
        ("ᾳ", "α\u0345", "ΑΙ"),
        ("\u212a", "k", "K"),
    ],
)
def test_texts_that_differ_in_case_or_form_are_folded_to_the_same(texts: tuple[str, ...]) -> None:
    assert len({fold(text) for text in texts}) == 1


def test_a_search_text_is_trimmed_and_bounded() -> None:
    assert SearchText(" a\r\nb\t ") == "a\nb"
    assert len(SearchText("ä" * 200)) == 200
    assert code_of(lambda: SearchText("ä" * 201)) == "too_long"
    assert code_of(lambda: SearchText(" ")) == "too_short"
    assert code_of(lambda: SearchText("a\0")) == "invalid_characters"


def test_a_search_text_is_bounded_after_it_was_folded() -> None:
    assert len(SearchText("ß" * 100)) == 100
    assert code_of(lambda: SearchText("ß" * 101)) == "too_long"
    assert len(SearchText("\ufdfa" * 11)) == 11
    assert code_of(lambda: SearchText("\ufdfa" * 12)) == "too_long"


def test_the_longest_description_is_searchable_unless_it_becomes_longer_than_twice_as_long() -> (
    None
):
    assert searchable("ß" * 999 + "a") == "ss" * 999 + "a"
    assert searchable("\ufdfa" * 1000) == fold("\ufdfa" * 1000)[:2000]
