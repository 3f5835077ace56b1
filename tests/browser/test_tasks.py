"""What a user does with tasks, by mouse and keyboard."""

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.account_page import AccountPage
from tests.browser.services import Service
from tests.browser.tasks_page import TasksPage
from tests.browser.windows import Windows
from tests.support.users import ApiUser
from tests.support.waiting import until

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def ada(service: Service) -> ApiUser:
    user = service.register()
    user.http.patch("/api/auth/me", json={"time_zone": "Europe/Berlin"}).raise_for_status()
    return user


@pytest.fixture
def tasks(windows: Windows, ada: ApiUser) -> TasksPage:
    return windows.signed_in(ada)


def stored(ada: ApiUser, title: str) -> dict[str, object]:
    """Wait until the service has a task with this title, and return it."""
    until(lambda: title in [each["title"] for each in ada.list()])
    [task] = [each for each in ada.list() if each["title"] == title]
    return task


def order(ada: ApiUser) -> list[object]:
    """Return the titles in the order of the user, as the service has it."""
    return [task["title"] for task in sorted(ada.list(), key=lambda task: task["position"])]


class TestQuickAdd:
    def test_it_understands_priority_tags_dates_and_repetition(
        self, tasks: TasksPage, ada: ApiUser
    ) -> None:
        tasks.add("Water plants !high #home #green tomorrow 9am every monday")
        row = tasks.task("Water plants")
        expect(row).to_be_visible()
        for tag in ("home", "green"):
            expect(row.get_by_text(tag, exact=True)).to_be_visible()
        tasks.is_saved()
        task = stored(ada, "Water plants")
        assert task["priority"] == "high"
        assert task["tags"] == ["home", "green"]
        assert "FREQ=WEEKLY" in str(task["recurrence_rule"])
        due = datetime.fromisoformat(str(task["due_date"])).astimezone(BERLIN)
        assert (due.hour, due.minute) == (9, 0)

    def test_the_words_that_are_understood_are_shown_and_can_be_taken_back(
        self, tasks: TasksPage, ada: ApiUser
    ) -> None:
        tasks.quick_add.fill("Read the report !high tomorrow")
        tasks.page.get_by_role("button", name="High priority, remove").click()
        expect(tasks.page.get_by_role("button", name="High priority, remove")).to_have_count(0)
        tasks.quick_add.press("Enter")
        expect(tasks.task("Read the report !high")).to_be_visible()
        tasks.is_saved()
        task = stored(ada, "Read the report !high")
        tomorrow = datetime.now(BERLIN).date() + timedelta(days=1)
        assert task["priority"] == "medium"
        assert datetime.fromisoformat(str(task["due_date"])).astimezone(BERLIN).date() == tomorrow

    def test_a_task_in_the_view_of_today_is_due_today(self, tasks: TasksPage, ada: ApiUser) -> None:
        tasks.go_to("Today").add("Call Grace")
        expect(tasks.task("Call Grace")).to_be_visible()
        tasks.is_saved()
        due = datetime.fromisoformat(str(stored(ada, "Call Grace")["due_date"]))
        assert due.astimezone(BERLIN).date() == datetime.now(BERLIN).date()

    def test_text_of_users_is_shown_as_text(self, tasks: TasksPage) -> None:
        title = "<img src=x onerror=alert(1)> & <b>"
        tasks.add(title)
        expect(tasks.task(title)).to_be_visible()
        expect(tasks.list.locator("img")).to_have_count(0)


class TestCompleting:
    def test_a_completed_task_leaves_the_list_and_undo_brings_it_back(
        self, tasks: TasksPage, ada: ApiUser
    ) -> None:
        tasks.add("Buy bread").add("Buy milk").is_saved()
        tasks.complete("Buy milk").has("Buy bread").is_saved()
        until(lambda: stored(ada, "Buy milk")["completed"])
        tasks.undo("“Buy milk” completed.").has("Buy milk", "Buy bread").is_saved()
        until(lambda: not stored(ada, "Buy milk")["completed"])

    def test_completed_tasks_are_listed_and_can_be_reopened(self, tasks: TasksPage) -> None:
        tasks.add("Buy milk").is_saved()
        tasks.complete("Buy milk")
        expect(tasks.task("Buy milk")).to_have_count(0)
        tasks.go_to("Completed").has("Buy milk")
        tasks.complete("Buy milk")
        expect(tasks.task("Buy milk")).to_have_count(0)
        tasks.go_to("All tasks").has("Buy milk")

    def test_a_completed_task_that_repeats_has_a_next_one(
        self, tasks: TasksPage, ada: ApiUser
    ) -> None:
        tasks.add("Water plants every day").is_saved()
        first = stored(ada, "Water plants")
        tasks.complete("Water plants").is_saved()
        until(lambda: len(ada.list()) == 2)
        expect(tasks.task("Water plants")).to_have_count(1)
        [following] = [task for task in ada.list() if task["id"] != first["id"]]
        assert not following["completed"]


