"""Ten thousand tasks: searching, scrolling, and the memory that they need."""

from collections.abc import Callable
from itertools import batched

import pytest
from playwright.sync_api import expect

from tests.browser.services import ON_SQLITE, Service
from tests.browser.tasks_page import TasksPage
from tests.browser.windows import Windows
from tests.support.users import ApiUser
from tests.support.waiting import until

COUNT = 10_000
SLOWEST_KEY_MS = 50
LONGEST_TASK_MS = 100
MOST_ELEMENTS = 3_000
MOST_HEAP_BYTES = 96 * 2**20
SEARCHED = "plants 9972"
FAST_TYPING_MS = 80
TRIES = 6
"""The best of several tries counts: other programs on this machine slow some down."""

pytestmark = [pytest.mark.alone, ON_SQLITE]

_WATCH = """() => {
  window.keys = [];
  window.tasks = [];
  addEventListener("keydown", ({ timeStamp }) => requestAnimationFrame(
    () => setTimeout(() => window.keys.push(performance.now() - timeStamp))), true);
  new PerformanceObserver((entries) => {
    window.tasks.push(...entries.getEntries().map(({ duration }) => duration));
  }).observe({ type: "longtask" });
}"""


@pytest.fixture
def ada(service: Service) -> ApiUser:
    user = service.register()
    words = ("Buy milk", "Call Grace", "Water the plants", "Read a report", "Write to Alan")
    numbers = range(COUNT)
    for some in batched(numbers, 500, strict=False):
        created = [
            {"create": {"title": f"{words[n % len(words)]} {n}", "tags": [f"tag-{n % 20}"]}}
            for n in some
        ]
        answer = user.http.post(user.tasks("/bulk"), json={"operations": created})
        assert answer.status_code == 200, answer.text
    return user


def test_the_search_answers_at_once_and_the_list_scrolls_without_interruption(
    windows: Windows, ada: ApiUser, note: Callable[[str], None]
) -> None:
    tasks = windows.signed_in(ada)
    expect(tasks.page.locator(".view-count")).to_have_text(str(COUNT))
    tasks.page.evaluate(_WATCH)

    slowest_key = min(_slowest_key(tasks) for _ in range(TRIES))
    longest_task = min(_longest_task_while_scrolling(tasks) for _ in range(TRIES))
    elements = tasks.page.evaluate("document.querySelectorAll('*').length")
    heap = _heap(tasks)
    note(f"{slowest_key:5.0f} ms   slowest key in the search of {COUNT:,} tasks")
    note(f"{longest_task:5.0f} ms   longest task while scrolling through them")
    note(f"{elements:5}      elements in the document, and {heap / 2**20:.0f} MiB of heap")
    assert slowest_key < SLOWEST_KEY_MS
    assert longest_task < LONGEST_TASK_MS
    assert elements < MOST_ELEMENTS
    assert heap < MOST_HEAP_BYTES


def _slowest_key(tasks: TasksPage) -> float:
    """Type in the search, and return the longest time from a key to the next frame."""
    tasks.search.click()
    tasks.page.evaluate("window.keys.length = 0")
    tasks.page.keyboard.type(SEARCHED, delay=FAST_TYPING_MS)
    expect(tasks.page.locator(".view-count")).to_have_text("1")
    until(lambda: tasks.page.evaluate("window.keys.length") >= len(SEARCHED))
    slowest: float = tasks.page.evaluate("Math.max(...window.keys)")
    tasks.search.fill("")
    expect(tasks.page.locator(".view-count")).to_have_text(str(COUNT))
    return slowest


def _longest_task_while_scrolling(tasks: TasksPage) -> float:
    tasks.page.mouse.move(640, 400)
    tasks.page.evaluate("window.tasks.length = 0")
    before = tasks.titles()[0]
    for _ in range(60):
        tasks.page.mouse.wheel(0, 700)
    expect(tasks.list.locator(".task-title").first).not_to_have_text(before)
    longest: float = tasks.page.evaluate("Math.max(0, ...window.tasks)")
    tasks.page.evaluate("scrollTo(0, 0)")
    return longest


def _heap(tasks: TasksPage) -> int:
    """Return what scripts occupy after the garbage was collected."""
    session = tasks.page.context.new_cdp_session(tasks.page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return int(used)
