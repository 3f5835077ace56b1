"""Requests that no client library sends, and mutations of them that a seed determines."""

from collections.abc import Callable, Iterator, Sequence
from random import Random

from tests.support.users import ApiUser

type Mutation = Callable[[Random, bytes, Sequence[bytes]], bytes]

BODIES: Sequence[bytes] = (
    b'{"title": "Buy milk"}',
    b'{"title": "Buy milk", "description": "Two\\nlitres", "completed": true}',
    b'{"completed": true}',
    b"{}",
    b"null",
    b"[]",
    b"",
    b'{"title": "\\ud800"}',
    b'{"title": "\\udc00\\ud800"}',
    b'{"title": "\\ud83d\\ude00"}',
    b'{"\\ud800": "\\udfff", "title": "a"}',
    b'{"title": NaN}',
    b'{"title": "a", "x": -Infinity}',
    b'{"title": "a", "x": 1e999}',
    b'{"title": "a", "x": ' + b"9" * 5_000 + b"}",
    b'{"title": 9223372036854775808}',
    b'{"title": 1e999}',
    b'{"title": -0.0}',
    b"[" * 5_000 + b"]" * 5_000,
    b'{"title":' * 3_000 + b"1" + b"}" * 3_000,
    b'{"title": "a\\u0000b"}',
    b'{"title": "a\x00b"}',
    b'{"title": "\xff\xfe"}',
    b'{"title": "\xed\xa0\x80"}',
    b'{"title": "\xc0\xaf"}',
    b'{"title": "\xf4\x90\x80\x80"}',
    b'\xef\xbb\xbf{"title": "a"}',
    '{"title": "a"}'.encode("utf-16"),
    '{"title": "a"}'.encode("utf-32"),
    b'{"title": "a", "title": "b", "title": 5}',
    b'{"id": 1, "user_id": "x", "version": 0, "title": "a"}',
    b'{"__proto__": {"title": "a"}, "constructor": 1}',
    b'{"title": {"title": "a"}, "description": [], "completed": "yes"}',
    b'{"title": true, "description": false, "completed": 0}',
    b'{"title": "a"',
    b'{"title": "a"}}',
    b"{'title': 'a'}",
    b'{"title": "a",}',
    b'{"title": "' + b"a" * 70_000 + b'"}',
    b"title=a&description=b",
    b"\x00",
)

TARGETS: Sequence[bytes] = (
    b"/",
    b"*",
    b"//",
    b"/healthz",
    b"/readyz",
    b"/openapi.json",
    b"/docs",
    b"/docs/assets/favicon.png",
    b"/docs/assets/../../pyproject.toml",
    b"/docs/assets/%2e%2e/%2e%2e/pyproject.toml",
    b"/docs/assets/..%2f..%2fpyproject.toml",
    b"/docs/assets/%00",
    b"/docs/assets/" + b"a" * 300,
    b"/docs/assets//etc/passwd",
    b"/docs/assets/",
    b"/docs/assets",
    b"/api/auth/me",
    b"/api/auth/me/export",
    b"/api/auth/sessions",
    b"/api/auth/sessions/%00",
    b"/api/auth/sessions/00000000-0000-0000-0000-000000000000",
    b"/api/%00/tasks?url_user_id=%00",
    b"/api/{me}/tasks",
    b"/api/{me}/tasks?url_user_id={me}",
    b"/api/{me}/tasks?url_user_id={me}&completed=true",
    b"/api/{me}/tasks?url_user_id={me}&completed=maybe&completed=%ff",
    b"/api/{me}/tasks?url_user_id={me}&url_user_id={other}",
    b"/api/{me}/tasks?url_user_id=%ff%fe",
    b"/api/{me}/tasks?&&==&url_user_id",
    b"/api/{me}/tasks/{task}?url_user_id={me}",
    b"/api/{me}/tasks/{task}/complete?url_user_id={me}",
    b"/api/{me}/tasks/{others_task}?url_user_id={me}",
    b"/api/{other}/tasks/{others_task}?url_user_id={other}",
    b"/api/{me}/tasks/{task}%00?url_user_id={me}",
    b"/api/{me}/tasks/%2F{task}?url_user_id={me}",
    b"/api/{me}/tasks/{task}%2Fcomplete?url_user_id={me}",
    b"/api/{me}/tasks/../tasks?url_user_id={me}",
    b"/api/{me}/tasks/%c0%af?url_user_id={me}",
    b"/api/{me}/tasks/%e0%80%af%f0%80%80%af?url_user_id={me}",
    b"/api/{me}/tasks/%ed%a0%80?url_user_id={me}",
    b"/api/{me}/tasks/%",
    b"/api/{me}/tasks/%zz%u0041?url_user_id={me}",
    b"/api/{me}/tasks/\xff\xfe?url_user_id={me}",
    b"/api/{me}/tasks/9223372036854775808?url_user_id={me}",
    b"/api/{me}/tasks/-1?url_user_id={me}",
    b"/api/{me}/tasks/" + b"9" * 5_000 + b"?url_user_id={me}",
    b"/" + b"a" * 20_000,
    b"/" + b"/" * 2_000,
    b"/" + b"../" * 500,
    b"/a b",
    b"/#fragment",
    b"http://example.com/api/auth/me",
    b"http://[::1/api/auth/me",
    b"https://user:password@/healthz",
    b"example.com:443",
    b"healthz",
    b"",
)

