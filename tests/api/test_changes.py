"""Keeping a copy of a user's tasks by `GET …/tasks/changes`."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.problems import problem
from tests.support.servers import RunningServer, running_server
from tests.support.settings import on_sqlite
from tests.support.users import ApiUser
from todo_adapters.in_memory.clock import ManualClock
from todo_api.container import clean_up_everything
from todo_core.entities.task_changes import TOMBSTONE_LIFETIME

type Fields = dict[str, Any]  # JSON


def changes(user: ApiUser, since: str | None = None, **query: str) -> Fields:
    """Return a page of changes."""
    answer = send(user, since, **query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def send(user: ApiUser, since: str | None = None, **query: str) -> httpx.Response:
    if since is not None:
        query["since"] = since
    return user.http.get(user.tasks("/changes", **query))


def delete(user: ApiUser, task: Fields, **query: str) -> None:
    user.http.delete(user.tasks(f"/{task['id']}", **query)).raise_for_status()


class TestChanges:
    def test_a_user_without_tasks_has_no_changes(self, ada: ApiUser) -> None:
        page = changes(ada)
        assert page == {"changes": [], "next": page["next"], "more": False}
        assert changes(ada, page["next"])["changes"] == []
        task = ada.create()
        assert changes(ada, page["next"])["changes"] == [
            {"id": task["id"], "revision": 1, "task": task}
        ]

    def test_without_a_token_all_tasks_are_listed_in_the_order_of_their_changes(
        self, ada: ApiUser
    ) -> None:
        first, second = ada.create("one"), ada.create("two")
        first = ada.http.patch(ada.tasks(f"/{first['id']}"), json={"title": "1"}).json()
        page = changes(ada)
        assert page["changes"] == [
            {"id": second["id"], "revision": 2, "task": second},
            {"id": first["id"], "revision": 3, "task": first},
        ]
        assert page["more"] is False

    def test_a_token_lists_what_was_changed_since_and_nothing_twice(self, ada: ApiUser) -> None:
        first, second, third = (ada.create(title) for title in ("one", "two", "three"))
        since = changes(ada)["next"]
        delete(ada, first)
        delete(ada, second, permanent="true")
        ada.http.patch(ada.tasks(f"/{third['id']}"), json={"title": "3"}).raise_for_status()
        third = ada.http.patch(ada.tasks(f"/{third['id']}/complete")).json()
        page = changes(ada, since)
        assert page["changes"] == [
            {"id": first["id"], "revision": 4, "deleted": True},
            {"id": second["id"], "revision": 5, "deleted": True},
            {"id": third["id"], "revision": 7, "task": third},
        ]
        assert changes(ada, since) == page, "a token may be used again"
        since = page["next"]
        assert changes(ada, since)["changes"] == []
        first = ada.http.post(ada.tasks(f"/{first['id']}/restore")).json()
        page = changes(ada, since)
        assert page["changes"] == [{"id": first["id"], "revision": 8, "task": first}]
        delete(ada, first)
        delete(ada, first, permanent="true")
        assert changes(ada, page["next"])["changes"] == [
            {"id": first["id"], "revision": 9, "deleted": True}
        ]

    def test_a_page_tells_whether_more_changes_follow(self, ada: ApiUser) -> None:
        tasks = [ada.create(str(number)) for number in range(5)]
        delete(ada, tasks[1])
        listed, since, mores = [], None, []
        for _ in range(3):
            page = changes(ada, since, limit="2")
            listed += [(each["id"], "task" in each) for each in page["changes"]]
            mores.append(page["more"])
            since = page["next"]
        expected = [(task["id"], True) for task in tasks if task is not tasks[1]]
        assert listed == [*expected, (tasks[1]["id"], False)]
        assert mores == [True, True, False]
        assert changes(ada, since, limit="1")["more"] is False

    def test_what_changes_between_two_pages_is_listed_at_its_new_place(self, ada: ApiUser) -> None:
        tasks = [ada.create(str(number)) for number in range(4)]
        page = changes(ada, limit="2")
        delete(ada, tasks[0])
        delete(ada, tasks[3])
        rest = changes(ada, page["next"], limit="500")
        assert [(each["id"], "deleted" in each) for each in rest["changes"]] == [
            (tasks[2]["id"], False),
            (tasks[0]["id"], True),
            (tasks[3]["id"], True),
        ]

    def test_a_page_has_at_most_500_changes(self, ada: ApiUser) -> None:
        operations = [{"create": {"title": "a"}}] * 500
        ada.http.post(ada.tasks("/bulk"), json={"operations": operations}).raise_for_status()
        ada.create()
        page = changes(ada)
        assert (len(page["changes"]), page["more"]) == (500, True)
        rest = changes(ada, page["next"], limit="500")
        assert (len(rest["changes"]), rest["more"]) == (1, False)

    @pytest.mark.parametrize("limit", ["0", "501", "-1", "x", "1.5", "+1"])
    def test_a_limit_is_a_number_from_1_to_500(self, ada: ApiUser, limit: str) -> None:
        answer = ada.http.get(ada.tasks("/changes"), params={"url_user_id": ada.id, "limit": limit})
        assert answer.status_code == 422
        [error] = problem(answer)["errors"]
        assert (error["pointer"], error["code"]) == ("/limit", "invalid_value")

    def test_parameters_without_a_value_or_a_meaning_change_nothing(self, ada: ApiUser) -> None:
        ada.create()
        page = changes(ada)
        assert changes(ada, "", limit="", other="x")["changes"] == page["changes"]

    def test_a_token_that_was_not_issued_for_this_user_and_purpose_is_refused(
        self, ada: ApiUser, bob: ApiUser
    ) -> None:
        for user in (ada, bob):
            user.create()
            user.create()
        token = changes(ada)["next"]
        listed = ada.http.get(ada.tasks(limit="1"))
        cursor = httpx.URL(listed.links["next"]["url"]).params["cursor"]
        middle = len(token) // 2
        changed = "A" if token[middle] != "A" else "B"
        for wrong in (
            *("x", "0", token[:-1], token + "A", "é", "a" * 5000, cursor),
            f"{token[:middle]}{changed}{token[middle + 1 :]}",
            changes(bob)["next"],
        ):
            answer = send(ada, wrong)
            assert answer.status_code == 400, wrong
            assert problem(answer)["code"] == "invalid_cursor"
        answer = ada.http.get(ada.tasks(cursor=token))
        assert answer.status_code == 400

    def test_changes_have_no_tag_and_may_be_below_the_alias(self, ada: ApiUser) -> None:
        task = ada.create()
        answer = ada.http.get("/api/tasks/changes")
        assert "etag" not in answer.headers
        assert [each["task"] for each in answer.json()["changes"]] == [task]
        since = answer.json()["next"]
        assert changes(ada, since)["changes"] == []


class TestForgetting:
    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def server(self, tmp_path: Path, clock: ManualClock) -> Iterator[RunningServer]:
        """A server whose users may have ten tasks, at a time that the test controls."""
        with on_sqlite(tmp_path) as settings:
            lifetimes = ("access_token_ttl", "refresh_token_ttl", "refresh_token_idle_ttl")
            update = dict.fromkeys(lifetimes, timedelta(days=400)) | {"max_tasks_per_user": 10}
            with running_server(settings.model_copy(update=update), clock=clock) as server:
                yield server

    def test_a_deletion_is_known_until_trash_and_tombstone_have_expired(
        self, server: RunningServer, ada: ApiUser, clock: ManualClock
    ) -> None:
        task, kept = ada.create("deleted"), ada.create("kept")
        before = changes(ada)["next"]
        delete(ada, task)
        deletion = {"id": task["id"], "revision": 3, "deleted": True}
        clock.advance(server.container.settings().trash_ttl + timedelta(seconds=1))
        clean_up_everything(server.container)
        assert ada.http.get(ada.tasks(deleted="true")).json() == []
        assert ada.http.post(ada.tasks(f"/{task['id']}/restore")).status_code == 404
        page = changes(ada, before)
        assert page["changes"] == [deletion]
        clock.advance(TOMBSTONE_LIFETIME - timedelta(seconds=1))
        clean_up_everything(server.container)
        assert changes(ada, before)["changes"] == [deletion]
        clock.advance(timedelta(seconds=2))
        clean_up_everything(server.container)
        answer = send(ada, before)
        assert answer.status_code == 410
        assert problem(answer)["code"] == "sync_token_expired"
        assert changes(ada, page["next"])["changes"] == [], "it has listed the deletion"
        again = changes(ada)
        assert [each["task"] for each in again["changes"]] == [kept]
        assert changes(ada, again["next"])["changes"] == []

    def test_a_token_that_was_issued_since_is_valid_though_its_tasks_are_older(
        self, server: RunningServer, ada: ApiUser, clock: ManualClock
    ) -> None:
        kept = [ada.create(str(number)) for number in range(3)]
        delete(ada, ada.create(), permanent="true")
        clock.advance(TOMBSTONE_LIFETIME + timedelta(seconds=1))
        clean_up_everything(server.container)
        first = changes(ada, limit="2")
        rest = changes(ada, first["next"], limit="2")
        assert [each["task"] for each in first["changes"] + rest["changes"]] == kept
        assert rest["more"] is False

    def test_the_first_list_expires_if_what_it_has_not_listed_is_purged(
        self, server: RunningServer, ada: ApiUser, clock: ManualClock
    ) -> None:
        tasks = [ada.create(str(number)) for number in range(3)]
        first = changes(ada, limit="2")
        delete(ada, tasks[0], permanent="true")
        clock.advance(TOMBSTONE_LIFETIME + timedelta(seconds=1))
        clean_up_everything(server.container)
        assert send(ada, first["next"]).status_code == 410

    def test_of_more_deletions_than_the_quota_the_oldest_are_purged(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        before = changes(ada)["next"]
        tasks = []
        for number in range(12):
            tasks.append(ada.create(str(number)))
            if number == 1:
                between = changes(ada)["next"]
            delete(ada, tasks[-1])
        assert len(ada.http.get(ada.tasks(deleted="true")).json()) == 12
        clean_up_everything(server.container)
        listed = ada.http.get(ada.tasks(deleted="true")).json()
        assert {task["title"] for task in listed} == {str(number) for number in range(2, 12)}
        assert send(ada, before).status_code == send(ada, between).status_code == 410
        assert ada.http.post(ada.tasks(f"/{tasks[0]['id']}/restore")).status_code == 404
        assert ada.http.post(ada.tasks(f"/{tasks[2]['id']}/restore")).status_code == 200
