"""The marker `fast`: `pytest -m fast` runs the tests without servers and databases.

These are the unit tests, the architecture tests, and the contracts on in-memory adapters, except
those that are marked `slow` or `alone`. They are marked automatically. No other folder
is imported.
"""

from pathlib import Path

import pytest

_TESTS = Path(__file__).parents[1]
_FOLDERS = ("architecture", "contracts", "unit")
_IN_MEMORY = {"in_memory", "memory"}
_ON_SERVERS = ("deletion", "mail", "published_keys", "sql", "statements", "turkish_database")
"""Contract tests that do not run on in-memory adapters."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignore files without fast tests if only fast tests are selected."""
    if config.option.markexpr != "fast":
        return None
    folder, name = collection_path.parent, collection_path.name
    if folder == _TESTS and collection_path.is_dir():
        return name not in _FOLDERS or None
    if folder == _TESTS / "contracts":
        return name in {f"test_{each}.py" for each in _ON_SERVERS} or None
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fast tests, before pytest selects by markers."""
    for item in items:
        if _is_fast(item):
            item.add_marker("fast")


def _is_fast(item: pytest.Item) -> bool:
    folder = item.path.parent
    if folder.parent != _TESTS or any(map(item.get_closest_marker, ("slow", "alone"))):
        return False
    if folder.name == "contracts":
        parameters = getattr(item, "callspec", None)
        return parameters is not None and not _IN_MEMORY.isdisjoint(
            str(value) for value in parameters.params.values()
        )
    return folder.name in _FOLDERS
