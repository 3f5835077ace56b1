"""Requests of an attacker: the published smuggling patterns, and valid requests between them.

Sources: RFC 9112 §§2 to 7 and §11.2; the catalogues of "HTTP Request Smuggling" (Watchfire, 2005),
"HTTP Desync Attacks" (2019), "HTTP/1.1 must die" (2025), and the CVEs on Upgrade, Expect, chunk
extensions and trailers.
"""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: todo\r\n\r\n"

METHODS: Sequence[bytes] = (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS")

TARGETS: Sequence[bytes] = (
    b"/",
    b"/tasks?a=b",
    b"/early",
    b"/early/x?y",
    b"/half",
    b"/slow",
    b"http://todo/absolute",
    b"/%2e%2e/x",
)

HARMLESS: Sequence[bytes] = (
    b"Accept: */*\r\n",
    b"Connection: keep-alive\r\n",
    b"Content-Type: application/json\r\n",
    b"X: " + b"a" * 500 + b"\r\n",
)

UPGRADES: Sequence[bytes] = (
    b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    b"Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\nSec-WebSocket-Version: 13\r\n",
    b"upgrade: a\r\nUpgrade: b\r\nCONNECTION: UPGRADE\r\n",
    b"Connection: Upgrade\r\nUpgrade: \r\n",
    b"Connection: Upgrade\r\n",
    b"Upgrade: h2c\r\n",
)

ODD: Sequence[bytes] = (
    b"Connection: close\r\n",
    b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n",
    b"Expect: 100-continue\r\n",
    b"Expect: 200-maybe\r\n",
    b"Expect: 100-continue\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
    b"Host: other\r\n",
    b"Host:\r\n",
    b"X: a\r\n b\r\n",
    b"X: a\rY: b\r\n",
    b"X: a\nY: b\r\n",
    b"X: a\x00b\r\n",
    b"X : a\r\n",
    b" X: a\r\n",
    b": a\r\n",
    b"without a colon\r\n",
    b"Trailer: Content-Length\r\nTE: trailers\r\n",
)

LENGTHS: Sequence[bytes] = (
    b"Content-Length: %d\r\n",
    b"Content-Length: %d\r\nContent-Length: %d\r\n",
    b"Content-Length: %d, %d\r\n",
    b"Content-Length: 0%d\r\n",
    b"Content-Length: +%d\r\n",
    b"Content-Length: -%d\r\n",
    b"Content-Length: 0x%x\r\n",
    b"Content-Length:%d\r\n",
    b"Content-Length: %d \r\n",
    b"Content-Length: \x0b%d\r\n",
    b"Content-Length : %d\r\n",
    b"Content_Length: %d\r\n",
    b"Content-Length: %d\r\nContent-Length: 0\r\n",
    b"Content-Length: 0\r\nContent-Length: %d\r\n",
    b"Content-Length: 1%d\r\n",
    b"Content-Length:\r\n %d\r\n",
)

CODINGS: Sequence[bytes] = (
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding: CHUNKED\r\n",
    b"Transfer-Encoding:\tchunked\r\n",
    b"Transfer-Encoding: chunked \r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b" Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding: \x00chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked, gzip\r\n",
    b"Transfer-Encoding: chunked;q=1\r\n",
    b'Transfer-Encoding: "chunked"\r\n',
    b"Transfer-Encoding:\r\n chunked\r\n",
    b"Transfer-Encoding:\n chunked\r\n",
    b"X: x\nTransfer-Encoding: chunked\r\n",
    b"X: x\rTransfer-Encoding: chunked\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b"Transfer-Encoding: chunk\r\n",
    b"Transfer-Encoding: ,chunked\r\n",
    b"Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
)

LAST_CHUNKS: Sequence[bytes] = (
    b"0\r\n\r\n",
    b"00000\r\n\r\n",
    b"0;a=b\r\n\r\n",
    b'0;a="b\r\n\r\n"\r\n\r\n',
    b"0 \r\n\r\n",
    b"0\r\nContent-Length: 40\r\n\r\n",
    b"0\r\nHost: other\r\nAuthorization: Bearer stolen\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"0\r\nConnection: close\r\n\r\n",
    b"0\r\nProxy-Connection: close\r\n\r\n",
    b"0\n\n",
    b"0\r\n\n",
    b"0\r\r\n\r\n",
    b"-0\r\n\r\n",
    b"0x0\r\n\r\n",
    b"",
)

BETWEEN: Sequence[bytes] = (b"", b"", b"", b"", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\x00", b" ")


def sequence(random: Random) -> bytes:
    """Return several requests for one connection, most of them valid, some unusual."""
    return b"".join(message(random) + random.choice(BETWEEN) for _ in range(random.randint(1, 5)))


def message(random: Random) -> bytes:
    """Return one request."""
    oddity = random.random()
    version = b"HTTP/1.0" if random.random() < 0.05 else b"HTTP/1.1"
    method, target = random.choice(METHODS), random.choice(TARGETS)
    body = random.choice((b"", b"hello", SMUGGLED, SMUGGLED * 2, b'{"a": 1}' * 20))
    fields = [b"Host: todo\r\n"] if random.random() < 0.97 else []
    if random.random() < 0.3:
        fields.append(random.choice(HARMLESS))
    if random.random() < 0.35:
        fields.append(random.choice(UPGRADES))
    if oddity < 0.25:
        fields.append(random.choice(ODD))
    is_chunked = random.random() < 0.4
    if is_chunked:
        simple = random.random() < 0.6
        fields.append(CODINGS[0] if simple else random.choice(CODINGS))
        if random.random() < 0.1:
            fields.append(b"Content-Length: %d\r\n" % len(body))
        body = chunked(random, body)
    elif body:
        template = LENGTHS[0] if random.random() < 0.7 else random.choice(LENGTHS)
        fields.append(template.replace(b"%x", b"%d") % ((len(body),) * template.count(b"%")))
    random.shuffle(fields)
    return b"%b %b %b\r\n%b\r\n%b" % (method, target, version, b"".join(fields), body)


def chunked(random: Random, body: bytes) -> bytes:
    """Encode a body in chunks, sometimes with extensions and trailers."""
    parts = []
    while body:
        size = random.randint(1, len(body))
        extension = random.choice((b"", b"", b"", b";a=b", b';a="\r\n"', b" ", b";" + b"a" * 50))
        parts.append(b"%x%b\r\n%b\r\n" % (size, extension, body[:size]))
        body = body[size:]
    last = LAST_CHUNKS[0] if random.random() < 0.6 else random.choice(LAST_CHUNKS)
    return b"".join(parts) + last


def cut(random: Random, data: bytes) -> list[bytes]:
    """Split the data at random places: not at all, into a few pieces, or into single bytes."""
    kind = random.random()
    if kind < 0.15:
        return [data]
    if kind < 0.25:
        return [data[at : at + 1] for at in range(len(data))]
    places = sorted(
        {0, len(data), *(random.randrange(len(data)) for _ in range(random.randint(1, 8)))}
    )
    return [data[start:end] for start, end in pairwise(places)]
