"""The security page names existing tests."""

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
