"""How the body of a request is read."""

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
    """A request whose body is JSON as RFC 8259 has it: UTF-8, and without NaN or Infinity."""

    malformed = False
    """Whether the body was read, and is not JSON."""

    @override
    async def json(self) -> Any:
        """The parsed body; of one that is not JSON, something that no schema allows.

        So it is refused like any other body that is not right, which is after the
        caller has been let in: to who is not logged in, nothing else matters.
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
    """The route of this API.

    It takes a body only as JSON, whatever the framework would make of others; runs
    an endpoint that waits on a thread of ours; and is known by its endpoint's name.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        **options: Any,  # noqa: ANN401 - those of the framework's route
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
    """Return the endpoint as one that can be awaited, and that runs on the application's threads.

    It must take the request by the name `request`; an endpoint that is asynchronous
    already is left as it is.
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
