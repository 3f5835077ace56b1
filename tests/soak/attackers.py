"""Hostile traffic of every kind at once, from loopback addresses, in a separate process.

`python -m tests.soak.attackers PORT SECONDS TOKEN USER_ID` attacks the service on that port
with a separate account, and then exits. Each kind is limited in rate and number: it simulates
what a few machines on a network can do, not what overloads this machine.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random

from tests.support.messages import sequence
from tests.support.raw_requests import corpus, fill

type Attack = Callable[["Target", Random], Awaitable[None]]

_LOGIN = b"POST /api/auth/%b HTTP/1.1\r\nHost: todo\r\nContent-Type: application/json\r\n"


class Target:
    """The service under attack, and the account that attacks it."""

    def __init__(self, port: int, token: str, user_id: str) -> None:
        self.port = port
        self._token, self._user_id = token.encode(), user_id.encode()
        names = {
            b"{token}": self._token,
            b"{me}": self._user_id,
            b"{task}": b"1",
            b"{other}": b"00000000-0000-4000-8000-000000000000",
            b"{others_task}": b"2",
        }
        self.corpus = [fill(request, names) for request in corpus()]

    async def connect(self, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection from this loopback address."""
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))

    def own(self, method: bytes, path: bytes) -> bytes:
        """Return a request for a path of the attacker's own account."""
        path = path.replace(b"{me}", self._user_id)
        return b"%b %b HTTP/1.1\r\nHost: todo\r\nAuthorization: Bearer %b\r\n\r\n" % (
            method,
            path,
            self._token,
        )


@contextmanager
def closing(writer: asyncio.StreamWriter) -> Iterator[None]:
    """Abort the connection at the end of the block."""
    try:
        yield
    finally:
        writer.transport.abort()


async def send_rubbish(target: Target, random: Random) -> None:
    """Send bad requests of the other tests, in two pieces."""
    data = random.choice(target.corpus) if random.random() < 0.5 else sequence(random)
    reader, writer = await target.connect(f"127.0.1.{random.randint(1, 50)}")
    with closing(writer):
        at = random.randrange(len(data) + 1)
        writer.write(data[:at])
        await asyncio.sleep(0.002)
        writer.write(data[at:])
        await asyncio.wait_for(reader.read(65536), 0.2)


async def send_slowly(target: Target, random: Random) -> None:
    """Send a byte per second until the connection is closed."""
    reader, writer = await target.connect(f"127.0.2.{random.randint(1, 50)}")
    with closing(writer):
        writer.write(
            _LOGIN % b"login" + (b"Content-Length: 6000\r\n\r\n" if random.random() < 0.5 else b"")
        )
        while not reader.at_eof():
            writer.write(b" ")
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(65536), 1)


async def stay_idle(target: Target, random: Random) -> None:
    """Send line breaks after a request until the connection is closed."""
    reader, writer = await target.connect(f"127.0.3.{random.randint(1, 50)}")
    with closing(writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: todo\r\n\r\n")
        while not reader.at_eof():
            writer.write(b"\r\n")
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(65536), 0.5)


async def read_nothing(target: Target, random: Random) -> None:
    """Request the largest list several times, and read nothing."""
    reader, writer = await target.connect(f"127.0.4.{random.randint(1, 50)}")
    with closing(writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # a stream has no other way
        writer.write(target.own(b"GET", b"/api/{me}/tasks?url_user_id={me}") * 3)
        await asyncio.sleep(15)


async def ask_for_much(target: Target, random: Random) -> None:
    """Send the most expensive requests, one after the other."""
    path = random.choice(
        (b"/api/{me}/tasks?url_user_id={me}", b"/api/auth/me/export", b"/api/auth/sessions")
    )
    reader, writer = await target.connect(f"127.0.5.{random.randint(1, 5)}")
    with closing(writer):
        for _ in range(5):
            writer.write(target.own(b"GET", path))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await asyncio.wait_for(reader.readexactly(length), 20)


async def guess_passwords(target: Target, random: Random) -> None:
    """Log in with wrong passwords to many accounts, from six addresses."""
    what = random.choice((b"login", b"login", b"register", b"forgot-password"))
    body = json.dumps(
        {"email": f"a{random.randrange(10**6)}@example.com", "password": "x", "name": "a"}
    ).encode()
    reader, writer = await target.connect(f"127.0.6.{random.randint(1, 6)}")
    with closing(writer):
        writer.write(_LOGIN % what + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await asyncio.wait_for(reader.read(65536), 35)


async def pipeline(target: Target, random: Random) -> None:
    """Send very many requests at once, and read no response."""
    reader, writer = await target.connect(f"127.0.7.{random.randint(1, 50)}")
    with closing(writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # as above
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: todo\r\n\r\n" * 3_000)
        await asyncio.sleep(5)


async def send_trailers(target: Target, random: Random) -> None:
    """Send very many trailer fields."""
    _, writer = await target.connect(f"127.0.8.{random.randint(1, 50)}")
    with closing(writer):
        writer.write(_LOGIN % b"login" + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
        for _ in range(100):
            writer.write(b"X-T: " + b"a" * 60_000 + b"\r\n")
            await writer.drain()


ATTACKS: dict[Attack, tuple[int, float]] = {
    send_rubbish: (4, 0.02),
    send_slowly: (200, 0.5),
    stay_idle: (50, 0.5),
    read_nothing: (30, 0.5),
    ask_for_much: (4, 0.1),
    guess_passwords: (8, 0.1),
    pipeline: (2, 2.0),
    send_trailers: (2, 1.0),
}
"""How many of each run at the same time, and how many seconds each pauses after an attack."""


async def attack(target: Target, seconds: float) -> Counter[str]:
    """Attack for this many seconds, and return how often each kind was tried."""
    tried: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds

    async def repeat(kind: Attack, number: int, pause: float) -> None:
        random = Random(f"{kind.__name__} {number}")  # noqa: S311 - it need not be a secret
        while loop.time() < end:
            with suppress(OSError, TimeoutError, EOFError, ValueError):
                await asyncio.wait_for(kind(target, random), min(40, max(1, end - loop.time())))
            tried[kind.__name__] += 1
            await asyncio.sleep(pause)

    await asyncio.gather(
        *(
            repeat(kind, number, pause)
            for kind, (many, pause) in ATTACKS.items()
            for number in range(many)
        )
    )
    return tried


if __name__ == "__main__":
    _, port, seconds, token, user_id = sys.argv
    counted = asyncio.run(attack(Target(int(port), token, user_id), float(seconds)))
    sys.stdout.write(json.dumps(counted))
