"""docs/front-ends.md: clients that are generated from the OpenAPI document in one line."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.support.command import Served, served
from tests.support.node import program
from tests.support.users import PASSWORD, register_user
from tests.web.typescript import FOLDER, run

PAGE = (ROOT / "docs" / "front-ends.md").read_text()
CONSUMERS = FOLDER / "consumers"
STRICT = {
    "strict": True,
    "target": "es2022",
    "module": "nodenext",
    "types": ["node"],
    "typeRoots": [str(FOLDER / "node_modules" / "@types")],
    "outDir": "compiled",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("service")) as running:
        yield running


def command(name: str, service: Served) -> list[str]:
    """Return the arguments of the command in the page, for this service."""
    [line] = re.findall(rf"`npx {re.escape(name)} ([^`]*)`", PAGE)
    return shlex.split(line.replace("http://127.0.0.1:8000", service.url))


@pytest.mark.live
@pytest.mark.parametrize(
    ("package", "binary", "consumer"),
    [
        ("openapi-typescript", "openapi-typescript", "openapi_typescript"),
        ("@hey-api/openapi-ts", "openapi-ts", "hey_api"),
    ],
)
def test_a_generated_client_compiles_in_strict_mode_and_lists_tasks(
    tmp_path: Path, service: Served, package: str, binary: str, consumer: str
) -> None:
    ada = register_user(service.url, "Ada")
    with ada.http:
        task = ada.create("Buy milk", tags=["home", "shop"])
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": STRICT}))
    shutil.copy(CONSUMERS / f"{consumer}.ts", tmp_path)
    run(binary, *command(package, service), cwd=tmp_path)
    run("tsc", "--project", tmp_path, cwd=tmp_path)
    listed = subprocess.run(
        [program("node"), tmp_path / "compiled" / f"{consumer}.js"],
        env={
            "PATH": os.environ["PATH"],
            "TODO_URL": service.url,
            "TODO_EMAIL": ada.email,
            "TODO_PASSWORD": PASSWORD,
        },
        capture_output=True,
        text=True,
    )
    assert listed.stderr == ""
    assert listed.stdout == f"BUY MILK {task['id']} home,shop\n"
