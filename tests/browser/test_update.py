"""A new version of the page replaces the one that a browser keeps."""

import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.windows import Windows
from tests.support.servers import RunningServer, running_server
from tests.support.settings import on_sqlite
from tests.support.waiting import until

WEB = Path(str(files("todo_api.web")))


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the page's files, which the service then serves."""
    copy = tmp_path / "web"
    for folder in ("client", "page"):
        shutil.copytree(WEB / folder, copy / folder)
    monkeypatch.setattr("todo_api.http.front_end._WEB", copy)
    return copy


@pytest.fixture
def server(web: Path, tmp_path: Path) -> Iterator[RunningServer]:
    assert web.is_dir()
    with on_sqlite(tmp_path) as settings, running_server(settings) as server:
        yield server


_THROUGH_THE_WORKER = """() => performance.getEntriesByType("resource")
    .filter(({ name }) => /[.](js|css)$/.test(name) && !name.endsWith("/sw.js"))
    .filter((entry) => !entry.workerCacheLookupStart)
    .map(({ name }) => name)"""
"""The files that were not taken from the cache by the browser itself."""


def test_the_browser_takes_the_files_from_the_cache_without_the_worker(
    browser: Browser, server: RunningServer
) -> None:
    windows = Windows(browser, server.url)
    tasks = windows.signed_in(server.register())
    until(lambda: tasks.page.evaluate("navigator.serviceWorker.controller !== null"))
    assert "/app.js" in " ".join(tasks.page.evaluate(_THROUGH_THE_WORKER))
    tasks.page.reload()
    tasks.is_ready()
    assert tasks.page.evaluate(_THROUGH_THE_WORKER) == []
    assert windows.close() == []


def test_a_new_version_is_offered_and_appears_whole_when_the_user_reloads_for_it(
    browser: Browser, server: RunningServer, web: Path
) -> None:
    windows = Windows(browser, server.url)
    ada = server.register()
    tasks = windows.signed_in(ada)
    until(lambda: tasks.page.evaluate("navigator.serviceWorker.controller !== null"))

    rename(web / "page" / "shell" / "shell.js", "All tasks", "Every task")
    rename(web / "page" / "tasks" / "labels.js", "All tasks", "Every task")
    tasks.page.reload()
    expect(view(tasks.page, "All tasks")).to_be_visible()
    tasks.is_shown("All tasks")
    tasks.toast("A new version of this page is ready.").get_by_role("button", name="Reload").click()
    expect(view(tasks.page, "Every task")).to_be_visible()
    tasks.is_shown("Every task")
    until(lambda: tasks.page.evaluate("caches.keys()") == [current_cache(tasks.page)])
    assert windows.close() == []


def rename(file: Path, before: str, after: str) -> None:
    text = file.read_text("utf-8")
    assert before in text
    file.write_text(text.replace(before, after), "utf-8")


def view(page: Page, name: str) -> Locator:
    return page.get_by_role("navigation", name="Views").get_by_role("link", name=name)


def current_cache(page: Page) -> str:
    """Return the name of the cache that belongs to the version on the server."""
    script = page.request.get("/sw.js").text()
    return f"todo-page-{script.partition('VERSION = "')[2].partition('"')[0]}"