class TestOrder:
    def test_a_task_is_moved_by_the_keyboard(self, tasks: TasksPage, ada: ApiUser) -> None:
        tasks.add("Three").add("Two").add("One").has("One", "Two", "Three")
        tasks.focus("Three").press("Alt+ArrowUp", "Alt+ArrowUp").has("Three", "One", "Two")
        tasks.press("Alt+ArrowDown").has("One", "Three", "Two").is_saved()
        until(lambda: order(ada) == ["One", "Three", "Two"])

    def test_a_task_is_dragged(self, tasks: TasksPage, ada: ApiUser) -> None:
        tasks.add("Three").add("Two").add("One").has("One", "Two", "Three").is_saved()
        row, target = tasks.task("Three"), tasks.task("One").bounding_box()
        row.hover()
        row.locator(".task-handle").hover()
        assert target is not None
        mouse = tasks.page.mouse
        mouse.down()
        mouse.move(target["x"] + 20, target["y"] + 60, steps=5)
        mouse.move(target["x"] + 20, target["y"] + 2, steps=5)
        mouse.up()
        tasks.has("Three", "One", "Two").is_saved()
        until(lambda: order(ada) == ["Three", "One", "Two"])

    def test_a_task_becomes_a_subtask_and_is_taken_out_again(
        self, tasks: TasksPage, ada: ApiUser
    ) -> None:
        tasks.add("Cake").add("Party").has("Party", "Cake").is_saved()
        tasks.focus("Cake").press("Alt+ArrowRight").is_saved()
        until(lambda: stored(ada, "Cake")["parent_id"] == stored(ada, "Party")["id"])
        expect(tasks.task("Cake")).to_have_attribute("aria-level", "2")
        tasks.focus("Cake").press("Alt+ArrowLeft")
        until(lambda: stored(ada, "Cake")["parent_id"] is None)


