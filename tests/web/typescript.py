"""The TypeScript compiler and the generators of clients, as `package.json` pins them."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import todo_api
from tests.support.node import install
from todo_api.app import create_app
from todo_api.settings import Settings

FOLDER = Path(__file__).parent
CLIENT = Path(todo_api.__file__).parent / "web" / "client"
API_TYPES = "api.d.ts"


def run(program: str, *arguments: str | Path, cwd: Path) -> str:
    """Run a program of `package.json`, and return its output.

    Raises:
        RuntimeError: if it fails.
    """
    install(FOLDER)
    result = subprocess.run(
        [FOLDER / "node_modules" / ".bin" / program, *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    if result.returncode != 0:
        raise RuntimeError(f"{program} failed:\n{result.stdout}{result.stderr}")
    return result.stdout


def write_openapi_document(folder: Path) -> Path:
    """Write the OpenAPI document of the service with its default settings."""
    document = folder / "openapi.json"
    settings = Settings(data_dir=folder)
    openapi: dict[str, Any] = create_app(settings).openapi()  # JSON
    document.write_text(json.dumps(openapi))
    return document


def generate_types(folder: Path) -> None:
    """Write all types of the client into this folder: those of the API, and those of its modules.

    Its modules are checked on the way. They are copied first, as the compiler would otherwise
    read the types that were generated before instead of them.

    Raises:
        RuntimeError: if a module has an error.
    """
    install(FOLDER)
    document = write_openapi_document(folder)
    run("openapi-typescript", document, "--output", folder / API_TYPES, cwd=folder)
    for module in CLIENT.glob("*.js"):
        shutil.copy(module, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    shutil.copy(FOLDER / "tsconfig.json", folder)
    run("tsc", "--project", folder, cwd=folder)


def types_in(folder: Path) -> dict[str, str]:
    """Return the types in this folder by the names of their files."""
    return {file.name: file.read_text() for file in folder.glob("*.d.ts")}
