"""Screen readers, themes, narrow windows, and other directions of writing."""

from collections.abc import Callable
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.account_page import AccountPage
from tests.browser.axe import violations
from tests.browser.services import ON_SQLITE, Service
from tests.browser.tasks_page import TasksPage
from tests.browser.windows import Windows
from tests.support.users import ApiUser

ACCOUNT_VIEWS = ("?page=sign-in", "?page=register", "?page=forgot-password", "reset-password")
SECTIONS = ("Profile", "Preferences", "Password", "Devices", "Your data", "About")
NARROW = {"width": 320, "height": 640}
WIDE = {"width": 1280, "height": 800}

pytestmark = ON_SQLITE


@pytest.fixture
def ada(service: Service) -> ApiUser:
    """A user with a task in every state."""
    user = service.register()
    user.create("A task with everything", **EVERYTHING)
    parent = user.create("With subtasks", tags=["home"])
    user.create("A subtask", parent_id=parent["id"])
    user.create("Overdue", due_date="2020-01-01T09:00:00Z", priority="urgent")
    completed = user.create("Completed")
    user.http.patch(user.tasks(f"/{completed['id']}/complete")).raise_for_status()
    trash = user.create("In the trash")
    user.http.delete(user.tasks(f"/{trash['id']}")).raise_for_status()
    return user


EVERYTHING = {
    "description": "Some notes",
    "due_date": "2030-01-01T09:00:00Z",
    "priority": "high",
    "tags": ["home", "a-rather-long-name-of-a-tag-that-needs-some-room"],
    "recurrence_rule": "FREQ=WEEKLY",
    "reminders": [{"minutes_before": 30}],
}


def open_card(tasks: TasksPage) -> None:
    tasks.open("A task with everything")


def open_menu(tasks: TasksPage) -> None:
    row = tasks.task("Overdue")
    row.hover()
    row.get_by_role("button", name="Actions for Overdue").click()
    expect(tasks.page.get_by_role("menu")).to_be_visible()


def select(tasks: TasksPage) -> None:
    tasks.focus("Overdue").press("x")


def show_shortcuts(tasks: TasksPage) -> None:
    tasks.focus("Overdue").press("?")
    expect(tasks.page.get_by_role("dialog")).to_be_visible()


def type_in_quick_add(tasks: TasksPage) -> None:
    tasks.quick_add.fill("Water plants !high #home tomorrow every monday")
    expect(tasks.page.get_by_role("list", name="Understood")).to_be_visible()


def find_nothing(tasks: TasksPage) -> None:
    tasks.search.fill("nothing has this name")
    tasks.has()


def go_offline(tasks: TasksPage) -> None:
    tasks.page.context.set_offline(True)
    tasks.add("Offline").is_offline()


