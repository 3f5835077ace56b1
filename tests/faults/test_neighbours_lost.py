"""The storage of limits and the mail server become unavailable, and users are hardly affected.

Task requests succeed, password guessing stays limited, emails are given up without their content
in the log, and the service can still be stopped.
"""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.faults.load import acknowledged, load, stored_tasks, wait_for_progress
from tests.support.command import Served, served
from tests.support.processes import free_port
from tests.support.proof import note
from tests.support.settings import environment_on
from tests.support.stalling_proxy import stalling_proxy
from tests.support.users import PASSWORD, register_user
from tests.support.valkey import running_valkey

STORAGE_RETRY_SECONDS = 5
LOGINS_ALLOWED = 5
LIMITS = {
    "TODO_RATE_LIMIT_ENABLED": "true",
    "TODO_LIMIT_LOGIN_ACCOUNT": f"{LOGINS_ALLOWED}/hour",
    "TODO_LIMIT_LOGIN_ADDRESS": "100000/hour",
    "TODO_LIMIT_REGISTER": "100000/hour",
    "TODO_LIMIT_TASKS": "1000000/minute",
}
AT_ONCE_SECONDS = 3.0
"""Requests do not wait for the mail server. This is a tolerance for a busy machine."""

STOP_SECONDS = 30
_numbers = count(1)


def failed_logins_until_limited(*servers: Served) -> int:
    """Return how many failed logins of a new email these servers allow, in turn."""
    email = f"nobody{next(_numbers)}@example.com"
    for attempt in range(10 * LOGINS_ALLOWED):
        url = servers[attempt % len(servers)].url
        login = {"email": email, "password": PASSWORD}
        status = httpx.post(f"{url}/api/auth/login", json=login, timeout=60).status_code
        if status == 429:
            return attempt
        assert status == 401
    raise AssertionError("failed logins are not limited")


@pytest.mark.proof
@pytest.mark.parametrize("way", ["killed", "silent"])
def test_limits_apply_in_each_process_while_their_storage_is_unavailable(
    tmp_path: Path, database_url: str, way: str
) -> None:
    with running_valkey() as valkey, stalling_proxy(valkey.port) as proxy:
        storage = {"TODO_RATE_LIMIT_STORAGE": f"redis://127.0.0.1:{proxy.port}"}
        settings = environment_on(database_url) | LIMITS | storage
        folders = [tmp_path / "one", tmp_path / "other"]
        for folder in folders:
            folder.mkdir()
        with served(folders[0], **settings) as one, served(folders[1], **settings) as other:
            with load(one.url, users=4) as workers:
                wait_for_progress(workers, 50)
                assert failed_logins_until_limited(one, other) == LOGINS_ALLOWED
                if way == "killed":
                    valkey.stop()
                else:
                    proxy.stall()
                wait_for_progress(workers, 50)
                assert failed_logins_until_limited(one, other) == 2 * LOGINS_ALLOWED
                wait_for_progress(workers, 50)
                if way == "killed":
                    valkey.start()
                else:
                    proxy.resume()
                time.sleep(STORAGE_RETRY_SECONDS + 1)
                assert failed_logins_until_limited(one, other) == LOGINS_ALLOWED
            for worker in workers:
                assert (worker.wrong, worker.lost, worker.refusals) == ([], 0, 0)
                worker.check(stored_tasks(one.url, worker))
    note("faults", f"writes while Valkey is {way}", tried=acknowledged(workers), failed=0)


@contextmanager
def silent_server() -> Iterator[int]:
    """Yield a port that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def refusing_server() -> Iterator[int]:
    """Yield a port on which no server listens."""
    yield free_port()


@pytest.mark.proof
@pytest.mark.parametrize("mail_server", [refusing_server, silent_server])
def test_an_unavailable_mail_server_delays_no_request_and_leaks_nothing(
    tmp_path: Path, mail_server: object
) -> None:
    assert callable(mail_server)
    with mail_server() as port:
        smtp = {"TODO_SMTP_URL": f"smtp://127.0.0.1:{port}", "TODO_RATE_LIMIT_ENABLED": "false"}
        with served(tmp_path, **smtp) as server:
            ada = register_user(server.url)
            with ada.http:
                for email in [ada.email] * 5 + ["nobody@example.com"] * 5:
                    began = time.monotonic()
                    answer = ada.http.post("/api/auth/forgot-password", json={"email": email})
                    assert answer.status_code == 202
                    assert time.monotonic() - began < AT_ONCE_SECONDS
                time.sleep(1)
                assert ada.list() == []
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(timeout=60) == 0
            assert time.monotonic() - began < STOP_SECONDS
            log = server.log.read_text()
            for secret in (ada.email, "token=", "nobody@example.com", PASSWORD):
                assert secret not in log
            if mail_server is refusing_server:
                assert [line for line in server.lines() if line["event"] == "mail.failed"]
    note("faults", f"emails to a {mail_server.__name__}", tried=5, failed=0)  # type: ignore[attr-defined]  # a function
