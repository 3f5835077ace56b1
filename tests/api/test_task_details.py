"""The details of tasks over HTTP: priority, due date, tags, state; and time zones."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.problems import problem
from tests.support.users import ApiUser

DETAILS = {"priority": "high", "due_date": "2026-12-01", "tags": ["Home", "shop"]}


def refusal(ada: ApiUser, **fields: object) -> list[tuple[str, str]]:
    answer = ada.http.post(ada.tasks(), json={"title": "Buy milk", **fields})
    assert answer.status_code == 422
    return [(error["pointer"], error["code"]) for error in problem(answer)["errors"]]


def titles(ada: ApiUser, **parameters: str) -> list[str]:
    answer = ada.http.get(ada.tasks(**parameters))
    assert answer.status_code == 200, answer.text
    return [task["title"] for task in answer.json()]


def move_to(ada: ApiUser, zone: str) -> dict[str, Any]:
    answer = ada.http.patch("/api/auth/me", json={"time_zone": zone})
    assert answer.status_code == 200, answer.text
    profile: dict[str, Any] = answer.json()
    return profile


class TestDetails:
    def test_details_are_returned_as_they_were_sent(self, ada: ApiUser) -> None:
        task = ada.create("Buy milk", **DETAILS)
        assert task == task | DETAILS
        assert ada.http.get(ada.tasks(f"/{task['id']}")).json() == task
        assert ada.list() == [task]
        [change] = ada.http.get(ada.tasks("/changes")).json()["changes"]
        assert change["task"] == task
        assert ada.http.get("/api/auth/me/export").json()["tasks"] == [task]

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    def test_details_that_are_not_sent_are_kept(self, ada: ApiUser, method: str) -> None:
        task = ada.create("Buy milk", **DETAILS)
        url = ada.tasks(f"/{task['id']}")
        changed = ada.http.request(method, url, json={"title": "Buy oats"}).json()
        assert changed == changed | DETAILS
        assert changed["title"] == "Buy oats"

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    @pytest.mark.parametrize("nothing", [None, ""])
    def test_nothing_clears_a_due_date_and_resets_a_priority(
        self, ada: ApiUser, method: str, nothing: str | None
    ) -> None:
        task = ada.create("Buy milk", **DETAILS)
        change = {"title": "Buy milk", "due_date": nothing, "priority": nothing, "tags": None}
        changed = ada.http.request(method, ada.tasks(f"/{task['id']}"), json=change).json()
        assert (changed["due_date"], changed["priority"], changed["tags"]) == (None, "medium", [])

    def test_a_change_of_details_is_a_new_version_and_the_same_values_are_none(
        self, ada: ApiUser
    ) -> None:
        task = ada.create("Buy milk", **DETAILS)
        url = ada.tasks(f"/{task['id']}")
        for field, value in {
            "priority": "urgent",
            "due_date": "2026-12-01T16:00:00Z",
            "tags": ["shop", "Home"],
        }.items():
            changed = ada.http.patch(url, json={field: value}).json()
            assert changed == task | {
                field: value,
                "version": task["version"] + 1,
                "updated_at": changed["updated_at"],
            }
            assert ada.http.patch(url, json={field: value}).json() == changed
            task = changed

    @pytest.mark.parametrize("alias", ["dueDate", "due_at"])
    def test_a_due_date_has_other_names_in_requests(self, ada: ApiUser, alias: str) -> None:
        task = ada.create(**{alias: "2026-12-01"})
        assert task["due_date"] == "2026-12-01"
        assert alias not in task
        url = ada.tasks(f"/{task['id']}")
        assert ada.http.patch(url, json={alias: None}).json()["due_date"] is None
        bulk = {"operations": [{"update": {"id": task["id"], alias: "2026-12-02"}}]}
        [result] = ada.http.post(ada.tasks("/bulk"), json=bulk).json()["results"]
        assert result["task"]["due_date"] == "2026-12-02"

    def test_each_detail_that_is_not_valid_has_a_pointer(self, ada: ApiUser) -> None:
        assert refusal(ada, priority="huge", due_date="soon", tags=["ok", ""]) == [
            ("/priority", "unknown_priority"),
            ("/due_date", "invalid_due_date"),
            ("/tags/1", "too_short"),
        ]
        assert refusal(ada, tags=[f"tag {number}" for number in range(21)]) == [
            ("/tags", "too_long")
        ]
        assert refusal(ada, priority=3, due_date=20261201, tags="home") == [
            ("/priority", "invalid_type"),
            ("/due_date", "invalid_type"),
            ("/tags", "invalid_type"),
        ]
        assert ada.list() == []

    def test_a_bulk_changes_details(self, ada: ApiUser) -> None:
        task = ada.create("Buy milk", **DETAILS)
        operations = [
            {"create": {"title": "Buy oats", **DETAILS}},
            {"update": {"id": task["id"], "status": "completed", "tags": ["done"]}},
        ]
        answer = ada.http.post(ada.tasks("/bulk"), json={"operations": operations})
        created, updated = (result["task"] for result in answer.json()["results"])
        assert created == created | DETAILS
        assert updated == updated | {"tags": ["done"], "status": "completed", "completed": True}
        refused = ada.http.post(
            ada.tasks("/bulk"), json={"operations": [{"create": {"title": "x", "tags": [""]}}]}
        )
        [error] = problem(refused)["errors"]
        assert error["pointer"] == "/operations/0/create/tags/0"

    def test_details_go_to_the_trash_and_come_back(self, ada: ApiUser) -> None:
        task = ada.create("Buy milk", **DETAILS)
        ada.http.delete(ada.tasks(f"/{task['id']}")).raise_for_status()
        assert ada.http.get(ada.tasks(deleted="true", tags="home")).json() == [task]
        assert ada.http.get(ada.tasks("/tags")).json() == []
        restored = ada.http.post(ada.tasks(f"/{task['id']}/restore")).json()
        assert restored == restored | DETAILS


class TestStatus:
    def test_status_is_completed_as_a_word(self, ada: ApiUser) -> None:
        task = ada.create()
        url = ada.tasks(f"/{task['id']}")
        done = ada.http.patch(url, json={"status": "Completed"}).json()
        assert (done["status"], done["completed"]) == ("completed", True)
        assert done["completed_at"] == done["updated_at"]
        retitled = ada.http.patch(url, json={"title": "Buy oats"}).json()
        assert retitled["completed_at"] == done["completed_at"] < retitled["updated_at"]
        for status in ("pending", "active"):
            ada.http.patch(url, json={"status": "completed"}).raise_for_status()
            reopened = ada.http.patch(url, json={"status": status}).json()
            assert (reopened["status"], reopened["completed"]) == ("pending", False)
            assert reopened["completed_at"] is None

    @pytest.mark.parametrize(
        ("method", "path"), [("PUT", ""), ("PATCH", ""), ("PATCH", "/complete")]
    )
    def test_every_change_of_a_task_accepts_a_status(
        self, ada: ApiUser, method: str, path: str
    ) -> None:
        task = ada.create()
        url = ada.tasks(f"/{task['id']}{path}")
        for status, completed in (("completed", True), ("pending", False)):
            for _ in range(2):
                body = {"title": "Buy milk", "status": status}
                assert ada.http.request(method, url, json=body).json()["completed"] is completed

    @pytest.mark.parametrize("path", ["", "/complete"])
    def test_of_completed_and_a_status_that_contradicts_it_completed_counts(
        self, ada: ApiUser, path: str
    ) -> None:
        task = ada.create()
        url = ada.tasks(f"/{task['id']}{path}")
        for completed in (True, True, False):
            # A front end that does not know `status` sends it back as it received it.
            answer = ada.http.patch(url, json=task | {"completed": completed})
            assert answer.status_code == 200
            assert answer.json()["completed"] is completed
            task |= {"status": "completed"}

    @pytest.mark.parametrize("status", ["done", "", None, 1, True])
    def test_an_unknown_status_is_refused(self, ada: ApiUser, status: object) -> None:
        task = ada.create()
        answer = ada.http.patch(ada.tasks(f"/{task['id']}"), json={"status": status})
        assert answer.status_code == 422
        message = "Status must be 'pending', 'active' or 'completed'."
        assert problem(answer)["errors"] == [
            {"pointer": "/status", "code": "invalid_value", "message": message}
        ]


class TestTimeZone:
    def test_the_time_zone_of_a_profile_is_utc_until_it_is_set(self, ada: ApiUser) -> None:
        before = ada.http.get("/api/auth/me").json()
        assert before["time_zone"] == "UTC"
        after = move_to(ada, "Europe/Berlin")
        assert after == before | {
            "time_zone": "Europe/Berlin",
            "updated_at": after["updated_at"],
        }
        assert ada.http.get("/api/auth/me").json() == after
        assert ada.http.get("/api/auth/me/export").json()["user"] == after
        named = ada.http.patch("/api/auth/me", json={"name": "Ada L."}).json()
        assert named["time_zone"] == "Europe/Berlin"

    @pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "x" * 1000, None, 1])
    def test_an_unknown_time_zone_is_refused(self, ada: ApiUser, zone: object) -> None:
        answer = ada.http.patch("/api/auth/me", json={"time_zone": zone})
        assert answer.status_code == 422
        assert problem(answer)["errors"][0]["pointer"] == "/time_zone"

    def test_a_time_without_an_offset_is_one_in_the_zone_of_the_user(
        self, ada: ApiUser, bob: ApiUser
    ) -> None:
        move_to(ada, "Asia/Tokyo")
        local = "2026-12-01T16:00"
        assert ada.create(due_date=local)["due_date"] == "2026-12-01T07:00:00Z"
        assert bob.create(due_date=local)["due_date"] == "2026-12-01T16:00:00Z"
        [change] = ada.http.post(
            ada.tasks("/bulk"),
            json={"operations": [{"create": {"title": "Buy milk", "due_date": local}}]},
        ).json()["results"]
        assert change["task"]["due_date"] == "2026-12-01T07:00:00Z"
        url = ada.tasks(f"/{change['task']['id']}")
        changed = ada.http.patch(url, json={"due_date": "2026-12-02T09:00"}).json()
        assert changed["due_date"] == "2026-12-02T00:00:00Z"
        assert ada.http.patch(url, json={"due_date": "2026-12-02T09:00"}).json() == changed

    def test_days_begin_and_end_in_the_zone_of_the_user(self, ada: ApiUser) -> None:
        for title, due in {
            "first": "2026-12-01T14:59:59Z",  # one second before midnight in Tokyo
            "day": "2026-12-02",
            "last": "2026-12-02T15:00:00Z",
        }.items():
            ada.create(title, due_date=due)
        ada.create("never")

        def of_the_second() -> list[str]:
            return titles(ada, due_after="2026-12-02", due_before="2026-12-03", sort="due_date")

        assert of_the_second() == ["last", "day"]
        assert titles(ada, sort="due_date") == ["first", "last", "day", "never"]
        tag = ada.http.get(ada.tasks(sort="due_date")).headers["etag"]
        move_to(ada, "Asia/Tokyo")
        assert of_the_second() == ["day"]
        moved = ada.http.get(ada.tasks(sort="due_date"), headers={"If-None-Match": tag})
        assert [task["title"] for task in moved.json()] == ["first", "day", "last", "never"]
        assert [task["due_date"] for task in moved.json()][1] == "2026-12-02"
        assert {task["version"] for task in moved.json()} == {1}
        assert titles(ada, due_before="2026-12-02T00:00") == ["first"]
        assert titles(ada, due_date_from="2026-12-03", due_date_to="2026-12-04") == ["last"]

    def test_a_day_in_the_trash_moves_with_its_owner(self, ada: ApiUser) -> None:
        task = ada.create("day", due_date="2026-12-02")
        ada.create("noon", due_date="2026-12-02T12:00:00Z")
        ada.http.delete(ada.tasks(f"/{task['id']}")).raise_for_status()
        move_to(ada, "Pacific/Kiritimati")
        ada.http.post(ada.tasks(f"/{task['id']}/restore")).raise_for_status()
        assert titles(ada, sort="due_date") == ["day", "noon"]


class TestLists:
    @pytest.fixture
    def tasks(self, ada: ApiUser) -> None:
        for title, fields in {
            "overdue": {"due_date": "2020-01-01", "priority": "low", "tags": ["home", "work"]},
            "done": {"due_date": "2020-01-02", "priority": "urgent", "tags": ["Home"]},
            "later": {"due_date": "2999-01-01T00:00:00Z", "priority": "high", "tags": ["a,b"]},
            "plain": {},
        }.items():
            task = ada.create(title, **fields)
            if title == "done":
                ada.http.patch(ada.tasks(f"/{task['id']}/complete")).raise_for_status()

    @pytest.mark.usefixtures("tasks")
    @pytest.mark.parametrize(
        ("parameters", "expected"),
        [
            ({"sort": "due_date"}, "overdue done later plain"),
            ({"sort": "-due_date"}, "later done overdue plain"),
            ({"sort": "due_date", "order": "desc"}, "later done overdue plain"),
            ({"sort": "-priority"}, "done later plain overdue"),
            ({"sort": "priority"}, "overdue plain later done"),
            ({"sort": "completed_at"}, "done overdue later plain"),
            ({"overdue": "true"}, "overdue"),
            ({"overdue": "false"}, "plain later done"),
            ({"has_due": "true", "sort": "due_date"}, "overdue done later"),
            ({"has_due": "false"}, "plain"),
            ({"due_before": "2020-01-02"}, "overdue"),
            ({"due_after": "2020-01-02"}, "later done"),
            ({"priority": "high,URGENT"}, "later done"),
            ({"priority": "normal"}, "plain"),
            ({"tags": "HOME"}, "done overdue"),
            ({"tags": "home,work"}, "overdue"),
            ({"tags": "hom"}, ""),
            ({"tags_any": "work,none"}, "overdue"),
            ({"tags": r"a\,b"}, "later"),
            ({"tags": " , "}, "plain later done overdue"),
            ({"status": "pending", "tags": "home", "overdue": "true"}, "overdue"),
            ({"search": "o", "has_due": "true", "sort": "-due_date"}, "done overdue"),
        ],
    )
    def test_a_list_is_filtered_and_sorted_by_details(
        self, ada: ApiUser, parameters: dict[str, str], expected: str
    ) -> None:
        in_order = titles(ada, **parameters)
        if "sort" not in parameters or parameters["sort"] == "completed_at":
            assert sorted(in_order) == sorted(expected.split())
        else:
            assert in_order == expected.split()

    @pytest.mark.usefixtures("tasks")
    def test_repeated_tags_must_all_be_there(self, ada: ApiUser) -> None:
        url = f"{ada.tasks()}&tags=home&tags=work"
        assert [task["title"] for task in ada.http.get(url).json()] == ["overdue"]

    @pytest.mark.usefixtures("tasks")
    @pytest.mark.parametrize("sort", ["due_date", "-due_date", "priority", "completed_at"])
    @pytest.mark.parametrize("limit", ["1", "2", "3"])
    def test_pages_are_the_parts_of_the_list(self, ada: ApiUser, sort: str, limit: str) -> None:
        everything = titles(ada, sort=sort)
        pages: list[str] = []
        page = ada.http.get(ada.tasks(sort=sort, limit=limit, count="true"))
        while True:
            assert page.headers["x-total-count" if not pages else "etag"]
            pages += [task["title"] for task in page.json()]
            if "next" not in page.links:
                break
            page = ada.http.get(page.links["next"]["url"])
        assert pages == everything

    @pytest.mark.parametrize(
        "parameters",
        [
            {"priority": "huge"},
            {"tags": "x" * 51},
            {"tags_any": "a\nb"},
            {"due_before": "soon"},
            {"due_after": "2026-13-01"},
            {"overdue": "perhaps"},
            {"has_due": "2"},
        ],
    )
    def test_a_parameter_that_is_not_valid_is_named(
        self, ada: ApiUser, parameters: dict[str, str]
    ) -> None:
        answer = ada.http.get(ada.tasks(**parameters))
        assert answer.status_code == 422
        [error] = problem(answer)["errors"]
        assert error["pointer"] == f"/{next(iter(parameters))}"

    @pytest.mark.usefixtures("tasks")
    def test_a_backslash_at_the_end_belongs_to_the_tag(self, ada: ApiUser) -> None:
        assert titles(ada, tags="\\") == titles(ada, tags="home\\") == []

    @pytest.mark.usefixtures("tasks")
    def test_an_answer_that_depends_on_the_time_has_no_tag(self, ada: ApiUser) -> None:
        assert "etag" not in ada.http.get(ada.tasks(overdue="true")).headers
        assert "etag" in ada.http.get(ada.tasks(due_before="2026-12-01")).headers

    @pytest.mark.usefixtures("tasks")
    def test_overdue_tasks_and_tags_are_counted(self, ada: ApiUser, bob: ApiUser) -> None:
        assert ada.http.get(ada.tasks("/stats")).json() == {
            "total": 4,
            "pending": 3,
            "completed": 1,
            "overdue": 1,
        }
        assert ada.http.get(ada.tasks("/tags")).json() == [
            {"name": "Home", "count": 2},
            {"name": "a,b", "count": 1},
            {"name": "work", "count": 1},
        ]
        assert ada.http.get("/api/tasks/tags").json() == ada.http.get(ada.tasks("/tags")).json()
        assert bob.http.get(bob.tasks("/tags")).json() == []
        assert bob.http.get(ada.tasks("/tags")).status_code == 404

    @pytest.mark.usefixtures("tasks")
    def test_a_filter_by_details_can_be_completed_or_deleted(self, ada: ApiUser) -> None:
        done = ada.http.post(ada.tasks("/complete", overdue="true"))
        assert done.json() == {"completed": 1}
        assert titles(ada, overdue="true") == []
        for blank in ({"tags": ","}, {"priority": " "}, {"tags_any": ",,"}):
            assert ada.http.delete(ada.tasks(**blank)).status_code == 422
        assert ada.http.delete(ada.tasks(tags="home", due_before="2020-01-02")).json() == {
            "deleted": 1
        }
        assert ada.http.delete(ada.tasks(has_due="true")).json() == {"deleted": 2}
        assert titles(ada) == ["plain"]


def test_many_clients_move_and_write_days_at_once(ada: ApiUser) -> None:
    zones = ("Asia/Tokyo", "America/New_York", "UTC")

    def act(number: int) -> int:
        if number % 5 == 0:
            answer = ada.http.patch("/api/auth/me", json={"time_zone": zones[number % 3]})
            return 200 if answer.status_code == 409 else answer.status_code  # both moved at once
        body = {"title": f"task {number}", "due_date": "2026-12-01"}
        return ada.http.post(ada.tasks(), json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(act, range(60)))
    assert statuses == {200, 201}
    move_to(ada, "UTC")
    ada.create("end", due_date="2026-12-01T23:59:59.999999Z")
    assert len(titles(ada, due_before="2026-12-02")) == 49
    assert titles(ada, due_before="2026-12-01T23:59:59.999999Z") == []
