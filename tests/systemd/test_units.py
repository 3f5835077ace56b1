"""The systemd units: their score and syntax, and the service under the restrictions they set."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.docs.pages import ROOT
from tests.support.command import FAST, TODO
from tests.support.processes import free_port
from tests.support.sandbox import missing_for_sandbox, sandboxed
from tests.support.users import register_user
from tests.support.waiting import until

UNITS = ROOT / "deploy" / "systemd"
PAGE = ROOT / "docs" / "systemd.md"
SERVICES = ["todo.service", "todo-backup.service"]

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60
    )


def values(unit: str, name: str) -> list[str]:
    """Return the values of this setting, in order."""
    return re.findall(rf"^{name}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)


def allowed_system_calls(unit: str) -> set[str]:
    """Return the system calls that the unit allows, as systemd combines its lines."""
    allowed: set[str] = set()
    for line in values(unit, "SystemCallFilter"):
        names = set().union(*map(expanded, line.removeprefix("~").split()))
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed


def expanded(name: str) -> set[str]:
    """Return the system calls of a set, and of the sets in it."""
    if not name.startswith("@"):
        return {name}
    lines = analyze("syscall-filter", "--no-pager", name).stdout.splitlines()[1:]
    inside = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return set().union(*map(expanded, inside))


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES)
def test_the_exposure_of_a_unit_is_the_one_in_the_documentation(unit: str) -> None:
    """Other versions of systemd may know other restrictions, and count differently."""
    outcome = analyze("security", "--offline=true", "--no-pager", UNITS / unit)
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", outcome.stdout)
    assert score, outcome.stderr
    documented = re.search(rf"\| `{unit}` \| ([\d.]+) \|", PAGE.read_text())
    assert documented
    if "systemd 252 " in analyze("--version").stdout:
        assert score[1] == documented[1]
    assert float(score[1]) < float(documented[1]) + 0.5


@needs_systemd
def test_the_units_are_valid(tmp_path: Path) -> None:
    for unit in UNITS.iterdir():
        installed = unit.read_text().replace("/opt/todo/bin/todo", str(TODO))
        (tmp_path / unit.name).write_text(installed.replace("User=todo", "User=root"))
    units = [*tmp_path.glob("*.service"), *tmp_path.glob("*.timer")]
    assert len(units) == 3
    outcome = analyze("verify", *units)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    (tmp_path / "todo.service").write_text(f"{units[0].read_text()}\nNoSuchSetting=yes\n")
    assert "NoSuchSetting" in analyze("verify", tmp_path / "todo.service").stderr


def test_the_units_name_commands_and_options_that_exist() -> None:
    for unit in SERVICES:
        [command] = values(unit, "ExecStart")
        program, name, *options = command.split()
        assert program == "/opt/todo/bin/todo"
        help_text = subprocess.run([TODO, name, "--help"], capture_output=True, text=True).stdout
        assert [option for option in options if option.startswith("--")] != []
        for option in options:
            assert not option.startswith("--") or option in help_text


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def environment(state: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "TODO_DATA_DIR": str(state),
        "PYTHONDONTWRITEBYTECODE": "1",
        **FAST,
    }


@needs_systemd
@pytest.mark.skipif(missing_for_sandbox() is not None, reason=str(missing_for_sandbox()))
def test_the_service_and_its_backup_work_under_the_restrictions_of_the_units(
    tmp_path: Path, state: Path, environment: dict[str, str]
) -> None:
    backups = tmp_path / "backups"
    backups.mkdir()
    port = free_port()
    command = sandboxed(
        [TODO, "serve", "--port", str(port), "--workers", "2"],
        writable=[state],
        system_calls=sorted(allowed_system_calls("todo.service")),
    )
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, env=environment, cwd="/", stderr=stderr)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: is_ready(url) or process.poll() is not None, seconds=60)
        assert process.poll() is None, log.read_text()
        ada = register_user(url)
        with ada.http:
            ada.create("under restrictions")
            assert "NoNewPrivs:\t1" in Path(f"/proc/{process.pid}/status").read_text()
            made = subprocess.run(
                sandboxed(
                    [TODO, "backup", backups, "--keep", "14"],
                    writable=[state, backups],
                    system_calls=sorted(allowed_system_calls("todo-backup.service")),
                ),
                env=environment,
                cwd="/",
                capture_output=True,
                text=True,
            )
            assert made.returncode == 0, made.stderr
    finally:
        process.terminate()
        process.wait(timeout=60)
    assert process.returncode == 0, log.read_text()
    assert "EPERM" not in log.read_text()
    assert "not permitted" not in log.read_text()
    [backup] = backups.iterdir()
    with closing(sqlite3.connect(backup)) as database:
        assert database.execute("SELECT title FROM tasks").fetchall() == [("under restrictions",)]


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).is_success
    except httpx.TransportError:
        return False


FORBIDDEN = {
    "to write outside of its state": "open('/var/todo-was-here', 'w')",
    "to make memory executable": "import mmap; mmap.mmap(-1, 4096, prot=7)",
    "to mount": "import ctypes; assert ctypes.CDLL(None).mount(b'/', b'/', None, 4096, None) == 0",
    "to become another user": "import os; os.setuid(65534)",
    "to load a kernel module": "import ctypes; assert ctypes.CDLL(None).syscall(175, 0, 0, 0) == 0",
    "to trace another process": "import ctypes; assert ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0",
}


@needs_systemd
@pytest.mark.skipif(missing_for_sandbox() is not None, reason=str(missing_for_sandbox()))
@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_restrictions_are_in_effect(what: str, state: Path) -> None:
    program = [sys.executable, "-c", FORBIDDEN[what]]
    calls = sorted(allowed_system_calls("todo.service"))
    outcome = subprocess.run(
        sandboxed(program, writable=[state], system_calls=calls), capture_output=True, text=True
    )
    assert outcome.returncode == 1, what
    assert re.search("Read-only file system|Permission|not permitted|Assertion", outcome.stderr)
