"""The threads of a process do not hand the interpreter over between cores.

This counts context switches and not time, so that the result does not depend on the speed of the
machine.
"""

import asyncio
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.command import Served, served
from tests.support.users import ApiUser, register_user

CONNECTIONS = 32
REQUESTS_EACH = 100

MOST_SWITCHES = 4.0
"""Voluntary context switches of the server for each request, at most.

On one core there is less than one. If the threads run on different cores, each request has 6 to 18,
because the threads wait several times for each other to let go of the interpreter.
"""


def voluntary_switches(process: int) -> int:
    """Return how often the threads of a process have waited for something (proc_pid_status(5))."""
    return sum(
        int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status.read_text(), re.MULTILINE)[0])
        for status in Path(f"/proc/{process}/task").glob("*/status")
    )


async def send_on_connections(server: Served, request: bytes) -> None:
    """Send the request on many connections at once, repeatedly, and read each response."""

    async def send_repeatedly() -> None:
        parts = urlsplit(server.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for _ in range(REQUESTS_EACH):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 20"), head
            [length] = re.findall(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length))
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(send_repeatedly() for _ in range(CONNECTIONS)))


def request(user: ApiUser, method: str, body: bytes = b"") -> bytes:
    """Return a request for all tasks of the user, or for a new one."""
    return (
        b"%b %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (method.encode(), user.tasks().raw_path, user.token.encode(), len(body), body)
    )


@pytest.mark.alone
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux counts them there")
def test_a_request_costs_few_context_switches(tmp_path: Path) -> None:
    with served(tmp_path, TODO_RATE_LIMIT_ENABLED="false") as server:
        user = register_user(server.url)
        with user.http:
            for _ in range(20):
                user.create("Buy milk")
        switches = {}
        for name, sent in {
            "list": request(user, "GET"),
            "create": request(user, "POST", b'{"title": "Buy milk"}'),
        }.items():
            before = voluntary_switches(server.process.pid)
            asyncio.run(send_on_connections(server, sent))
            count = voluntary_switches(server.process.pid) - before
            switches[name] = count / (CONNECTIONS * REQUESTS_EACH)
    assert all(each <= MOST_SWITCHES for each in switches.values()), switches


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this policy")
@pytest.mark.parametrize(("affinity", "is_patient"), [("auto", True), ("off", False)])
def test_database_threads_do_not_interrupt_the_event_loop(
    tmp_path: Path, affinity: str, is_patient: bool
) -> None:
    with served(tmp_path, TODO_CPU_AFFINITY=affinity) as server, register_user(server.url).http:
        process = server.process.pid
        policies = {
            int(task.name): os.sched_getscheduler(int(task.name))
            for task in Path(f"/proc/{process}/task").iterdir()
        }
    patient = {thread for thread, policy in policies.items() if policy == os.SCHED_BATCH}
    assert bool(patient) is is_patient
    assert process not in patient  # the event loop
    assert len(policies) > len(patient) + 1  # the threads that hash passwords
