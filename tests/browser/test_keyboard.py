"""A whole session with the keyboard alone."""

import pytest
from playwright.sync_api import Keyboard, Page, expect

from tests.browser.services import Service
from tests.browser.tasks_page import TasksPage
from tests.browser.windows import Windows
from tests.support.users import PASSWORD


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the control with this name has the focus."""
    for _ in range(60):
        focused: str = page.evaluate("""() => {
            const { activeElement: element } = document;
            return element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent
                ?? element.textContent;
        }""")
        if focused.strip().startswith(name):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"Tab does not lead to {name}")


def type_line(keyboard: Keyboard, text: str) -> None:
    keyboard.type(text)
    keyboard.press("Enter")


def test_a_whole_session_needs_no_mouse(windows: Windows, service: Service) -> None:
    ada = service.register()
    page = windows.open()
    tasks = TasksPage(page)
    expect(page.get_by_role("heading", level=1, name="Sign in")).to_be_visible()
    tab_to(page, "Email")
    page.keyboard.type(ada.email)
    tab_to(page, "Password")
    type_line(page.keyboard, PASSWORD)
    tasks.is_ready()

    tasks.press("n")
    expect(tasks.quick_add).to_be_focused()
    for text in ("Call Alan #work", "Water plants !high", "Buy milk #home"):
        type_line(page.keyboard, text)
    tasks.has("Buy milk", "Water plants", "Call Alan").press("Escape")
    expect(tasks.rows.and_(page.locator(":focus"))).to_be_visible()
    tasks.press("Home")
    expect(tasks.task("Buy milk")).to_be_focused()

    tasks.press("j")
    expect(tasks.task("Water plants")).to_be_focused()
    tasks.press("Alt+ArrowUp").has("Water plants", "Buy milk", "Call Alan")
    tasks.press("Space").has("Buy milk", "Call Alan")
    tasks.press("Control+z").has("Water plants", "Buy milk", "Call Alan")

    tasks.focus("Buy milk").press("e")
    expect(tasks.card.get_by_label("Title", exact=True)).to_be_focused()
    tasks.press("Control+a")
    page.keyboard.type("Buy bread")
    tasks.press("Escape")
    expect(tasks.task("Buy bread")).to_be_focused()
    tasks.press("Delete").has("Water plants", "Call Alan")
    for key, field in (("d", "Due date"), ("p", "Priority"), ("t", "Tags")):
        tasks.focus("Call Alan").press(key)
        expect(page.get_by_role("dialog", name=field).or_(page.get_by_role("menu"))).to_be_visible()
        tasks.press("Escape", "Escape")
        expect(tasks.task("Call Alan")).to_be_focused()

    tasks.press("/")
    page.keyboard.type("alan")
    tasks.has("Call Alan").press("Escape").has("Water plants", "Call Alan")

    tasks.press("Escape", "g", "c").is_shown("Completed")
    tasks.press("g", "d").is_shown("Trash").has("Buy bread")
    tasks.press("g", "a").is_shown("All tasks").has("Water plants", "Call Alan")
    tasks.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    tasks.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)

    tab_to(page, "Settings")
    page.keyboard.press("Enter")
    tasks.is_shown("Settings")
    tab_to(page, "Sign out")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Sign in")).to_be_visible()


def test_the_focus_is_always_visible(windows: Windows, service: Service) -> None:
    page = windows.signed_in(service.register()).page
    unseen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        shown = page.evaluate("""() => {
            const style = getComputedStyle(document.activeElement);
            const isMarked = style.outlineStyle !== "none" || style.boxShadow !== "none"
                || document.activeElement.closest(":focus-within:not(body, html)") !== null;
            if (document.activeElement === document.body) return true; // the end of the page
            const { width, height } = document.activeElement.getBoundingClientRect();
            return isMarked && width * height > 0;
        }""")
        if not shown:
            unseen.append(page.evaluate("document.activeElement.outerHTML.slice(0, 100)"))
    assert unseen == []
