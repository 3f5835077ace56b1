"""The trash and the quota over HTTP."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.problems import problem
from tests.support.servers import running_server
from tests.support.settings import on_sqlite
from tests.support.users import ApiUser, every_task

type Task = dict[str, Any]  # JSON


def delete(user: ApiUser, task: Task, *, if_match: str | None = None, **query: str) -> str:
    """Send a request to delete the task, and return the status or the code of the problem."""
    headers = {} if if_match is None else {"If-Match": if_match}
    answer = user.http.delete(user.tasks(f"/{task['id']}", **query), headers=headers)
    return "204" if answer.status_code == 204 else str(problem(answer)["code"])


def restore(user: ApiUser, task: Task, **headers: str) -> httpx.Response:
    return user.http.post(user.tasks(f"/{task['id']}/restore"), headers=headers)


def trash(user: ApiUser, **query: str) -> list[Task]:
    return every_task(user.http, user.tasks(deleted="true", **query))


def refusal(answer: httpx.Response, status: int) -> list[tuple[str, str]]:
    """Return the pointers and codes of a refusal with this status."""
    assert answer.status_code == status, answer.text
    return [(error["pointer"], error["code"]) for error in problem(answer)["errors"]]


class TestTrash:
    def test_a_deleted_task_is_in_the_trash_until_it_is_restored(self, ada: ApiUser) -> None:
        kept, task = ada.create("kept"), ada.create("deleted", description="the second")
        answer = ada.http.delete(ada.tasks(f"/{task['id']}"))
        assert (answer.status_code, answer.content) == (204, b"")
        assert trash(ada) == [task]
        assert ada.list() == [kept]
        answer = restore(ada, task)
        assert answer.status_code == 200
        restored = answer.json()
        assert restored == task | {"version": 2, "updated_at": restored["updated_at"]}
        assert restored["updated_at"] > task["updated_at"]
        assert answer.headers["etag"] == '"2"'
        assert trash(ada) == []
        assert ada.list() == [restored, kept]
        assert ada.http.get(ada.tasks(f"/{task['id']}")).json() == restored

    def test_stats_count_nothing_of_the_trash(self, ada: ApiUser) -> None:
        tasks = [ada.create() for _ in range(3)]
        ada.http.patch(ada.tasks(f"/{tasks[0]['id']}/complete"), json={"completed": True})
        delete(ada, tasks[0])
        delete(ada, tasks[1])
        url = ada.tasks("/stats")
        expected = {"total": 1, "pending": 1, "completed": 0}
        assert ada.http.get(url).json().items() >= expected.items()
        restore(ada, tasks[0])
        expected = {"total": 2, "pending": 1, "completed": 1}
        assert ada.http.get(url).json().items() >= expected.items()

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "", None),
            ("PUT", "", {"title": "Mine"}),
            ("PATCH", "", {"title": "Mine"}),
            ("PATCH", "/complete", {"completed": True}),
            ("PATCH", "/complete", None),
            ("DELETE", "", None),
        ],
    )
    @pytest.mark.parametrize("permanent", ["false", "true"])
    @pytest.mark.parametrize("if_match", [None, '"1"', '"7"'])
    def test_a_deleted_task_is_not_found(
        self,
        ada: ApiUser,
        method: str,
        path: str,
        body: object,
        permanent: str,
        if_match: str | None,
    ) -> None:
        task = ada.create()
        assert delete(ada, task, permanent=permanent) == "204"
        headers = {} if if_match is None else {"If-Match": if_match}
        url = ada.tasks(f"/{task['id']}{path}")
        answer = ada.http.request(method, url, json=body, headers=headers)
        assert answer.status_code == 404
        assert problem(answer)["code"] == "task_not_found"
        assert "etag" not in answer.headers
        assert trash(ada) == ([task] if permanent == "false" else [])

    @pytest.mark.parametrize("kind", ["update", "complete", "delete"])
    def test_a_deleted_task_is_not_found_by_an_operation_of_a_bulk(
        self, ada: ApiUser, kind: str
    ) -> None:
        task = ada.create()
        delete(ada, task)
        fields = {"title": "Mine"} if kind == "update" else {}
        operations = [{"create": {"title": "new"}}, {kind: {"id": task["id"], **fields}}]
        answer = ada.http.post(ada.tasks("/bulk"), json={"operations": operations})
        assert refusal(answer, 404) == [(f"/operations/1/{kind}", "task_not_found")]
        assert ada.list() == []
        assert trash(ada) == [task]

    def test_what_a_filter_or_a_bulk_deletes_is_in_the_trash(self, ada: ApiUser) -> None:
        tasks = [ada.create(title) for title in ("one", "two", "three")]
        operations = [{"delete": {"id": tasks[0]["id"]}}]
        ada.http.post(ada.tasks("/bulk"), json={"operations": operations}).raise_for_status()
        assert ada.http.delete(ada.tasks(search="t")).json() == {"deleted": 2}
        assert trash(ada) == tasks[::-1]
        assert ada.http.delete(ada.tasks(status="all")).json() == {"deleted": 0}
        completed = ada.http.post(ada.tasks("/complete", status="all"))
        assert completed.json() == {"completed": 0}
        assert trash(ada) == tasks[::-1]

    def test_a_filter_cannot_choose_the_trash(self, ada: ApiUser) -> None:
        task = ada.create()
        delete(ada, task)
        for send, path in ((ada.http.delete, ""), (ada.http.post, "/complete")):
            answer = send(ada.tasks(path, deleted="true", completed="false"))
            assert refusal(answer, 422) == [("/deleted", "not_allowed")]
        assert trash(ada) == [task]

    def test_a_task_that_is_not_in_the_trash_is_not_restored(self, ada: ApiUser) -> None:
        task = ada.create()
        for missing in (task, {"id": 1}, {"id": 0}, {"id": "x"}, {"id": 10**30}):
            answer = restore(ada, missing)
            assert answer.status_code == 404
            assert problem(answer)["code"] == "task_not_found"
        delete(ada, task)
        assert restore(ada, task).status_code == 200
        assert restore(ada, task).status_code == 404
        assert ada.http.get(ada.tasks(f"/{task['id']}")).json()["version"] == 2

    def test_a_restore_with_a_key_takes_effect_once(self, ada: ApiUser) -> None:
        task = ada.create()
        delete(ada, task)
        first, second = (restore(ada, task, **{"Idempotency-Key": "a-key"}) for _ in range(2))
        assert first.content == second.content
        assert second.headers["etag"] == first.headers["etag"] == '"2"'
        assert "idempotent-replayed" in second.headers
        assert ada.list() == [first.json()]

    def test_the_trash_is_listed_like_other_tasks(self, ada: ApiUser) -> None:
        tasks = [ada.create(title) for title in ("b", "a", "Ä", "c", "BB")]
        ada.http.patch(ada.tasks(f"/{tasks[3]['id']}/complete"), json={}).raise_for_status()
        for task in tasks:
            delete(ada, task)
        ada.create("a")

        def titles(**query: str) -> list[str]:
            return [task["title"] for task in trash(ada, **query)]

        assert titles() == ["BB", "c", "Ä", "a", "b"]
        assert titles(limit="2") == titles()
        assert titles(order="asc") == ["b", "a", "Ä", "c", "BB"]
        assert titles(sort="title", limit="1") == ["a", "b", "BB", "c", "Ä"]
        assert titles(status="completed") == ["c"]
        assert titles(completed="false", q="b") == ["BB", "b"]
        assert titles(created_after=tasks[2]["created_at"]) == ["BB", "c"]
        assert titles(skip="3") == ["a", "b"]
        answer = ada.http.get(ada.tasks(deleted="true", limit="2", count="true"))
        assert answer.headers["x-total-count"] == "5"
        cursor = httpx.QueryParams(urlsplit(answer.links["next"]["url"]).query)["cursor"]
        without = ada.http.get(ada.tasks(limit="2", cursor=cursor))
        assert without.status_code == 400
        assert problem(without)["code"] == "invalid_cursor"
        assert [task["title"] for task in ada.list()] == ["a"]

    def test_a_list_of_the_trash_has_no_tag_and_is_always_sent(self, ada: ApiUser) -> None:
        task = ada.create()
        delete(ada, task)
        tag = ada.http.get(ada.tasks()).headers["etag"]
        for known in (tag, "*", tag.removeprefix("W/")):
            answer = ada.http.get(ada.tasks(deleted="true"), headers={"If-None-Match": known})
            assert answer.status_code == 200
            assert "etag" not in answer.headers
            assert answer.json() == [task]
        listed = ada.http.get(ada.tasks(deleted="false"))
        assert "etag" in listed.headers
        assert listed.json() == []

    def test_whether_tasks_are_deleted_is_true_or_false(self, ada: ApiUser) -> None:
        answer = ada.http.get(ada.tasks(deleted="maybe"))
        assert refusal(answer, 422) == [("/deleted", "invalid_value")]

    def test_the_trash_is_below_the_alias_too(self, ada: ApiUser) -> None:
        task = ada.create()
        assert ada.http.delete(f"/api/tasks/{task['id']}").status_code == 204
        assert ada.http.get("/api/tasks?deleted=true").json() == [task]
        assert ada.http.post(f"/api/tasks/{task['id']}/restore").json()["version"] == 2


class TestDeletions:
    def test_a_permanent_deletion_leaves_nothing_in_the_trash(self, ada: ApiUser) -> None:
        task = ada.create()
        assert delete(ada, task, permanent="true") == "204"
        assert trash(ada) == []
        assert ada.list() == []
        assert restore(ada, task).status_code == 404

    def test_a_task_in_the_trash_can_be_deleted_permanently_once(self, ada: ApiUser) -> None:
        task, other = ada.create(), ada.create()
        delete(ada, task)
        delete(ada, other)
        assert delete(ada, task) == "task_not_found"
        assert delete(ada, task, permanent="false") == "task_not_found"
        assert delete(ada, task, permanent="true") == "204"
        assert trash(ada) == [other]
        assert delete(ada, task, permanent="true") == "task_not_found"
        assert restore(ada, task).status_code == 404

    @pytest.mark.parametrize("permanent", ["maybe", "2", "tru", "null"])
    def test_whether_a_deletion_is_permanent_is_true_or_false(
        self, ada: ApiUser, permanent: str
    ) -> None:
        task = ada.create()
        answer = ada.http.delete(ada.tasks(f"/{task['id']}", permanent=permanent))
        assert refusal(answer, 422) == [("/permanent", "invalid_value")]
        assert ada.list() == [task]

    @pytest.mark.parametrize("permanent", ["", "false", "0", "False"])
    def test_a_deletion_is_not_permanent_unless_it_says_so(
        self, ada: ApiUser, permanent: str
    ) -> None:
        task = ada.create()
        assert delete(ada, task, permanent=permanent) == "204"
        assert trash(ada) == [task]

    @pytest.mark.parametrize("permanent", ["false", "true"])
    def test_only_the_version_that_the_client_has_is_deleted(
        self, ada: ApiUser, permanent: str
    ) -> None:
        task = ada.create()
        url = ada.tasks(f"/{task['id']}", permanent=permanent)
        task = ada.http.patch(url, json={"title": "Buy oats"}).json()
        for stale in ('"1"', 'W/"2"', '"x"', '"1", "3"'):
            answer = ada.http.delete(url, headers={"If-Match": stale})
            assert answer.status_code == 412
            assert problem(answer)["code"] == "stale_version"
            assert answer.headers["etag"] == '"2"'
        assert ada.list() == [task]
        assert delete(ada, task, permanent=permanent, if_match='"1", "2"') == "204"
        assert trash(ada) == ([task] if permanent == "false" else [])

    def test_only_the_version_that_the_client_has_is_deleted_from_the_trash(
        self, ada: ApiUser, bob: ApiUser
    ) -> None:
        task = ada.create()
        url = ada.tasks(f"/{task['id']}", permanent="true")
        task = ada.http.patch(url, json={"title": "Buy oats"}).json()
        delete(ada, task)
        for stale in ('"1"', 'W/"2"', '"x"', '"1", "3"'):
            answer = ada.http.delete(url, headers={"If-Match": stale})
            assert answer.status_code == 412
            assert problem(answer)["code"] == "stale_version"
            assert answer.headers["etag"] == '"2"'
        assert trash(ada) == [task]
        for if_match in ('"1"', '"2"', "*"):
            assert delete(bob, task, permanent="true", if_match=if_match) == "task_not_found"
            assert delete(ada, task, if_match=if_match) == "task_not_found"
        assert delete(ada, task, permanent="true", if_match='"1", "2"') == "204"
        assert trash(ada) == []
        for if_match in ('"1"', '"2"', "*"):
            assert delete(ada, task, permanent="true", if_match=if_match) == "task_not_found"

    def test_a_task_that_was_restored_is_not_deleted_from_the_trash(self, ada: ApiUser) -> None:
        task = ada.create()
        delete(ada, task)
        restored = restore(ada, task).json()
        answer = ada.http.delete(
            ada.tasks(f"/{task['id']}", permanent="true"), headers={"If-Match": '"1"'}
        )
        assert answer.status_code == 412
        assert answer.headers["etag"] == '"2"'
        assert ada.list() == [restored]
        delete(ada, task)
        assert delete(ada, task, permanent="true", if_match="*") == "204"
        assert trash(ada) == []

    def test_a_deletion_with_a_key_takes_effect_once(self, ada: ApiUser) -> None:
        task = ada.create()
        headers = {"Idempotency-Key": "a-key"}
        url = ada.tasks(f"/{task['id']}")
        assert ada.http.delete(url, headers=headers).status_code == 204
        restored = restore(ada, task).json()
        assert ada.http.delete(url, headers=headers).status_code == 204
        assert ada.list() == [restored]
        permanent = ada.http.delete(ada.tasks(f"/{task['id']}", permanent="true"), headers=headers)
        assert permanent.status_code == 422
        assert problem(permanent)["code"] == "idempotency_key_reused"


class TestQuota:
    @pytest.fixture
    def ada(self, tmp_path: Path) -> Iterator[ApiUser]:
        """A user who may have three tasks."""
        with (
            on_sqlite(tmp_path) as settings,
            running_server(settings.model_copy(update={"max_tasks_per_user": 3})) as server,
        ):
            user = server.register()
            with user.http:
                yield user

    @pytest.fixture
    def tasks(self, ada: ApiUser) -> list[Task]:
        """As many tasks as Ada may have."""
        return [ada.create(title) for title in ("one", "two", "three")]

    def test_a_task_beyond_the_quota_is_refused(self, ada: ApiUser, tasks: list[Task]) -> None:
        answer = ada.http.post(ada.tasks(), json={"title": "four"})
        assert answer.status_code == 409
        assert problem(answer)["code"] == "quota_exceeded"
        assert ada.list() == tasks[::-1]
        delete(ada, tasks[0])
        assert ada.create("four")["title"] == "four"

    def test_a_refused_task_may_be_sent_again_with_its_key(
        self, ada: ApiUser, tasks: list[Task]
    ) -> None:
        def send() -> httpx.Response:
            headers = {"Idempotency-Key": "a-key"}
            return ada.http.post(ada.tasks(), json={"title": "four"}, headers=headers)

        assert [send().status_code for _ in range(2)] == [409, 409]
        delete(ada, tasks[0])
        assert send().status_code == 201
        assert send().headers["idempotent-replayed"]

    def test_a_restore_beyond_the_quota_is_refused(self, ada: ApiUser, tasks: list[Task]) -> None:
        delete(ada, tasks[0])
        other = ada.create("four")
        answer = restore(ada, tasks[0])
        assert answer.status_code == 409
        assert problem(answer)["code"] == "quota_exceeded"
        assert trash(ada) == [tasks[0]]
        delete(ada, other)
        assert restore(ada, tasks[0]).status_code == 200

    def test_a_bulk_beyond_the_quota_changes_nothing(self, ada: ApiUser, tasks: list[Task]) -> None:
        def send(*operations: object) -> httpx.Response:
            return ada.http.post(ada.tasks("/bulk"), json={"operations": operations})

        new: Callable[[str], object] = lambda title: {"create": {"title": title}}  # noqa: E731 - short
        first = {"delete": {"id": tasks[0]["id"]}}
        answer = send(first, new("four"), new("five"))
        assert refusal(answer, 409) == [("/operations/2/create", "quota_exceeded")]
        assert problem(answer)["code"] == "quota_exceeded"
        assert ada.list() == tasks[::-1]
        assert trash(ada) == []
        assert refusal(send(new("four"), first), 409)[0][0] == "/operations/0/create"
        assert send(first, new("four")).status_code == 200
        assert [task["title"] for task in ada.list()] == ["four", "three", "two"]

    def test_a_missing_task_is_not_found_though_the_quota_is_exceeded(
        self, ada: ApiUser, tasks: list[Task]
    ) -> None:
        assert restore(ada, tasks[0]).status_code == 404
