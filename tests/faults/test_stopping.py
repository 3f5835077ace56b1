"""The service is stopped, or one of its processes is killed, under load.

When it is stopped, it answers all requests that it received before. When a process is killed,
no change is partly stored. No acknowledged write is lost.
"""

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from tests.support.command import served
from tests.support.processes import is_running, workers_of
from tests.support.proof import note
from tests.support.settings import environment_on
from tests.support.users import PASSWORD, ApiUser, every_task, register_user
from tests.support.waiting import until

CLIENTS = 8
KILLS = 3
READING_SECONDS = 0.05
"""Requests that were sent this shortly before the signal may not have been received yet."""

RESTART_SECONDS = 20
LEAVING_SECONDS = 60
"""Longer than a replaced worker may take."""

NEW_PASSWORD = "another rather long sentence"


@dataclass
class ClientRecord:
    """The requests of one client on one connection, with and without a response."""

    answered: list[tuple[str, int]] = field(default_factory=list)
    unanswered: list[tuple[str, float]] = field(default_factory=list)


def create_until_closed(user: ApiUser, client: int, sent: ClientRecord) -> None:
    """Create tasks on one connection until the server closes it."""
    address = urlsplit(str(user.http.base_url))
    assert address.hostname is not None
    headers = {"Authorization": f"Bearer {user.token}", "Content-Type": "application/json"}
    number = 0
    with closing(
        http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    ) as connection:
        while True:
            number += 1
            title = f"task {number} of client {client}"
            began = time.monotonic()
            try:
                connection.request("POST", str(user.tasks()), json.dumps({"title": title}), headers)
                began = time.monotonic()  # the whole request was sent
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                sent.unanswered.append((title, began))
                return
            assert answer.status == 201, body
            sent.answered.append((title, answer.status))
            if answer.will_close:
                return


@pytest.mark.proof
@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_stopped_under_load_answers_all_requests_it_received(
    tmp_path: Path, workers: int
) -> None:
    options = ("--workers", str(workers))
    with served(tmp_path, *options, TODO_RATE_LIMIT_ENABLED="false") as server:
        ada = register_user(server.url)
        with ada.http, ThreadPoolExecutor(CLIENTS) as threads:
            everything = [ClientRecord() for _ in range(CLIENTS)]
            clients = [
                threads.submit(create_until_closed, ada, number, sent)
                for number, sent in enumerate(everything)
            ]
            deadline = time.monotonic() + 30
            while any(len(sent.answered) < 20 for sent in everything):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            told_at = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            for client in clients:
                client.result(timeout=60)
            assert server.process.wait(timeout=60) == 0
    dropped = [
        title
        for sent in everything
        for title, sent_at in sent.unanswered
        if sent_at < told_at - READING_SECONDS
    ]
    assert dropped == []
    with served(tmp_path) as server:
        token = {"Authorization": f"Bearer {ada.token}"}
        with httpx.Client(base_url=server.url, headers=token) as http:
            stored = every_task(http, ada.tasks())
    titles = [task["title"] for task in stored]
    assert len(titles) == len(set(titles))
    acknowledged = {title for sent in everything for title, _ in sent.answered}
    assert acknowledged <= set(titles)
    note("faults", f"writes until SIGTERM, {workers} workers", tried=len(acknowledged), failed=0)


@dataclass
class Account:
    """The progress of a user who logs in twice and changes the password in the first session."""

    email: str
    registered: bool = False
    changing: bool = False
    changed: bool = False


def use_accounts(url: str, client: int, done: Event) -> list[Account]:
    """Register accounts until the event is set, and use each as far as possible."""
    accounts: list[Account] = []
    # One connection for each request distributes the requests over all workers.
    alone = {"Connection": "close"}
    with httpx.Client(base_url=url, headers=alone, timeout=60) as http:
        while not done.is_set():
            account = Account(f"client{client}.{len(accounts)}@example.com")
            accounts.append(account)
            with suppress(httpx.TransportError):
                use_account(http, account)
    return accounts


def use_account(http: httpx.Client, account: Account) -> None:
    """Register, log in twice and change the password, and record the progress."""
    registration = {"name": "Ada", "email": account.email, "password": PASSWORD}
    post(http, "register", registration)
    account.registered = True
    login = {"email": account.email, "password": PASSWORD}
    token = post(http, "login", login).json()["access_token"]
    post(http, "login", login)
    account.changing = True
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    post(http, "change-password", change, Authorization=f"Bearer {token}")
    account.changed = True


