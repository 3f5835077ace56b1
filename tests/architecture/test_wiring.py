"""The type checker refuses an application that is assembled wrongly.

Each fault is planted in a copy of the module, and mypy checks all copies in one run.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import dependency_injector
import pytest

ROOT = Path(__file__).parents[2]
APPLICATION = (ROOT / "todo_core" / "application.py").read_text()
CONTAINER = (ROOT / "todo_api" / "container.py").read_text()

pytestmark = pytest.mark.slow

RIGHT = "self.get_profile = GetProfile(users=ports.users)"
FAULTS = {
    "a_wrong_port": (
        RIGHT,
        RIGHT.replace("ports.users", "ports.tasks"),
        'Argument "users" to "GetProfile" has incompatible type "TaskRepository"',
    ),
    "an_unknown_argument": (
        RIGHT,
        RIGHT.replace("ports.users", "ports.users, clock=ports.clock"),
        'Unexpected keyword argument "clock" for "GetProfile"',
    ),
    "a_missing_argument": (
        RIGHT,
        RIGHT.replace("users=ports.users", ""),
        'Missing positional argument "users" in call to "GetProfile"',
    ),
    "a_wrong_policy": (
        "policy=policy.passwords",
        "policy=policy.session_lifetime",
        'has incompatible type "timedelta"; expected "PasswordPolicy"',
    ),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what mypy says about the module as it is (`as_it_is`) and about each faulty copy."""
    folder = tmp_path_factory.mktemp("wiring")
    sources = {"as_it_is": APPLICATION} | {
        name: APPLICATION.replace(right, wrong) for name, (right, wrong, _) in FAULTS.items()
    }
    return checked(folder, sources)


def checked(folder: Path, sources: dict[str, str]) -> dict[str, str]:
    """Return what mypy says about each of these modules, which it checks in one run.

    Of the libraries it sees only dependency-injector, whose providers carry the types of the
    adapters. To analyse all of them would take ten seconds.
    """
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    libraries = folder / "libraries"
    libraries.mkdir()
    injector = Path(dependency_injector.__path__[0])
    (libraries / injector.name).symlink_to(injector, target_is_directory=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--no-error-summary", "--config-file", ""),
            *("--no-site-packages", "--ignore-missing-imports", "--follow-imports", "silent"),
            *("--cache-dir", str(folder / "cache")),
            *(str(folder / f"{name}.py") for name in sources),
        ],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": os.pathsep.join(map(str, (libraries, ROOT)))},
        capture_output=True,
        text=True,
    )
    assert not done.stderr
    lines = done.stdout.splitlines()
    return {
        name: "\n".join(line for line in lines if re.search(rf"\b{name}\.py:", line))
        for name in sources
    }


def test_the_application_is_wired_without_a_fault(reports: dict[str, str]) -> None:
    assert reports["as_it_is"] == ""


@pytest.mark.parametrize("fault", FAULTS)
def test_mypy_refuses_a_use_case_with_a_wiring_fault(reports: dict[str, str], fault: str) -> None:
    assert FAULTS[fault][-1] in reports[fault]


def test_mypy_refuses_an_adapter_of_another_port(tmp_path: Path) -> None:
    wrong = CONTAINER.replace("users=container.users(),", "users=container.tasks(),")
    reports = checked(tmp_path, {"as_it_is": CONTAINER, "wrong_adapter": wrong})
    assert reports["as_it_is"] == ""
    assert (
        'Argument "users" to "Ports" has incompatible type "SqlTaskRepository"'
        in reports["wrong_adapter"]
    )
