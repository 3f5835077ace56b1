"""Make docs/images: `uv run --group browser python -m tests.browser.screenshots`.

They are taken of a real service with some example tasks, at three widths and in both themes.
"""

import tempfile
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.programs import chromium_options, chromium_path
from tests.browser.services import Service, on_sqlite
from tests.browser.tasks_page import TasksPage
from tests.browser.windows import Windows
from tests.support.users import ApiUser

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTHS = {"phone": (390, 760), "tablet": (820, 760), "desktop": (1280, 760)}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
QUALITY = 70


def main() -> None:
    """Take all pictures."""
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="todo-screenshots-") as folder,
        on_sqlite(Path(folder)) as service,
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=chromium_path(), args=chromium_options())
        for name, (width, height) in WIDTHS.items():
            for theme in THEMES:
                options = {
                    "viewport": {"width": width, "height": height},
                    "color_scheme": theme,
                    "reduced_motion": "reduce",
                    "has_touch": name == "phone",
                }
                take(browser, service, options, f"{name}-{theme}")
        service.close()
        browser.close()


def fill(user: ApiUser) -> None:
    """Give the user tasks as people have them, the last of the list first."""
    today = datetime.now(UTC).replace(hour=15, minute=0, second=0, microsecond=0)

    def due(days: int) -> str:
        return (today + timedelta(days=days)).isoformat()

    user.http.patch("/api/auth/me", json={"time_zone": "Europe/Berlin"}).raise_for_status()
    for fields in (
        {"title": "Read “Sketch of the Analytical Engine”", "tags": ["reading"], "priority": "low"},
        {"title": "Book the train to Turin", "tags": ["travel"], "due_date": due(9)},
        {"title": "Buy oat milk and bread", "tags": ["home"], "priority": "none"},
        {"title": "Renew the library card", "due_date": due(-1), "tags": ["errands"]},
        {"title": "Pay the rent", "due_date": due(2), "recurrence_rule": "FREQ=MONTHLY"},
        {
            "title": "Water the plants",
            "due_date": due(0),
            "tags": ["home"],
            "recurrence_rule": "FREQ=WEEKLY",
            "reminders": [{"minutes_before": 30}],
        },
        {"title": "Send the notes to Grace", "due_date": due(1), "priority": "high"},
    ):
        user.create(**fields)
    parent = user.create(
        "Prepare the talk about compilers",
        description="Twenty minutes, with one example that fits on a slide.",
        due_date=due(0),
        priority="urgent",
        tags=["work"],
    )
    for title, completed in (
        ("Rehearse it once", False),
        ("Draw the diagrams", False),
        ("Write the outline", True),
    ):
        subtask = user.create(title, parent_id=parent["id"])
        if completed:
            user.http.patch(user.tasks(f"/{subtask['id']}/complete")).raise_for_status()


def take(
    browser: Browser,
    service: Service,
    options: dict[str, Any],  # of Playwright
    name: str,
) -> None:
    """Take the pictures of one width and theme."""
    ada, grace = service.register("Ada"), service.register("Grace")
    fill(ada)
    windows = Windows(browser, service.url)
    windows.expect_error("ERR_INTERNET_DISCONNECTED")
    page = windows.open(**options)
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    save(page, f"{name}-sign-in")
    empty = windows.signed_in(grace, **options)
    expect(empty.page.get_by_role("heading", name="No open tasks")).to_be_visible()
    save(empty.page, f"{name}-empty")
    tasks = windows.signed_in(ada, **options)
    expect(tasks.task("Prepare the talk about compilers")).to_be_visible()
    save(tasks.page, f"{name}-list")
    tasks.open("Prepare the talk about compilers")
    save(tasks.page, f"{name}-task")
    show_offline(tasks)
    save(tasks.page, f"{name}-offline")
    if problems := windows.close():
        raise RuntimeError("\n".join(problems))


def show_offline(tasks: TasksPage) -> None:
    """Close the card, lose the connection, and complete a task, which is then waiting."""
    tasks.press("Escape")
    tasks.page.context.set_offline(True)
    tasks.is_offline()
    tasks.complete("Buy oat milk and bread")
    expect(tasks.task("Buy oat milk and bread")).to_have_count(0)


def save(page: Page, name: str) -> None:
    """Write what the window shows as WebP, which is a third of the size of a PNG."""
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(0, 0)
    session = page.context.new_cdp_session(page)
    shot = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    session.detach()
    (IMAGES / f"{name}.webp").write_bytes(b64decode(shot["data"]))


if __name__ == "__main__":
    main()
