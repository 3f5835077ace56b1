"""Fixtures of the isolation tests."""

import pytest

from tests.isolation.owners import Owners
from tests.support.world import World
from todo_api.container import Container


@pytest.fixture(params=["in_memory", "sqlite", "postgresql"])
def todo(request: pytest.FixtureRequest) -> Owners:
    """Three owners without tasks, on each storage in turn."""
    if request.param == "in_memory":
        world = World()
        return Owners.of(world.application, world.tasks)
    container: Container = request.getfixturevalue(f"{request.param}_container")
    return Owners.of(container.application(), container.tasks())
