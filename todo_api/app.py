"""The ASGI application."""

import asyncio
import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, override

from anyio import to_thread
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp

from todo_api.container import Container, close, start
from todo_api.http import docs_page, front_end, openapi
from todo_api.http.large_responses import ResponsesInFlight
from todo_api.http.problems import handle_errors
from todo_api.http.routes import accounts, bulk, health, passwords, sessions, task_alias, tasks
from todo_api.http.watchers import Watchers
from todo_api.runtime.affinity import CoreAffinity
from todo_api.runtime.drain import Drain
from todo_api.runtime.request_context import COUNT_REFUSED, END_STREAMS
from todo_api.runtime.threads import WorkerThreads, fair_share
from todo_api.sampling import published_state
from todo_api.server.middleware import BrowserOnlyCors, RequestLog, SizeLimits, UnhandledErrors
from todo_api.settings import Settings, Telemetry

if TYPE_CHECKING:
    from todo_api.runtime.metrics import Metrics

_HASHING_NICENESS = 10
_LONGEST_WAIT_FOR_HASHING_SECONDS = 30.0
_MAX_WAITING_FOR_HASHING_PER_ADDRESS = 60
_FOLLOW_LOAD_SECONDS = 1.0
_ISSUER_THREADS = 4
_EXPENSIVE_SECONDS = 0.01
"""The processor time of a request after which the requests of its user run one at a time."""
_SLOW_SECONDS = 0.25
"""How long a request may take before those of its user run one at a time."""

DESCRIPTION = (
    "A task list for each user. Only the owner of a task can read it, change it, or learn that it"
    " exists."
)


class _LeanFastAPI(FastAPI):
    """FastAPI with only those layers around the routes that this service uses.

    `UnhandledErrors` and `SizeLimits` take the place of FastAPI's layers for errors and sizes; its
    layer for uploaded files serves `APIRoute`, of which there is none. Without them, a request
    takes a twentieth less of the processor.
    """

    @override
    def build_middleware_stack(self) -> ASGIApp:
        app: ASGIApp = ExceptionMiddleware(self.router, self.exception_handlers)
        for layer, args, kwargs in reversed(self.user_middleware):
            app = layer(app, *args, **kwargs)
        return app


