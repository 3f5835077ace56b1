"""Behind real proxies, users get only their own responses, whatever else is sent through them.

Several users work through the proxy while an attacker sends all the bad requests of the tests. Each
response must belong to its user, and the path that the proxy denies must never reach the service.
Both were once violated by a request with an upgrade offer.
"""

import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random
from threading import Event
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.command import served
from tests.support.messages import SMUGGLED, UPGRADES, sequence
from tests.support.proof import note
from tests.support.proxies import FORBIDDEN, CuttingRelay, proxy
from tests.support.raw_requests import corpus, fill, mutation, placeholders_of
from tests.support.users import ApiUser, register_user

SECONDS = 20
USERS = 6
ATTACKERS = 3

pytestmark = pytest.mark.proof


@pytest.mark.parametrize("name", ["nginx", "nginx-unbuffered", "caddy"])
def test_users_get_only_their_own_responses_through_a_proxy_under_attack(
    name: str, tmp_path: Path
) -> None:
    # The log is JSON, so that the requested routes can be read.
    with (
        served(tmp_path, TODO_RATE_LIMIT_ENABLED="false", TODO_LOG_FORMAT="json") as server,
        CuttingRelay(port_of(server.url)) as relay,
        proxy(name, tmp_path, relay.port) as url,
    ):
        users = [register_user(url, f"User{number}") for number in range(USERS)]
        mallory = register_user(url, "Mallory")
        users[0].create()
        names = placeholders_of(mallory, users[0])
        stop = Event()
        with ThreadPoolExecutor(USERS + ATTACKERS) as pool:
            attacks = [pool.submit(attack, url, names, stop, n) for n in range(ATTACKERS)]
            work = [pool.submit(use, user, stop) for user in users]
            time.sleep(SECONDS)
            stop.set()
            sent = sum(future.result() for future in attacks)
            outcomes = sum((future.result() for future in work), Counter[str]())
        for user in (*users, mallory):
            user.http.close()
        denied = [line for line in server.lines() if line.get("route") == FORBIDDEN.decode()]
    note("answers", f"through {name}", tried=outcomes.total(), failed=outcomes["wrong"])
    note("attacks", f"through {name}", tried=sent, failed=len(denied))
    assert outcomes["wrong"] == 0, outcomes
    assert denied == []
    assert outcomes["right"] > 300, outcomes
    # A proxy may lose a connection that an attacker broke, and report that.
    assert outcomes["lost"] < outcomes["right"] / 20, outcomes
    assert sent > 300


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def use(user: ApiUser, stop: Event) -> Counter[str]:
    """Work with the user's tasks until the stop, and count right, wrong and lost responses."""
    outcomes: Counter[str] = Counter()
    mine = {task["id"] for task in user.list()}
    mine |= {user.create(f"{user.email} {number}")["id"] for number in range(3)}
    for number in count():
        if stop.is_set():
            return outcomes
        try:
            answer = one_request(user, sorted(mine), number)
        except httpx.TransportError:
            outcomes["lost"] += 1
            continue
        if answer.status_code >= 500:
            outcomes["lost"] += 1
        else:
            outcomes["right" if is_own(answer, user, mine) else "wrong"] += 1
    raise AssertionError


def one_request(user: ApiUser, mine: list[int], number: int) -> httpx.Response:
    task = mine[number % len(mine)]
    match number % 4:
        case 0:
            return user.http.get(user.tasks())
        case 1:
            return user.http.get(user.tasks(f"/{task}"))
        case 2:
            title = {"title": f"{user.email} {number}"}
            return user.http.patch(user.tasks(f"/{task}"), json=title)
        case _:
            return user.http.get("/api/auth/me")


def is_own(answer: httpx.Response, user: ApiUser, mine: set[int]) -> bool:
    """Return whether the response contains only data of this user."""
    if answer.status_code != 200:
        return False
    body = answer.json()
    if isinstance(body, list):
        return {task["id"] for task in body} == mine and all(
            task["user_id"] == user.id for task in body
        )
    if "email" in body:
        return bool(body["email"] == user.email)
    return body.get("id") in mine and bool(body["user_id"] == user.id)


def attack(url: str, names: dict[bytes, bytes], stop: Event, number: int) -> int:
    """Send bad requests until the stop, and return how many were sent."""
    sent = 0
    for payload in payloads(names, number):
        if stop.is_set():
            break
        with suppress(OSError):
            send(url, payload)
        sent += 1
    return sent


def payloads(names: dict[bytes, bytes], number: int) -> Iterator[bytes]:
    """Yield bad requests without end, a third of them with a request in the body."""
    seeds = [fill(request, names) for request in corpus()]
    random = Random(number)  # noqa: S311 - it need not be a secret
    good = b"GET %b HTTP/1.1\r\nHost: todo\r\nAuthorization: Bearer {token}\r\n\r\n"
    targets = (b"/api/{me}/tasks?url_user_id={me}", FORBIDDEN)
    hidden = [fill(good % target, names) for target in targets]
    for index in count():
        yield smuggling(random, hidden)
        yield sequence(random).replace(SMUGGLED, random.choice(hidden))
        yield random.choice(seeds) if index % 2 else mutation(seeds, names, number, index)


def smuggling(random: Random, hidden: list[bytes]) -> bytes:
    """Return a request with an upgrade offer, and another request as its body."""
    # A complete request follows the line breaks, wherever they are split.
    body = b"\r\n" * random.randint(0, 100) + random.choice(hidden) * random.randint(1, 3)
    fields = random.choice(UPGRADES)
    if random.random() < 0.5:
        fields += b"Content-Length: %d\r\n" % len(body)
    else:
        fields += b"Transfer-Encoding: chunked\r\n"
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    target = random.choice((b"/healthz", b"/api/auth/login", b"/nowhere"))
    return b"POST %b HTTP/1.1\r\nHost: todo\r\n%b\r\n%b" % (target, fields, body)


def send(url: str, payload: bytes) -> None:
    """Send the head and then the body, and read the response for a moment."""
    with socket.create_connection(("127.0.0.1", port_of(url)), timeout=2) as connection:
        head, separator, body = payload.partition(b"\r\n\r\n")
        connection.sendall(head + separator)
        if body:
            time.sleep(0.002)
            connection.sendall(body)
        connection.settimeout(0.05)
        while connection.recv(65536):
            pass
