"""The browser, the services and the windows of the tests.

Playwright is imported only where the tests run: it is in a dependency group of its own.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, override

import pytest

from tests.browser.programs import chromium_options, chromium_path, reason_to_skip

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

    from tests.browser.services import Service
    from tests.browser.windows import Windows

_HERE = Path(__file__).parent
_FIGURES = pytest.StashKey[list[str]]()


class _Skipped(pytest.Module):
    """A module that is skipped without being imported."""

    @override
    def collect(self) -> NoReturn:
        pytest.skip(reason_to_skip() or "", allow_module_level=True)


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Ignore the modules unless the marker is selected, so that other runs need not import them."""
    selected = config.option.markexpr
    others = selected and "browser" not in selected
    return True if others or "not browser" in selected else None


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """Skip the modules where Playwright or Chromium is missing."""
    if reason_to_skip() is None:
        return None
    return _Skipped.from_parent(parent, path=module_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker("browser")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was measured."""
    for line in config.stash.get(_FIGURES, []):
        terminalreporter.write_line(line)


@pytest.fixture
def note(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Note a figure, to be printed at the end."""
    return pytestconfig.stash.setdefault(_FIGURES, []).append


@pytest.fixture(scope="session")
def playwright_driver() -> "Iterator[Playwright]":
    from playwright.sync_api import expect, sync_playwright

    from tests.browser.windows import TIMEOUT_MS

    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def browser(playwright_driver: "Playwright") -> "Iterator[Browser]":
    browser = playwright_driver.chromium.launch(
        executable_path=chromium_path(), args=chromium_options()
    )
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def sqlite_service(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Service]":
    from tests.browser.services import on_sqlite

    with on_sqlite(tmp_path_factory.mktemp("sqlite")) as service:
        yield service


@pytest.fixture(scope="session")
def postgresql_service(
    tmp_path_factory: pytest.TempPathFactory, shared_postgres: str
) -> "Iterator[Service]":
    from tests.browser.services import on_postgresql_behind_caddy

    folder = tmp_path_factory.mktemp("postgresql")
    with on_postgresql_behind_caddy(folder, shared_postgres) as service:
        yield service


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest) -> "Iterator[Service]":
    """A service on SQLite, and one on PostgreSQL behind Caddy, in turn."""
    found: Service = request.getfixturevalue(f"{request.param}_service")
    yield found
    found.close()


@pytest.fixture
def windows(browser: "Browser", service: "Service") -> "Iterator[Windows]":
    """Windows in which nothing goes wrong; otherwise the test fails."""
    from tests.browser.windows import Windows

    windows = Windows(browser, service.url)
    yield windows
    assert windows.close() == []