def create_app(settings: Settings, telemetry: Telemetry | None = None) -> FastAPI:
    """Create the application. Several applications in one process share nothing."""
    drain = Drain(settings.drain_delay.total_seconds())
    container = Container(settings=settings, telemetry=telemetry or Telemetry())
    app = _LeanFastAPI(
        title=settings.app_name,
        version=settings.app_version,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        telemetry=_telemetry(container),
        middleware=_middleware(settings, drain, container.metrics()),
    )
    app.state.settings = settings
    app.state.drain = drain
    app.state.has_started = False
    app.state.container = container
    app.state.responses_in_flight = ResponsesInFlight()
    app.state.affinity = affinity = _affinity(settings)
    # One thread for each connection: any further thread would only wait for a connection.
    app.state.worker_threads = WorkerThreads(
        settings.database_pool_size,
        share=fair_share(settings.database_pool_size),
        crowd=max(1, settings.database_pool_size // 2),
        longest_wait=settings.database_pool_timeout.total_seconds(),
        expensive_seconds=_EXPENSIVE_SECONDS,
        slow_seconds=_SLOW_SECONDS,
        affinity=affinity,
        patient=settings.cpu_affinity == "auto",
    )
    app.state.hashing_threads = WorkerThreads(
        settings.password_hashing_threads,
        share=fair_share(settings.password_hashing_threads),
        niceness=_HASHING_NICENESS,
        longest_wait=_LONGEST_WAIT_FOR_HASHING_SECONDS,
        max_waiting_per_key=_MAX_WAITING_FOR_HASHING_PER_ADDRESS,
    )
    # Each issuer has its own threads, so that a slow issuer delays only its own users. They
    # may all come from one address, that of their front end, so one address may occupy all threads.
    app.state.issuer_threads = {
        issuer: WorkerThreads(_ISSUER_THREADS, share=_ISSUER_THREADS)
        for issuer in settings.external_namespaces
    }
    handle_errors(app)
    for router in (
        *(tasks.router, bulk.router),
        *(sessions.router, passwords.router, accounts.router, health.router),
        task_alias.router,
    ):
        # The application finds its own routes faster than those of an included router.
        app.router.routes.extend(router.routes)
    docs_page.serve(app)
    front_end.serve(app, page=settings.page_enabled)
    openapi.describe(app, settings)
    return app


def _affinity(settings: Settings) -> CoreAffinity | None:
    return CoreAffinity.of_this_process() if settings.cpu_affinity == "auto" else None


def _telemetry(container: Container) -> TelemetryConfig:
    """Return the options of FastAPI's OpenTelemetry, of which only the span of a request is used.

    Its logs would export the messages of exceptions. `JsonRoute` has no spans for the operations
    within a request. Without tracing, not even a provider is looked for, which takes time.
    """
    spans = container.tracing().spans
    return {
        "tracing": spans is not None,
        "tracer_provider": None if spans is None else spans.provider,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
    }


def _middleware(settings: Settings, drain: Drain, metrics: "Metrics | None") -> list[Middleware]:
    """Return the layers around the routes, the outermost first."""
    any_origin = "*" in settings.cors_origins
    return [
        Middleware(RequestLog, drain=drain, metrics=metrics),
        Middleware(
            BrowserOnlyCors,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            # Some front ends send credentials with every request. This is harmless, because the
            # service reads no cookies.
            allow_credentials=not any_origin,
            expose_headers=[
                *("ETag", "Link", "Location", "Retry-After", "X-Request-ID", "X-Total-Count"),
                *("Idempotent-Replayed", "RateLimit", "RateLimit-Policy"),
            ],
            max_age=600,
        ),
        Middleware(UnhandledErrors),
        Middleware(SizeLimits, max_body_size=settings.max_body_size),
    ]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, object]]:
    container: Container = app.state.container
    threads: list[WorkerThreads] = [
        *app.state.issuer_threads.values(),
        app.state.hashing_threads,
        app.state.worker_threads,
    ]
    try:
        for each in threads:
            each.start()
        await to_thread.run_sync(start, container)
        app.state.watchers = _watchers(container)
        # These objects live as long as the process: exclude them from garbage collection.
        gc.collect()
        gc.freeze()
        metrics = container.metrics()
        counting = {} if metrics is None else {COUNT_REFUSED: metrics.count_refused_message}
        async with _on_one_core(app.state.affinity), published_state(app, metrics):
            with app.state.drain.delaying_signals():
                yield {END_STREAMS: app.state.watchers.end_all, **counting}
    finally:
        # First the threads that use the other parts: emails that they still send are delivered.
        for each in threads:
            await to_thread.run_sync(each.stop)
        await to_thread.run_sync(close, container)


def _watchers(container: Container) -> Watchers:
    return Watchers(
        container.changes(),
        container.application().list_fired_reminders,
        container.revoked_sessions(),
        container.clock(),
        session_check_seconds=container.settings().session_check_interval.total_seconds(),
    )


@asynccontextmanager
async def _on_one_core(affinity: CoreAffinity | None) -> AsyncIterator[None]:
    """Run the event loop with its database threads on one core, where there is a choice."""
    if affinity is None:
        yield
        return
    affinity.join()
    following = asyncio.create_task(_follow_load(affinity))
    try:
        yield
    finally:
        following.cancel()
        affinity.leave()


async def _follow_load(affinity: CoreAffinity) -> None:
    with suppress(OSError, ValueError):  # the system does not tell how busy its cores are
        while True:
            await asyncio.sleep(_FOLLOW_LOAD_SECONDS)
            affinity.follow_load()
