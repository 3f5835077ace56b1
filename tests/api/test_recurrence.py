"""Tasks that repeat, over HTTP: whatever completes them, exactly one follows."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.problems import problem
from tests.support.users import ApiUser

FAR = "2999-01-07"
"""A Monday in the far future, so that the next occurrence does not depend on today."""

type Way = Callable[[ApiUser, dict[str, Any]], httpx.Response]


def by_patch(path: str) -> Way:
    return lambda ada, task: ada.http.patch(
        ada.tasks(f"/{task['id']}{path}"), json={"completed": True}
    )


def by_put(ada: ApiUser, task: dict[str, Any]) -> httpx.Response:
    body = {"title": task["title"], "status": "completed"}
    return ada.http.put(ada.tasks(f"/{task['id']}"), json=body)


def by_bulk(kind: str, **fields: object) -> Way:
    return lambda ada, task: ada.http.post(
        ada.tasks("/bulk"), json={"operations": [{kind: {"id": task["id"], **fields}}]}
    )


def by_filter(ada: ApiUser, task: dict[str, Any]) -> httpx.Response:
    return ada.http.post(ada.tasks("/complete", due_before="2999-01-08", search=task["title"]))


def with_a_key(ada: ApiUser, task: dict[str, Any]) -> httpx.Response:
    return ada.http.patch(
        ada.tasks(f"/{task['id']}"), json={"completed": True}, headers={"Idempotency-Key": "one"}
    )


WAYS: dict[str, Way] = {
    "complete": by_patch("/complete"),
    "PATCH": by_patch(""),
    "PUT": by_put,
    "bulk complete": by_bulk("complete"),
    "bulk update": by_bulk("update", completed=True),
    "filter": by_filter,
    "with a key": with_a_key,
}


def toggle(ada: ApiUser, task: dict[str, Any]) -> dict[str, Any]:
    answer = ada.http.patch(ada.tasks(f"/{task['id']}/complete"))
    assert answer.status_code == 200, answer.text
    toggled: dict[str, Any] = answer.json()
    return toggled


def get(ada: ApiUser, task_id: int) -> dict[str, Any]:
    task: dict[str, Any] = ada.http.get(ada.tasks(f"/{task_id}")).json()
    return task


def change(ada: ApiUser, task: dict[str, Any], **fields: object) -> dict[str, Any]:
    answer = ada.http.patch(ada.tasks(f"/{task['id']}"), json=fields)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


def refusal(ada: ApiUser, **fields: object) -> tuple[str, str]:
    answer = ada.http.post(ada.tasks(), json={"title": "Buy milk", **fields})
    assert answer.status_code == 422, answer.text
    [error] = problem(answer)["errors"]
    return error["pointer"], error["code"]


class TestRules:
    def test_a_rule_is_returned_in_one_form(self, ada: ApiUser) -> None:
        task = ada.create(due_date=FAR, recurrence_rule="rrule:byday=mo,we;freq=weekly")
        assert task == task | {
            "recurrence_rule": "FREQ=WEEKLY;BYDAY=MO,WE",
            "recurrence_pattern": "weekly",
            "recurrence_interval": 1,
            "repeat_from": "due",
            "next_id": None,
        }
        assert get(ada, task["id"]) == task
        for method in ("PUT", "PATCH"):
            url = ada.tasks(f"/{task['id']}")
            kept = ada.http.request(method, url, json={"title": "Buy oats"}).json()
            assert kept["recurrence_rule"] == task["recurrence_rule"]

    def test_a_pattern_with_an_interval_is_a_rule(self, ada: ApiUser) -> None:
        task = ada.create(due_date=FAR, recurrence_pattern="Weekly", recurrence_interval=2)
        assert task["recurrence_rule"] == "FREQ=WEEKLY;INTERVAL=2"
        assert (task["recurrence_pattern"], task["recurrence_interval"]) == ("weekly", 2)
        assert change(ada, task, recurrence_pattern="daily")["recurrence_rule"] == "FREQ=DAILY"
        changed = change(ada, task, recurrence_pattern="daily", recurrence_interval=3.0)
        assert changed["recurrence_rule"] == "FREQ=DAILY;INTERVAL=3"

    @pytest.mark.parametrize("nothing", [None, "", "none"])
    @pytest.mark.parametrize("field", ["recurrence_rule", "recurrence_pattern"])
    def test_nothing_ends_a_repetition(self, ada: ApiUser, field: str, nothing: str | None) -> None:
        task = ada.create(due_date=FAR, recurrence_rule="daily")
        changed = change(ada, task, **{field: nothing})
        assert changed["recurrence_rule"] is changed["repeat_from"] is None
        toggle(ada, task)
        assert len(ada.list()) == 1

    def test_a_rule_that_is_not_valid_is_refused(self, ada: ApiUser) -> None:
        for rule, code in {
            "FREQ=DAILY;BYSETPOS=1": "unsupported_recurrence_rule",
            "FREQ=HOURLY": "invalid_recurrence_rule",
            "every day": "invalid_recurrence_rule",
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30": "never_recurs",
        }.items():
            assert refusal(ada, due_date=FAR, recurrence_rule=rule) == ("/recurrence_rule", code)
        assert refusal(ada, repeat_from="somewhere")[0] == "/repeat_from"
        assert refusal(ada, recurrence_pattern="hourly")[0] == "/recurrence_pattern"
        assert refusal(ada, recurrence_pattern="daily", recurrence_interval=0)[0] == (
            "/recurrence_interval"
        )
        assert ada.list() == []


class TestCompletion:
    @pytest.mark.parametrize("way", WAYS)
    def test_whatever_completes_it_one_task_follows(self, ada: ApiUser, way: str) -> None:
        task = ada.create(
            "Water the plants",
            due_date=FAR,
            recurrence_rule="weekly",
            tags=["home"],
            priority="high",
            description="All of them",
        )
        for _ in range(2):
            assert WAYS[way](ada, task).is_success
        done = get(ada, task["id"])
        assert (done["completed"], done["recurrence_rule"]) == (True, None)
        following = get(ada, done["next_id"])
        assert (
            following
            == task
            | {
                "id": done["next_id"],
                "due_date": "2999-01-14",
                **{name: following[name] for name in ("created_at", "updated_at", "position")},
            }
            or way == "filter"
        )
        if way != "filter":  # which completes the next one too, when it is sent again
            assert len(ada.list()) == 2
        assert following["title"] == "Water the plants"

    def test_missed_occurrences_do_not_pile_up(self, ada: ApiUser) -> None:
        task = ada.create(due_date="2020-01-01T09:00:00Z", recurrence_rule="FREQ=DAILY")
        done = toggle(ada, task)
        following = get(ada, done["next_id"])
        assert done["completed_at"] < following["due_date"]
        assert following["due_date"].endswith("T09:00:00Z")
        assert len(ada.list()) == 2

    def test_a_series_ends(self, ada: ApiUser) -> None:
        task = ada.create(due_date=FAR, recurrence_rule="FREQ=DAILY;COUNT=2")
        done = toggle(ada, task)
        following = get(ada, done["next_id"])
        assert following["recurrence_rule"] == "FREQ=DAILY;COUNT=1"
        last = toggle(ada, following)
        assert (last["next_id"], last["recurrence_rule"]) == (None, None)
        assert len(ada.list()) == 2

    def test_it_may_be_counted_from_the_completion(self, ada: ApiUser) -> None:
        task = ada.create(due_date=FAR, recurrence_rule="FREQ=DAILY;INTERVAL=3")
        task = change(ada, task, repeat_from="completion")
        done = toggle(ada, task)
        following = get(ada, done["next_id"])
        assert following["due_date"] < "2900"
        assert following["repeat_from"] == "completion"
        undated = ada.create(recurrence_rule="monthly")
        done = toggle(ada, undated)
        assert get(ada, done["next_id"])["due_date"] > done["completed_at"][:10]

    def test_the_time_on_the_clock_survives_daylight_saving(self, ada: ApiUser) -> None:
        ada.http.patch("/api/auth/me", json={"time_zone": "Europe/Berlin"}).raise_for_status()
        task = ada.create(due_date="2037-03-28T02:30", recurrence_rule="daily")
        times = [task["due_date"]]
        for _ in range(2):
            task = get(ada, toggle(ada, task)["next_id"])
            times.append(task["due_date"])
        # On the 29th, clocks skip the time from 2:00 to 3:00.
        assert times == ["2037-03-28T01:30:00Z", "2037-03-29T01:30:00Z", "2037-03-30T00:30:00Z"]

    def test_a_shorthand_falls_on_the_last_day_of_short_months(self, ada: ApiUser) -> None:
        task = ada.create(due_date="2999-01-31", recurrence_rule="monthly")
        days = []
        for _ in range(3):
            task = get(ada, toggle(ada, task)["next_id"])
            days.append(task["due_date"])
        assert days == ["2999-02-28", "2999-03-31", "2999-04-30"]

    @pytest.mark.parametrize("fields", [{"repeat_from": "completion"}, {}])
    def test_a_shorthand_does_so_from_a_due_date_that_is_given_later(
        self, ada: ApiUser, fields: dict[str, str]
    ) -> None:
        task = ada.create(recurrence_pattern="monthly", recurrence_interval=2, **fields)
        assert task["recurrence_rule"] == "FREQ=MONTHLY;INTERVAL=2;SKIP=BACKWARD"
        task = change(ada, task, due_date="2999-12-31", repeat_from="due")
        following = get(ada, toggle(ada, task)["next_id"])
        assert following["due_date"] == "3000-02-28"
        undated = change(ada, following, due_date=None)
        assert undated["recurrence_rule"] == "FREQ=MONTHLY;INTERVAL=2;SKIP=BACKWARD"


class TestReopening:
    def test_reopening_removes_a_task_that_nobody_has_changed(self, ada: ApiUser) -> None:
        task = ada.create(due_date=FAR, recurrence_rule="FREQ=WEEKLY;COUNT=9")
        done = toggle(ada, task)
        reopened = toggle(ada, task)
        assert (reopened["completed"], reopened["next_id"]) == (False, None)
        assert reopened["recurrence_rule"] == "FREQ=WEEKLY;COUNT=9"
        assert ada.list() == [reopened]
        assert ada.http.get(ada.tasks(deleted="true")).json() == []
        again = toggle(ada, task)
        assert again["next_id"] != done["next_id"]
        assert len(ada.list()) == 2

    def test_a_task_that_was_changed_stays_and_repeats_instead(self, ada: ApiUser) -> None:
        task = ada.create(due_date=FAR, recurrence_rule="weekly")
        done = toggle(ada, task)
        following = change(ada, get(ada, done["next_id"]), title="Buy oats")
        reopened = toggle(ada, task)
        assert (reopened["recurrence_rule"], reopened["next_id"]) == (None, None)
        assert get(ada, following["id"]) == following
        toggle(ada, task)
        assert len(ada.list()) == 2

    def test_a_task_that_was_deleted_does_not_come_back(self, ada: ApiUser) -> None:
        task = ada.create(due_date=FAR, recurrence_rule="weekly")
        done = toggle(ada, task)
        ada.http.delete(ada.tasks(f"/{done['next_id']}")).raise_for_status()
        reopened = toggle(ada, task)
        assert reopened["recurrence_rule"] == "FREQ=WEEKLY"
        assert ada.list() == [reopened]

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    def test_a_completed_task_that_is_sent_back_keeps_its_rule(
        self, ada: ApiUser, method: str
    ) -> None:
        task = ada.create(due_date=FAR, recurrence_rule="weekly")
        done = toggle(ada, task)
        assert done["recurrence_rule"] is None
        url = ada.tasks(f"/{task['id']}")
        assert ada.http.request(method, url, json=done).json() == done
        renamed = ada.http.request(method, url, json=done | {"title": "Buy oats"}).json()
        assert (renamed["title"], renamed["next_id"]) == ("Buy oats", done["next_id"])
        open_again = {"completed": False, "status": "pending"}
        reopened = ada.http.request(method, url, json=renamed | open_again).json()
        assert reopened["recurrence_rule"] == "FREQ=WEEKLY"
        assert ada.list() == [reopened]

    @pytest.mark.parametrize("is_changed", [False, True])
    def test_it_may_get_another_rule_at_once(self, ada: ApiUser, is_changed: bool) -> None:
        task = ada.create(due_date=FAR, recurrence_rule="daily")
        following = get(ada, toggle(ada, task)["next_id"])
        if is_changed:
            following = change(ada, following, title="Buy oats")
        reopened = change(ada, task, completed=False, recurrence_rule="weekly")
        assert (reopened["recurrence_rule"], reopened["next_id"]) == ("FREQ=WEEKLY", None)
        assert len(ada.list()) == 1 + is_changed


def test_subtasks_that_repeat_end_with_their_parent_if_a_filter_matches_both(ada: ApiUser) -> None:
    parent = ada.create("parent", due_date=FAR, recurrence_rule="weekly")
    details = {"parent_id": parent["id"], "due_date": FAR, "recurrence_rule": "FREQ=DAILY;COUNT=5"}
    ada.create("subtask", **details)
    plain = ada.create("plain parent")
    ada.create("other", **details | {"parent_id": plain["id"]})
    answer = ada.http.post(ada.tasks("/complete", status="pending"))
    assert answer.json() == {"completed": 4}
    open_tasks = ada.http.get(ada.tasks(status="pending")).json()
    assert {(each["title"], each["due_date"], each["recurrence_rule"]) for each in open_tasks} == {
        ("parent", "2999-01-14", "FREQ=WEEKLY"),
        ("subtask", "2999-01-14", "FREQ=DAILY;COUNT=5"),
    }
    assert len(ada.list()) == 6


def test_many_clients_complete_a_task_at_once(ada: ApiUser) -> None:
    for number in range(5):
        task = ada.create(f"task {number}", due_date=FAR, recurrence_rule="daily")
        with ThreadPoolExecutor(32) as pool:
            answers = list(
                pool.map(lambda _, task=task: change(ada, task, completed=True), range(32))
            )
        assert len({answer["next_id"] for answer in answers}) == 1
        assert len(ada.list()) == 2 * (number + 1)


def test_later_operations_of_a_bulk_see_what_completing_has_changed(ada: ApiUser) -> None:
    task = ada.create(due_date=FAR, recurrence_rule="daily")
    operations = [
        {"complete": {"id": task["id"]}},
        {"complete": {"id": task["id"], "completed": False}},
        {"update": {"id": task["id"], "status": "completed", "version": 3}},
        {"delete": {"id": task["id"]}},
    ]
    answer = ada.http.post(ada.tasks("/bulk"), json={"operations": operations})
    assert answer.status_code == 200, answer.text
    [following] = ada.list()
    assert (following["due_date"], following["version"]) == ("2999-01-08", 1)
