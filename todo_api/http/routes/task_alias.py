"""The routes of tasks for clients whose URLs name no owner."""

from fastapi import APIRouter

from todo_api.http.json_route import JsonRoute
from todo_api.http.routes import bulk, tasks


def _without_owner(*documented: APIRouter) -> APIRouter:
    """Return the routes of these routers below `/api/tasks`.

    They are not in the OpenAPI document: a generated client would have each operation twice.
    """
    alias = APIRouter(prefix="/api/tasks", route_class=JsonRoute, include_in_schema=False)
    for documenting in documented:
        for route in documenting.routes:
            assert isinstance(route, JsonRoute)  # noqa: S101 - for mypy
            alias.add_api_route(
                route.path.removeprefix(documenting.prefix),
                route.endpoint,
                methods=sorted(route.methods or ()),
                status_code=route.status_code,
            )
    return alias


router = _without_owner(tasks.router, bulk.router)
