"""A client of streams of events."""

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from urllib.parse import urlsplit

import httpx

from tests.support.users import ApiUser

WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class Event:
    """One block of a stream: an event, a comment, or only a time to retry after."""

    fields: dict[str, str]
    at: float = field(compare=False)

    @property
    def revision(self) -> int:
        """The revision that an event `changed` tells."""
        assert self.fields["event"] == "changed"
        assert self.fields["data"] == f'{{"revision": {self.fields["id"]}}}'
        return int(self.fields["id"])


class Stream:
    """An open stream of events, whose blocks are read on a thread."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.headers = answer.headers
        self._answer = answer
        self._blocks: SimpleQueue[Event | None] = SimpleQueue()
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def next(self, seconds: float = WAIT_SECONDS) -> Event:
        """Return the next block but for comments."""
        while True:
            block = self._blocks.get(timeout=seconds)
            assert block is not None, "the stream has ended"
            if block.fields.keys() != {""}:
                return block

    def next_comment(self, seconds: float = WAIT_SECONDS) -> Event:
        """Return the next block, which must be a comment."""
        block = self._blocks.get(timeout=seconds)
        assert block is not None
        assert block.fields.keys() == {""}, block
        return block

    def is_quiet(self, seconds: float) -> bool:
        """Return whether nothing arrives for so long, and the stream does not end."""
        with suppress(Empty):
            self._blocks.get(timeout=seconds)
            return False
        return True

    def ends_within(self, seconds: float) -> float:
        """Wait for the end of the stream, and return when it was."""
        deadline = time.monotonic() + seconds
        while True:
            block = self._blocks.get(timeout=max(0.01, deadline - time.monotonic()))
            if block is None:
                return time.monotonic()

    def close(self) -> None:
        """Close the response, after its connection was shut down."""
        self._thread.join(WAIT_SECONDS)
        self._answer.close()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        with suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            while line := self._answer.readline():
                text = line.decode().rstrip("\n")
                if text:
                    name, _, value = text.partition(":")
                    fields[name] = value.strip()
                else:
                    self._blocks.put(Event(fields, time.monotonic()))
                    fields = {}
        self._blocks.put(None)


@contextmanager
def open_stream(
    url: str, path: object, *, token: str | None = None, last_event_id: str | None = None
) -> Iterator[Stream]:
    """Open a stream at the service at this URL until the block ends.

    Raises:
        AssertionError: if it is refused.
    """
    address = urlsplit(url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    connection.request("GET", str(path), headers=headers)
    opened = connection.sock
    answer = connection.getresponse()
    try:
        assert answer.status == 200, answer.read()
        stream = Stream(answer)
        try:
            yield stream
        finally:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            stream.close()
    finally:
        answer.close()
        connection.close()


@contextmanager
def watching(url: str, user: ApiUser, *, last_event_id: str | None = None) -> Iterator[Stream]:
    """Open a stream of the user's own events, and skip the time to retry after."""
    with open_stream(
        url, user.tasks("/events"), token=user.token, last_event_id=last_event_id
    ) as stream:
        assert stream.next().fields.keys() == {"retry"}
        yield stream


def ticket_of(user: ApiUser) -> str:
    """Return a new ticket of the user."""
    answer = user.http.post(user.tasks("/events/ticket"))
    assert answer.status_code == 201, answer.text
    content = answer.json()
    assert content["expires_in"] == 30
    return str(content["ticket"])


def refused_stream(http: httpx.Client, url: httpx.URL | str, **headers: str) -> httpx.Response:
    """Request a stream that must be refused, and return the response.

    Raises:
        AssertionError: if it is opened. A stream that is read has no end.
    """
    with http.stream("GET", url, headers=headers) as answer:
        assert answer.status_code != 200
        answer.read()
    return answer
