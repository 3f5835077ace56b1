"""Windows of the browser, in which nothing may go wrong unnoticed."""

import re
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request

from tests.browser.account_page import AccountPage
from tests.browser.tasks_page import TasksPage
from tests.support.users import ApiUser

_numbers = count(1)

TIMEOUT_MS = 15_000
"""How long the tests wait for what must happen: long, because the machine may be busy."""

_REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI, sourceFile }) =>
  console.error(`content security policy: ${violatedDirective} ${blockedURI} ${sourceFile}`));
"""


def unique_email(name: str) -> str:
    """Return an address that no other test uses."""
    return f"{name}-in-a-browser-{next(_numbers)}@example.com"


class Windows:
    """Opens windows, and records what no window may do.

    These are errors in the console or of scripts, violations of the content security policy, and
    requests to other hosts.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._url = url
        self._contexts: list[BrowserContext] = []
        self._expected: list[str] = []
        self._problems: list[str] = []

    def profile(self, **options: Any) -> BrowserContext:  # the options of Playwright
        """Return a new profile: what is stored in one is not in another."""
        options = {"locale": "en-GB", "timezone_id": "Europe/Berlin"} | options
        context = self._browser.new_context(base_url=self._url, **options)
        context.set_default_timeout(TIMEOUT_MS)
        context.add_init_script(_REPORT_VIOLATIONS)
        context.on("request", self._requested)
        context.on("console", self._said)
        context.on("weberror", lambda error: self._failed(error.error))
        self._contexts.append(context)
        return context

    def open(self, path: str = "/", **options: Any) -> Page:  # the options of Playwright
        """Open an address of the page in a new profile."""
        page = self.profile(**options).new_page()
        page.goto(path)
        return page

    def signed_in(self, user: ApiUser, path: str = "/", **options: Any) -> TasksPage:
        """Open an address in a new profile, and sign in."""
        account = AccountPage(self.open(path, **options))
        account.sign_in(user.email)
        return TasksPage(account.page).is_ready()

    def expect_error(self, pattern: str) -> None:
        """Allow errors in the console that match, as Chromium writes for a refused request."""
        self._expected.append(pattern)

    def close(self) -> list[str]:
        """Close all windows, and return what went wrong in them."""
        for context in self._contexts:
            context.close()
        return [each for each in self._problems if not self._is_expected(each)]

    def _is_expected(self, problem: str) -> bool:
        return any(re.search(pattern, problem) for pattern in self._expected)

    def _requested(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.netloc != urlsplit(self._url).netloc:
            self._problems.append(f"request to another host: {request.url}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._problems.append(f"console: {message.text} {message.location.get('url', '')}")

    def _failed(self, error: Error) -> None:
        self._problems.append(f"error of a script: {error}")
