"""The ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from todo_api import docs, openapi
from todo_api.container import Container
from todo_api.errors import handle_errors
from todo_api.middleware import BodyLimit, RequestLog, SecurityHeaders, UnexpectedErrors
from todo_api.routes import accounts, health, passwords, sessions, tasks
from todo_api.settings import Settings

DESCRIPTION = "Tasks that nobody but their owner can see, change, or learn the existence of."


def create_app(settings: Settings) -> FastAPI:
    """Put the service together. Several may live in one process without sharing anything."""
    app = FastAPI(
        title=settings.app_name,
        version=settings.app_version,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        middleware=_middleware(settings),
        generate_unique_id_function=_operation_id,
    )
    app.state.settings = settings
    app.state.container = Container(settings=settings)
    app.state.hashing_limiter = CapacityLimiter(settings.password_hashing_threads)
    handle_errors(app)
    app.include_router(tasks.router)
    app.include_router(sessions.router)
    app.include_router(passwords.router)
    app.include_router(accounts.router)
    app.include_router(health.router)
    docs.serve(app)
    openapi.describe(app, settings)
    return app


def _middleware(settings: Settings) -> list[Middleware]:
    """The layers around the routes, the outermost first."""
    any_origin = "*" in settings.cors_origins
    return [
        Middleware(RequestLog),
        Middleware(SecurityHeaders),
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            # Some front ends send credentials with everything; nothing here is
            # granted by a cookie, so it is harmless for the origins that are named.
            allow_credentials=not any_origin,
            expose_headers=[
                *("Location", "Retry-After", "X-Request-ID"),
                *("RateLimit", "RateLimit-Policy"),
            ],
            max_age=600,
        ),
        Middleware(UnexpectedErrors),
        Middleware(BodyLimit, max_size=settings.max_body_size),
    ]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    # A thread without a connection would only wait for one.
    to_thread.current_default_thread_limiter().total_tokens = settings.database_pool_size
    container: Container = app.state.container
    await to_thread.run_sync(container.session_check().start)
    await to_thread.run_sync(container.housekeeping().start)
    yield
    container.session_check().stop()
    container.housekeeping().stop()
    container.background().close()
    container.database().close()


def _operation_id(route: APIRoute) -> str:
    return route.name
