"""Subtasks over HTTP."""

from typing import Any

import httpx
import pytest

from tests.support.problems import problem
from tests.support.users import ApiUser, every_task

type Task = dict[str, Any]  # JSON


def subtasks(ada: ApiUser, parent: Task | str, **query: str) -> list[Task]:
    parent_id = parent if isinstance(parent, str) else str(parent["id"])
    return every_task(ada.http, ada.tasks(parent_id=parent_id, sort="position", **query))


def refusal(answer: httpx.Response) -> tuple[str, list[tuple[str, str]]]:
    """Return the code of a refusal, and the pointers and codes of its errors."""
    assert answer.status_code == 422, answer.text
    document = problem(answer)
    errors = [(error["pointer"], error["code"]) for error in document["errors"]]
    return document["code"], errors


class TestParent:
    @pytest.mark.parametrize("name", ["parent_id", "parentId", "parent_task_id"])
    def test_a_task_has_a_parent_under_each_name(self, ada: ApiUser, name: str) -> None:
        parent = ada.create("Plan the party")
        task = ada.create("Buy milk", **{name: parent["id"]})
        assert (parent["parent_id"], task["parent_id"]) == (None, parent["id"])
        assert subtasks(ada, parent) == [task]
        assert subtasks(ada, "none") == subtasks(ada, "NONE") == [parent]
        assert subtasks(ada, "1") == subtasks(ada, "99999999999999999999") == []
        url = ada.tasks(f"/{task['id']}")
        for method in ("PUT", "PATCH"):  # what is not sent is kept
            kept = ada.http.request(method, url, json={"title": "Buy oats"}).json()
            assert kept["parent_id"] == parent["id"]
        changed = ada.http.patch(url, json={name: None}).json()
        assert changed["parent_id"] is None
        assert ada.http.put(url, json={"title": "Oats", name: parent["id"]}).json() == (
            changed
            | {
                "title": "Oats",
                "parent_id": parent["id"],
                "version": 4,
                "updated_at": subtasks(ada, parent)[0]["updated_at"],
            }
        )

    def test_parents_that_cannot_be_one_are_refused_alike(self, ada: ApiUser, bob: ApiUser) -> None:
        parent = ada.create("Plan the party")
        child, theirs = ada.create(parent_id=parent["id"]), bob.create()
        answers = []
        for parent_id in (theirs["id"], child["id"], 1, 0, -1, 2**63, 2**70):
            body = {"title": "Buy milk", "parent_id": parent_id}
            answers.append(ada.http.post(ada.tasks(), json=body))
            assert refusal(answers[-1]) == ("invalid_parent", [("/parent_id", "invalid_parent")])
        documents = [
            {**problem(answer), "request_id": None, "instance": None} for answer in answers
        ]
        assert all(document == documents[0] for document in documents)
        move = ada.tasks(f"/{parent['id']}/move")
        assert refusal(ada.http.post(move, json={"parent_id": child["id"]}))[0] == "invalid_parent"
        operations = [{"update": {"id": parent["id"], "parent_id": theirs["id"]}}]
        answer = ada.http.post(ada.tasks("/bulk"), json={"operations": operations})
        pointer = "/operations/0/update/parent_id"
        assert refusal(answer) == ("invalid_parent", [(pointer, "invalid_parent")])
        assert len(ada.list()) == 2

    def test_other_values_are_refused(self, ada: ApiUser) -> None:
        for value in ("1", True, 1.5, [1]):
            answer = ada.http.post(ada.tasks(), json={"title": "Buy milk", "parent_id": value})
            assert refusal(answer)[0] == "validation_failed"
        for text in ("other", "1.5", "-1", "9" * 21):
            answer = ada.http.get(ada.tasks(parent_id=text))
            assert refusal(answer)[1] == [("/parent_id", "invalid_value")]

    def test_a_move_may_change_the_parent(self, ada: ApiUser) -> None:
        parent = ada.create("Plan the party")
        first, second = (ada.create(name, parent_id=parent["id"]) for name in ("one", "two"))
        task = ada.create("three")
        move = ada.tasks(f"/{task['id']}/move")
        body = {"parent_id": parent["id"], "after": second["id"]}
        answer = ada.http.post(move, json=body)
        assert answer.status_code == 200, answer.text
        assert [each["title"] for each in subtasks(ada, parent)] == ["two", "three", "one"]
        assert ada.http.post(move, json={"parent_id": None}).json()["parent_id"] is None
        for name in ("parentId", "parent_task_id"):
            moved = ada.http.post(move, json={name: parent["id"], "before": first["id"]}).json()
            assert moved["parent_id"] == parent["id"]
            assert ada.http.post(move, json={name: None}).json()["parent_id"] is None
        assert subtasks(ada, parent) == [second, first]
        for body in ({}, {"before": first["id"], "after": second["id"]}):
            assert ada.http.post(move, json=body).status_code == 422


class TestFamily:
    def test_completing_deleting_and_restoring_take_subtasks_along(self, ada: ApiUser) -> None:
        parent = ada.create("Plan the party")
        child = ada.create(parent_id=parent["id"])
        url = ada.tasks(f"/{parent['id']}")
        ada.http.patch(ada.tasks(f"/{parent['id']}/complete")).raise_for_status()
        assert [each["status"] for each in ada.list()] == ["completed"] * 2
        assert ada.http.delete(url, headers={"If-Match": '"1"'}).status_code == 412
        assert ada.http.delete(url, headers={"If-Match": '"2"'}).status_code == 204
        assert ada.list() == []
        [deleted] = subtasks(ada, parent, deleted="true")
        assert deleted["id"] == child["id"]
        answer = ada.http.post(
            ada.tasks(f"/{parent['id']}/restore"), headers={"Idempotency-Key": "a-key"}
        )
        assert answer.json()["id"] == parent["id"]
        assert [each["id"] for each in subtasks(ada, parent)] == [child["id"]]
        changes = ada.http.get(ada.tasks("/changes")).json()["changes"]
        assert [change["id"] for change in changes] == [parent["id"], child["id"]]
        assert ada.http.delete(url.copy_merge_params({"permanent": "true"})).status_code == 204
        assert subtasks(ada, parent, deleted="true") == []

    def test_a_filter_for_subtasks_completes_and_deletes_them(self, ada: ApiUser) -> None:
        parent = ada.create("Plan the party")
        for _ in range(2):
            ada.create(parent_id=parent["id"])
        of_parent = {"parent_id": str(parent["id"])}
        answer = ada.http.post(ada.tasks("/complete", **of_parent))
        assert answer.json() == {"completed": 2}
        assert ada.http.delete(ada.tasks(**of_parent)).json() == {"deleted": 2}
        assert ada.list() == [parent]