class TestCard:
    """Every field of a task, in the card in place of its row."""

    @pytest.fixture
    def card(self, tasks: TasksPage) -> Locator:
        tasks.add("Buy milk").is_saved()
        return tasks.open("Buy milk")

    @pytest.fixture
    def panel(self, tasks: TasksPage, card: Locator) -> Callable[[str], Locator]:
        """Opens the panel of a field by its button."""

        def open_panel(field: str) -> Locator:
            card.locator(f"[data-field={field}]").click()
            panel = tasks.page.locator("[popover]:popover-open, dialog[open], [role=menu]")
            found = panel.filter(visible=True).last
            expect(found).to_be_visible()
            return found

        return open_panel

    def test_its_address_can_be_opened(self, tasks: TasksPage, ada: ApiUser, card: Locator) -> None:
        assert tasks.page.url.endswith(f"#task={stored(ada, 'Buy milk')['id']}")
        tasks.page.reload()
        expect(card.get_by_label("Title", exact=True)).to_have_value("Buy milk")
        tasks.page.keyboard.press("Escape")
        expect(card).to_have_count(0)

    def test_text_is_saved_while_one_types(
        self, tasks: TasksPage, ada: ApiUser, card: Locator
    ) -> None:
        card.get_by_label("Title", exact=True).fill("Buy oat milk")
        card.get_by_label("Notes", exact=True).fill("Two litres.\nFrom Grace's shop.")
        until(lambda: ada.list()[0]["description"] == "Two litres.\nFrom Grace's shop.")
        assert ada.list()[0]["title"] == "Buy oat milk"
        card.get_by_role("button", name="Close the task").click()
        expect(tasks.task("Buy oat milk").get_by_text("Has notes")).to_be_attached()

    def test_a_title_cannot_be_empty(self, ada: ApiUser, card: Locator) -> None:
        card.get_by_label("Title", exact=True).fill("")
        expect(card.get_by_text("Title is required.")).to_be_visible()
        card.get_by_label("Notes", exact=True).fill("a")
        until(lambda: ada.list()[0]["description"] == "a")
        assert ada.list()[0]["title"] == "Buy milk"

    def test_the_due_date_is_chosen_and_taken_back(
        self, tasks: TasksPage, ada: ApiUser, panel: Callable[[str], Locator]
    ) -> None:
        panel("due").get_by_role("button", name="Tomorrow").click()
        tomorrow = datetime.now(BERLIN).date() + timedelta(days=1)
        until(lambda: str(ada.list()[0]["due_date"]) != "None")
        due = datetime.fromisoformat(ada.list()[0]["due_date"])
        assert due.astimezone(BERLIN).date() == tomorrow
        panel("due").get_by_label("Due date in words").fill("1 dec 2030 at 9am")
        tasks.press("Enter")
        until(lambda: str(ada.list()[0]["due_date"]).startswith("2030-12-01"))
        panel("due").get_by_role("button", name="No due date").click()
        until(lambda: ada.list()[0]["due_date"] is None)

    def test_priority_and_tags_are_chosen(
        self, tasks: TasksPage, ada: ApiUser, panel: Callable[[str], Locator]
    ) -> None:
        panel("priority").get_by_role("menuitemradio", name="Urgent").click()
        until(lambda: ada.list()[0]["priority"] == "urgent")
        panel("tags").get_by_label("Find or create a tag").fill("home")
        tasks.press("Enter")
        until(lambda: ada.list()[0]["tags"] == ["home"])
        tasks.press("Escape")
        expect(tasks.page.get_by_role("link", name="home 1")).to_be_visible()

    def test_repetition_and_reminders_are_chosen(
        self, tasks: TasksPage, ada: ApiUser, panel: Callable[[str], Locator]
    ) -> None:
        panel("repeat").get_by_label("Repetition in words or as a rule").fill("every 2 weeks")
        tasks.press("Enter")
        until(lambda: ada.list()[0]["recurrence_rule"] == "FREQ=WEEKLY;INTERVAL=2")
        assert ada.list()[0]["due_date"] is not None
        field = panel("reminders")
        field.get_by_label("Remind at").fill("2030-12-01T09:00")
        field.get_by_role("button", name="Add", exact=True).click()
        until(lambda: len(ada.list()[0]["reminders"]) == 1)
        field.get_by_role("button", name="Remove the reminder").click()
        until(lambda: ada.list()[0]["reminders"] == [])

    def test_subtasks_are_added_and_completed_with_their_parent(
        self, tasks: TasksPage, ada: ApiUser, card: Locator
    ) -> None:
        for title in ("Find the shop", "Take a bag"):
            card.get_by_label("Add a subtask").fill(title)
            tasks.press("Enter")
            expect(card.get_by_label("Add a subtask")).to_have_value("")
        until(lambda: len(ada.list()) == 3)
        parent = stored(ada, "Buy milk")["id"]
        assert stored(ada, "Take a bag")["parent_id"] == parent
        card.get_by_role("checkbox", name="Complete Take a bag").click()
        until(lambda: stored(ada, "Take a bag")["completed"])
        tasks.press("Escape")
        expect(tasks.task("Buy milk").get_by_text("1 of 2 subtasks completed")).to_be_attached()
        tasks.complete("Buy milk").is_saved()
        until(lambda: all(task["completed"] for task in ada.list()))


class TestSelection:
    @pytest.fixture(autouse=True)
    def _tasks(self, tasks: TasksPage) -> None:
        tasks.add("Three").add("Two").add("One").has("One", "Two", "Three").is_saved()

    def test_many_tasks_are_changed_at_once_and_undone_at_once(
        self, tasks: TasksPage, ada: ApiUser
    ) -> None:
        tasks.focus("One").press("x", "Shift+ArrowDown")
        bar = tasks.page.get_by_role("toolbar", name="Selected tasks")
        expect(bar).to_contain_text("2 selected")
        bar.get_by_role("button", name="Priority").click()
        tasks.page.get_by_role("menu").get_by_text("High", exact=True).click()
        until(lambda: [stored(ada, each)["priority"] for each in ("One", "Two")] == ["high"] * 2)
        assert stored(ada, "Three")["priority"] != "high"
        tasks.undo("2 tasks changed.")
        until(lambda: all(task["priority"] != "high" for task in ada.list()))

    def test_many_tasks_are_deleted_at_once_and_undone_at_once(
        self, tasks: TasksPage, ada: ApiUser
    ) -> None:
        tasks.focus("One").press("Control+a")
        tasks.page.get_by_role("toolbar", name="Selected tasks").get_by_role(
            "button", name="Delete"
        ).click()
        tasks.has().undo("3 tasks deleted.").has("One", "Two", "Three").is_saved()
        until(lambda: len(ada.list()) == 3)

    def test_escape_ends_the_selection(self, tasks: TasksPage) -> None:
        bar = tasks.page.get_by_role("toolbar", name="Selected tasks")
        tasks.focus("One").press("x")
        expect(bar).to_be_visible()
        tasks.press("Escape")
        expect(bar).to_be_hidden()


