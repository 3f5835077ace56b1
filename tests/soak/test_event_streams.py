"""Thousands of idle streams of events are cheap, and changes are seen quickly."""

import asyncio
import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from tests.support.command import served
from tests.support.event_streams import Stream, watching
from tests.support.postgres import create_database, drop_database
from tests.support.processes import resident
from tests.support.proof import note
from tests.support.settings import environment_on
from tests.support.users import ApiUser, register_user
from todo_adapters.security.access_tokens import JoseAccessTokens
from todo_adapters.security.keys import KeyRing
from todo_core.entities.session import Session, SessionId
from todo_core.entities.user import UserId

SECRET = "a secret for tests, of 32 bytes."
STREAMS = 5_000
STREAMS_PER_USER = 10
MAX_MEMORY = 150 * 2**20
IDLE_SECONDS = 20.0
CHANGES = 20
IN_PROCESS_SECONDS = 0.1
BETWEEN_PROCESSES_SECONDS = 1.5


@pytest.fixture
def _many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < STREAMS + 500:
        pytest.skip("the hard limit of open files is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def token_of(user_id: UUID) -> str:
    """Return an access token that the service accepts, whether the user exists or not."""
    tokens = JoseAccessTokens(
        KeyRing.of(SECRET), issuer="todo", audience="todo", lifetime=timedelta(minutes=15)
    )
    session = Session.start(
        id=SessionId(uuid4()),
        user_id=UserId(user_id),
        refresh_salt="",
        user_agent="",
        address="",
        lifetime=timedelta(days=1),
        now=datetime.now(UTC),
    )
    return tokens.issue(session, now=datetime.now(UTC)).value


async def open_idle(port: int, user_id: UUID, token: str) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    head = f"GET /api/{user_id}/tasks/events?url_user_id={user_id} HTTP/1.1\r\nHost: todo\r\n"
    writer.write(f"{head}Authorization: Bearer {token}\r\n\r\n".encode())
    first = await reader.readuntil(b"id: 0\n\n")
    assert first.startswith(b"HTTP/1.1 200 "), first
    return writer


@pytest.mark.proof
@pytest.mark.usefixtures("_many_descriptors")
def test_five_thousand_idle_streams_cost_little_memory(tmp_path: Path) -> None:
    with served(tmp_path, TODO_JWT_SECRET=SECRET, TODO_RATE_LIMIT_ENABLED="false") as server:
        port = urlsplit(server.url).port
        assert port is not None
        pid = server.process.pid
        ada = register_user(server.url)

        async def measure() -> tuple[int, int, float]:
            warm = uuid4()
            writers = [await open_idle(port, warm, token_of(warm))]
            before = resident(pid)
            for _ in range(STREAMS // STREAMS_PER_USER):
                user_id = uuid4()
                token = token_of(user_id)
                opening = (open_idle(port, user_id, token) for _ in range(STREAMS_PER_USER))
                writers += await asyncio.gather(*opening)
            opened = resident(pid)
            used = processor_seconds(pid)
            await asyncio.sleep(IDLE_SECONDS)
            load = (processor_seconds(pid) - used) / IDLE_SECONDS
            after = resident(pid)
            with watching(server.url, ada) as stream:
                await asyncio.to_thread(stream.next)
                delays = await asyncio.to_thread(seen_after, ada, stream)
            assert max(delays) < IN_PROCESS_SECONDS, delays
            for writer in writers:
                writer.transport.abort()
            return opened - before, after - before, load

        opened, idle, load = asyncio.run(measure())
        began = time.monotonic()
        server.process.terminate()
        assert server.process.wait(timeout=30) == 0
        stopping = time.monotonic() - began
        ada.http.close()
    print(  # noqa: T201 - the figures of the proof
        f"\n{STREAMS} streams: {opened / 2**20:.0f} MB when opened, {idle / 2**20:.0f} MB after"
        f" {IDLE_SECONDS:.0f} s, {load:.1%} of a core; stopped in {stopping:.1f} s"
    )
    note("event streams", "idle, in one process", tried=STREAMS)
    assert max(opened, idle) < MAX_MEMORY


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def seen_after(user: ApiUser, stream: Stream) -> list[float]:
    """Change tasks of the user, and return after how many seconds the stream told each change."""
    delays = []
    for _ in range(CHANGES):
        user.create()
        written = time.monotonic()
        delays.append(stream.next().at - written)
        time.sleep(0.05)
    return delays


@pytest.mark.proof
@pytest.mark.parametrize("storage", ["sqlite", "postgresql"])
def test_a_change_is_seen_in_time_by_the_same_and_by_another_process(
    storage: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with ExitStack() as stack:
        settings = {"TODO_RATE_LIMIT_ENABLED": "false"}
        if storage == "postgresql":
            names = ("postgres_url", "migrated_template")
            url = create_database(
                request.getfixturevalue(names[0]), template=request.getfixturevalue(names[1])
            )
            stack.callback(drop_database, url)
            settings |= environment_on(url)
        else:
            settings |= {"TODO_DATA_DIR": str(tmp_path / "data"), "TODO_JWT_SECRET": SECRET}
        one = stack.enter_context(served(tmp_path, **settings))
        other_folder = tmp_path / "other"
        other_folder.mkdir()
        other = stack.enter_context(served(other_folder, **settings))
        ada = register_user(one.url)
        with (
            ada.http,
            watching(one.url, ada) as here,
            watching(other.url, ada) as there,
        ):
            assert (here.next().revision, there.next().revision) == (0, 0)
            near, far = [], []
            for number in range(1, CHANGES + 1):
                ada.create()
                written = time.monotonic()
                seen = here.next()
                assert seen.revision == number
                near.append(seen.at - written)
                seen = there.next()
                assert seen.revision == number
                far.append(seen.at - written)
                time.sleep(0.03 * number)  # at different times between two polls
    print(  # noqa: T201 - the figures of the proof
        f"\n{storage}: same process median {median(near) * 1000:.0f} ms, most"
        f" {max(near) * 1000:.0f} ms; other process median {median(far):.2f} s, most"
        f" {max(far):.2f} s"
    )
    note("event streams", f"changes on {storage}", tried=2 * CHANGES)
    assert max(near) < IN_PROCESS_SECONDS
    assert max(far) < BETWEEN_PROCESSES_SECONDS
