"""The boundaries hold, and each of them is seen to fail where it is crossed.

Each violation is planted in a copy of the code, and the real linter is run on it.
"""

import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("todo_core", "todo_adapters", "todo_api", "migrations")

VIOLATIONS = {
    "hexagon": [
        ("todo_core/use_cases/tasks.py", "import todo_adapters.system.clock"),
        ("todo_core/entities/task.py", "import todo_api.settings"),
        ("todo_adapters/system/clock.py", "import todo_api.settings"),
        ("todo_adapters/sql/schema.py", "import migrations"),
    ],
    "core": [
        ("todo_core/use_cases/tasks.py", "import todo_core.application"),
        ("todo_core/ports/clock.py", "import todo_core.use_cases.tasks"),
        ("todo_core/entities/task.py", "import todo_core.ports.clock"),
        ("todo_core/errors.py", "import todo_core.entities.text"),
        ("todo_core/helpers.py", "# a module that no layer has a place for"),
    ],
    "api": [
        ("todo_api/app.py", "import todo_api.cli"),
        ("todo_api/server/options.py", "import todo_api.app"),
        ("todo_api/http/problems.py", "import todo_api.server.middleware"),
        ("todo_api/container.py", "import todo_api.http.problems"),
        ("todo_api/runtime/threads.py", "import todo_api.container"),
        ("todo_api/settings/types.py", "import todo_api.runtime.logging"),
        ("todo_api/helpers.py", "# a module that no layer has a place for"),
    ],
    "http": [
        ("todo_api/http/dependencies.py", "import todo_api.http.routes.tasks"),
        ("todo_api/http/dependencies.py", "import todo_api.http.json_route"),
        ("todo_api/http/large_responses.py", "import todo_api.http.json_route"),
        ("todo_api/http/problems.py", "import todo_api.http.large_responses"),
        ("todo_api/http/schemas/text.py", "import todo_api.http.problems"),
        ("todo_api/http/helpers.py", "# a module that no layer has a place for"),
    ],
    "plumbing": [
        ("todo_api/server/middleware.py", "import todo_core.use_cases.tasks"),
        ("todo_api/runtime/threads.py", "import todo_core.use_cases.tasks"),
        ("todo_api/settings/settings.py", "import todo_core.use_cases.tasks"),
    ],
    "pure-core": [
        ("todo_core/use_cases/accounts.py", "import pydantic"),
        ("todo_core/entities/user.py", "import sqlmodel"),
        ("todo_core/ports/tokens.py", "import jose.jwt"),
    ],
    "no-http-in-adapters": [
        ("todo_adapters/sql/tasks.py", "import fastapi"),
        ("todo_adapters/mail/console.py", "import starlette.requests"),
    ],
    "no-sql-in-api": [
        ("todo_api/http/routes/tasks.py", "import sqlalchemy"),
        ("todo_api/http/dependencies.py", "import jose.jwt"),
    ],
    "composition-root": [
        ("todo_api/http/routes/tasks.py", "import todo_adapters.sql.tasks"),
        ("todo_api/cli.py", "import todo_adapters.sql.database"),
    ],
}


def contracts() -> dict[str, str]:
    """The id and the name of every contract there is."""
    configuration = ConfigParser()
    configuration.read(ROOT / ".importlinter")
    prefix = "importlinter:contract:"
    return {
        section.removeprefix(prefix): configuration[section]["name"]
        for section in configuration.sections()
        if section.startswith(prefix)
    }


def lint(folder: Path) -> tuple[int, str]:
    outcome = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    return outcome.returncode, outcome.stdout + outcome.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The code, to be tampered with."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_every_contract_is_kept(copy: Path) -> None:
    status, report = lint(copy)
    assert status == 0, report
    for name in contracts().values():
        assert f"{name} KEPT" in report


def test_every_contract_has_a_violation_that_it_is_tried_on() -> None:
    assert set(VIOLATIONS) == set(contracts())


@pytest.mark.parametrize(
    ("contract", "file", "line"),
    [(contract, *violation) for contract, planted in VIOLATIONS.items() for violation in planted],
)
def test_a_planted_violation_is_caught(copy: Path, contract: str, file: str, line: str) -> None:
    path = copy / file
    path.write_text(f"{path.read_text() if path.exists() else ''}\n{line}\n")
    status, report = lint(copy)
    assert status == 1, report
    assert f"{contracts()[contract]} BROKEN" in report


def test_the_core_imports_nothing_but_the_standard_library() -> None:
    forbidden = subprocess.run(
        [sys.executable, "-S", "-I", "-c", IMPORT_CORE, str(ROOT)], capture_output=True, text=True
    )
    assert forbidden.returncode == 0, forbidden.stderr


# Without site-packages (-S), an import of any third party would fail.
IMPORT_CORE = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import todo_core
for module in pkgutil.walk_packages(todo_core.__path__, "todo_core."):
    importlib.import_module(module.name)
"""