STATES: dict[str, Callable[[TasksPage], object]] = {
    "list": lambda tasks: tasks.has,
    "open task": open_card,
    "menu": open_menu,
    "selection": select,
    "shortcuts": show_shortcuts,
    "quick add": type_in_quick_add,
    "nothing found": find_nothing,
    "offline": go_offline,
    "today": lambda tasks: tasks.go_to("Today"),
    "upcoming": lambda tasks: tasks.go_to("Upcoming"),
    "completed": lambda tasks: tasks.go_to("Completed"),
    "trash": lambda tasks: tasks.go_to("Trash"),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
class TestAxe:
    def test_the_views_of_an_account(
        self, windows: Windows, theme: Literal["light", "dark"]
    ) -> None:
        page = windows.open(color_scheme=theme)
        for view in ACCOUNT_VIEWS:
            page.goto(f"/{view}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            assert violations(page) == [], view
        account = AccountPage(page)
        page.goto("/?page=register")
        account.submit("Create account")
        expect(page.get_by_text("Name is required.")).to_be_visible()
        assert violations(page) == []

    def test_every_section_of_the_settings(
        self, windows: Windows, ada: ApiUser, theme: Literal["light", "dark"]
    ) -> None:
        settings = windows.signed_in(ada, color_scheme=theme).open_settings()
        for section in SECTIONS:
            settings.open(section)
            assert violations(settings.page) == [], section

    def test_every_state_of_the_list(
        self, windows: Windows, ada: ApiUser, theme: Literal["light", "dark"]
    ) -> None:
        windows.expect_error("ERR_INTERNET_DISCONNECTED")
        tasks = windows.signed_in(ada, color_scheme=theme, reduced_motion="reduce")
        for name, enter in STATES.items():
            tasks.page.context.set_offline(False)
            tasks.page.goto("/")
            tasks.is_saved()
            expect(tasks.task("Overdue")).to_be_visible()
            enter(tasks)
            assert violations(tasks.page) == [], name

    def test_an_empty_list(
        self, windows: Windows, service: Service, theme: Literal["light", "dark"]
    ) -> None:
        tasks = windows.signed_in(service.register(), color_scheme=theme)
        expect(tasks.page.get_by_role("heading", name="No open tasks")).to_be_visible()
        assert violations(tasks.page) == []


class TestNarrowWindows:
    """Nothing is wider than the window (WCAG 2.2, 1.4.10)."""

    def test_the_views_of_an_account(self, windows: Windows) -> None:
        page = windows.open(viewport=NARROW)
        for view in ACCOUNT_VIEWS:
            page.goto(f"/{view}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            assert overflowing(page) == [], view

    def test_the_settings(self, windows: Windows, ada: ApiUser) -> None:
        tasks = windows.signed_in(ada, viewport=NARROW)
        for section in ("", "preferences", "password", "devices", "data", "about"):
            tasks.page.goto(f"/?page=settings&section={section}")
            tasks.is_shown("Settings")
            assert overflowing(tasks.page) == [], section

    @pytest.mark.parametrize("direction", ["ltr", "rtl"])
    def test_every_state_of_the_list(self, windows: Windows, ada: ApiUser, direction: str) -> None:
        windows.expect_error("ERR_INTERNET_DISCONNECTED")
        ada.create("AVeryLongWordWithoutAnySpaceInIt" * 5)
        tasks = windows.signed_in(ada, viewport=NARROW, reduced_motion="reduce")
        for name, enter in STATES.items():
            tasks.page.context.set_offline(False)
            tasks.page.goto("/")
            tasks.is_saved()
            tasks.page.evaluate(
                "direction => { document.documentElement.dir = direction }", direction
            )
            expect(tasks.task("Overdue")).to_be_visible()
            enter(tasks)
            assert overflowing(tasks.page) == [], name


def overflowing(page: Page) -> list[str]:
    """Return what makes the window scroll sideways."""
    found: list[str] = page.evaluate("""() => {
      const { scrollWidth, clientWidth } = document.scrollingElement;
      if (scrollWidth <= clientWidth) return [];
      return [...document.body.querySelectorAll("*")]
        .filter((element) => element.getBoundingClientRect().right > clientWidth + 0.5)
        .map((element) => `${element.tagName}.${element.className}`);
    }""")
    return found


def test_a_language_that_is_written_from_right_to_left_mirrors_the_page(
    windows: Windows, ada: ApiUser
) -> None:
    tasks = windows.signed_in(ada, viewport=WIDE)
    side = tasks.page.get_by_role("navigation", name="Views")
    before = side.bounding_box()
    tasks.page.evaluate("document.documentElement.dir = 'rtl'")
    after = side.bounding_box()
    assert before is not None
    assert after is not None
    assert before["x"] < WIDE["width"] / 4
    assert after["x"] > WIDE["width"] / 2


def test_nothing_moves_if_the_user_prefers_reduced_motion(windows: Windows, ada: ApiUser) -> None:
    tasks = windows.signed_in(ada, reduced_motion="reduce")
    tasks.complete("Overdue")
    expect(tasks.toast("“Overdue” completed.")).to_be_visible()
    longest = tasks.page.evaluate("""() => Math.max(0, ...document.getAnimations().map(
        (animation) => Number(animation.effect.getComputedTiming().duration)))""")
    assert longest <= 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_of_the_system_is_followed(
    windows: Windows, theme: Literal["light", "dark"]
) -> None:
    page = windows.open(color_scheme=theme)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(int(part) for part in background.strip("rgb()").split(",")[:3]) > 3 * 128
    assert light is (theme == "light")
