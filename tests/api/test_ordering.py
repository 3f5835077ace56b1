"""The order that users give their tasks by hand, over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.problems import problem
from tests.support.servers import running_server
from tests.support.settings import embedded_settings, migrate
from tests.support.users import ApiUser

HEADERS = {"Idempotency-Key": "a-key"}


@pytest.fixture
def tasks(ada: ApiUser) -> dict[str, dict[str, Any]]:
    """Return some tasks by their titles, the last one being the first in the order."""
    return {title: ada.create(title) for title in "dcba"}


def order(ada: ApiUser, **parameters: str) -> str:
    answer = ada.http.get(ada.tasks(sort="position", **parameters))
    return "".join(task["title"] for task in answer.json())


def move(ada: ApiUser, task: dict[str, Any], **body: object) -> httpx.Response:
    return ada.http.post(ada.tasks(f"/{task['id']}/move"), json=body)


def reorder(ada: ApiUser, *ids: object) -> httpx.Response:
    return ada.http.patch(ada.tasks("/reorder"), json={"task_ids": ids})


class TestPositions:
    def test_new_tasks_come_first(self, ada: ApiUser, tasks: dict[str, Any]) -> None:
        assert order(ada) == "abcd"
        positions = [tasks[title]["position"] for title in "abcd"]
        assert positions == sorted(set(positions))
        in_reverse = ada.http.get(ada.tasks(sort="-position")).json()
        assert [task["title"] for task in in_reverse] == ["d", "c", "b", "a"]

    def test_a_position_is_read_only(self, ada: ApiUser, tasks: dict[str, Any]) -> None:
        url = ada.tasks(f"/{tasks['a']['id']}")
        for method in ("PUT", "PATCH"):
            body = {"title": "a", "position": tasks["d"]["position"]}
            assert ada.http.request(method, url, json=body).json() == tasks["a"]

    def test_a_list_in_this_order_has_pages(self, ada: ApiUser, tasks: dict[str, Any]) -> None:
        move(ada, tasks["d"], before=tasks["b"]["id"]).raise_for_status()
        for sort, expected in (("position", "adbc"), ("-position", "cbda")):
            titles = ""
            page = ada.http.get(ada.tasks(sort=sort, limit="1"))
            while True:
                titles += page.json()[0]["title"]
                if "next" not in page.links:
                    break
                page = ada.http.get(page.links["next"]["url"])
            assert titles == expected


class TestMove:
    @pytest.mark.parametrize(
        ("moved", "place", "other", "expected"),
        [
            ("d", "before", "a", "dabc"),
            ("d", "before", "b", "adbc"),
            ("d", "after", "a", "adbc"),
            ("a", "after", "d", "bcda"),
            ("a", "before", "d", "bcad"),
            ("b", "after", "c", "acbd"),
            ("b", "before", "c", "abcd"),
            ("b", "after", "a", "abcd"),
            ("b", "after", "b", "abcd"),
            ("b", "before", "b", "abcd"),
        ],
    )
    def test_a_task_is_moved_next_to_another_one(
        self, ada: ApiUser, tasks: dict[str, Any], moved: str, place: str, other: str, expected: str
    ) -> None:
        answer = move(ada, tasks[moved], **{place: tasks[other]["id"]})
        assert answer.status_code == 200
        assert order(ada) == expected
        task = answer.json()
        assert answer.headers["etag"] == f'"{task["version"]}"'
        assert ada.http.get(ada.tasks(f"/{task['id']}")).json() == task
        for title in "abcd".replace(moved, ""):
            stored = ada.http.get(ada.tasks(f"/{tasks[title]['id']}")).json()
            assert stored == tasks[title], "the others have not changed"

    def test_a_new_task_comes_before_one_that_was_moved_to_the_top(
        self, ada: ApiUser, tasks: dict[str, Any]
    ) -> None:
        move(ada, tasks["c"], before=tasks["a"]["id"]).raise_for_status()
        ada.create("n")
        assert order(ada) == "ncabd"

    @pytest.mark.parametrize("place", ["before", "after"])
    def test_a_task_of_nobody_or_somebody_else_is_not_found(
        self, ada: ApiUser, bob: ApiUser, tasks: dict[str, Any], place: str
    ) -> None:
        bobs = bob.create()
        for other in (bobs["id"], 1, 0, -1, 2**63):
            assert move(ada, tasks["a"], **{place: other}).status_code == 404
        assert move(ada, bobs, **{place: tasks["a"]["id"]}).status_code == 404
        assert move(bob, bobs, **{place: tasks["a"]["id"]}).status_code == 404
        assert order(ada) == "abcd"
        assert bob.list() == [bobs]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"before": 1, "after": 2},
            {"before": None},
            {"before": "1"},
            {"after": True},
            {"x": 1},
        ],
    )
    def test_exactly_one_place_is_required(
        self, ada: ApiUser, tasks: dict[str, Any], body: dict[str, object]
    ) -> None:
        assert move(ada, tasks["a"], **body).status_code == 422
        assert order(ada) == "abcd"

    @pytest.mark.parametrize("body", [{}, {"before": 1, "after": 2}])
    def test_the_error_says_which_places_there_are(
        self, ada: ApiUser, tasks: dict[str, Any], body: dict[str, object]
    ) -> None:
        [error] = problem(move(ada, tasks["a"], **body))["errors"]
        assert (error["pointer"], error["code"]) == ("", "invalid_value")
        assert error["message"] == (
            "The body must have before, after or parent_id, and not both of the first two."
        )

    def test_a_move_is_a_safe_write(self, ada: ApiUser, tasks: dict[str, Any]) -> None:
        url = ada.tasks(f"/{tasks['d']['id']}/move")
        body = {"before": tasks["a"]["id"]}
        stale = ada.http.post(url, json=body, headers={"If-Match": '"9"'})
        assert (stale.status_code, problem(stale)["code"]) == (412, "stale_version")
        assert order(ada) == "abcd"
        first = ada.http.post(url, json=body, headers=HEADERS | {"If-Match": '"1"'})
        assert (first.status_code, first.json()["version"]) == (200, 2)
        again = ada.http.post(url, json=body, headers=HEADERS | {"If-Match": '"1"'})
        assert again.headers["idempotent-replayed"] == "true"
        assert again.json() == first.json()
        changes = ada.http.get(ada.tasks("/changes")).json()["changes"]
        assert changes[-1]["task"] == first.json()

    def test_tasks_fit_at_one_place_however_many(self, ada: ApiUser) -> None:
        first, second = (ada.create(title) for title in "ab")
        others = [ada.create(f"{number}") for number in range(30)]
        titles = ["b", "a"]
        for number in range(1300):  # a thousand ranks between two others become too long
            moved = others[number % len(others)]
            answer = move(ada, moved, after=second["id"])
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["position"]) < 200
            titles = [title for title in titles if title != moved["title"]]
            titles.insert(1, moved["title"])
        in_order = ada.http.get(ada.tasks(sort="position")).json()
        assert [task["title"] for task in in_order] == titles
        assert first["title"] == titles[-1]

    def test_many_clients_move_tasks_at_once(self, ada: ApiUser, tasks: dict[str, Any]) -> None:
        titles = "abcd"

        def act(number: int) -> int:
            moved, other = titles[number % 4], titles[(number * 3 + 1) % 4]
            place = "before" if number % 2 else "after"
            return move(ada, tasks[moved], **{place: tasks[other]["id"]}).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = set(pool.map(act, range(80)))
        assert statuses <= {200, 409}
        for title in "dcba":  # whatever has happened, each can be moved to the top
            first = ada.http.get(ada.tasks(sort="position", limit="1")).json()[0]
            move(ada, tasks[title], before=first["id"]).raise_for_status()
        assert order(ada) == "abcd"


class TestReorder:
    def test_tasks_get_the_order_in_which_they_are_named(
        self, ada: ApiUser, tasks: dict[str, Any]
    ) -> None:
        answer = reorder(ada, *(tasks[title]["id"] for title in "cadb"))
        assert answer.status_code == 200
        assert "".join(task["title"] for task in answer.json()) == order(ada) == "cadb"

    def test_other_tasks_stay_where_they_are(self, ada: ApiUser, tasks: dict[str, Any]) -> None:
        reorder(ada, tasks["d"]["id"], tasks["a"]["id"]).raise_for_status()
        assert order(ada) == "dbca"
        assert {task["title"]: task["version"] for task in ada.list()} == {
            "a": 2,
            "b": 1,
            "c": 1,
            "d": 2,
        }
        reorder(ada, tasks["d"]["id"], tasks["b"]["id"]).raise_for_status()
        assert {task["version"] for task in ada.list()} == {1, 2}, "nothing had to change"

    def test_nothing_is_moved_if_one_task_is_not_found(
        self, ada: ApiUser, bob: ApiUser, tasks: dict[str, Any]
    ) -> None:
        bobs = bob.create()
        for others in ([bobs["id"]], [1], [-5], [2**70], [0, -1, 2**63, 2**70]):
            assert reorder(ada, tasks["d"]["id"], *others, tasks["a"]["id"]).status_code == 404
        assert order(ada) == "abcd"
        assert {task["version"] for task in ada.list()} == {1}
        assert bob.list() == [bobs]

    def test_a_list_of_ids_has_rules(self, ada: ApiUser, tasks: dict[str, Any]) -> None:
        id = tasks["a"]["id"]
        for ids, code in (
            ([], "too_short"),
            ([id, id], "repeated"),
            ([-1, id, -1], "repeated"),
            ([id] * 501, "too_long"),
        ):
            [error] = problem(reorder(ada, *ids))["errors"]
            assert (error["pointer"], error["code"]) == ("/task_ids", code)
        [error] = problem(reorder(ada, id, "x"))["errors"]
        assert error["pointer"] == "/task_ids/1"

    def test_the_response_is_described_as_an_array_even_if_lists_are_not(
        self, tmp_path: Path
    ) -> None:
        settings = embedded_settings(tmp_path).model_copy(update={"task_list_envelope": True})
        migrate(settings)
        with running_server(settings) as server:
            ada = server.register()
            with ada.http:
                answer = reorder(ada, ada.create()["id"])
                document = ada.http.get("/openapi.json").json()
        assert isinstance(answer.json(), list)
        operation = document["paths"]["/api/{user_id}/tasks/reorder"]["patch"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        name = schema["$ref"].rpartition("/")[2]
        assert document["components"]["schemas"][name]["type"] == "array"

    def test_it_can_be_sent_again(self, ada: ApiUser, tasks: dict[str, Any]) -> None:
        body = {"task_ids": [tasks[title]["id"] for title in "dcba"]}
        url = ada.tasks("/reorder")
        first = ada.http.patch(url, json=body, headers=HEADERS)
        again = ada.http.patch(url, json=body, headers=HEADERS)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.json() == first.json()
        assert order(ada) == "dcba"


def test_a_moved_task_keeps_its_place_in_the_trash(ada: ApiUser, tasks: dict[str, Any]) -> None:
    move(ada, tasks["d"], before=tasks["b"]["id"]).raise_for_status()
    ada.http.delete(ada.tasks(f"/{tasks['d']['id']}")).raise_for_status()
    ada.http.delete(ada.tasks(f"/{tasks['c']['id']}")).raise_for_status()
    assert order(ada, deleted="true") == "dc"
    ada.http.post(ada.tasks(f"/{tasks['d']['id']}/restore")).raise_for_status()
    assert order(ada) == "adb"
    assert move(ada, tasks["a"], after=tasks["c"]["id"]).status_code == 404
