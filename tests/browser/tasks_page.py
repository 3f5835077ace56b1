"""The page of a signed-in user with their tasks, as the user sees it."""

import re
from collections.abc import Sequence
from typing import Self

from playwright.sync_api import Locator, Page, expect

from tests.browser.settings_page import SettingsPage

_LOAD_PARSER = "() => import('/tasks/quick-add-chips.js').then(() => null)"
"""Waits for what the field loads when it gets the focus: it then adds a task at once."""

_LOAD_PANELS = "() => import('/tasks/panels.js').then(() => null)"
"""Waits for what the page loads after the first list, with all that it imports."""


class TasksPage:
    """The shell with the list of tasks."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def list(self) -> Locator:
        """The list of tasks."""
        return self.page.locator("task-list")

    @property
    def rows(self) -> Locator:
        """The tasks of the list that are in the document."""
        return self.list.locator(".task-row")

    @property
    def quick_add(self) -> Locator:
        """The field that adds tasks."""
        return self.page.get_by_role("textbox", name=re.compile("^Add a task"))

    @property
    def search(self) -> Locator:
        """The field to search tasks."""
        return self.page.get_by_role("searchbox", name="Search tasks")

    @property
    def card(self) -> Locator:
        """The task that is open."""
        return self.list.locator(".task-row.is-open")

    def is_ready(self) -> Self:
        """Wait until the tasks are loaded, and all changes are saved."""
        expect(self.page.locator(".view-head")).to_be_visible()
        # What is loaded after the first list is there, should the connection be cut.
        self.page.evaluate(_LOAD_PANELS)
        return self.is_saved()

    def is_shown(self, title: str) -> Self:
        """Wait until the view with this heading is there."""
        expect(self.page.get_by_role("heading", level=1, name=title, exact=True)).to_be_visible()
        return self

    def is_saved(self) -> Self:
        """Wait until the service has all changes."""
        expect(self.page.locator(".sync[data-state=synced][data-pending='0']")).to_be_visible()
        return self

    def is_offline(self) -> Self:
        """Wait until the page says that it is offline."""
        expect(self.page.locator(".sync[data-state=offline]")).to_be_visible()
        return self

    def titles(self) -> Sequence[str]:
        """Return the titles of the tasks in the document, from top to bottom."""
        return self.list.locator(".task-title").all_inner_texts()

    def has(self, *titles: str) -> Self:
        """Wait until exactly these tasks are in the document, in this order."""
        expect(self.list.locator(".task-title")).to_have_text(
            [re.compile(f"^{re.escape(title)}(,|$)") for title in titles]
        )
        return self

    def task(self, title: str) -> Locator:
        """Return the row of a task."""
        return self.rows.filter(
            has=self.page.locator(".task-title").filter(
                has_text=re.compile(f"^{re.escape(title)}(,|$)")
            )
        )

    def go_to(self, view: str) -> Self:
        """Follow the link to a view, which is in a drawer if the window is narrow."""
        opener = self.page.get_by_role("button", name="Open the navigation")
        if opener.is_visible():
            opener.click()
        views = self.page.get_by_role("navigation", name="Views")
        views.get_by_role("link", name=re.compile(f"^{re.escape(view)}")).click()
        return self.is_shown(view)

    def add(self, text: str) -> Self:
        """Add a task."""
        self.quick_add.fill(text)
        self.page.evaluate(_LOAD_PARSER)
        self.quick_add.press("Enter")
        expect(self.quick_add).to_have_value("")
        return self

    def complete(self, title: str) -> Self:
        """Check the round box of a task."""
        self.task(title).get_by_role("checkbox").click()
        return self

    def focus(self, title: str) -> Self:
        """Give the keyboard to the row of a task."""
        self.task(title).focus()
        expect(self.task(title)).to_be_focused()
        return self

    def press(self, *keys: str) -> Self:
        """Press keys where the focus is, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)
        return self

    def choose(self, title: str, action: str) -> Self:
        """Choose an action of the menu of a task."""
        row = self.task(title)
        row.hover()
        row.get_by_role("button", name=f"Actions for {title}").click()
        self.page.get_by_role("menuitem", name=re.compile(f"^{re.escape(action)}")).click()
        return self

    def toast(self, text: str) -> Locator:
        """Return a message at the bottom of the window."""
        return self.page.locator(".toast").filter(has_text=text)

    def undo(self, text: str) -> Self:
        """Press "Undo" of the message with this text."""
        self.toast(text).get_by_role("button", name="Undo").click()
        return self

    def open(self, title: str) -> Locator:
        """Open a task, and return its card."""
        self.task(title).locator(".task-title").click()
        expect(self.card).to_be_visible()
        return self.card

    def open_settings(self, section: str | None = None) -> SettingsPage:
        """Open the settings, at a section."""
        self.page.get_by_role("link", name="Settings", exact=True).click()
        self.is_shown("Settings")
        settings = SettingsPage(self.page)
        return settings if section is None else settings.open(section)
