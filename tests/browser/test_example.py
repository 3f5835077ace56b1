"""The example page of docs/front-ends.md, from another origin than the service."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import override

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.services import Service, on_sqlite
from tests.browser.windows import Windows
from tests.support.users import PASSWORD
from tests.support.waiting import until

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "front-end.html"


class _Quiet(SimpleHTTPRequestHandler):
    @override
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """The address of a server of files in the folder `site`."""
    (tmp_path / "site").mkdir()
    handler = partial(_Quiet, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def service(tmp_path: Path, origin: str) -> Iterator[Service]:
    """A service whose API the pages of the origin may use, without a page of its own."""
    settings = {"TODO_CORS_ORIGINS": origin, "TODO_PAGE_ENABLED": "false"}
    with on_sqlite(tmp_path, **settings) as service:
        page = EXAMPLE.read_text().replace("http://127.0.0.1:8000", service.url)
        (tmp_path / "site" / "index.html").write_text(page)
        (tmp_path / "site" / "favicon.ico").touch()
        yield service
        service.close()


def test_the_example_page_works_from_another_origin(
    browser: Browser, origin: str, service: Service
) -> None:
    ada = service.register()
    ada.create("Buy milk")
    windows = Windows(browser, origin)
    windows.expect_error(f"request to another host: {service.url}/(client|api)/")
    page = windows.open()
    page.get_by_placeholder("Email").fill(ada.email)
    page.get_by_placeholder("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("listitem")).to_have_text(["Buy milk"])
    page.get_by_placeholder("New task").fill("Buy bread")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("listitem")).to_have_count(2)
    ada.create("By another client")
    expect(page.get_by_role("listitem")).to_have_count(3)
    page.get_by_label("Buy milk").check()
    until(lambda: [each["title"] for each in ada.list() if each["completed"]] == ["Buy milk"])
    page.reload()
    expect(page.get_by_label("Buy milk")).to_be_checked()
    assert windows.close() == []
