"""Changes of many tasks in one request."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from tests.support.problems import problem
from tests.support.servers import running_server
from tests.support.settings import on_sqlite
from tests.support.users import ApiUser
from todo_api.runtime.threads import WorkerThreads


def send(
    user: ApiUser, *operations: Any, headers: dict[str, str] | None = None, **body: Any
) -> httpx.Response:
    """Send a bulk of these operations."""
    document = {"operations": operations, **body}
    return user.http.post(user.tasks("/bulk"), json=document, headers=headers)


def refusal(answer: httpx.Response, status: int) -> list[tuple[str, str]]:
    """Return the pointers and codes of a refusal with this status."""
    assert answer.status_code == status, answer.text
    return [(error["pointer"], error["code"]) for error in problem(answer)["errors"]]


class TestBulk:
    def test_the_results_are_in_the_order_of_the_operations(self, ada: ApiUser) -> None:
        first, second = ada.create("one", description="the first"), ada.create("two")
        answer = send(
            ada,
            {"create": {"title": "three"}},
            {"update": {"id": first["id"], "title": "1"}},
            {"complete": {"id": first["id"], "version": 2}},
            {"delete": {"id": second["id"]}},
        )
        assert answer.status_code == 200, answer.text
        created, updated, completed, deleted = answer.json()["results"]
        assert (created["task"]["title"], created["task"]["version"]) == ("three", 1)
        assert updated["task"].items() >= {"title": "1", "version": 2, "completed": False}.items()
        assert updated["task"]["description"] == "the first"
        assert completed["task"].items() >= {"version": 3, "completed": True}.items()
        assert deleted == {"deleted": second["id"]}
        assert ada.list() == [created["task"], completed["task"]]

    def test_fields_that_are_null_or_missing_mean_what_they_mean_for_one_task(
        self, ada: ApiUser
    ) -> None:
        task = ada.create("one", description="the first")
        answer = send(
            ada,
            {"update": {"id": task["id"], "completed": True, "unknown": 1}},
            {"update": {"id": task["id"], "description": None}},
            {"complete": {"id": task["id"], "completed": False}},
        )
        [completed, cleared, reopened] = [each["task"] for each in answer.json()["results"]]
        assert (completed["completed"], completed["description"]) == (True, "the first")
        assert (cleared["completed"], cleared["description"]) == (True, None)
        assert (reopened["completed"], reopened["version"]) == (False, 4)

    def test_a_task_can_be_completed_and_reopened_by_a_status(self, ada: ApiUser) -> None:
        task = ada.create("one")
        for status in ("completed", "pending"):
            answer = send(ada, {"complete": {"id": task["id"], "status": status}})
            [result] = answer.json()["results"]
            assert result["task"]["status"] == status

    def test_a_missing_task_is_named_by_its_operation_and_nothing_is_changed(
        self, ada: ApiUser
    ) -> None:
        task = ada.create()
        answer = send(
            ada, {"create": {"title": "new"}}, {"delete": {"id": task["id"]}}, {"delete": {"id": 1}}
        )
        assert refusal(answer, 404) == [("/operations/2/delete", "task_not_found")]
        assert problem(answer)["code"] == "task_not_found"
        assert ada.list() == [task]

    @pytest.mark.parametrize("kind", ["update", "complete", "delete"])
    def test_a_stale_version_is_named_by_its_operation(self, ada: ApiUser, kind: str) -> None:
        task = ada.create()
        answer = send(ada, {"create": {"title": "new"}}, {kind: {"id": task["id"], "version": 2}})
        assert refusal(answer, 412) == [(f"/operations/1/{kind}", "stale_version")]
        assert problem(answer)["code"] == "stale_version"
        assert answer.headers["etag"] == '"1"'
        assert ada.list() == [task]

    def test_every_field_that_is_not_valid_has_a_pointer(self, ada: ApiUser) -> None:
        answer = send(
            ada,
            {"create": {"title": ""}},
            {"delete": {"id": 1}},
            {"update": {"id": 1, "title": "a\nb", "description": "a" * 1001}},
        )
        assert refusal(answer, 422) == [
            ("/operations/0/create/title", "too_short"),
            ("/operations/2/update/title", "invalid_characters"),
            ("/operations/2/update/description", "too_long"),
        ]

    @pytest.mark.parametrize(
        ("operation", "pointer", "code"),
        [
            ({}, "", "invalid_operation"),
            ({"create": {"title": "a"}, "delete": {"id": 1}}, "", "invalid_operation"),
            ({"move": {"id": 1}}, "", "invalid_operation"),
            (5, "", "invalid_type"),
            ({"create": None}, "/create", "invalid_type"),
            ({"create": {}}, "/create/title", "required"),
            ({"update": {"title": "a"}}, "/update/id", "required"),
            ({"complete": {"id": "1"}}, "/complete/id", "invalid_type"),
            ({"complete": {"id": 1.5}}, "/complete/id", "invalid_type"),
            ({"complete": {"id": True}}, "/complete/id", "invalid_type"),
            ({"complete": {"id": 1, "completed": None}}, "/complete/completed", "invalid_type"),
            ({"delete": {"id": 1, "version": '"1"'}}, "/delete/version", "invalid_type"),
        ],
    )
    def test_an_operation_that_is_malformed_is_refused(
        self, ada: ApiUser, operation: Any, pointer: str, code: str
    ) -> None:
        answer = send(ada, {"create": {"title": "new"}}, operation)
        assert refusal(answer, 422) == [(f"/operations/1{pointer}", code)]
        assert ada.list() == []

    @pytest.mark.parametrize(
        ("operations", "code"),
        [([], "too_short"), ([{}] * 501, "too_long"), ({}, "invalid_type"), (None, "invalid_type")],
    )
    def test_operations_are_a_list_of_1_to_500(
        self, ada: ApiUser, operations: Any, code: str
    ) -> None:
        answer = ada.http.post(ada.tasks("/bulk"), json={"operations": operations})
        assert refusal(answer, 422) == [("/operations", code)]
        if code == "too_long":
            assert problem(answer)["detail"] == "Operations must have at most 500 items."

    def test_500_tasks_of_100_characters_fit_into_the_usual_limit(self, ada: ApiUser) -> None:
        answer = send(ada, *({"create": {"title": "a" * 90}} for _ in range(500)))
        assert answer.status_code == 200
        ids = {each["task"]["id"] for each in answer.json()["results"]}
        assert ids == {task["id"] for task in ada.list()}
        assert len(ids) == 500

    def test_a_body_beyond_the_limit_is_refused(self, ada: ApiUser) -> None:
        task = {"title": "a", "description": "b" * 1000}
        answer = send(ada, *({"create": task} for _ in range(500)))
        assert answer.status_code == 413
        assert ada.list() == []

    def test_a_version_is_required_of_each_operation_where_if_match_is(
        self, tmp_path: Path
    ) -> None:
        with (
            on_sqlite(tmp_path) as settings,
            running_server(settings.model_copy(update={"require_if_match": True})) as server,
        ):
            ada = server.register()
            with ada.http:
                task = ada.create()
                answer = send(ada, {"create": {"title": "a"}}, {"complete": {"id": task["id"]}})
                assert refusal(answer, 428) == [("/operations/1/complete/version", "required")]
                assert problem(answer)["code"] == "precondition_required"
                complete = {"complete": {"id": task["id"], "version": 1}}
                assert send(ada, {"create": {"title": "a"}}, complete).status_code == 200
                chosen = ada.http.delete(ada.tasks(completed="true"))
                assert chosen.json() == {"deleted": 1}


class TestFilters:
    @pytest.fixture(autouse=True)
    def tasks(self, ada: ApiUser) -> list[dict[str, Any]]:
        """Three tasks of Ada, of which the second is completed."""
        tasks = [ada.create(title) for title in ("one", "two", "three")]
        url = ada.tasks(f"/{tasks[1]['id']}/complete")
        tasks[1] = ada.http.patch(url, json={"completed": True}).json()
        return tasks

    @pytest.mark.parametrize("parameters", [{"completed": "true"}, {"status": "Completed"}])
    def test_completed_tasks_can_be_deleted(
        self, ada: ApiUser, tasks: list[dict[str, Any]], parameters: dict[str, str]
    ) -> None:
        answer = ada.http.delete(ada.tasks(**parameters))
        assert (answer.status_code, answer.json()) == (200, {"deleted": 1})
        assert ada.list() == [tasks[2], tasks[0]]
        assert ada.http.delete(ada.tasks(**parameters)).json() == {"deleted": 0}

    def test_pending_tasks_can_be_completed(self, ada: ApiUser) -> None:
        answer = ada.http.post(ada.tasks("/complete", status="pending"))
        assert (answer.status_code, answer.json()) == (200, {"completed": 2})
        assert [(task["completed"], task["version"]) for task in ada.list()] == [(True, 2)] * 3

    def test_tasks_can_be_chosen_by_time(self, ada: ApiUser, tasks: list[dict[str, Any]]) -> None:
        since = tasks[0]["created_at"]
        answer = ada.http.post(ada.tasks("/complete", created_after=since))
        assert answer.json() == {"completed": 1}
        answer = ada.http.delete(ada.tasks(created_after=since))
        assert answer.json() == {"deleted": 2}
        assert ada.list() == [tasks[0]]

    def test_all_tasks_are_chosen_by_saying_so(self, ada: ApiUser) -> None:
        assert ada.http.delete(ada.tasks(status="all")).json() == {"deleted": 3}
        assert ada.list() == []

    @pytest.mark.parametrize(("method", "path"), [("DELETE", ""), ("POST", "/complete")])
    @pytest.mark.parametrize(
        ("parameters", "error"),
        [
            ({}, ("", "filter_required")),
            ({"sort": "created_at"}, ("", "filter_required")),
            ({"complete": "true"}, ("", "filter_required")),
            ({"completed": ""}, ("", "filter_required")),
            ({"completed": "perhaps"}, ("/completed", "invalid_value")),
            ({"completed": "true", "limit": "1"}, ("/limit", "not_allowed")),
            ({"completed": "true", "cursor": "x"}, ("/cursor", "not_allowed")),
            ({"completed": "true", "skip": "1"}, ("/skip", "not_allowed")),
            ({"search": " "}, ("/search", "blank")),
            ({"q": "\u3000"}, ("/q", "blank")),
            ({"status": "all", "search": "\t"}, ("/search", "blank")),
            ({"search": "nothing like it", "q": ""}, ("/search", "repeated")),
            ({"search": "a", "q": "b"}, ("/q", "repeated")),
        ],
    )
    def test_a_change_of_what_is_not_chosen_is_refused(
        self,
        ada: ApiUser,
        method: str,
        path: str,
        parameters: dict[str, str],
        error: tuple[str, str],
    ) -> None:
        before = ada.list()
        answer = ada.http.request(method, ada.tasks(path, **parameters))
        assert refusal(answer, 422) == [error]
        assert ada.list() == before

    @pytest.mark.parametrize(("method", "path"), [("DELETE", ""), ("POST", "/complete")])
    def test_a_change_with_two_values_of_a_filter_is_refused(
        self, ada: ApiUser, method: str, path: str
    ) -> None:
        before = ada.list()
        url = f"{ada.tasks(path, status='completed')}&status=all"
        assert refusal(ada.http.request(method, url), 422) == [("/status", "repeated")]
        assert ada.list() == before


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "a-key"}], ids=["plain", "with a key"])
def test_a_bulk_counts_as_several_requests(tmp_path: Path, key: dict[str, str]) -> None:
    with on_sqlite(tmp_path) as settings:
        limits = {"rate_limit_enabled": True, "limit_tasks": "20/minute"}
        with running_server(settings.model_copy(update=limits)) as server:
            ada = server.register()
            with ada.http:
                for _ in range(2):  # with a key, the second one is a replay
                    answer = send(ada, *[{"create": {"title": "a"}}] * 451, headers=key)
                    assert answer.status_code == 200
                assert ada.http.get(ada.tasks()).status_code == 429


def test_a_bulk_with_a_key_does_not_pause_while_others_wait_for_its_transaction(
    ada: ApiUser,
) -> None:
    def pauses(headers: dict[str, str]) -> int:
        with patch.object(WorkerThreads, "pause") as pause:
            answer = send(ada, *[{"create": {"title": "a"}}] * 500, headers=headers)
        assert answer.status_code == 200
        return pause.call_count

    assert pauses({}) > 0
    assert pauses({"Idempotency-Key": "a-key"}) == 0
