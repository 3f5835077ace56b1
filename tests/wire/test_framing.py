"""Each request gets exactly one response, whatever it contains and however it is split into reads.

An independent parser (h11) determines which requests there are. The protocol may be stricter and
close the connection earlier. It must never read a request where h11 reads none or a different one.
"""

import asyncio
import time
from collections.abc import Sequence
from random import Random

import pytest

from tests.support.connections import Connections, Exchange, MemoryTransport, Seen
from tests.support.h11_requests import read_by_h11
from tests.support.messages import SMUGGLED, UPGRADES, cut, sequence
from tests.support.proof import note
from todo_api.server.protocol import StrictHttpProtocol


def fault_in(exchange: Exchange, requests: Sequence[Seen]) -> str | None:
    """Return the fault in an exchange, given the requests that were sent, or None."""
    expected = requests[: len(exchange.names)]
    if len(expected) < len(exchange.names):
        return "there are more responses than requests"
    for name, request in zip(exchange.names, expected, strict=True):
        unread = Seen(request.method, request.target, None)
        if name not in (request.name(), unread.name()):
            return f"a response to another request: {name!r} instead of {request!r}"
    if len(exchange.refusals) > 1:
        return "two refusals"
    if exchange.refusals and not exchange.is_closed:
        return "refused and left open"
    complete = [each for each in requests if each.body is not None]
    if len(exchange.names) < len(complete) and not exchange.is_closed:
        return "a request without a response on an open connection"
    if not exchange.is_closed and not exchange.has_deadline:
        return "an open connection without a deadline"
    return None


async def failures(seeds: range) -> list[tuple[int, str]]:
    """Return the seeds with a fault, and the fault of each."""
    connections = Connections()
    found = []
    for seed in seeds:
        random = Random(seed)  # noqa: S311 - it need not be a secret
        data = sequence(random)
        exchange = await connections.exchange(cut(random, data))
        if (fault := fault_in(exchange, read_by_h11(data))) is not None:
            found.append((seed, fault))
    return found


def test_every_request_that_h11_reads_gets_exactly_one_response() -> None:
    assert asyncio.run(failures(range(2_000))) == []


@pytest.mark.proof
def test_very_many_sequences_of_requests_are_read_as_h11_reads_them() -> None:
    tried = 150_000
    found = asyncio.run(failures(range(10_000, 10_000 + tried)))
    note("sequences", "framing, against h11", tried=tried, failed=len(found))
    assert found == []


@pytest.mark.parametrize("offer", UPGRADES)
def test_a_request_with_an_upgrade_offer_keeps_its_body_wherever_it_is_split(offer: bytes) -> None:
    head = b"POST /first HTTP/1.1\r\nHost: todo\r\n%bContent-Length: %d\r\n\r\n"
    data = head % (offer, len(SMUGGLED)) + SMUGGLED + b"GET /next HTTP/1.1\r\nHost: todo\r\n\r\n"

    async def targets(at: int) -> list[tuple[bytes, bytes | None]]:
        exchange = await Connections().exchange([data[:at], data[at:]])
        return [(request.target, request.body) for request in exchange.requests]

    for at in range(1, len(data)):
        assert asyncio.run(targets(at)) == [(b"/first", SMUGGLED), (b"/next", b"")], at


