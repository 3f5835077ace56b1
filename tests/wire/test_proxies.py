"""Behind real proxies nobody gets what is another's, whatever else is sent through them.

Several users work through the proxy while an attacker sends everything that the tests know of
bad requests. Each answer must be the asker's own, and the path that the proxy denies must
never reach the service: both were untrue for a request that offered to upgrade.
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
from tests.support.raw_requests import corpus, fill, mutated, names_of
from tests.support.users import ApiUser, register_user

SECONDS = 20
USERS = 6
ATTACKERS = 3

pytestmark = pytest.mark.proof


@pytest.mark.parametrize("name", ["nginx", "nginx-unbuffered", "caddy"])
def test_every_answer_is_the_askers_own_while_an_attacker_sends_everything(
    name: str, tmp_path: Path
) -> None:
    # Logged as JSON, so that the routes that were asked for can be read.
    with (
        served(tmp_path, TODO_RATE_LIMIT_ENABLED="false", TODO_LOG_FORMAT="json") as server,
        CuttingRelay(port_of(server.url)) as relay,
        proxy(name, tmp_path, relay.port) as url,
    ):
        users = [register_user(url, f"User{number}") for number in range(USERS)]
        mallory = register_user(url, "Mallory")
        users[0].create()
        names = names_of(mallory, users[0])
        stop = Event()
        with ThreadPoolExecutor(USERS + ATTACKERS) as pool:
            attacks = [pool.submit(attack, url, names, stop, n) for n in range(ATTACKERS)]
            work = [pool.submit(use, user, stop) for user in users]
            time.sleep(SECONDS)
            stop.set()
            sent = sum(future.result() for future in attacks)
            outcomes = sum((future.result() for future in work), Counter[str]())
        for person in (*users, mallory):
            person.http.close()
        denied = [line for line in server.lines() if line.get("route") == FORBIDDEN.decode()]
    note("answers", f"through {name}", tried=outcomes.total(), failed=outcomes["wrong"])
    note("attacks", f"through {name}", tried=sent, failed=len(denied))
    assert outcomes["wrong"] == 0, outcomes
    assert denied == []
    assert outcomes["right"] > 300, outcomes
    # A proxy may lose a connection that an attacker spoiled, and say so; that is no answer.
    assert outcomes["lost"] < outcomes["right"] / 20, outcomes
    assert sent > 300


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def use(person: ApiUser, stop: Event) -> Counter[str]:
    """Work with one's tasks until the stop, and count the answers that are one's own or not."""
    outcomes: Counter[str] = Counter()
    mine = {task["id"] for task in person.list()}
    mine |= {person.create(f"{person.email} {number}")["id"] for number in range(3)}
    for number in count():
        if stop.is_set():
            return outcomes
        try:
            answer = one_request(person, sorted(mine), number)
        except httpx.TransportError:
            outcomes["lost"] += 1
            continue
        if answer.status_code >= 500:
            outcomes["lost"] += 1
        else:
            outcomes["right" if is_own(answer, person, mine) else "wrong"] += 1
    raise AssertionError


def one_request(person: ApiUser, mine: list[int], number: int) -> httpx.Response:
    task = mine[number % len(mine)]
    match number % 4:
        case 0:
            return person.http.get(person.tasks())
        case 1:
            return person.http.get(person.tasks(f"/{task}"))
        case 2:
            title = {"title": f"{person.email} {number}"}
            return person.http.patch(person.tasks(f"/{task}"), json=title)
        case _:
            return person.http.get("/api/auth/me")


def is_own(answer: httpx.Response, person: ApiUser, mine: set[int]) -> bool:
    """Whether this is an answer that the person asked for, and nothing else."""
    if answer.status_code != 200:
        return False
    body = answer.json()
    if isinstance(body, list):
        return {task["id"] for task in body} == mine and all(
            task["user_id"] == person.id for task in body
        )
    if "email" in body:
        return bool(body["email"] == person.email)
    return body.get("id") in mine and bool(body["user_id"] == person.id)


def attack(url: str, names: dict[bytes, bytes], stop: Event, number: int) -> int:
    """Send bad requests until the stop; how many it was."""
    sent = 0
    for payload in payloads(names, number):
        if stop.is_set():
            break
        with suppress(OSError):
            send(url, payload)
        sent += 1
    return sent


def payloads(names: dict[bytes, bytes], number: int) -> Iterator[bytes]:
    """Everything bad that is known, again and again, a third of it with a request in its body."""
    seeds = [fill(request, names) for request in corpus()]
    random = Random(number)  # noqa: S311 - it need not be a secret
    good = b"GET %b HTTP/1.1\r\nHost: todo\r\nAuthorization: Bearer {token}\r\n\r\n"
    targets = (b"/api/{me}/tasks?url_user_id={me}", FORBIDDEN)
    hidden = [fill(good % target, names) for target in targets]
    for index in count():
        yield smuggling(random, hidden)
        yield sequence(random).replace(SMUGGLED, random.choice(hidden))
        yield random.choice(seeds) if index % 2 else mutated(seeds, names, number, index)


def smuggling(random: Random, hidden: list[bytes]) -> bytes:
    """A request with an offer to upgrade, and another request as its body."""
    # Wherever the line breaks are cut, what follows them is a whole request.
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
    """Send the bytes, the head now and then before the rest, and read what comes for a moment."""
    with socket.create_connection(("127.0.0.1", port_of(url)), timeout=2) as connection:
        head, separator, body = payload.partition(b"\r\n\r\n")
        connection.sendall(head + separator)
        if body:
            time.sleep(0.002)
            connection.sendall(body)
        connection.settimeout(0.05)
        while connection.recv(65536):
            pass
