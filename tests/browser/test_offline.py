"""Two windows, no connection, and a service that is killed."""

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.account_page import AccountPage
from tests.browser.services import Service
from tests.browser.tasks_page import TasksPage
from tests.browser.windows import Windows
from tests.support.command import served
from tests.support.processes import free_port
from tests.support.users import PASSWORD, ApiUser, register_user
from tests.support.waiting import until

OFFLINE = (
    "ERR_(INTERNET_DISCONNECTED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION|NETWORK|EMPTY_RESPONSE)"
)


@pytest.fixture
def ada(service: Service) -> ApiUser:
    return service.register()


def titles(user: ApiUser) -> set[str]:
    return {task["title"] for task in user.list()}


PARTS_KEPT = """async () => (await navigator.serviceWorker.getRegistrations()).length
    + (await caches.keys()).length"""
"""How many service workers and caches of the page the browser has."""

DATA_KEPT = "async () => (await indexedDB.databases()).length + localStorage.length"
"""How much the page has stored about users."""


def test_two_windows_show_the_same_without_a_reload(windows: Windows, ada: ApiUser) -> None:
    laptop, phone = windows.signed_in(ada), windows.signed_in(ada)
    laptop.add("Buy milk")
    phone.has("Buy milk")
    phone.complete("Buy milk")
    expect(laptop.task("Buy milk")).to_have_count(0)


def test_two_tabs_of_a_browser_show_the_same(windows: Windows, ada: ApiUser) -> None:
    first = windows.signed_in(ada)
    second = TasksPage(first.page.context.new_page())
    second.page.goto("/")
    second.is_ready()
    second.add("Buy milk")
    first.has("Buy milk").is_saved()
    first.page.close()
    second.add("Buy bread")
    until(lambda: titles(ada) == {"Buy milk", "Buy bread"})


def test_a_change_by_another_client_appears_by_itself(windows: Windows, ada: ApiUser) -> None:
    tasks = windows.signed_in(ada)
    ada.create("By another client")
    tasks.has("By another client")


def test_work_without_a_connection_is_sent_when_there_is_one_again(
    windows: Windows, ada: ApiUser
) -> None:
    windows.expect_error(OFFLINE)
    tasks = windows.signed_in(ada)
    tasks.add("Before").is_saved()
    tasks.page.context.set_offline(True)
    tasks.add("Offline #later").has("Offline", "Before")
    tasks.complete("Before")
    expect(tasks.task("Before")).to_have_count(0)
    tasks.is_offline()
    until(lambda: titles(ada) == {"Before"})
    ada.create("Meanwhile")
    tasks.page.context.set_offline(False)
    tasks.is_saved()
    expect(tasks.task("Meanwhile")).to_be_visible()
    until(lambda: titles(ada) == {"Before", "Offline", "Meanwhile"})
    assert [task["completed"] for task in ada.list() if task["title"] == "Before"] == [True]


def test_the_page_opens_without_a_connection_and_keeps_what_was_not_sent(
    windows: Windows, ada: ApiUser
) -> None:
    windows.expect_error(OFFLINE)
    tasks = windows.signed_in(ada)
    tasks.add("Before").is_saved()
    until(lambda: tasks.page.evaluate("navigator.serviceWorker.controller !== null"))
    tasks.page.context.set_offline(True)
    tasks.add("Not sent yet").has("Not sent yet", "Before")
    tasks.page.reload()
    tasks.has("Not sent yet", "Before").is_offline()
    tasks.add("After the reload").has("After the reload", "Not sent yet", "Before")
    tasks.page.context.set_offline(False)
    until(lambda: titles(ada) == {"Before", "Not sent yet", "After the reload"})


def test_what_is_loaded_later_is_loaded_again_where_the_connection_was_lost(
    windows: Windows, ada: ApiUser
) -> None:
    windows.expect_error("ERR_FAILED")
    page = windows.open(service_workers="block")
    for name in ("panels", "quick-add-chips"):
        page.route(f"**/{name}.js", lambda route: route.abort(), times=1)
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/panels.js")):
        AccountPage(page).sign_in(ada.email)
    tasks = TasksPage(page)
    with page.expect_event("requestfailed", lambda request: request.url.endswith("-chips.js")):
        tasks.quick_add.focus()
    tasks.is_ready().add("Buy milk !high").has("Buy milk").open("Buy milk")
    expect(page.get_by_text("Something went wrong.")).to_be_hidden()


def test_nothing_is_lost_or_doubled_when_the_service_is_killed_while_writing(
    browser: Browser, tmp_path: Path
) -> None:
    port = str(free_port())
    windows = Windows(browser, f"http://127.0.0.1:{port}")
    windows.expect_error(OFFLINE)
    with served(tmp_path, port=port, TODO_RATE_LIMIT_ENABLED="false") as server:
        ada = register_user(server.url)
        tasks = windows.signed_in(ada)
        names = [f"Task {number}" for number in range(20)]
        for number, name in enumerate(names):
            tasks.add(name)
            if number == len(names) // 2:
                os.kill(server.process.pid, signal.SIGKILL)
                server.process.wait()
    tasks.is_offline()
    with served(tmp_path, port=port, TODO_RATE_LIMIT_ENABLED="false"):
        until(lambda: len(ada.list()) >= len(names), seconds=60)
        tasks.is_saved()
        assert sorted(task["title"] for task in ada.list()) == sorted(names)
        tasks.has(*reversed(names))
        ada.http.close()
        assert windows.close() == []


