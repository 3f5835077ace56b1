"""`GET …/tasks/changes?wait=…`: responses that wait for a change."""

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from random import Random

import httpx
import pytest

from tests.support.event_streams import refused_stream, watching
from tests.support.long_polls import LongPoll, long_poll, watchers_of
from tests.support.problems import problem
from tests.support.servers import RunningServer, running_server
from tests.support.session_ends import (
    CHECK_SECONDS,
    SESSION_ENDS,
    checking_server,
    end_session,
    second_token,
)
from tests.support.sockets import connected
from tests.support.users import ApiUser
from tests.support.waiting import until
from todo_api.http.watchers import MAX_WATCHERS_PER_USER, Watcher

AT_ONCE_SECONDS = 0.5
BETWEEN_PROCESSES_SECONDS = 1.5
WRITERS = 3
WRITES = 15


def send(user: ApiUser, since: str | None = None, **query: str) -> httpx.Response:
    if since is not None:
        query["since"] = since
    return user.http.get(user.tasks("/changes", **query), headers={"X-Request-ID": "same"})


def token(user: ApiUser) -> str:
    """Return the token after all changes so far."""
    answer = send(user)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["next"])


def comparable(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    headers = [(name, value) for name, value in answer.headers.multi_items() if name != "date"]
    return answer.status_code, answer.content, headers


class TestWaiting:
    def test_each_kind_of_change_ends_the_wait_at_once(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        task, other = ada.create(), ada.create()
        url = ada.tasks(f"/{task['id']}")
        operations = [{"create": {"title": "Buy oats"}}]
        changes: list[Callable[[], httpx.Response]] = [
            lambda: ada.http.post(ada.tasks(), json={"title": "Buy rye"}),
            lambda: ada.http.patch(url, json={"title": "Buy oats"}),
            lambda: ada.http.patch(ada.tasks(f"/{task['id']}/complete")),
            lambda: ada.http.delete(url),
            lambda: ada.http.post(ada.tasks(f"/{task['id']}/restore")),
            lambda: ada.http.delete(ada.tasks(f"/{other['id']}", permanent="true")),
            lambda: ada.http.post(ada.tasks("/bulk"), json={"operations": operations}),
        ]
        for revision, change in enumerate(changes, start=3):
            since = token(ada)
            with long_poll(server, ada, since) as poll:
                change().raise_for_status()
                changed = time.monotonic()
                assert poll.answered_at() - changed < AT_ONCE_SECONDS
                assert comparable(poll.answer()) == comparable(send(ada, since))
                [reported] = poll.answer().json()["changes"]
                assert reported["revision"] == revision

    def test_a_change_by_another_process_ends_the_wait(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        since = token(ada)
        with (
            running_server(server.container.settings()) as other,
            long_poll(other, ada, since) as poll,
        ):
            ada.create()
            written = time.monotonic()
            assert poll.answered_at() - written < BETWEEN_PROCESSES_SECONDS
            assert poll.answer().content == send(ada, since).content
            assert len(poll.answer().json()["changes"]) == 1

    def test_after_the_time_the_response_is_that_of_a_request_that_does_not_wait(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        ada.create()
        since = token(ada)
        with long_poll(server, ada, since, wait=1) as poll:
            assert 1 <= poll.answered_at() - poll.sent_at < 1 + AT_ONCE_SECONDS
            assert comparable(poll.answer()) == comparable(send(ada, since))
            assert poll.answer().json() == {
                "changes": [],
                "next": poll.answer().json()["next"],
                "more": False,
            }
            assert send(ada, poll.answer().json()["next"]).json()["changes"] == []
        assert watchers_of(server, ada) == []

    def test_without_a_token_a_user_without_tasks_waits_for_the_first(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        with long_poll(server, ada) as poll:
            task = ada.create()
            assert poll.answer().json()["changes"] == [
                {"id": task["id"], "revision": 1, "task": task}
            ]

    def test_what_is_known_already_is_reported_at_once(self, ada: ApiUser) -> None:
        since = token(ada)
        ada.create()
        began = time.monotonic()
        assert comparable(send(ada, since, wait="30")) == comparable(send(ada, since))
        assert comparable(send(ada, wait="30", limit="1")) == comparable(send(ada, limit="1"))
        empty = send(ada, token(ada), wait="0")
        assert empty.json()["changes"] == []
        assert comparable(send(ada, token(ada), wait="")) == comparable(empty)
        assert time.monotonic() - began < AT_ONCE_SECONDS

    def test_an_error_is_reported_at_once(self, ada: ApiUser) -> None:
        began = time.monotonic()
        refused = send(ada, "nonsense", wait="30")
        assert comparable(refused) == comparable(send(ada, "nonsense"))
        assert refused.status_code == 400
        assert time.monotonic() - began < AT_ONCE_SECONDS

    @pytest.mark.parametrize("others", [0, 1])
    def test_a_change_between_the_query_and_the_wait_is_not_missed(
        self,
        server: RunningServer,
        ada: ApiUser,
        monkeypatch: pytest.MonkeyPatch,
        others: int,
    ) -> None:
        since = token(ada)
        watchers = server.app.state.watchers
        create = server.container.application().create_task
        add, delayed = watchers.add, []

        def add_late(watcher: Watcher) -> bool:
            delayed.append(watcher)
            create(owner_id=watcher.caller.user_id, title="In between")
            return bool(add(watcher))

        with ExitStack() as stack:
            for _ in range(others):
                stack.enter_context(watching(server.url, ada))
            monkeypatch.setattr(watchers, "add", add_late)
            began = time.monotonic()
            answer = send(ada, since, wait="30")
            assert len(delayed) == 1
            assert [each["revision"] for each in answer.json()["changes"]] == [1]
            assert time.monotonic() - began < BETWEEN_PROCESSES_SECONDS

    def test_a_client_that_only_waits_has_every_change_of_two_processes_soon(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        def write(number: int) -> float:
            random = Random(number)  # noqa: S311 - it need not be a secret
            with (server, other)[number % 2].client(Authorization=f"Bearer {ada.token}") as http:
                for _ in range(WRITES):
                    http.post(ada.tasks(), json={"title": "x"}).raise_for_status()
                    time.sleep(random.choice([0, 0, 0.01, 0.1]))
            return time.monotonic()

        def follow(since: str) -> tuple[list[int], float]:
            revisions: list[int] = []
            with server.client(Authorization=f"Bearer {ada.token}") as http:
                while len(revisions) < WRITERS * WRITES:
                    answer = http.get(ada.tasks("/changes", since=since, wait="20"))
                    page = answer.raise_for_status().json()
                    assert page["changes"], "none was missed, so that each wait ended early"
                    revisions += [each["revision"] for each in page["changes"]]
                    since = page["next"]
            return revisions, time.monotonic()

        with (
            running_server(server.container.settings()) as other,
            ThreadPoolExecutor(WRITERS + 1) as pool,
        ):
            following = pool.submit(follow, token(ada))
            written = max(pool.map(write, range(WRITERS)))
            revisions, followed = following.result()
        assert revisions == list(range(1, WRITERS * WRITES + 1))
        assert followed - written < BETWEEN_PROCESSES_SECONDS

    def test_many_waiting_requests_occupy_no_worker_threads(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        with ExitStack() as stack:
            waiting: list[LongPoll] = []
            for _ in range(5):
                user = server.register("Cy")
                stack.enter_context(closing(user.http))
                since = token(user)
                waiting += [
                    stack.enter_context(long_poll(server, user, since, wait=4)) for _ in range(9)
                ]
            assert len(waiting) > server.container.settings().database_pool_size
            began = time.monotonic()
            for _ in range(10):
                ada.create()
            assert time.monotonic() - began < AT_ONCE_SECONDS
            assert any(poll.is_waiting for poll in waiting)
            assert all(poll.answer().json()["changes"] == [] for poll in waiting)

    def test_the_alias_without_an_owner_waits_too(self, ada: ApiUser) -> None:
        ada.create()
        since = token(ada)
        began = time.monotonic()
        answer = ada.http.get("/api/tasks/changes", params={"since": since, "wait": "1"})
        assert time.monotonic() - began >= 1
        assert answer.content == send(ada, since).content

    @pytest.mark.parametrize("wait", ["31", "-1", "x", "1.5", "+1", "1e1", "true", "9" * 30])
    def test_the_time_is_a_number_of_seconds_from_0_to_30(self, ada: ApiUser, wait: str) -> None:
        answer = ada.http.get(ada.tasks("/changes"), params={"url_user_id": ada.id, "wait": wait})
        assert answer.status_code == 422
        [error] = problem(answer)["errors"]
        assert (error["pointer"], error["code"]) == ("/wait", "invalid_value")
        assert error["message"] == "Wait must be a number from 0 to 30."


class TestLimits:
    def test_a_user_may_have_ten_streams_and_waiting_requests(
        self, server: RunningServer, ada: ApiUser, bob: ApiUser
    ) -> None:
        since = token(ada)
        ada.create()
        present = token(ada)
        with ExitStack() as stack:
            for _ in range(MAX_WATCHERS_PER_USER - 1):
                stack.enter_context(watching(server.url, ada))
            with long_poll(server, ada, present, wait=2):
                refused = send(ada, present, wait="30")
                assert refused.status_code == 429
                assert problem(refused)["code"] == "too_many_streams"
                assert refused.headers["Retry-After"] == "15"
                assert refused_stream(ada.http, ada.tasks("/events")).status_code == 429
                assert len(send(ada, since, wait="30").json()["changes"]) == 1
                assert send(ada, present).status_code == 200
                with long_poll(server, bob, wait=1):
                    pass
            with long_poll(server, ada, present, wait=1) as poll:
                assert poll.answer().status_code == 200

    def test_a_request_that_waits_counts_once(self, tmp_path: Path) -> None:
        with checking_server(tmp_path, rate_limit_enabled=True, limit_tasks="4/minute") as server:
            ada = server.register()
            with ada.http:
                with long_poll(server, ada, token(ada)) as poll:
                    ada.create()
                    assert len(poll.answer().json()["changes"]) == 1
                assert send(ada).status_code == 200
                refused = send(ada, wait="30")
                assert refused.status_code == 429
                assert problem(refused)["code"] == "rate_limited"


class TestEnding:
    @pytest.mark.parametrize("end", SESSION_ENDS)
    def test_a_wait_ends_with_its_session(self, tmp_path: Path, end: str) -> None:
        with checking_server(tmp_path) as server:
            ada = server.register()
            second = second_token(ada)
            with (
                closing(ada.http),
                long_poll(server, ada) as poll,
                server.client(Authorization=f"Bearer {second}") as other,
                running_server(server.container.settings()) as neighbour,
            ):
                end_session(end, ada, other=other, neighbour=neighbour)
                ended = time.monotonic()
                assert poll.answered_at() - ended < CHECK_SECONDS
                assert poll.answer().status_code == 401
                assert comparable(poll.answer()) == comparable(send(ada))

    def test_a_wait_ends_when_its_access_token_expires(self, tmp_path: Path) -> None:
        with checking_server(tmp_path, access_token_ttl=timedelta(seconds=2)) as server:
            ada = server.register()
            with closing(ada.http), long_poll(server, ada) as poll:
                assert poll.answered_at() - poll.sent_at < 2 + CHECK_SECONDS
                assert comparable(poll.answer()) == comparable(send(ada))
                assert problem(poll.answer())["code"] == "invalid_token"

    def test_a_wait_ends_when_the_service_stops(self, tmp_path: Path) -> None:
        with ExitStack() as stack:
            with checking_server(tmp_path) as server:
                ada = server.register()
                stack.callback(ada.http.close)
                expected = send(ada).json()
                poll = stack.enter_context(long_poll(server, ada))
                began = time.monotonic()
            assert time.monotonic() - began < 3
            assert poll.answered_at() - began < 1
            assert poll.answer().status_code == 200
            assert poll.answer().json() == expected

    def test_a_wait_ends_when_the_client_leaves(self, server: RunningServer, ada: ApiUser) -> None:
        with connected(server.url) as connection:
            connection.sendall(request(ada))
            until(lambda: watchers_of(server, ada))
        until(lambda: not watchers_of(server, ada), seconds=2)

    def test_the_connection_is_used_again_after_a_wait(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        with connected(server.url) as connection:
            connection.sendall(request(ada) + request(ada))
            until(lambda: watchers_of(server, ada))
            ada.create()
            received = b""
            while received.count(b"HTTP/1.1 200 OK") < 2 or received.count(b'"more":false') < 2:
                received += connection.recv(65536)
            assert received.count(b'"revision":1,') == 2

    def test_a_body_that_is_too_large_ends_the_wait(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        piece = b"%x\r\n%b\r\n" % (65536, b"a" * 65536)
        with connected(server.url) as connection:
            connection.sendall(request(ada, b"Transfer-Encoding: chunked\r\n"))
            until(lambda: watchers_of(server, ada))
            received = b""
            for _ in range(server.container.settings().max_body_size // 65536 + 2):
                try:
                    connection.sendall(piece)
                except OSError:
                    break
            while b"\r\n\r\n" not in received:
                received += receive(connection)
            assert received.startswith(b"HTTP/1.1 413 ")
        until(lambda: not watchers_of(server, ada), seconds=2)


def request(user: ApiUser, headers: bytes = b"") -> bytes:
    """Return a request that waits, as it is sent."""
    path = user.tasks("/changes", wait="30").raw_path
    return b"GET %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n%b\r\n" % (
        path,
        user.token.encode(),
        headers,
    )


def receive(connection: socket.socket) -> bytes:
    """Return some bytes that arrive, of which there must be some."""
    received = connection.recv(65536)
    assert received, "the connection was closed"
    return received
