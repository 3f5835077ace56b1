"""Streams of events: what they tell, who may open them, and when they end."""

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.concurrency import at_once
from tests.support.event_streams import open_stream, refused_stream, ticket_of, watching
from tests.support.problems import problem
from tests.support.servers import RunningServer, running_server
from tests.support.session_ends import (
    CHECK_SECONDS,
    SESSION_ENDS,
    checking_server,
    end_session,
    second_token,
)
from tests.support.settings import embedded_settings, migrate
from tests.support.users import ApiUser
from tests.support.waiting import until
from todo_adapters.in_memory.clock import ManualClock
from todo_api.http import event_streams
from todo_api.http.watchers import MAX_WATCHERS_PER_USER
from todo_api.server.protocol import StrictHttpProtocol
from todo_core.entities.stream_ticket import TICKET_LIFETIME
from todo_core.errors import Unavailable

QUIET_SECONDS = 0.3


class TestEvents:
    def test_a_stream_tells_the_present_revision_and_then_each_change(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        task = ada.create()
        url = ada.tasks(f"/{task['id']}")
        changes: list[Callable[[], httpx.Response]] = [
            lambda: ada.http.patch(url, json={"title": "Buy oats"}),
            lambda: ada.http.put(url, json={"title": "Buy rye"}),
            lambda: ada.http.patch(f"{str(url).replace('?', '/complete?')}"),
            lambda: ada.http.delete(url),
        ]
        with watching(server.url, ada) as stream:
            assert stream.next().revision == 1
            for revision, change in enumerate(changes, start=2):
                change().raise_for_status()
                assert stream.next().revision == revision

    def test_the_headers_tell_caches_and_proxies_to_pass_each_event_on(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        with watching(server.url, ada) as stream:
            assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            assert stream.headers["Cache-Control"] == "no-store"
            assert stream.headers["X-Accel-Buffering"] == "no"

    def test_a_client_that_comes_back_is_told_what_it_missed_and_nothing_else(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        ada.create()
        with watching(server.url, ada, last_event_id="1") as stream:
            assert stream.is_quiet(QUIET_SECONDS)
            ada.create()
            assert stream.next().revision == 2
        for unknown in ("1", "7", "nonsense", "9" * 30):
            with watching(server.url, ada, last_event_id=unknown) as stream:
                assert stream.next().revision == 2

    def test_many_changes_in_a_row_end_with_the_newest_revision(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        with watching(server.url, ada) as stream:
            at_once(20, lambda _: ada.http.post(ada.tasks(), json={"title": "x"}))
            told = [stream.next().revision]
            while told[-1] != 20:
                told.append(stream.next().revision)
            assert told == sorted(set(told))
            assert stream.is_quiet(QUIET_SECONDS)

    def test_a_change_by_another_process_is_told_within_a_second_and_a_half(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        with (
            running_server(server.container.settings()) as other,
            watching(other.url, ada) as stream,
        ):
            assert stream.next().revision == 0
            ada.create()
            written = time.monotonic()
            assert stream.next().at - written < 1.5

    def test_a_quiet_stream_gets_heartbeats(
        self, server: RunningServer, ada: ApiUser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(event_streams, "HEARTBEAT_SECONDS", 0.5)
        with watching(server.url, ada) as stream:
            assert stream.next().revision == 0
            stream.next_comment()
            stream.next_comment()

    def test_an_open_stream_survives_a_failure_of_the_database(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with checking_server(tmp_path) as server:
            ada = server.register()
            with ada.http, watching(server.url, ada) as stream:
                assert stream.next().revision == 0
                tasks = server.container.tasks()
                asked: list[int] = []

                def fail(_: object) -> None:
                    asked.append(1)
                    raise Unavailable("database")

                monkeypatch.setattr(tasks, "revisions", fail)
                ada.create()
                until(lambda: len(asked) > 2)
                monkeypatch.undo()
                assert stream.next().revision == 1


class TestOpening:
    def test_a_ticket_opens_one_stream(self, server: RunningServer, ada: ApiUser) -> None:
        url = ada.tasks("/events", ticket=ticket_of(ada))
        with open_stream(server.url, url) as stream:
            stream.next()
            assert stream.next().revision == 0
            ada.create()
            assert stream.next().revision == 1
        assert_refused(server, url)

    def test_of_concurrent_uses_of_a_ticket_one_succeeds(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        url = ada.tasks("/events", ticket=ticket_of(ada))
        with ExitStack() as stack, running_server(server.container.settings()) as other:

            def use(number: int) -> bool:
                try:
                    stack.enter_context(open_stream((server, other)[number % 2].url, url))
                except AssertionError:
                    return False
                return True

            with ThreadPoolExecutor(8) as pool:
                assert sum(pool.map(use, range(8))) == 1
            stack.close()

    def test_every_refused_ticket_gets_the_same_response(
        self, server: RunningServer, ada: ApiUser, bob: ApiUser
    ) -> None:
        ticket, of_bob = ticket_of(ada), ticket_of(bob)
        used = ticket_of(ada)
        with open_stream(server.url, ada.tasks("/events", ticket=used)):
            pass
        flipped = ticket[:-2] + ("A" if ticket[-2] != "A" else "B") + ticket[-1]
        answers = {
            comparable(assert_refused(server, ada.tasks("/events", ticket=each)))
            for each in (used, flipped, of_bob, "", "x", "y" * 5000, ticket.upper(), "\0", "\ud7ff")
        }
        answers.add(comparable(assert_refused(server, bob.tasks("/events", ticket=ticket))))
        twice = ada.tasks("/events", ticket=ticket).copy_add_param("ticket", ticket)
        answers.add(comparable(assert_refused(server, twice)))
        assert len(answers) == 1
        with open_stream(server.url, ada.tasks("/events", ticket=ticket)) as stream:
            stream.next()  # none of these has used it up
            stream.next()

    def test_a_ticket_expires_after_thirty_seconds(self, tmp_path: Path) -> None:
        clock = ManualClock()
        settings = embedded_settings(tmp_path)
        migrate(settings)
        with running_server(settings, clock=clock) as server:
            ada = server.register()
            with ada.http:
                early, late = ticket_of(ada), ticket_of(ada)
                clock.advance(TICKET_LIFETIME - timedelta(seconds=1))
                with open_stream(server.url, ada.tasks("/events", ticket=early)) as stream:
                    stream.next()
                clock.advance(timedelta(seconds=1))
                assert_refused(server, ada.tasks("/events", ticket=late))

    def test_a_ticket_of_a_revoked_session_is_refused(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        url = ada.tasks("/events", ticket=ticket_of(ada))
        ada.http.post("/api/auth/logout").raise_for_status()
        assert_refused(server, url)

    def test_the_id_of_the_user_is_read_in_upper_case_too(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        url = ada.tasks_of(ada.id.upper(), "/events", ticket=ticket_of(ada))
        with open_stream(server.url, url) as stream:
            stream.next()

    def test_a_ticket_is_not_logged_and_not_stored(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with checking_server(tmp_path) as server:
            ada = server.register()
            with ada.http:
                used, unused = ticket_of(ada), ticket_of(ada)
                url = ada.tasks("/events", ticket=used)
                with open_stream(server.url, url) as stream:
                    stream.next()
                assert_refused(server, url)
        output = "".join(capsys.readouterr())
        assert "/tasks/events" in output
        stored = b"".join(file.read_bytes() for file in tmp_path.rglob("todo.db*"))
        for ticket in (used, unused):
            assert ticket not in output
            assert ticket.encode() not in stored

    def test_a_user_has_at_most_ten_streams(
        self, server: RunningServer, ada: ApiUser, bob: ApiUser
    ) -> None:
        with ExitStack() as stack:
            for _ in range(MAX_WATCHERS_PER_USER - 1):
                stack.enter_context(watching(server.url, ada))
            with watching(server.url, ada):
                refused = refused_stream(ada.http, ada.tasks("/events"))
                assert refused.status_code == 429
                assert problem(refused)["code"] == "too_many_streams"
                assert refused.headers["Retry-After"] == "15"
                with watching(server.url, bob):
                    pass
            until(lambda: open_streams(server, ada) < MAX_WATCHERS_PER_USER)
            with watching(server.url, ada):
                pass
        until(lambda: not open_streams(server, ada))

    def test_each_opening_counts_as_a_request_about_tasks(self, tmp_path: Path) -> None:
        with checking_server(tmp_path, rate_limit_enabled=True, limit_tasks="3/minute") as server:
            ada = server.register()
            with ada.http, watching(server.url, ada):
                ticket_of(ada)
                with watching(server.url, ada):
                    refused = refused_stream(ada.http, ada.tasks("/events"))
                    assert refused.status_code == 429
                    assert problem(refused)["code"] == "rate_limited"


def assert_refused(server: RunningServer, url: httpx.URL) -> httpx.Response:
    with server.client() as http:
        answer = refused_stream(http, url, **{"X-Request-ID": "same"})
    assert answer.status_code == 401
    assert problem(answer)["code"] == "invalid_token"
    return answer


def comparable(answer: httpx.Response) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    return answer.content, tuple(pair for pair in answer.headers.items() if pair[0] != "date")


def open_streams(server: RunningServer, user: ApiUser) -> int:
    watchers = server.app.state.watchers._watchers
    return sum(len(each) for owner, each in watchers.items() if str(owner) == user.id)


class TestEnding:
    @pytest.mark.parametrize("way", ["token", "ticket"])
    @pytest.mark.parametrize("end", SESSION_ENDS)
    def test_a_stream_ends_with_its_session(self, tmp_path: Path, way: str, end: str) -> None:
        with checking_server(tmp_path) as server:
            ada = server.register()
            second = second_token(ada)
            if way == "token":
                opened = open_stream(server.url, ada.tasks("/events"), token=ada.token)
            else:
                opened = open_stream(server.url, ada.tasks("/events", ticket=ticket_of(ada)))
            with (
                closing(ada.http),
                opened as stream,
                server.client(Authorization=f"Bearer {second}") as other,
                running_server(server.container.settings()) as neighbour,
            ):
                stream.next()
                stream.next()
                end_session(end, ada, other=other, neighbour=neighbour)
                ended = time.monotonic()
                assert stream.ends_within(10) - ended < CHECK_SECONDS

    def test_a_stream_ends_when_its_access_token_expires(self, tmp_path: Path) -> None:
        with checking_server(tmp_path, access_token_ttl=timedelta(seconds=2)) as server:
            ada = server.register()
            by_ticket = ada.tasks("/events", ticket=ticket_of(ada))
            with (
                closing(ada.http),
                open_stream(server.url, by_ticket) as lasting,
                watching(server.url, ada) as stream,
            ):
                lasting.next()
                lasting.next()
                stream.ends_within(2 + CHECK_SECONDS)
                assert lasting.is_quiet(QUIET_SECONDS)

    def test_streams_end_when_the_service_stops(self, tmp_path: Path) -> None:
        with ExitStack() as stack:
            with checking_server(tmp_path) as server:
                ada = server.register()
                stack.callback(ada.http.close)
                stream = stack.enter_context(watching(server.url, ada))
                assert stream.next().revision == 0
                began = time.monotonic()
            assert time.monotonic() - began < 3
            assert stream.ends_within(1) - began < 1

    def test_a_client_that_does_not_read_is_cut_off(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(StrictHttpProtocol, "response_timeout", 1.0)
        monkeypatch.setattr(event_streams, "HEARTBEAT_SECONDS", 0.0)
        with checking_server(tmp_path, session_check_interval=timedelta(seconds=0.04)) as server:
            ada = server.register()
            address = urlsplit(server.url)
            with closing(ada.http), socket.socket() as lazy:
                lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
                lazy.connect((address.hostname, address.port))
                head = f"GET {ada.tasks('/events')} HTTP/1.1\r\nHost: todo\r\n"
                lazy.sendall(f"{head}Authorization: Bearer {ada.token}\r\n\r\n".encode())
                with watching(server.url, ada) as reading:
                    reading.next()
                    until(lambda: open_streams(server, ada) == 2)
                    until(lambda: open_streams(server, ada) == 1, seconds=30)
                    reading.next_comment()