@pytest.mark.parametrize("offer", [b"", UPGRADES[0]])
def test_trailer_fields_are_discarded(offer: bytes) -> None:
    trailers = (
        b"Authorization: Bearer stolen\r\nX-Request-ID: mine\r\nX-Forwarded-For: 192.0.2.1\r\n"
    )
    head = b"POST / HTTP/1.1\r\nHost: todo\r\n" + offer + b"Transfer-Encoding: chunked\r\n\r\n"
    data = head + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n"
    for pieces in ([data], [head, data[len(head) :]], [data[:-4], data[-4:]]):
        exchange = asyncio.run(Connections().exchange(pieces))
        [request] = exchange.requests
        assert request.body == b"hello"
        names = {name for name, _ in request.headers}
        assert names & {b"authorization", b"x-request-id", b"x-forwarded-for"} == set()


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        (b"", b"1.1"),
        (b"Host: a\r\nHost: a\r\n", b"1.1"),
        (b"Host: a\r\nHost: b\r\n", b"1.0"),
        (b"Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", b"1.1"),
        (b"Host: a\r\nTransfer-Encoding: chunked\r\n", b"1.0"),
        (b"Host: a\r\nConnection: keep-alive\r\n", b"0.9"),
        (b"Host: a\r\n", b"2.0"),
    ],
    ids=[
        *("no host", "a host twice", "two hosts", "two codings", "chunks in HTTP/1.0"),
        *("HTTP/0.9", "HTTP/2.0"),
    ],
)
def test_an_ambiguous_request_is_refused(fields: bytes, version: bytes) -> None:
    data = b"POST / HTTP/%b\r\n%b\r\n0\r\n\r\n" % (version, fields)
    exchange = asyncio.run(Connections().exchange([data]))
    assert (exchange.requests, exchange.refusals) == ([], [400])
    assert exchange.is_closed


def test_pipelined_requests_before_a_refused_one_are_answered() -> None:
    good = b"GET /%d HTTP/1.1\r\nHost: todo\r\n\r\n"
    data = b"".join(good % number for number in range(3)) + b"nonsense\r\n\r\n"
    exchange = asyncio.run(Connections().exchange([data]))
    assert [request.target for request in exchange.requests] == [b"/0", b"/1", b"/2"]
    assert (len(exchange.names), exchange.refusals) == (3, [400])


def test_only_the_request_with_a_malformed_body_is_refused() -> None:
    good = b"GET /good HTTP/1.1\r\nHost: todo\r\n\r\n"
    bad = b"POST /bad HTTP/1.1\r\nHost: todo\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    for pieces in ([good + bad], [good, bad], [good + bad[:-4], bad[-4:]]):
        exchange = asyncio.run(Connections().exchange(pieces))
        assert [request.target for request in exchange.requests] == [b"/good"]
        assert (len(exchange.names), exchange.refusals) == (1, [400])


def test_a_hundred_kilobytes_of_pipelined_requests_are_all_answered() -> None:
    data = b"".join(
        b"POST /%d HTTP/1.1\r\nHost: todo\r\nContent-Length: 2\r\n\r\n{}" % number
        for number in range(2_000)
    )

    async def exchanged() -> Exchange:
        return await Connections().exchange([data[:60_000], data[60_000:]], rounds=20_000)

    exchange = asyncio.run(exchanged())
    assert [request.target for request in exchange.requests] == [
        b"/%d" % number for number in range(2_000)
    ]
    assert not exchange.is_closed


