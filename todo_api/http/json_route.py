"""The route class of this API: JSON bodies, and endpoints on worker threads."""

import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial, wraps
from typing import Any, NoReturn, override

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from todo_api.http.large_responses import in_slices
from todo_api.runtime.request_context import caller_key
from todo_api.runtime.threads import WorkerThreads

_MALFORMED = object()


class JsonRequest(Request):
    """A request whose body is JSON (RFC 8259): UTF-8, without NaN or Infinity."""

    malformed = False
    """Whether the body was read and is not JSON."""

    @override
    async def json(self) -> Any:
        """Return the parsed body, or for a body that is not JSON a value that no schema allows.

        It is then refused like any other invalid body: after authentication, so that a caller who
        is not logged in gets 401 whatever the body is.
        """
        try:
            text = (await self.body()).decode()
            return json.loads(text, parse_constant=_no_such_number)
        except (ValueError, RecursionError):
            self.malformed = True
            return _MALFORMED


def _no_such_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number in JSON")


class JsonRoute(APIRoute):
    """A route that accepts only JSON bodies and runs blocking endpoints on worker threads.

    Its operation id is the name of the endpoint.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        **options: Any,  # noqa: ANN401 - the options of APIRoute
    ) -> None:
        options["operation_id"] = options.get("operation_id") or endpoint.__name__
        super().__init__(path, on_worker_thread(endpoint), **options)

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_and_send(request: Request) -> Response:
            return in_slices(request, await handle(request))

        async def handle_json(request: Request) -> Response:
            request = JsonRequest(request.scope, request.receive)
            try:
                return await handle_and_send(request)
            except RequestValidationError as error:
                if await request.body() and not _is_json(request.headers.get("content-type", "")):
                    raise HTTPException(415) from error
                if request.malformed:
                    raise HTTPException(400) from error
                raise

        return handle_and_send if self.body_field is None else handle_json


def on_worker_thread[**Parameters, Result](
    endpoint: Callable[Parameters, Result],
) -> Callable[Parameters, Awaitable[Result]]:
    """Return a coroutine function that runs the endpoint on a worker thread.

    The endpoint must have a parameter `request`. An asynchronous endpoint is returned as it is.
    """
    if inspect.iscoroutinefunction(endpoint):
        return endpoint

    @wraps(endpoint)
    async def on_thread(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        request: Any = kwargs["request"]  # a Request, which the signature cannot say
        threads: WorkerThreads = request.app.state.worker_threads
        return await threads.run(partial(endpoint, *args, **kwargs), key=caller_key(request.scope))

    return on_thread


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    main, _, sub = media_type.partition("/")
    return main == "application" and (sub == "json" or sub.endswith("+json"))
