"""The links, paths, names and commands of the documentation exist."""

import re
from pathlib import Path

import pytest
from typer.core import TyperGroup as Group
from typer.main import get_command

from tests.docs.pages import (
    ROOT,
    broken_links,
    missing_in_diagrams,
    missing_paths,
    pages,
    unknown_names,
)
from todo_api.cli import main

PAGE = ROOT / "docs" / "api.md"


def test_all_pages_of_the_documentation_are_found() -> None:
    names = {page.relative_to(ROOT).as_posix() for page in pages()}
    assert names >= {"README.md", "SECURITY.md", "docs/security.md", "docs/decisions/README.md"}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_links_of_a_page_resolve(page: Path) -> None:
    assert list(broken_links(page, page.read_text())) == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_paths_on_a_page_exist(page: Path) -> None:
    assert list(missing_paths(page, page.read_text())) == []
    assert list(missing_in_diagrams(page.read_text())) == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_names_on_a_page_exist(page: Path) -> None:
    """Names of the contract that have no counterpart here are all in one table."""
    text = page.read_text().partition("## Names of the published contract")[0]
    assert list(unknown_names(text)) == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_commands_on_a_page_exist(page: Path) -> None:
    command = get_command(main)
    assert isinstance(command, Group)
    groups = {name: each for name, each in command.commands.items() if isinstance(each, Group)}
    text = page.read_text()
    assert set(re.findall(r"(?:^|`|uv run )todo ([a-z]+)", text, re.M)) <= set(command.commands)
    for name, group in groups.items():
        named = re.findall(rf"(?:^|`|uv run )todo {name} ([a-z-]+)", text, re.M)
        assert set(named) <= set(group.commands)


def test_the_pages_that_the_code_points_to_exist() -> None:
    for folder in ("todo_core", "todo_adapters", "todo_api", "migrations"):
        for module in (ROOT / folder).rglob("*.py"):
            for page in re.findall(r"docs/[\w/-]+\.md", module.read_text()):
                assert (ROOT / page).exists(), f"{module} points to {page}"


def test_every_decision_record_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    records = [record.name for record in folder.glob("*.md") if record.name != "README.md"]
    assert len(records) >= 9
    assert [name for name in records if f"({name})" not in index] == []


@pytest.mark.parametrize(
    "text",
    [
        "[a](no-such-page.md)",
        "[a](../todo_core/no_such_module.py)",
        "[a](settings.md#no-such-heading)",
        "# A\n[a](#no-such-heading)",
    ],
)
def test_a_broken_link_is_reported(text: str) -> None:
    assert len(list(broken_links(PAGE, text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "[a](settings.md#rate-limits)",
        "[a](../todo_core/errors.py)",
        "[a](https://example.com/no-such-page)",
        "## `A`, b & c\n[a](#a-b--c)",
        "```\n[a](no-such-page.md)\n```",
    ],
)
def test_a_working_link_is_accepted(text: str) -> None:
    assert list(broken_links(PAGE, text)) == []


@pytest.mark.parametrize(
    "path",
    [
        "todo_core/no_such_module.py",
        "todo_api/no_such_package/",
        "no_such_module.py",
        "entities/no_such_module.py",
        "tests/no_such_test.py::test_a",
        "no-such-page.md",
    ],
)
def test_a_path_that_does_not_exist_is_reported(path: str) -> None:
    assert list(missing_paths(PAGE, f"See `{path}`.")) == [path.partition("::")[0]]


def test_a_folder_or_module_of_a_diagram_that_does_not_exist_is_reported() -> None:
    diagram = "```\ntodo_core/\n  no_such_folder/  entities/\n  no_such_module.py  errors.py\n```\n"
    assert list(missing_in_diagrams(diagram)) == ["no_such_folder/", "no_such_module.py"]


@pytest.mark.parametrize(
    "code", ["todo_core/entities/", "entities/task.py", "settings.md", "task.title", "a/b", "a.b()"]
)
def test_existing_paths_and_code_that_is_not_a_path_are_accepted(code: str) -> None:
    assert list(missing_paths(PAGE, f"See `{code}`.")) == []


@pytest.mark.parametrize(
    "name",
    ["NoSuchClass", "NoSuchClass.create", "Task.no_such_method", "no_such.event", "task._no"],
)
def test_a_name_that_does_not_exist_is_reported(name: str) -> None:
    assert list(unknown_names(f"See `{name}`.")) == [name]


@pytest.mark.parametrize(
    "name", ["Task", "TaskNotFound", "Task.create", "login.failed", "a", "x=1"]
)
def test_existing_names_and_code_that_is_not_a_name_are_accepted(name: str) -> None:
    assert list(unknown_names(f"See `{name}`.")) == []