HEADERS: Sequence[bytes] = (
    b"Content-Length: 5\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 0x5\r\n",
    b"Content-Length: \r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: 9223372036854775807\r\n",
    b"Content-Length: \xb2\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    b"Content-Type: \xff\xfe\r\n",
    b"Content-Type: application/json; charset=utf-7\r\n",
    b"Content-Type: application/json\r\nContent-Type: text/plain\r\n",
    b"Content-Type: multipart/form-data; boundary=x\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Authorization: Bearer\r\n",
    b"Authorization: Bearer \xff\r\n",
    b"Authorization: Bearer a.b.c\r\n",
    b"Authorization: Bearer " + b"a" * 20_000 + b"\r\n",
    b"Authorization: Basic YTpi\r\n",
    b"Authorization: Bearer {token}\r\nAuthorization: Bearer x\r\n",
    b"Host: \r\n",
    b"Host: a\r\nHost: b\r\n",
    b"Host: \xff/..\r\n",
    b"X-Request-ID: \xff\x01\r\n",
    b"X-Request-ID: " + b"a" * 1_000 + b"\r\n",
    b"X-Request-ID: a\r\n b\r\n",
    b"X: " + b"a" * 30_000 + b"\r\n",
    b"X: a\r\n" * 500,
    b"a" * 5_000 + b": b\r\n",
    b"without a colon\r\n",
    b": without a name\r\n",
    b"X Y: a\r\n",
    b"X: a\x00b\r\n",
    b"X: a\rY: b\r\n",
    b"X: a\nY: b\n",
    b"X: a\r\r\n\n",
    b"Expect: 100-continue\r\n",
    b"Expect: 200-maybe\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive, close, \xff\r\n",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n",
    b"Origin: null\r\nAccess-Control-Request-Method: PATCH\r\n",
    b"Origin: http://localhost:3000\r\nAccess-Control-Request-Method: TRACE\r\n",
    b"Origin: \xff\r\n",
    b"Range: bytes=0-1\r\n",
    b"Range: bytes=999999999-\r\n",
    b"Range: bytes=-\r\n",
    b"Range: chairs=1-2\r\n",
    b"If-None-Match: *\r\n",
    b"If-Modified-Since: \xff\r\n",
    b"User-Agent: \xff\x7f\r\n",
    b"Cookie: \xff=;;;=\r\n",
    b"X-Forwarded-For: \xff\r\nX-Forwarded-Proto: https\r\nForwarded: for=\xff\r\n",
)

CHUNKS: Sequence[bytes] = (
    b"5\r\nhello\r\n0\r\n\r\n",
    b"0\r\n\r\n",
    b"-1\r\n\r\n",
    b"ffffffffffffffff\r\na\r\n",
    b"fffffffffffffffff\r\na\r\n",
    b"zz\r\n",
    b"5;" + b"a" * 20_000 + b"\r\nhello\r\n0\r\n\r\n",
    b"5\nhello\n0\n\n",
    b"5\r\nhello0\r\n\r\n",
    b"15\r\n" + b'{"title": "Buy milk"}' + b"\r\n0\r\nX-Trailer: \xff\r\n\r\n",
    b"11170\r\n" + b"a" * 70_000 + b"\r\n0\r\n\r\n",
)

GARBAGE: Sequence[bytes] = (
    b"\x00",
    b"\r\n" * 100,
    b"\n",
    b"GET /healthz\r\n",
    b"GET /healthz\r\n\r\n",
    b"GET /healthz HTTP/1.0\r\n\r\n",
    b"GET /healthz HTTP/0.9\r\n\r\n",
    b"GET /healthz HTTP/2.0\r\n\r\n",
    b"GET /healthz HTTP/1.1",
    b"GET /healthz HTTP/1.1\n\n",
    b"GET\t/healthz\tHTTP/1.1\r\n\r\n",
    b"GET  /healthz  HTTP/1.1\r\n\r\n",
    b" GET /healthz HTTP/1.1\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 20,
    b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nPOST /api/auth/login HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
    b"SSH-2.0-OpenSSH_9.9\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    bytes(range(256)) * 8,
)

