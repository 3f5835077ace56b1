"""Reminders over HTTP: of tasks, in the stream of events, and the switch of their emails."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from tests.support.event_streams import Event, Stream, watching
from tests.support.problems import problem
from tests.support.servers import RunningServer, running_server
from tests.support.session_ends import checking_server
from tests.support.users import ApiUser
from tests.support.waiting import until
from todo_core.entities.user import UserId

DUE = "2099-12-01T16:00:00Z"
TIME = "2099-11-30T07:00:00Z"
BEFORE = {"minutes_before": 15, "remind_at": "2099-12-01T15:45:00Z"}
AT = {"remind_at": TIME}
QUIET_SECONDS = 0.3
SETTLED = text("SELECT count(*) FROM fired_reminders WHERE email_due_at IS NULL")


def changed(ada: ApiUser, task: dict[str, Any], method: str = "PATCH", **fields: Any) -> Any:
    if method == "PUT":
        fields["title"] = task["title"]
    answer = ada.http.request(method, ada.tasks(f"/{task['id']}"), json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(ada: ApiUser, **fields: object) -> list[tuple[str, str]]:
    answer = ada.http.post(ada.tasks(), json={"title": "Buy milk", **fields})
    assert answer.status_code == 422
    return [(error["pointer"], error["code"]) for error in problem(answer)["errors"]]


class TestFields:
    def test_reminders_are_returned_wherever_their_task_is(self, ada: ApiUser) -> None:
        task = ada.create(due_date=DUE, reminders=[AT, {"minutes_before": 15}])
        assert task["reminders"] == [AT, BEFORE]
        assert ada.http.get(ada.tasks(f"/{task['id']}")).json() == task
        assert ada.list() == [task]
        [change] = ada.http.get(ada.tasks("/changes")).json()["changes"]
        assert change["task"] == task
        assert ada.http.get("/api/auth/me/export").json()["tasks"] == [task]
        assert ada.create()["reminders"] == []

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    def test_reminders_that_are_not_sent_are_kept(self, ada: ApiUser, method: str) -> None:
        task = ada.create(due_date=DUE, reminders=[BEFORE, AT])
        assert changed(ada, task, method, priority="high")["reminders"] == [BEFORE, AT]

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    @pytest.mark.parametrize("nothing", [None, []])
    def test_nothing_removes_all_reminders(
        self, ada: ApiUser, method: str, nothing: object
    ) -> None:
        task = ada.create(due_date=DUE, reminders=[BEFORE, AT])
        assert changed(ada, task, method, reminders=nothing)["reminders"] == []

    @pytest.mark.parametrize("due_date", [DUE, "2099-12-01", None])
    def test_a_task_can_be_sent_back_as_it_was_returned(
        self, ada: ApiUser, due_date: str | None
    ) -> None:
        task = ada.create(due_date=DUE, reminders=[AT, {"minutes_before": 15}])
        task = changed(ada, task, due_date=due_date)
        assert changed(ada, task, "PUT", **task) == task

    @pytest.mark.parametrize("name", ["remind_at", "reminder_time"])
    def test_the_time_of_the_only_reminder_can_be_a_field_of_its_own(
        self, ada: ApiUser, name: str
    ) -> None:
        task = ada.create(**{name: TIME})
        assert task["reminders"] == [AT]
        assert changed(ada, task, **{name: DUE})["reminders"] == [{"remind_at": DUE}]
        assert changed(ada, task, "PUT", **{name: ""})["reminders"] == []
        assert changed(ada, task, "PATCH", **{name: None})["reminders"] == []
        assert ada.create(**{name: DUE}, reminders=[AT])["reminders"] == [AT]
        assert ada.create(**{name: DUE}, reminders=None)["reminders"] == []
        assert refusal(ada, **{name: "soon"}) == [("/remind_at", "invalid_time")]

    def test_times_without_an_offset_and_days_are_in_the_zone_of_the_user(
        self, ada: ApiUser
    ) -> None:
        ada.http.patch("/api/auth/me", json={"time_zone": "Europe/Berlin"}).raise_for_status()
        reminders = [{"remind_at": "2099-07-01T08:00"}, {"minutes_before": 60}]
        task = ada.create(due_date="2099-12-01", reminders=reminders)
        assert [each["remind_at"] for each in task["reminders"]] == [
            "2099-07-01T06:00:00Z",
            "2099-11-30T22:00:00Z",
        ]
        ada.http.patch("/api/auth/me", json={"time_zone": "Asia/Kathmandu"}).raise_for_status()
        [moved] = ada.list()
        assert [each["remind_at"] for each in moved["reminders"]] == [
            "2099-07-01T06:00:00Z",
            "2099-11-30T17:15:00Z",
        ]
        assert moved["version"] == task["version"]

    def test_reminders_follow_the_due_date(self, ada: ApiUser) -> None:
        task = ada.create(due_date=DUE, reminders=[{"minutes_before": 15}])
        later = changed(ada, task, due_date="2099-12-02T16:00:00Z")
        assert later["reminders"] == [{"minutes_before": 15, "remind_at": "2099-12-02T15:45:00Z"}]
        asleep = changed(ada, task, due_date=None)
        assert asleep["reminders"] == [{"minutes_before": 15, "remind_at": None}]
        assert changed(ada, task, due_date=DUE)["reminders"] == [BEFORE]

    @pytest.mark.parametrize(
        ("reminders", "pointer", "code"),
        [
            ([{}], "/reminders/0", "required"),
            ([AT, {"remind_at": "2099-12-01"}], "/reminders/1/remind_at", "invalid_time"),
            ([{"minutes_before": 40_321}], "/reminders/0/minutes_before", "out_of_range"),
            ([{"minutes_before": "15"}], "/reminders/0/minutes_before", "invalid_type"),
            ([{"minutes_before": 1.5}], "/reminders/0/minutes_before", "invalid_type"),
            ([{"minutes_before": True}], "/reminders/0/minutes_before", "invalid_type"),
            ([{"remind_at": 5}], "/reminders/0/remind_at", "invalid_type"),
            ([TIME], "/reminders/0", "invalid_type"),
            (TIME, "/reminders", "invalid_type"),
            ([{"minutes_before": minutes} for minutes in range(6)], "/reminders", "too_long"),
            ([AT] * 101, "/reminders", "too_long"),
            ([{"minutes_before": 15}], "/reminders/0/minutes_before", "needs_due_date"),
        ],
        ids=str,
    )
    def test_reminders_that_break_a_rule_are_refused(
        self, ada: ApiUser, reminders: object, pointer: str, code: str
    ) -> None:
        assert refusal(ada, reminders=reminders) == [(pointer, code)]

    def test_five_reminders_are_accepted(self, ada: ApiUser) -> None:
        reminders = [{"minutes_before": minutes} for minutes in (0, 40_320, 1.0, 5, 6, 0)]
        task = ada.create(due_date=DUE, reminders=reminders)
        assert [each["minutes_before"] for each in task["reminders"]] == [0, 40_320, 1, 5, 6]

    def test_a_bulk_sets_reminders(self, ada: ApiUser) -> None:
        task = ada.create(due_date=DUE)
        operations = [
            {"create": {"title": "x", "due_date": DUE, "reminders": [{"minutes_before": 15}]}},
            {"update": {"id": task["id"], "reminder_time": TIME}},
        ]
        answer = ada.http.post(ada.tasks("/bulk"), json={"operations": operations})
        assert [each["task"]["reminders"] for each in answer.json()["results"]] == [[BEFORE], [AT]]
        wrong = {"update": {"id": task["id"], "reminders": [{"minutes_before": -1}]}}
        answer = ada.http.post(ada.tasks("/bulk"), json={"operations": [wrong]})
        [error] = problem(answer)["errors"]
        assert error["pointer"] == "/operations/0/update/reminders/0/minutes_before"

    def test_a_bulk_names_the_operation_whose_task_has_no_due_date(self, ada: ApiUser) -> None:
        reminders = [{"minutes_before": 15}]
        operations = [
            {"create": {"title": "x", "reminders": reminders}},
            {"update": {"id": ada.create()["id"], "reminders": reminders}},
        ]
        for kind, operation in zip(("create", "update"), operations, strict=True):
            body = {"operations": [{"create": {"title": "y"}}, operation]}
            [error] = problem(ada.http.post(ada.tasks("/bulk"), json=body))["errors"]
            assert error["code"] == "needs_due_date"
            assert error["pointer"] == f"/operations/1/{kind}/reminders/0/minutes_before"
        assert len(ada.list()) == 1

    def test_the_next_task_of_a_series_keeps_relative_reminders(self, ada: ApiUser) -> None:
        task = ada.create(
            due_date=DUE, recurrence_rule="daily", reminders=[AT, {"minutes_before": 15}]
        )
        completed = changed(ada, task, completed=True)
        assert completed["reminders"] == [AT, BEFORE]
        following = ada.http.get(ada.tasks(f"/{completed['next_id']}")).json()
        assert following["reminders"] == [
            {"minutes_before": 15, "remind_at": "2099-12-02T15:45:00Z"}
        ]


class TestSwitch:
    def test_a_user_can_turn_reminder_emails_off(self, ada: ApiUser) -> None:
        assert ada.http.get("/api/auth/me").json()["reminder_emails"] is True
        answer = ada.http.patch("/api/auth/me", json={"reminder_emails": False})
        assert answer.json()["reminder_emails"] is False
        ada.http.patch("/api/auth/me", json={"name": "Ada L."}).raise_for_status()
        assert ada.http.get("/api/auth/me").json()["reminder_emails"] is False
        exported = ada.http.get("/api/auth/me/export").json()
        assert exported["user"]["reminder_emails"] is False

    @pytest.mark.parametrize("value", [None, "no", 0])
    def test_the_switch_is_a_boolean(self, ada: ApiUser, value: object) -> None:
        answer = ada.http.patch("/api/auth/me", json={"reminder_emails": value})
        assert answer.status_code == 422
        assert problem(answer)["errors"][0]["pointer"] == "/reminder_emails"


def soon() -> str:
    """Return a time that has just passed, but not long enough to be left out."""
    return (datetime.now(UTC) - timedelta(seconds=1)).isoformat()


def fire(server: RunningServer) -> None:
    """Fire what is due, in this process, as its own job does a little later."""
    server.container.application().fire_reminders()


def reminder_of(event: Event) -> dict[str, Any]:
    assert event.fields["event"] == "reminder"
    assert "id" not in event.fields
    data: dict[str, Any] = json.loads(event.fields["data"])
    assert data.keys() == {"id", "task_id", "remind_at"}
    return data


def next_reminder(stream: Stream) -> tuple[dict[str, Any], int]:
    """Return the next reminder, after hints, and the revision of the hint that follows it."""
    while (event := stream.next()).fields["event"] == "changed":
        pass
    return reminder_of(event), stream.next().revision


class TestEvents:
    def test_a_stream_tells_of_reminders_and_only_to_their_owner(
        self, server: RunningServer, ada: ApiUser, bob: ApiUser
    ) -> None:
        with watching(server.url, ada) as stream, watching(server.url, bob) as of_bob:
            assert stream.next().revision == 0
            assert of_bob.next().revision == 0
            task = ada.create(remind_at=soon())
            fire(server)
            reminder, revision = next_reminder(stream)
            assert reminder["task_id"] == task["id"]
            assert reminder["remind_at"] == task["reminders"][0]["remind_at"]
            assert revision == 2
            assert stream.is_quiet(QUIET_SECONDS)
            assert of_bob.is_quiet(QUIET_SECONDS)

    def test_a_reminder_that_another_process_fires_is_told(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        with (
            running_server(server.container.settings()) as other,
            watching(other.url, ada) as stream,
        ):
            assert stream.next().revision == 0
            task = ada.create(remind_at=soon())
            fire(server)
            assert next_reminder(stream)[0]["task_id"] == task["id"]

    def test_a_client_that_comes_back_gets_the_reminders_that_it_has_missed(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        first, second = (ada.create(remind_at=soon()) for _ in range(2))
        fire(server)
        newest = revision_of(ada, server)
        with watching(server.url, ada, last_event_id="0") as stream:
            told = [reminder_of(stream.next()) for _ in range(2)]
            assert {each["task_id"] for each in told} == {first["id"], second["id"]}
            assert stream.next().revision == newest
            assert stream.is_quiet(QUIET_SECONDS)
        with watching(server.url, ada, last_event_id="0") as stream:
            assert [reminder_of(stream.next()) for _ in range(2)] == told
        with watching(server.url, ada, last_event_id=str(newest)) as stream:
            assert stream.is_quiet(QUIET_SECONDS)
        for unknown in (None, "999", "nonsense"):
            with watching(server.url, ada, last_event_id=unknown) as stream:
                assert stream.next().revision == newest
                assert stream.is_quiet(QUIET_SECONDS)

    def test_all_streams_of_a_user_are_told(self, server: RunningServer, ada: ApiUser) -> None:
        with watching(server.url, ada) as first, watching(server.url, ada) as second:
            task = ada.create(remind_at=soon())
            fire(server)
            told = [next_reminder(stream)[0] for stream in (first, second)]
            assert told[0] == told[1]
            assert told[0]["task_id"] == task["id"]


def revision_of(ada: ApiUser, server: RunningServer) -> int:
    return server.container.tasks().counts(UserId(UUID(ada.id))).revision


def test_the_service_fires_by_itself_and_prints_the_email(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with checking_server(tmp_path, reminder_interval=timedelta(seconds=1)) as server:
        ada = server.register()
        with ada.http, watching(server.url, ada) as stream:
            assert stream.next().revision == 0
            ada.create("Buy milk", remind_at=(datetime.now(UTC) + timedelta(seconds=1)).isoformat())
            next_reminder(stream)
            database = server.container.database()
            until(lambda: database.values(SETTLED, {}) == [1])
    printed = capsys.readouterr().err
    assert f"To: {ada.email}\nSubject: Reminder: Buy milk\n" in printed