def post(http: httpx.Client, what: str, body: dict[str, str], **headers: str) -> httpx.Response:
    answer = http.post(f"/api/auth/{what}", json=body, headers=headers)
    assert answer.is_success, answer.text
    return answer


@contextmanager
def running_clients(url: str) -> Iterator[list[Account]]:
    """Run clients that register and change passwords until the block ends."""
    done = Event()
    accounts: list[Account] = []
    with ThreadPoolExecutor(CLIENTS) as threads:
        clients = [threads.submit(use_accounts, url, number, done) for number in range(CLIENTS)]
        try:
            yield accounts
        finally:
            done.set()
        for client in clients:
            accounts.extend(client.result(timeout=60))


@pytest.mark.proof
def test_a_killed_worker_leaves_no_partial_change_and_is_replaced(
    tmp_path: Path, database_url: str
) -> None:
    settings = environment_on(database_url)
    with served(tmp_path, "--workers", "2", **settings) as server:
        with running_clients(server.url) as accounts:
            for _ in range(KILLS):
                wait_for_workers(server.process.pid, 2)
                time.sleep(1)
                victim, *_ = workers_of(server.process.pid)
                os.kill(victim, signal.SIGKILL)
            wait_for_workers(server.process.pid, 2)
            # While no worker listens, connections are refused; those of a killed one are reset.
            until(lambda: is_ready(server.url), seconds=RESTART_SECONDS)
        assert any(account.changed for account in accounts)
        with psycopg.connect(database_url) as connection:
            for account in accounts:
                require_consistent_account(server.url, connection, account)
    note("faults", "accounts while workers are killed", tried=len(accounts), failed=0)


@pytest.mark.proof
def test_a_replaced_worker_that_hangs_is_killed_and_the_others_are_kept_alive_meanwhile(
    tmp_path: Path,
) -> None:
    with served(tmp_path, "--workers", "2") as server:

        def starts() -> int:
            return server.log.read_text().count("startup complete")

        until(lambda: starts() == 2, seconds=RESTART_SECONDS)
        hanging, second = workers_of(server.process.pid)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "worker.replaced" in server.log.read_text(), seconds=RESTART_SECONDS)
        os.kill(hanging, signal.SIGSTOP)
        [new] = set(workers_of(server.process.pid)) - {hanging, second}
        os.kill(new, signal.SIGKILL)
        until(lambda: starts() == 4, seconds=RESTART_SECONDS)
        assert is_running(hanging)
        until(lambda: not is_running(hanging), seconds=LEAVING_SECONDS)
        until(lambda: not is_running(second), seconds=RESTART_SECONDS + LEAVING_SECONDS)
        assert starts() == 5
        assert is_ready(server.url)
    assert server.process.returncode == 0


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=60).is_success
    except httpx.TransportError:
        return False


def wait_for_workers(supervisor: int, count: int) -> None:
    deadline = time.monotonic() + RESTART_SECONDS
    while len(workers_of(supervisor)) < count:
        assert time.monotonic() < deadline, "the killed worker is not replaced"
        time.sleep(0.05)


def require_consistent_account(url: str, connection: psycopg.Connection, account: Account) -> None:
    """Require that acknowledged changes of this account are stored, and none is partly stored."""
    sessions = connection.execute(
        "SELECT count(s.id), count(DISTINCT u.id) FROM users u LEFT JOIN sessions s"
        " ON s.user_id = u.id WHERE u.email = %s",
        (account.email,),
    ).fetchone()
    assert sessions is not None
    open_sessions, people = sessions
    assert people == 1 or not account.registered
    if not account.changing:
        return
    old, new = (
        httpx.post(
            f"{url}/api/auth/login",
            json={"email": account.email, "password": password},
            timeout=60,
        ).status_code
        for password in (PASSWORD, NEW_PASSWORD)
    )
    # Either the password is new and the other session is revoked, or nothing has changed.
    assert (old, new, open_sessions) in {(401, 200, 1), (200, 401, 2)}
    if account.changed:
        assert new == 200
