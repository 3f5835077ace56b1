"""The security page names tests and code that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"\b([a-z_]+/[a-z_/]*test_\w+\.py)(?:::(test_\w+))?", PAGE))
    assert len(named) > 80
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (path := ROOT / "tests" / file.removeprefix("tests/")).exists()
        or (test and f"def {test}(" not in path.read_text())
    ]
    assert missing == []


def test_every_class_and_function_that_the_page_names_exists() -> None:
    modules = [
        module
        for folder in ("todo_core", "todo_adapters", "todo_api")
        for module in (ROOT / folder).rglob("*.py")
    ]
    code = "\n".join(f"{module.stem}\n{module.read_text()}" for module in modules)
    classes = re.findall(r"`((?:[A-Z][a-z]+){2,}(?:\.\w+)?)`", PAGE)
    functions = re.findall(r"`(\w+(?:\.\w+)*\._?\w+)`", PAGE)
    named = {
        part
        for name in (*classes, *functions)
        if not (ROOT / name).exists()
        for part in name.split(".")
    }
    assert len(named) > 50
    assert [name for name in sorted(named) if not re.search(rf"\b{name}\b", code)] == []
