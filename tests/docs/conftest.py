"""The service as the README starts it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from socket import create_server

import httpx
import pytest

from tests.docs.pages import ROOT, blocks
from tests.docs.service import Service

_INSTALL = "pip install uv && "


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, started by the first command of the README in a temporary folder.

    Only the steps that need a network are left out: installing uv and the dependencies, which
    are already installed.
    """
    command = blocks((ROOT / "README.md").read_text(), "sh")[0].strip()
    assert command.startswith(_INSTALL)
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("readme")
    log = folder / "log"
    folder_of_uv = [str(Path(os.environ["UV"]).parent)] if "UV" in os.environ else []
    environment = {
        "HOME": os.environ.get("HOME", str(folder)),
        "PATH": os.pathsep.join([*folder_of_uv, os.environ["PATH"]]),
        "TODO_LIMIT_REGISTER": "1000/minute",  # each session registers a user
        "TODO_PASSWORD_BCRYPT_COST": "4",
        "UV_NO_SYNC": "1",
        "UV_OFFLINE": "1",
        "UV_PROJECT": str(ROOT),
        "VIRTUAL_ENV": sys.prefix,
    }
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            ["bash", "-c", f"{command.removeprefix(_INSTALL)} --port {port}"],
            cwd=folder,
            env=environment,
            stderr=stderr,
            start_new_session=True,
        )
    service = Service(f"http://127.0.0.1:{port}", log)
    try:
        _wait_for(service, process)
        yield service
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _wait_for(service: Service, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            httpx.get(f"{service.url}/healthz").raise_for_status()
            return
        except httpx.TransportError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(service.log.read_text()) from None
            time.sleep(0.05)
