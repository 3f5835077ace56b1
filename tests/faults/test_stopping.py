"""The service is stopped, or a process of it dies, while people work.

Told to stop, it drops nothing that it was sent before; killed, it leaves nothing half
done; and of what it acknowledged, nothing is missing.
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
from tests.support.processes import children_of, is_running
from tests.support.proof import note
from tests.support.settings import environment_on
from tests.support.users import PASSWORD, ApiUser, register_user

CLIENTS = 8
KILLS = 3
READING_SECONDS = 0.05
"""What was sent so shortly before the signal may still be on its way to the service."""

RESTART_SECONDS = 20
NEW_PASSWORD = "another rather long sentence"


@dataclass
class Sent:
    """What one client sent on one connection, and what came of it."""

    answered: list[tuple[str, int]] = field(default_factory=list)
    unanswered: list[tuple[str, float]] = field(default_factory=list)


def create_until_gone(person: ApiUser, client: int, sent: Sent) -> None:
    """Create tasks on one connection for as long as there is somebody at its other end."""
    address = urlsplit(str(person.http.base_url))
    assert address.hostname is not None
    headers = {"Authorization": f"Bearer {person.token}", "Content-Type": "application/json"}
    number = 0
    with closing(http.client.HTTPConnection(address.hostname, address.port, timeout=60)) as wire:
        while True:
            number += 1
            title = f"task {number} of client {client}"
            began = time.monotonic()
            try:
                wire.request("POST", str(person.tasks()), json.dumps({"title": title}), headers)
                began = time.monotonic()  # all of it was sent
                answer = wire.getresponse()
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
def test_told_to_stop_under_load_it_answers_all_that_it_was_sent(
    tmp_path: Path, workers: int
) -> None:
    options = ("--workers", str(workers))
    with served(tmp_path, *options, TODO_RATE_LIMIT_ENABLED="false") as server:
        ada = register_user(server.url)
        with ada.http, ThreadPoolExecutor(CLIENTS) as threads:
            everything = [Sent() for _ in range(CLIENTS)]
            clients = [
                threads.submit(create_until_gone, ada, number, sent)
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
        stored = httpx.get(f"{server.url}{ada.tasks()}", headers=token).raise_for_status().json()
    titles = [task["title"] for task in stored]
    assert len(titles) == len(set(titles))
    acknowledged = {title for sent in everything for title, _ in sent.answered}
    assert acknowledged <= set(titles)
    note("faults", f"writes until SIGTERM, {workers} workers", tried=len(acknowledged), failed=0)


@dataclass
class Account:
    """Somebody who is logged in twice, and changes the password from the first place."""

    email: str
    registered: bool = False
    changing: bool = False
    changed: bool = False


def live(url: str, client: int, done: Event) -> list[Account]:
    """Register, log in twice and change the password, again and again, as far as it goes."""
    accounts: list[Account] = []
    # A connection for each request, so that all workers have their part.
    alone = {"Connection": "close"}
    with httpx.Client(base_url=url, headers=alone, timeout=60) as http:
        while not done.is_set():
            account = Account(f"client{client}.{len(accounts)}@example.com")
            accounts.append(account)
            with suppress(httpx.TransportError):
                go_through(http, account)
    return accounts


def go_through(http: httpx.Client, account: Account) -> None:
    """All that this account is to go through, noting how far it came."""
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


def serving_processes(supervisor: int) -> list[int]:
    """The worker processes, without the one that multiprocessing keeps for itself."""
    return [
        pid
        for pid in children_of(supervisor)
        if is_running(pid) and b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


@contextmanager
def living(url: str) -> Iterator[list[Account]]:
    """Many people who come and change their passwords, for the time of the block."""
    done = Event()
    accounts: list[Account] = []
    with ThreadPoolExecutor(CLIENTS) as threads:
        clients = [threads.submit(live, url, number, done) for number in range(CLIENTS)]
        try:
            yield accounts
        finally:
            done.set()
        for client in clients:
            accounts.extend(client.result(timeout=60))


@pytest.mark.proof
def test_a_worker_that_is_killed_leaves_nothing_half_done_and_is_replaced(
    tmp_path: Path, database_url: str
) -> None:
    settings = environment_on(database_url)
    with served(tmp_path, "--workers", "2", **settings) as server:
        with living(server.url) as accounts:
            for _ in range(KILLS):
                wait_for_workers(server.process.pid, 2)
                time.sleep(1)
                victim, *_ = serving_processes(server.process.pid)
                os.kill(victim, signal.SIGKILL)
            wait_for_workers(server.process.pid, 2)
            httpx.get(f"{server.url}/readyz", timeout=60).raise_for_status()
        assert any(account.changed for account in accounts)
        with psycopg.connect(database_url) as connection:
            for account in accounts:
                check(server.url, connection, account)
    note("faults", "accounts while workers are killed", tried=len(accounts), failed=0)


def wait_for_workers(supervisor: int, count: int) -> None:
    deadline = time.monotonic() + RESTART_SECONDS
    while len(serving_processes(supervisor)) < count:
        assert time.monotonic() < deadline, "nobody replaces the worker that was killed"
        time.sleep(0.05)


def check(url: str, connection: psycopg.Connection, account: Account) -> None:
    """See that what was acknowledged of this account holds, and nothing holds by half."""
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
    # Either the password is new and the other session is over, or all is as it was.
    assert (old, new, open_sessions) in {(401, 200, 1), (200, 401, 2)}
    if account.changed:
        assert new == 200
