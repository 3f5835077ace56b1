"""Installs the dependencies of the tests for `uv run pytest`, but not for `uv run todo serve`.

`uv run` installs only pytest of all development tools. pytest loads this module before anything
else (`-p` in pyproject.toml). If the dependency group `test` is not installed, pytest restarts in
an environment that has it.
"""

import os
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
_STARTED_AGAIN = "TESTS_STARTED_AGAIN"


def pytest_addoption() -> None:
    """Restart pytest with the group `test` if it is not installed.

    pytest calls this hook as soon as it has loaded the module, and before it captures output.
    """
    lacking = missing(group_requirements("test"))
    if not lacking:
        return
    uv = os.environ.get("UV")  # which `uv run` sets
    if uv is None or _STARTED_AGAIN in os.environ:
        raise pytest.UsageError(
            f"the tests need {', '.join(lacking)}; run them with: uv run --group test pytest"
        )
    command = [uv, "run", "--group", "test", "python", "-m", "pytest", *sys.argv[1:]]
    os.execve(uv, command, {**os.environ, _STARTED_AGAIN: "1"})  # noqa: S606 - uv itself


def group_requirements(group: str) -> list[Requirement]:
    """Return the requirements of a dependency group, and of the groups that it includes."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    found: list[Requirement] = []
    for entry in groups[group]:
        if isinstance(entry, str):
            found.append(Requirement(entry))
        else:
            found += group_requirements(entry["include-group"])
    return found


def missing(requirements: Iterable[Requirement]) -> list[str]:
    """Return the requirements that this environment does not satisfy."""
    return [str(requirement) for requirement in requirements if not _is_satisfied(requirement)]


def _is_satisfied(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False