class TestFinding:
    @pytest.fixture(autouse=True)
    def _tasks(self, tasks: TasksPage) -> None:
        for text in ("Straße fegen #home", "Buy paper #office !high", "Buy milk #home"):
            tasks.add(text)
        tasks.is_saved()

    def test_the_search_finds_while_one_types(self, tasks: TasksPage) -> None:
        tasks.press("Escape", "/")
        expect(tasks.search).to_be_focused()
        tasks.search.press_sequentially("stras")
        tasks.has("Straße fegen")
        tasks.search.fill("buy")
        tasks.has("Buy milk", "Buy paper")
        tasks.press("Escape").has("Buy milk", "Buy paper", "Straße fegen")

    def test_a_filter_is_an_address_and_the_way_back_works(self, tasks: TasksPage) -> None:
        tasks.go_to("home").has("Buy milk", "Straße fegen")
        assert "tags=home" in tasks.page.url
        tasks.page.reload()
        tasks.has("Buy milk", "Straße fegen")
        tasks.go_to("office").has("Buy paper")
        tasks.page.go_back()
        tasks.has("Buy milk", "Straße fegen")
        tasks.page.go_back()
        tasks.has("Buy milk", "Buy paper", "Straße fegen")

    def test_the_parameters_of_the_api_are_filters(self, tasks: TasksPage) -> None:
        tasks.page.goto("/?priority=high,urgent")
        tasks.has("Buy paper")
        tasks.page.goto("/?search=buy&tags=home")
        tasks.has("Buy milk")


class TestTrash:
    def test_a_deleted_task_can_be_undone(self, tasks: TasksPage) -> None:
        tasks.add("Buy milk").is_saved()
        tasks.focus("Buy milk").press("Delete")
        expect(tasks.task("Buy milk")).to_have_count(0)
        tasks.press("Control+z").has("Buy milk").is_saved()

    def test_a_task_is_restored_from_the_trash(self, tasks: TasksPage, ada: ApiUser) -> None:
        tasks.add("Buy milk").is_saved()
        tasks.focus("Buy milk").press("Delete").is_saved()
        until(lambda: ada.list() == [])
        tasks.go_to("Trash").has("Buy milk")
        tasks.task("Buy milk").hover()
        tasks.page.get_by_role("button", name="Restore Buy milk").click()
        expect(tasks.task("Buy milk")).to_have_count(0)
        tasks.go_to("All tasks").has("Buy milk")
        until(lambda: len(ada.list()) == 1)

    def test_a_task_is_deleted_permanently(self, tasks: TasksPage, ada: ApiUser) -> None:
        tasks.add("Buy milk").is_saved()
        tasks.focus("Buy milk").press("Delete").is_saved()
        tasks.go_to("Trash").has("Buy milk")
        tasks.task("Buy milk").hover()
        tasks.page.get_by_role("button", name="Delete Buy milk permanently").click()
        confirmation = tasks.page.get_by_role("dialog")
        expect(confirmation).to_be_visible()
        confirmation.get_by_role("button", name="Delete permanently").click()
        expect(tasks.task("Buy milk")).to_have_count(0)
        until(lambda: ada.http.get(ada.tasks(deleted="true")).json() == [])


class TestUsers:
    def test_two_users_see_nothing_of_each_other(
        self, windows: Windows, service: Service, tasks: TasksPage
    ) -> None:
        grace = windows.signed_in(service.register("Grace"))
        tasks.add("Of Ada #secret").is_saved()
        grace.add("Of Grace").is_saved()
        grace.has("Of Grace")
        grace.page.reload()
        grace.has("Of Grace")
        expect(grace.page.get_by_text("secret")).to_have_count(0)
        for view in ("Today", "Upcoming", "Completed", "Trash"):
            grace.go_to(view)
            expect(grace.page.get_by_text("Of Ada")).to_have_count(0)

    def test_another_user_of_the_same_browser_sees_nothing(
        self, service: Service, tasks: TasksPage
    ) -> None:
        tasks.add("Of Ada").is_saved()
        tasks.open_settings().submit("Sign out")
        grace = service.register("Grace")
        AccountPage(tasks.page).sign_in(grace.email)
        tasks.is_ready()
        tasks.page.goto("/")
        tasks.is_ready()
        expect(tasks.page.get_by_text("Of Ada")).to_have_count(0)