def test_a_session_that_was_revoked_asks_to_sign_in_and_goes_on(
    windows: Windows, ada: ApiUser
) -> None:
    windows.expect_error("status of 401")
    tasks = windows.signed_in(ada)
    tasks.add("Before").is_saved()
    ada.http.delete("/api/auth/sessions").raise_for_status()
    account = AccountPage(tasks.page).is_shown("Sign in")
    expect(account.page.get_by_text("Your session has ended.")).to_be_visible()
    account.sign_in(ada.email)
    tasks.has("Before").add("After")
    until(lambda: titles(ada) == {"Before", "After"})


def test_of_two_changes_of_the_same_field_the_user_chooses_one(
    windows: Windows, ada: ApiUser
) -> None:
    windows.expect_error(f"{OFFLINE}|status of 412")
    task = ada.create("Buy milk")
    tasks = windows.signed_in(ada)
    tasks.has("Buy milk").page.context.set_offline(True)
    tasks.open("Buy milk").get_by_label("Title", exact=True).fill("Buy oat milk")
    tasks.press("Escape").has("Buy oat milk").is_offline()
    there = ada.tasks(f"/{task['id']}")
    ada.http.patch(there, json={"title": "Buy soy milk"}).raise_for_status()
    tasks.page.context.set_offline(False)
    conflict = tasks.toast("“Buy soy milk” was changed elsewhere.")
    expect(conflict).to_be_visible()
    tasks.has("Buy soy milk")
    conflict.get_by_role("button", name="Use mine").click()
    tasks.has("Buy oat milk")
    until(lambda: ada.http.get(there).json()["title"] == "Buy oat milk")


def test_changes_of_different_fields_are_merged(windows: Windows, ada: ApiUser) -> None:
    windows.expect_error(f"{OFFLINE}|status of 412")
    task = ada.create("Buy milk")
    tasks = windows.signed_in(ada)
    tasks.has("Buy milk").page.context.set_offline(True)
    tasks.complete("Buy milk")
    expect(tasks.task("Buy milk")).to_have_count(0)
    tasks.is_offline()
    there = ada.tasks(f"/{task['id']}")
    ada.http.patch(there, json={"title": "Buy oat milk"}).raise_for_status()
    tasks.page.context.set_offline(False)
    until(lambda: ada.http.get(there).json()["completed"])
    assert ada.http.get(there).json()["title"] == "Buy oat milk"
    tasks.go_to("Completed").has("Buy oat milk")


def test_a_reminder_is_shown_while_the_page_is_open(windows: Windows, ada: ApiUser) -> None:
    tasks = windows.signed_in(ada)
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    ada.create("Call Grace", reminders=[{"remind_at": soon}])
    reminder = tasks.toast("Reminder: Call Grace")
    expect(reminder).to_be_visible()
    reminder.get_by_role("button", name="Open").click()
    expect(tasks.card.get_by_label("Title", exact=True)).to_have_value("Call Grace")


def test_a_new_tab_renews_a_session_whose_access_token_has_expired(
    browser: Browser, tmp_path: Path
) -> None:
    settings = {"TODO_ACCESS_TOKEN_TTL": "5s", "TODO_RATE_LIMIT_ENABLED": "false"}
    with served(tmp_path, **settings) as server:
        windows = Windows(browser, server.url)
        ada = register_user(server.url)
        ada.http.close()
        tasks = windows.signed_in(ada)
        with tasks.page.context.expect_event(
            "response", lambda response: response.url.endswith("/refresh"), timeout=30_000
        ):
            tasks.add("Before")
        tasks.add("After the token has expired").is_saved()
        login = {"email": ada.email, "password": PASSWORD}
        answer = httpx.post(f"{server.url}/api/auth/login", json=login).raise_for_status().json()
        headers = {"Authorization": f"Bearer {answer['access_token']}"}
        listed = f"{server.url}{ada.tasks()}"
        until(lambda: len(httpx.get(listed, headers=headers).json()) == 2)
        assert windows.close() == []


def test_a_service_without_the_page_removes_it_from_browsers(
    browser: Browser, tmp_path: Path
) -> None:
    port = str(free_port())
    with served(tmp_path, port=port) as service:
        page = browser.new_context(base_url=service.url).new_page()
        page.goto("/")
        page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    with served(tmp_path, port=port, TODO_PAGE_ENABLED="false"):
        page.goto("/")
        until(lambda: page.evaluate(PARTS_KEPT) == 0)
        answer = page.goto("/")
        assert answer is not None
        assert answer.status == 404
        page.context.close()


def test_signing_out_leaves_nothing_of_the_user_in_the_browser(
    windows: Windows, ada: ApiUser
) -> None:
    tasks = windows.signed_in(ada)
    tasks.add("Buy milk").is_saved()
    assert tasks.page.evaluate(DATA_KEPT) >= 2
    tasks.page.goto("/?page=settings")
    tasks.page.get_by_role("button", name="Sign out").click()
    expect(tasks.page.get_by_role("heading", level=1, name="Sign in")).to_be_visible()
    until(lambda: tasks.page.evaluate(DATA_KEPT) == 0)
