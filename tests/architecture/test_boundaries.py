"""The import contracts are kept, and each is broken by a planted violation.

Each violation is planted in a copy of the code, and the real linter is run on it.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("todo_core", "todo_adapters", "todo_api", "migrations")

type Violation = tuple[str, str]

VIOLATIONS: dict[str, list[Violation]] = {
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
        ("todo_core/helpers.py", "# a module that belongs to no layer"),
    ],
    "api": [
        ("todo_api/app.py", "import todo_api.cli"),
        ("todo_api/server/options.py", "import todo_api.app"),
        ("todo_api/http/problems.py", "import todo_api.server.middleware"),
        ("todo_api/container.py", "import todo_api.http.problems"),
        ("todo_api/wiring/storage.py", "import todo_api.container"),
        ("todo_api/runtime/threads.py", "import todo_api.container"),
        ("todo_api/settings/types.py", "import todo_api.runtime.logging"),
        ("todo_api/http/watchers.py", "import todo_api.sampling"),
        ("todo_api/exporter/server.py", "import todo_api.settings"),
        ("todo_api/helpers.py", "# a module that belongs to no layer"),
    ],
    "cli": [
        ("todo_api/cli/database.py", "import todo_api.cli.serve"),
        ("todo_api/cli/errors.py", "import todo_api.cli.database"),
        ("todo_api/cli/helpers.py", "# a module that belongs to no layer"),
    ],
    "http": [
        ("todo_api/http/dependencies.py", "import todo_api.http.routes.tasks"),
        ("todo_api/http/dependencies.py", "import todo_api.http.json_route"),
        ("todo_api/http/large_responses.py", "import todo_api.http.json_route"),
        ("todo_api/http/problems.py", "import todo_api.http.large_responses"),
        ("todo_api/http/schemas/text.py", "import todo_api.http.problems"),
        ("todo_api/http/helpers.py", "# a module that belongs to no layer"),
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
        ("todo_core/use_cases/tasks.py", "import opentelemetry.trace"),
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
        ("todo_api/cli/serve.py", "import todo_adapters.sql.database"),
    ],
}


def contracts() -> dict[str, str]:
    """Return the name of every import contract by its id."""
    configuration = ConfigParser()
    configuration.read(ROOT / ".importlinter")
    prefix = "importlinter:contract:"
    return {
        section.removeprefix(prefix): configuration[section]["name"]
        for section in configuration.sections()
        if section.startswith(prefix)
    }


@dataclass(frozen=True)
class Linted:
    """The exit status and the report of the linter."""

    status: int
    report: str


# Starting the linter takes longer than linting. So one process lints all violations: it plants a
# line, runs the linter's main function, and removes the line again.
PLANT_AND_LINT = """
import contextlib, importlinter.cli, io, json, pathlib, sys

def lint():
    with contextlib.redirect_stdout(io.StringIO()) as report:
        status = importlinter.cli.lint_imports(no_cache=True)
    return status, report.getvalue()

outcomes = [lint()]
for file, line in json.load(sys.stdin):
    path = pathlib.Path(file)
    original = path.read_text() if path.exists() else None
    path.write_text(f"{original or ''}\\n{line}\\n")
    outcomes.append(lint())
    if original is None:
        path.unlink()
    else:
        path.write_text(original)
print(json.dumps(outcomes))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code in which violations are planted."""
    folder = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    shutil.copy(ROOT / ".importlinter", folder)
    return folder


def run_in(folder: Path, command: Sequence[str | Path], planted: object = None) -> Linted:
    """Run a command that imports the packages of this folder."""
    outcome = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        input=json.dumps(planted),
        capture_output=True,
        text=True,
    )
    return Linted(outcome.returncode, outcome.stdout + outcome.stderr)


@pytest.fixture(scope="module")
def linted(copy: Path) -> dict[Violation | None, Linted]:
    """The result of the linter for the unchanged code (`None`) and for each violation."""
    planted: list[Violation | None] = [None]
    planted += [violation for violations in VIOLATIONS.values() for violation in violations]
    run = run_in(copy, [sys.executable, "-c", PLANT_AND_LINT], planted[1:])
    assert run.status == 0, run.report
    outcomes = [Linted(*outcome) for outcome in json.loads(run.report)]
    return dict(zip(planted, outcomes, strict=True))


def test_every_import_contract_is_kept(linted: dict[Violation | None, Linted]) -> None:
    assert linted[None].status == 0, linted[None].report
    for name in contracts().values():
        assert f"{name} KEPT" in linted[None].report


def test_every_import_contract_has_a_planted_violation() -> None:
    assert set(VIOLATIONS) == set(contracts())


@pytest.mark.parametrize(
    ("contract", "file", "line"),
    [(contract, *violation) for contract, planted in VIOLATIONS.items() for violation in planted],
)
def test_a_planted_violation_breaks_its_import_contract(
    linted: dict[Violation | None, Linted], contract: str, file: str, line: str
) -> None:
    found = linted[file, line]
    assert found.status == 1, found.report
    assert f"{contracts()[contract]} BROKEN" in found.report


def test_the_lint_imports_command_fails_on_a_violation(copy: Path) -> None:
    command: list[str | Path] = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    assert run_in(copy, command).status == 0
    planted = copy / "todo_core" / "planted.py"
    planted.write_text("import fastapi\n")
    found = run_in(copy, command)
    planted.unlink()
    assert found.status == 1
    assert f"{contracts()['pure-core']} BROKEN" in found.report


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
