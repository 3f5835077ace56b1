"""`JsonRoute` resolves the arguments of an endpoint as FastAPI's own `APIRoute` does."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Header,
    Path,
    Query,
    Request,
    Response,
)
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection

from todo_api.http.json_route import JsonRoute
from todo_api.http.problems import handle_errors
from todo_api.runtime.threads import WorkerThreads
from todo_core.errors import InvalidAccessToken

JSON = "application/json"
A_UUID = "12345678-1234-5678-1234-567812345678"
LOGGED_IN = {"authorization": "Bearer ada"}


class Draft(BaseModel):
    title: str
    priority: int = Field(0, ge=0, le=9)
    done: bool | None = None
    tags: list[str] = []


class StrictDraft(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    title: str
    priority: int


class Received(BaseModel):
    """What an endpoint received, and of which types."""

    arguments: dict[str, str]

    @classmethod
    def of(cls, **arguments: object) -> "Received":
        return cls(arguments={name: repr(value) for name, value in arguments.items()})


async def session(request: Request, realm: str = "todo") -> str:
    if request.headers.get("authorization") != "Bearer ada":
        raise InvalidAccessToken
    return f"ada in {realm}"


class Owner:
    """A dependency that is an object, with a dependency and a parameter of its own."""

    async def __call__(
        self, request: Request, caller: Annotated[str, Depends(session)], depth: int = 1
    ) -> tuple[str, int, str]:
        return caller, depth, request.method


async def page(
    size: Annotated[int, Query(ge=1, le=100)], after: UUID | None = None
) -> tuple[int, UUID | None]:
    assert isinstance(size, int)
    return size, after


OwnerDependency = Annotated[tuple[str, int, str], Depends(Owner())]
PageDependency = Annotated[tuple[int, UUID | None], Depends(page)]


def read(
    request: Request,
    number: int,
    key: Annotated[UUID, Path()],
    required: str,
    ratio: float,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    done: bool | None = None,
    since: datetime | None = None,
    kind: Literal["a", "b"] = "a",
    sorting: Annotated[str | None, Query(alias="sort-by", max_length=5)] = None,
) -> Received:
    return Received.of(
        path=request.url.path,
        number=number,
        key=key,
        required=required,
        ratio=ratio,
        limit=limit,
        done=done,
        since=since,
        kind=kind,
        sorting=sorting,
    )


async def owned(owner: OwnerDependency, caller: Annotated[str, Depends(session)]) -> Received:
    return Received.of(owner=owner, caller=caller)


def paged(page: PageDependency, number: int = 7) -> Received:
    return Received.of(page=page, number=number)


def write(owner: OwnerDependency, body: Draft, dry: bool = False) -> Received:
    return Received.of(owner=owner, body=body, dry=dry)


async def write_strictly(request: Request, body: StrictDraft) -> Received:
    return Received.of(body=body, method=request.method)


def toggle(body: Draft | None = None, dry: bool = False) -> Received:
    return Received.of(body=body, dry=dry)


async def write_list(body: list[int]) -> Received:
    return Received.of(body=body)


def respond(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), 202, {"X-Size": str(len(body))}, "application/json")


ENDPOINTS: dict[str, tuple[int, Callable[..., Any]]] = {
    "/read/{number}/{key}": (200, read),
    "/owned": (200, owned),
    "/paged": (200, paged),
    "/write": (201, write),
    "/write-strictly": (201, write_strictly),
    "/toggle": (200, toggle),
    "/write-list": (200, write_list),
    "/respond": (200, respond),
}
"""The status and the endpoint of each path."""

PATHS = [path for path in ENDPOINTS if path != "/read/{number}/{key}"]
WITH_BODY = ["/write", "/write-strictly", "/toggle", "/write-list", "/respond"]


@dataclass(frozen=True)
class Sent:
    """A request."""

    url: str
    body: bytes | None = None
    content_type: str | None = None
    is_logged_in: bool = True


class Applications:
    """The same endpoints as `JsonRoute` and as `APIRoute`."""

    def __init__(self, threads: WorkerThreads, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._clients = [_client(threads, kind) for kind in (JsonRoute, APIRoute)]

    def json_route(self, sent: Sent) -> httpx.Response:
        return self._send(self._clients[0], sent)

    def api_route(self, sent: Sent) -> httpx.Response:
        return self._send(self._clients[1], sent)

    def _send(self, client: httpx.AsyncClient, sent: Sent) -> httpx.Response:
        headers = LOGGED_IN if sent.is_logged_in else {}
        if sent.content_type is not None:
            headers = headers | {"content-type": sent.content_type}
        return self._runner.run(client.post(sent.url, content=sent.body, headers=headers))


def _client(threads: WorkerThreads, kind: type[APIRoute]) -> httpx.AsyncClient:
    app = FastAPI(redirect_slashes=False)
    app.state.worker_threads = threads
    router = APIRouter(route_class=kind)
    for path, (status, endpoint) in ENDPOINTS.items():
        router.add_api_route(path, endpoint, methods=["POST"], status_code=status)
    app.router.routes.extend(router.routes)
    handle_errors(app)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://todo.test")


@pytest.fixture(scope="module")
def applications() -> Iterator[Applications]:
    threads = WorkerThreads(2, share=2)
    threads.start()
    with asyncio.Runner() as runner:
        yield Applications(threads, runner)
    threads.stop()


def assert_alike(applications: Applications, sent: Sent) -> httpx.Response:
    """Assert that both kinds of routes give the same response, and return it."""
    actual, expected = applications.json_route(sent), applications.api_route(sent)
    assert actual.status_code == expected.status_code
    assert actual.json() == expected.json()
    assert actual.headers == expected.headers
    return actual


VALUES = st.sampled_from(
    [
        *("", " ", "0", "1", "-1", "20", "100", "101", "1.5", "1e3", "nan", "inf", "٣", "9" * 30),
        *("true", "False", "yes", "off", "null", "None", "a", "b", "c", "ada", "a b", "ä&=+"),
        *(A_UUID, A_UUID.upper(), A_UUID[:-1], "2026-01-01", "2026-01-01T10:00:00Z", "1767225600"),
    ]
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NAMES = [
    *("required", "ratio", "limit", "done", "since", "kind", "sort-by", "sorting", "number", "key"),
    *("size", "after", "realm", "depth", "dry", "body", "request", "owner", "unknown"),
]
QUERIES = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6).map(
    lambda pairs: "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
)
VALID_READING = "required=a&ratio=1.5&"


@st.composite
def readings(draw: st.DrawFn) -> Sent:
    """Return requests with parameters in the path and the query."""
    number, key = (
        quote(draw(st.sampled_from([valid, draw(VALUES)])), safe="") for valid in ("1", A_UUID)
    )
    query = draw(st.sampled_from(["", VALID_READING])) + draw(QUERIES)
    return Sent(f"/read/{number or '0'}/{key or '0'}?{query}")


@given(readings())
@example(Sent(f"/read/1/{A_UUID}?{VALID_READING}limit=5&limit=7&done=1&done=0"))
@example(Sent(f"/read/1/{A_UUID}?{VALID_READING}limit=5&limit=none"))
@example(Sent(f"/read/1/{A_UUID}?{VALID_READING}limit=none&limit=5"))
@example(Sent(f"/read/1/{A_UUID}?{VALID_READING}required="))
@example(Sent("/read/x/y?limit=0&done=2&since=z&kind=c&sort-by=titles"))
@example(Sent("/read/1/0%2F?"))
@settings(deadline=None)
def test_parameters_of_the_path_and_the_query_are_read_as_by_fastapi(
    applications: Applications, sent: Sent
) -> None:
    assert_alike(applications, sent)


def test_of_a_repeated_query_parameter_the_last_one_counts(applications: Applications) -> None:
    url = f"/read/1/{A_UUID}?{VALID_READING}"
    response = assert_alike(applications, Sent(f"{url}limit=5&limit=7"))
    assert response.json()["arguments"]["limit"] == "7"
    assert assert_alike(applications, Sent(f"{url}limit=5&limit=none")).status_code == 422


def test_all_invalid_parameters_are_reported_at_once(applications: Applications) -> None:
    response = assert_alike(applications, Sent("/read/x/y?limit=0&done=2&since=z&kind=c"))
    assert [error["pointer"] for error in response.json()["errors"]] == [
        *("/number", "/key", "/required", "/ratio", "/limit", "/done", "/since", "/kind"),
    ]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-20, 20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(VALUES, inner, max_size=3),
    max_leaves=5,
)
DRAFTS = st.fixed_dictionaries(
    {},
    optional={
        "title": st.just("Buy milk") | JSON_VALUES,
        "priority": st.integers(0, 9) | JSON_VALUES,
        "done": st.booleans() | JSON_VALUES,
        "tags": st.lists(st.text(max_size=3), max_size=2) | JSON_VALUES,
        "unknown": JSON_VALUES,
    },
)
JSON_TYPES = st.sampled_from(
    [JSON, "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.todo+json"]
)
BODIES = st.none() | (DRAFTS | JSON_VALUES | st.lists(st.integers() | JSON_VALUES, max_size=3)).map(
    lambda value: json.dumps(value).encode()
)


@given(st.sampled_from(PATHS), QUERIES, BODIES, JSON_TYPES)
@example("/write", "", b'{"title": "Buy milk", "priority": "3", "unknown": 1}', JSON)
@example("/write", "dry=1", b'{"title": "Buy milk", "tags": ["a"]}', JSON)
@example("/write", "dry=maybe&depth=x", b"{}", JSON)
@example("/write", "", b"null", JSON)
@example("/write", "", None, JSON)
@example("/write", "", b'{"title": "\\ud800"}', JSON)
@example("/write-strictly", "", b'{"title": "Buy milk", "priority": "3", "unknown": 1}', JSON)
@example("/toggle", "", b"null", JSON)
@example("/toggle", "", b"[]", JSON)
@example("/toggle", "", None, JSON)
@example("/write-list", "", b'[1, "2", "x"]', JSON)
@example("/paged", "size=5&number=1", None, JSON)
@settings(deadline=None)
def test_json_bodies_and_dependencies_are_read_as_by_fastapi(
    applications: Applications, path: str, query: str, body: bytes | None, content_type: str
) -> None:
    assert_alike(applications, Sent(f"{path}?{query}", body, content_type))


def test_a_dependency_is_not_called_with_invalid_parameters(applications: Applications) -> None:
    for query, code in (("", "required"), ("size=x", "invalid_type"), ("size=0", "invalid_type")):
        response = assert_alike(applications, Sent(f"/paged?{query}&number=y"))
        assert [(error["pointer"], error["code"]) for error in response.json()["errors"]] == [
            ("/size", code),
            ("/number", "invalid_type"),
        ]


@pytest.mark.parametrize("path", ["/owned", "/write"])
@given(query=QUERIES, body=BODIES)
@settings(deadline=None, max_examples=20)
def test_a_caller_who_is_not_logged_in_is_refused_as_by_fastapi(
    applications: Applications, path: str, query: str, body: bytes | None
) -> None:
    sent = Sent(f"{path}?{query}", body, JSON, is_logged_in=False)
    assert_alike(applications, sent)


NOT_JSON = [
    b" ",
    b"{",
    b"title=Buy+milk",
    b'{"title": NaN}',
    b'{"title": -Infinity}',
    b'{"title": "\xff"}',
    '{"title": "Buy milk"}'.encode("utf-16"),
    b"\xef\xbb\xbf{}",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"priority": %s}' % (b"9" * 5_000),
]
OTHER_TYPES = [None, "", "text/plain", "text/json", "application/x-www-form-urlencoded", "json"]


@pytest.mark.parametrize("path", WITH_BODY)
@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: repr(body[:20]))
def test_a_body_that_is_not_json_is_refused_with_400(
    applications: Applications, path: str, body: bytes
) -> None:
    response = applications.json_route(Sent(path, body, JSON))
    assert (response.status_code, response.json()["code"]) == (400, "malformed_body")


@pytest.mark.parametrize("path", WITH_BODY)
@pytest.mark.parametrize("content_type", OTHER_TYPES)
def test_a_body_that_is_not_declared_as_json_is_refused_with_415(
    applications: Applications, path: str, content_type: str | None
) -> None:
    for body in (b'{"title": "Buy milk"}', b"{"):
        response = applications.json_route(Sent(path, body, content_type))
        assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", OTHER_TYPES)
def test_the_content_type_of_an_absent_body_does_not_matter(
    applications: Applications, content_type: str | None
) -> None:
    assert assert_alike(applications, Sent("/toggle", b"", content_type)).status_code == 200
    assert assert_alike(applications, Sent("/respond", b"", content_type)).status_code == 422


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [(b"{", JSON, 400), (b"{}", "text/plain", 415), (b"[]", JSON, 422), (None, None, 422)],
)
def test_a_body_is_not_parsed_before_the_dependencies_have_passed(
    applications: Applications, body: bytes | None, content_type: str | None, status: int
) -> None:
    sent = Sent("/write", body, content_type)
    assert applications.json_route(sent).status_code == status
    anonymous = Sent("/write", body, content_type, is_logged_in=False)
    assert applications.json_route(anonymous).status_code == 401


async def cleaned_up() -> AsyncIterator[int]:
    yield 1


def blocking() -> int:
    return 1


class BlockingObject:
    def __call__(self) -> int:
        return 1


async def on_a_header(agent: Annotated[str, Header()]) -> str:
    return agent


async def on_another(value: Annotated[str, Depends(on_a_header)]) -> str:
    return value


async def on_a_body(draft: Draft) -> Draft:
    return draft


class Filter(BaseModel):
    done: bool = False


def with_a_header(agent: Annotated[str, Header()]) -> None: ...
def with_a_cookie(session: Annotated[str | None, Cookie()] = None) -> None: ...
def with_background_tasks(tasks: BackgroundTasks) -> None: ...
def with_a_response(response: Response) -> None: ...
def with_a_connection(connection: HTTPConnection) -> None: ...
def with_scopes(scopes: SecurityScopes) -> None: ...
def with_a_generator(value: Annotated[int, Depends(cleaned_up)]) -> None: ...
def with_a_blocking_dependency(value: Annotated[int, Depends(blocking)]) -> None: ...
def with_a_blocking_object(value: Annotated[int, Depends(BlockingObject())]) -> None: ...
def with_a_dependency_on_a_header(value: Annotated[str, Depends(on_a_header)]) -> None: ...
def with_a_nested_one_on_a_header(value: Annotated[str, Depends(on_another)]) -> None: ...
def with_two_bodies(first: Draft, second: Draft) -> None: ...


@pytest.mark.parametrize(
    "endpoint",
    [
        with_a_header,
        with_a_cookie,
        with_background_tasks,
        with_a_response,
        with_a_connection,
        with_scopes,
        with_a_generator,
        with_a_blocking_dependency,
        with_a_blocking_object,
        with_a_dependency_on_a_header,
        with_a_nested_one_on_a_header,
        with_two_bodies,
    ],
)
def test_an_endpoint_with_an_unknown_kind_of_parameter_is_refused(
    endpoint: Callable[..., None],
) -> None:
    APIRoute("/", endpoint, methods=["POST"])
    with pytest.raises(TypeError, match="JsonRoute"):
        JsonRoute("/", endpoint, methods=["POST"])


def with_a_list_in_the_query(tags: Annotated[list[str], Query()]) -> None: ...
def with_a_model_in_the_query(filter: Annotated[Filter, Query()]) -> None: ...
def with_an_embedded_body(draft: Annotated[Draft, Body(embed=True)]) -> None: ...
def with_a_dependency_on_a_body(draft: Annotated[Draft, Depends(on_a_body)]) -> None: ...


@pytest.mark.parametrize(
    "endpoint",
    [
        with_a_list_in_the_query,
        with_a_model_in_the_query,
        with_an_embedded_body,
        with_a_dependency_on_a_body,
    ],
)
def test_an_endpoint_with_an_unknown_form_of_parameter_is_refused(
    endpoint: Callable[..., None],
) -> None:
    with pytest.raises(TypeError, match="JsonRoute"):
        JsonRoute("/", endpoint, methods=["POST"])


def test_a_dependency_of_a_route_without_a_parameter_is_refused() -> None:
    with pytest.raises(TypeError, match="JsonRoute"):
        JsonRoute("/", toggle, methods=["POST"], dependencies=[Depends(session)])
