"""The image of the service: what is in it, and what it needs to run."""

import json
import re
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from packaging.utils import canonicalize_name

from tests.deploy.engine import ROOT, Engine
from tests.deploy.stack import IMAGE, PASSWORD
from tests.support.requirements import IMAGE_EXPORT, pins

pytestmark = [pytest.mark.deploy, pytest.mark.usefixtures("_in_network")]

MAX_COMPRESSED_BYTES = 120_000_000
MAX_START_SECONDS = 3.0

PORT = 8000
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true")
ACCOUNT = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}


@pytest.fixture(scope="session")
def configuration(engine: Engine) -> dict[str, Any]:
    """The configuration of the image."""
    [image] = json.loads(engine.docker("image", "inspect", IMAGE))
    found: dict[str, Any] = image["Config"]
    return found


@contextmanager
def running(engine: Engine, *options: str) -> Iterator[str]:
    """Run the image on its default command and without any right, and yield its container's id."""
    publish = f"--publish=127.0.0.1:{PORT}:8000"
    container = engine.docker("run", "--detach", *HARDENED, publish, *options, IMAGE).strip()
    try:
        yield container
    finally:
        engine.docker("rm", "--force", "--volumes", container)


def wait_until_ready(seconds: float = 60) -> None:
    """Return when the service is ready."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{PORT}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    raise TimeoutError("the service is not ready")


def output_of(engine: Engine, *command: str) -> str:
    """Run another program in the image, as its own user, and return its output."""
    [program, *arguments] = command
    return engine.docker("run", "--rm", *HARDENED, f"--entrypoint={program}", IMAGE, *arguments)


def test_the_image_is_small(engine: Engine, note: Callable[[str], None]) -> None:
    size = engine.compressed_size(IMAGE)
    note(f"{size / 1_000_000:4.0f} MB  compressed image")
    assert size < MAX_COMPRESSED_BYTES


def test_the_image_runs_as_a_user_without_a_name_and_stops_by_sigterm(
    configuration: dict[str, Any],
) -> None:
    assert configuration["User"] == "10001:10001"
    assert configuration["StopSignal"] == "SIGTERM"
    assert configuration["Entrypoint"] == ["todo"]
    assert configuration["Cmd"] == ["serve", "--host", "0.0.0.0"]  # noqa: S104 - in a container
    assert configuration["Volumes"] == {"/data": {}}
    assert configuration["ExposedPorts"] == {"8000/tcp": {}}
    assert configuration["Healthcheck"]["Test"][0] == "CMD"


def test_the_labels_of_the_image_name_the_version_and_the_licence(
    configuration: dict[str, Any],
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = configuration["Labels"]
    assert labels["org.opencontainers.image.version"] == project["version"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert labels["org.opencontainers.image.title"]


def test_nothing_of_the_machine_that_built_the_image_is_in_its_configuration(
    engine: Engine, configuration: dict[str, Any]
) -> None:
    names = {variable.partition("=")[0] for variable in configuration["Env"]}
    assert names == {"PATH", "PYTHONDONTWRITEBYTECODE", "TODO_DATA_DIR"}
    history = engine.docker("image", "history", "--no-trunc", IMAGE)
    assert "certificates.pem" not in history


def test_the_image_has_the_locked_packages_and_no_other(engine: Engine) -> None:
    program = (
        "from importlib.metadata import distributions as all\n"
        "print([(each.name, each.version) for each in all()])"
    )
    installed: dict[str, str] = {
        canonicalize_name(name): version
        for name, version in re.findall(
            r"\('(.*?)', '(.*?)'\)", output_of(engine, "python3", "-c", program)
        )
    }
    only_elsewhere = {"colorama"}  # on Windows
    locked = {
        name: version for name, version in pins(IMAGE_EXPORT).items() if name not in only_elsewhere
    }
    assert installed.pop("todo")
    assert installed == locked


def test_the_image_has_no_tool_to_build_or_to_download_with(engine: Engine) -> None:
    names = "pip pip3 uv gcc cc make git curl wget"
    found = output_of(engine, "sh", "-c", f"for name in {names}; do command -v $name; done; true")
    assert found == ""


def test_the_modules_are_compiled(engine: Engine) -> None:
    program = (
        "from importlib.util import cache_from_source as compiled\n"
        "from pathlib import Path\n"
        "import todo_api, todo_adapters, todo_core, migrations, sqlalchemy, fastapi\n"
        "for package in (todo_api, todo_adapters, todo_core, migrations, sqlalchemy, fastapi):\n"
        "    for module in Path(package.__path__[0]).rglob('*.py'):\n"
        "        print(Path(compiled(str(module))).exists(), module)\n"
    )
    lines = output_of(engine, "python3", "-c", program).splitlines()
    assert len(lines) > 300
    assert [line for line in lines if not line.startswith("True ")] == []


def test_the_service_can_write_to_its_data_and_nothing_else(engine: Engine) -> None:
    """Even if the root file system were not read-only."""
    program = "find / -xdev -writable -not -type l -not -path '/proc/*' 2>/dev/null; true"
    found = engine.docker("run", "--rm", "--entrypoint=sh", IMAGE, "-c", program).split()
    anyone = {"/tmp", "/var/tmp", "/run/lock"}  # noqa: S108 - folders of Debian
    assert set(found) - anyone == {"/data"}


def test_the_service_is_ready_soon_after_the_start_of_its_container(
    engine: Engine, note: Callable[[str], None]
) -> None:
    """The fastest of several starts counts: other programs on this machine slow some down."""
    seconds = []
    for _ in range(5):
        began = time.monotonic()
        with running(engine):
            wait_until_ready()
            seconds.append(time.monotonic() - began)
        if seconds[-1] < MAX_START_SECONDS:
            break
    note(f"{min(seconds):4.1f} s  from docker run with a new volume to readiness")
    assert min(seconds) < MAX_START_SECONDS, seconds


def test_the_image_has_the_page_and_the_client(engine: Engine) -> None:
    with running(engine):
        wait_until_ready()
        for path in ("/", "/app.js", "/sw.js", "/icons.svg", "/client/todo.js"):
            answer = httpx.get(f"http://127.0.0.1:{PORT}{path}")
            assert answer.status_code == 200, path


def test_data_stays_in_the_volume_when_the_container_is_replaced(engine: Engine) -> None:
    volume = "--volume=todo-image-test:/data"
    with running(engine, volume):
        wait_until_ready()
        registered = httpx.post(f"http://127.0.0.1:{PORT}/api/auth/register", json=ACCOUNT)
        assert registered.status_code == 201, registered.text
    with running(engine, volume):
        wait_until_ready()
        login = httpx.post(f"http://127.0.0.1:{PORT}/api/auth/login", json=ACCOUNT)
        assert login.status_code == 200, login.text
    engine.docker("volume", "rm", "todo-image-test")


def test_the_health_check_notices_whether_the_service_answers(engine: Engine) -> None:
    often = ("--health-interval=1s", "--health-retries=1", "--health-start-period=1s")

    def becomes(container: str, expected: str) -> bool:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            state = engine.docker("inspect", "--format={{.State.Health.Status}}", container)
            if state.strip() == expected:
                return True
            time.sleep(0.2)
        return False

    with running(engine, *often) as container:
        wait_until_ready()
        assert becomes(container, "healthy")
    silent = engine.docker("run", "--detach", *often, "--entrypoint=sleep", IMAGE, "60").strip()
    try:
        assert becomes(silent, "unhealthy")
    finally:
        engine.docker("rm", "--force", "--volumes", silent)


def test_a_stopped_container_ends_by_itself_and_successfully(engine: Engine) -> None:
    with running(engine) as container:
        wait_until_ready()
        engine.docker("stop", "--time=40", container)
        state = json.loads(engine.docker("inspect", "--format={{json .State}}", container))
    assert state["ExitCode"] == 0
    assert not state["OOMKilled"]
