"""A user who sends their most expensive requests without a pause, in a process of its own.

It imports nothing but the standard library, so that it starts at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from threading import Thread
from urllib.parse import urlsplit


@contextmanager
def greedy(url: str, paths: list[str], token: str, *, connections: int) -> Iterator[None]:
    """Read these paths on the given number of connections until the block ends."""
    context = get_context("spawn")
    ready = context.Event()
    process = context.Process(
        target=_read_all, args=(url, paths, token, connections, ready), daemon=True
    )
    process.start()
    try:
        assert ready.wait(30), "the greedy user has no response"
        yield
        assert process.is_alive(), "the greedy user gave up"
    finally:
        process.terminate()
        process.join()


def _read_all(url: str, paths: list[str], token: str, connections: int, ready: Event) -> None:
    threads = [
        Thread(target=_read, args=(url, paths[number % len(paths)], token, ready), daemon=True)
        for number in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _read(url: str, path: str, token: str, ready: Event) -> None:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
    while True:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        # Too many concurrent requests of one user are refused. Try again.
        if answer.status not in (200, 429, 503):
            raise SystemExit(f"{path}: {answer.status}")
        ready.set()
