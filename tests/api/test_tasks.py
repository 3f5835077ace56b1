"""Tasks over HTTP, field by field."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.support.problems import problem
from tests.support.users import ApiUser

FIELDS = [
    "id",
    "user_id",
    "title",
    "description",
    "completed",
    "created_at",
    "updated_at",
    "version",
    "status",
    "completed_at",
    "priority",
    "due_date",
    "tags",
    "reminders",
    "recurrence_rule",
    "recurrence_pattern",
    "recurrence_interval",
    "repeat_from",
    "next_id",
    "position",
    "parent_id",
]


class TestCreate:
    def test_a_created_task_is_returned_with_its_location(self, ada: ApiUser) -> None:
        answer = ada.http.post(
            ada.tasks(), json={"title": "  Buy milk ", "description": "Two\nlitres"}
        )
        task = answer.json()
        assert answer.status_code == 201
        assert list(task) == FIELDS
        assert answer.headers["location"] == f"/api/{ada.id}/tasks/{task['id']}"
        assert task["user_id"] == ada.id
        assert task["title"] == "Buy milk"
        assert task["description"] == "Two\nlitres"
        assert task["completed"] is False
        assert task["version"] == 1
        assert (task["status"], task["completed_at"]) == ("pending", None)
        assert (task["priority"], task["due_date"], task["tags"]) == ("medium", None, [])
        assert task["created_at"] == task["updated_at"]
        assert task["created_at"].endswith("Z")
        assert datetime.fromisoformat(task["created_at"]).utcoffset() is not None
        assert 0 < task["id"] < 2**53
        assert ada.http.get(f"{task_url(ada, task)}").json() == task

    @pytest.mark.parametrize("description", [None, ""])
    def test_an_empty_description_of_a_new_task_becomes_null(
        self, ada: ApiUser, description: str | None
    ) -> None:
        assert ada.create(description=description)["description"] is None

    def test_unknown_fields_of_a_new_task_are_ignored(self, ada: ApiUser, bob: ApiUser) -> None:
        task = ada.create(
            id=1, user_id=bob.id, owner_id=bob.id, completed=True, version=9, colour="red"
        )
        assert task["id"] != 1
        assert task["user_id"] == ada.id
        assert task["completed"] is False
        assert task["version"] == 1
        assert bob.list() == []

    def test_length_limits_of_tasks_count_code_points(self, ada: ApiUser) -> None:
        task = ada.create("🎉" * 200, description="é" * 1000)
        assert len(task["title"]) == 200
        assert len(task["description"]) == 1000


class TestList:
    def test_the_list_of_a_user_without_tasks_is_empty(self, ada: ApiUser) -> None:
        assert ada.list() == []

    def test_the_task_list_begins_with_the_newest_task(self, ada: ApiUser) -> None:
        tasks = [ada.create(f"No. {number}") for number in range(5)]
        assert ada.list() == tasks[::-1]

    def test_a_list_can_be_filtered_by_completion(self, ada: ApiUser) -> None:
        to_do, done = ada.create(), ada.create()
        ada.http.patch(ada.tasks(f"/{done['id']}/complete")).raise_for_status()

        def ids(completed: str) -> list[int]:
            answer = ada.http.get(ada.tasks(completed=completed))
            return [task["id"] for task in answer.json()]

        assert ids("true") == [done["id"]]
        assert ids("false") == [to_do["id"]]

    def test_unknown_query_parameters_are_ignored(self, ada: ApiUser) -> None:
        task = ada.create()
        assert ada.http.get(ada.tasks(colour="red", user_id="x")).json() == [task]


class TestPut:
    def test_put_replaces_title_and_description(self, ada: ApiUser) -> None:
        task = ada.create(description="Two litres")
        answer = ada.http.put(task_url(ada, task), json={"title": "Buy oats", "description": "x"})
        changed = answer.json()
        assert answer.status_code == 200
        assert changed == task | {
            "title": "Buy oats",
            "description": "x",
            "version": 2,
            "updated_at": changed["updated_at"],
        }
        assert changed["updated_at"] > task["updated_at"]
        assert ada.list() == [changed]

    def test_put_keeps_a_description_that_is_not_sent(self, ada: ApiUser) -> None:
        task = ada.create(description="Two litres")
        changed = ada.http.put(task_url(ada, task), json={"title": "Buy oats"}).json()
        assert changed["description"] == "Two litres"

    @pytest.mark.parametrize("description", [None, ""])
    def test_put_with_an_empty_description_clears_it(
        self, ada: ApiUser, description: str | None
    ) -> None:
        task = ada.create(description="Two litres")
        changed = ada.http.put(
            task_url(ada, task), json={"title": "Buy oats", "description": description}
        ).json()
        assert changed["description"] is None

    def test_put_does_not_change_completed(self, ada: ApiUser) -> None:
        task = ada.create()
        ada.http.patch(task_url(ada, task, "/complete")).raise_for_status()
        changed = ada.http.put(
            task_url(ada, task), json={"title": "Buy oats", "completed": False}
        ).json()
        assert changed["completed"] is True

    def test_put_requires_a_title(self, ada: ApiUser) -> None:
        task = ada.create()
        answer = ada.http.put(task_url(ada, task), json={"description": "x"})
        assert answer.status_code == 422
        assert problem(answer)["errors"] == [
            {"pointer": "/title", "code": "required", "message": "Title is required."}
        ]


class TestPatch:
    @pytest.mark.parametrize(
        "change",
        [
            {"title": "Buy oats"},
            {"description": "x"},
            {"description": None},
            {"completed": True},
            {"title": "Buy oats", "description": "x", "completed": True},
        ],
    )
    def test_patch_keeps_the_values_of_fields_that_are_not_sent(
        self, ada: ApiUser, change: dict[str, object]
    ) -> None:
        task = ada.create(description="Two litres")
        answer = ada.http.patch(task_url(ada, task), json=change)
        changed = answer.json()
        assert answer.status_code == 200
        now = {"version": 2, "updated_at": changed["updated_at"]}
        state = {"status": "completed", "completed_at": changed["updated_at"]}
        assert changed == task | change | now | (state if "completed" in change else {})

    def test_a_patch_without_changes_leaves_the_task_as_it_was(self, ada: ApiUser) -> None:
        task = ada.create()
        assert ada.http.patch(task_url(ada, task), json={}).json() == task
        assert ada.http.patch(task_url(ada, task), json={"title": "Buy milk"}).json() == task

    @pytest.mark.parametrize(
        "change", [{"title": None}, {"completed": None}, {"completed": "true"}, {"completed": 1}]
    )
    def test_a_patch_with_a_wrong_type_is_refused(
        self, ada: ApiUser, change: dict[str, object]
    ) -> None:
        task = ada.create()
        answer = ada.http.patch(task_url(ada, task), json=change)
        assert answer.status_code == 422
        [error] = problem(answer)["errors"]
        assert error["pointer"] == f"/{next(iter(change))}"
        assert error["code"] == "invalid_type"
        assert ada.list() == [task]

    def test_concurrent_edits_of_different_fields_are_all_kept(self, ada: ApiUser) -> None:
        for _ in range(10):
            task = ada.create()
            changes = [{"title": "Buy oats"}, {"description": "x"}, {"completed": True}]
            url = task_url(ada, task)
            with ThreadPoolExecutor(len(changes)) as pool:
                edits = [pool.submit(ada.http.patch, url, json=change) for change in changes]
            answers = [edit.result() for edit in edits]
            assert [answer.status_code for answer in answers] == [200] * 3
            stored = ada.http.get(task_url(ada, task)).json()
            assert (stored["title"], stored["description"], stored["completed"]) == (
                "Buy oats",
                "x",
                True,
            )
            assert stored["version"] == 4


class TestComplete:
    @pytest.mark.parametrize("body", [None, b"{}", b"null", b'{"other": 1}'])
    def test_complete_without_a_value_toggles_completed(
        self, ada: ApiUser, body: bytes | None
    ) -> None:
        task = ada.create()
        url = task_url(ada, task, "/complete")
        headers = {"Content-Type": "application/json"}
        flipped = ada.http.patch(url, content=body, headers=headers)
        assert flipped.status_code == 200
        assert flipped.json()["completed"] is True
        assert ada.http.patch(url, content=body, headers=headers).json()["completed"] is False

    @pytest.mark.parametrize("completed", [True, False])
    def test_complete_with_a_value_sets_completed(self, ada: ApiUser, completed: bool) -> None:
        task = ada.create()
        url = task_url(ada, task, "/complete")
        for _ in range(2):
            answer = ada.http.patch(url, json={"completed": completed})
            assert answer.json()["completed"] is completed

    @pytest.mark.parametrize("completed", ["true", 1, 0, "yes", [], {}, None])
    def test_complete_refuses_a_value_that_is_not_a_boolean(
        self, ada: ApiUser, completed: object
    ) -> None:
        task = ada.create()
        answer = ada.http.patch(task_url(ada, task, "/complete"), json={"completed": completed})
        assert answer.status_code == 422
        assert problem(answer)["errors"][0]["pointer"] == "/completed"
        assert ada.list() == [task]

    def test_concurrent_toggles_each_take_effect(self, ada: ApiUser) -> None:
        task = ada.create()
        url = task_url(ada, task, "/complete")
        with ThreadPoolExecutor(15) as pool:
            answers = list(pool.map(lambda _: ada.http.patch(url), range(15)))
        assert [answer.status_code for answer in answers] == [200] * 15
        stored = ada.http.get(task_url(ada, task)).json()
        assert stored["completed"] is True
        assert stored["version"] == 16


class TestDelete:
    def test_a_deleted_task_is_not_found_afterwards(self, ada: ApiUser) -> None:
        task, other = ada.create(), ada.create()
        answer = ada.http.delete(task_url(ada, task))
        assert (answer.status_code, answer.content) == (204, b"")
        assert ada.list() == [other]
        assert ada.http.delete(task_url(ada, task)).status_code == 404

    def test_of_many_concurrent_deletions_of_a_task_exactly_one_succeeds(
        self, ada: ApiUser
    ) -> None:
        url = task_url(ada, ada.create())
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda _: ada.http.delete(url).status_code, range(8)))
        assert sorted(statuses) == [204] + [404] * 7


def task_url(user: ApiUser, task: dict[str, Any], path: str = "") -> httpx.URL:
    return user.tasks(f"/{task['id']}{path}")
