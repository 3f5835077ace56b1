"""docs/settings.md is generated from the settings and .env.example."""

import pytest

from tests.docs.settings_page import EXAMPLE, PAGE, page


def test_the_settings_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(EXAMPLE.read_text()), (
        "run: uv run python -m tests.docs.settings_page"
    )


def test_the_generator_refuses_a_setting_that_is_not_documented() -> None:
    example = EXAMPLE.read_text().replace("#TODO_MAX_BODY_SIZE=65536\n", "")
    with pytest.raises(ValueError, match="TODO_MAX_BODY_SIZE"):
        page(example)


def test_the_generator_refuses_a_documented_setting_that_does_not_exist() -> None:
    example = EXAMPLE.read_text() + "# What it means.\n#TODO_NO_SUCH_SETTING=1\n"
    with pytest.raises(ValueError, match="TODO_NO_SUCH_SETTING"):
        page(example)


def test_the_generator_refuses_a_setting_without_a_meaning() -> None:
    comment = "# The largest request body, in bytes. A larger one is answered with 413.\n"
    assert comment in EXAMPLE.read_text()
    with pytest.raises(ValueError, match="TODO_MAX_BODY_SIZE has no comment"):
        page(EXAMPLE.read_text().replace(comment, ""))