METHODS: Sequence[bytes] = (
    *(b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"),
    *(b"get", b"Post", b"PROPFIND", b"M-SEARCH", b"QUERY", b"G\x00T", b"\xff", b"", b"A" * 500),
)

INTERESTING: Sequence[bytes] = (
    *(b"\x00", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b",", b";", b"%", b"%00"),
    *(b"%2F", b"..", b"//", b"?", b"&", b"=", b'"', b"\\", b"\\ud800", b"NaN", b"1e999", b"-1"),
    *(b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"{", b"}", b"[", b"null", b"9" * 99),
    *(
        b"HTTP/1.0",
        b"chunked",
        b"0\r\n\r\n",
        b"{other}",
        b"{others_task}",
        b"GET / HTTP/1.1\r\n\r\n",
    ),
)


def placeholders_of(sender: ApiUser, other: ApiUser) -> dict[bytes, bytes]:
    """Return the values of the placeholders in the corpus, without the other user's token."""
    values = {
        "token": sender.token,
        "me": sender.id,
        "task": sender.create()["id"],
        "other": other.id,
        "others_task": other.list()[0]["id"],
    }
    return {b"{%s}" % name.encode(): str(value).encode() for name, value in values.items()}


def fill(request: bytes, names: dict[bytes, bytes]) -> bytes:
    """Replace the placeholders of a request by their values."""
    for name, value in names.items():
        request = request.replace(name, value)
    return request


def corpus() -> Iterator[bytes]:
    """Yield the requests to begin with."""
    tasks = b"/api/{me}/tasks?url_user_id={me}"
    task = b"/api/{me}/tasks/{task}?url_user_id={me}"
    for body in BODIES:
        for method, target in ((b"POST", tasks), (b"PATCH", task)):
            yield build_request(method, target, body=body)
        yield build_request(b"POST", b"/api/auth/login", body=body)
    for target in TARGETS:
        yield build_request(b"GET", target)
        yield build_request(b"PATCH", target, body=b"{}")
    for method in METHODS:
        yield build_request(method, tasks)
        yield build_request(method, b"/docs/assets/favicon.png")
    for header in HEADERS:
        yield build_request(b"POST", tasks, header=header, body=b'{"title": "Buy milk"}')
        yield build_request(b"GET", b"/docs/assets/favicon.png", header=header)
        yield build_request(b"OPTIONS", tasks, header=header)
    for chunks in CHUNKS:
        chunked = b"Transfer-Encoding: chunked\r\n"
        yield build_request(b"POST", tasks, header=chunked, length=b"") + chunks
    yield from GARBAGE


def build_request(
    method: bytes,
    target: bytes,
    *,
    header: bytes = b"",
    body: bytes = b"",
    length: bytes | None = None,
) -> bytes:
    """Build a request with a token, another header, and the length of its body by default."""
    if length is None:
        length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return (
        b"%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        b"Content-Type: application/json\r\n%s%s\r\n%s" % (method, target, header, length, body)
    )


def mutation(seeds: Sequence[bytes], names: dict[bytes, bytes], number: int, index: int) -> bytes:
    """Return the mutation with this index, which is always the same."""
    random = Random(f"{number}:{index}")  # noqa: S311 - it need not be a secret
    data = random.choice(seeds)
    for _ in range(random.randint(1, 4)):
        data = random.choice(MUTATIONS)(random, data, seeds)
    return fill(data, names)


def flip(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def delete(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = random_slice(random, data)
    return data[:start] + data[end:]


def duplicate(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = random_slice(random, data)
    return data[:end] + data[start:end] * random.randint(1, 3) + data[end:]


def insert(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice((*INTERESTING, *HEADERS)) + data[at:]


def splice(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    other = random.choice(seeds)
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


def pipeline(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    return data + random.choice(seeds)


MUTATIONS: Sequence[Mutation] = (flip, delete, duplicate, insert, splice, pipeline)


def random_slice(random: Random, data: bytes) -> tuple[int, int]:
    """Return the start and end of a few bytes."""
    start = random.randint(0, len(data))
    return start, min(len(data), start + random.choice((1, 2, 8, 64)))