def test_a_body_sent_without_100_continue_closes_the_connection() -> None:
    """After an early response to `Expect: 100-continue`, a client may or may not send the body."""
    head = (
        b"POST /early HTTP/1.1\r\nHost: todo\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    )
    exchange = asyncio.run(Connections().exchange([head % len(SMUGGLED), SMUGGLED]))
    assert [request.target for request in exchange.requests] == [b"/early"]
    assert exchange.is_closed


@pytest.mark.parametrize("field", [b"Connection", b"Proxy-Connection"])
@pytest.mark.parametrize("target", [b"/", b"/early"])
def test_a_trailer_with_connection_close_closes_the_connection(target: bytes, field: bytes) -> None:
    """The parser discards what follows such a message, so the connection must be closed."""
    head = (
        b"POST %b HTTP/1.1\r\nHost: todo\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n" % target
    )
    rest = b"0\r\n%b: close\r\n\r\n" % field
    following = b"GET /next HTTP/1.1\r\nHost: todo\r\n\r\n"
    for pieces in ([head + rest + following], [head, rest, following], [head + rest, following]):
        exchange = asyncio.run(Connections().exchange(pieces))
        assert [request.target for request in exchange.requests] == [target]
        assert exchange.is_closed


def test_a_connection_is_idle_again_after_an_unread_body() -> None:
    head = b"POST /early HTTP/1.1\r\nHost: todo\r\nContent-Length: 1\r\n\r\n"

    async def seconds() -> float:
        transport, protocol = Connections(keep_alive=0.2).connect()
        protocol.data_received(head)
        await asyncio.sleep(0.05)
        protocol.data_received(b"x")
        return await seconds_until_closed(transport, protocol)

    assert 0.15 < asyncio.run(seconds()) < 1


@pytest.mark.parametrize("more", [b"", b"GET /next HTTP/1.1\r\nHo"])
def test_a_client_that_reads_nothing_and_closes_its_side_is_cut_off(
    more: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StrictHttpProtocol, "response_timeout", 0.2)
    monkeypatch.setattr(StrictHttpProtocol, "request_timeout", 0.1)

    async def is_aborted() -> bool:
        transport, protocol = Connections().connect(is_read=False)
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: todo\r\n\r\n" + more)
        await asyncio.sleep(0.05)
        protocol.eof_received()
        transport._is_closing = True  # as a transport does until everything is written
        await asyncio.sleep(0.4)
        return transport.is_aborted

    assert asyncio.run(is_aborted())


def test_a_long_trailer_or_chunk_extension_is_refused() -> None:
    head = b"POST / HTTP/1.1\r\nHost: todo\r\nTransfer-Encoding: chunked\r\n\r\n"
    filler = b"a" * (StrictHttpProtocol.max_head_size + 8192)
    for rest in (b"0\r\nX: " + filler, b"1;" + filler):
        exchange = asyncio.run(Connections().exchange([head, rest]))
        assert (exchange.requests, exchange.refusals) == ([], [413])
        assert exchange.is_closed


@pytest.mark.alone
@pytest.mark.parametrize("first", [0, 10], ids=["in one piece", "cut in its head"])
def test_the_time_of_a_slow_response_does_not_count_for_the_next_request(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the server does not read, the time does not count against the client."""
    monkeypatch.setattr(StrictHttpProtocol, "request_timeout", 0.03)
    body = b"a" * 20_000
    slow = b"GET /slow HTTP/1.1\r\nHost: todo\r\n\r\n"
    large = b"POST /large HTTP/1.1\r\nHost: todo\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    async def exchanged() -> Exchange:
        connections = Connections()
        connections.pause = 0.1
        pieces = [slow + large[:first], large[first:]] if first else [slow + large]
        return await connections.exchange(pieces, rounds=20_000)

    exchange = asyncio.run(exchanged())
    assert [request.target for request in exchange.requests] == [b"/slow", b"/large"]
    assert exchange.refusals == []


@pytest.mark.parametrize("noise", [b"\r", b"\n", b"\r\n", b"\r\n\r\n"])
@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nHost: todo\r\n\r\n"])
def test_line_breaks_do_not_keep_an_idle_connection_open(
    first: bytes, noise: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StrictHttpProtocol, "request_timeout", 0.2)

    async def seconds() -> float:
        transport, protocol = Connections(keep_alive=0.2).connect()
        protocol.data_received(first)
        return await seconds_until_closed(transport, protocol, noise)

    assert 0.15 < asyncio.run(seconds()) < 1


async def seconds_until_closed(
    transport: MemoryTransport, protocol: StrictHttpProtocol, noise: bytes = b""
) -> float:
    """Send this repeatedly until the connection is closed, and return the seconds that it took."""
    began = time.perf_counter()
    for _ in range(100):
        if transport.is_closing():
            break
        protocol.data_received(noise)
        await asyncio.sleep(0.02)
    return time.perf_counter() - began
