"""The client, run by Node against a running service, and its types."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import TODO, Served, served
from tests.support.node import install, program
from tests.web.typescript import CLIENT, FOLDER, generate_types, types_in

TESTS = sorted(FOLDER.glob("*.test.mjs"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service without limits on how often its only caller may ask."""
    folder = tmp_path_factory.mktemp("service")
    with served(folder, TODO_RATE_LIMIT_ENABLED="false") as running:
        yield running


@pytest.mark.live
@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name.removesuffix(".test.mjs"))
def test_the_modules_pass_their_tests_in_node(service: Served, file: Path) -> None:
    install(FOLDER)
    result = subprocess.run(
        [program("node"), "--test", "--test-reporter=spec", file],
        env={"PATH": os.environ["PATH"], "TODO_URL": service.url, "TODO_COMMAND": str(TODO)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stdout
    assert "ℹ pass 0" not in result.stdout


@pytest.mark.live
def test_the_types_of_the_client_are_those_of_the_api_and_of_its_modules(tmp_path: Path) -> None:
    generate_types(tmp_path)
    assert types_in(CLIENT) == types_in(tmp_path), "Run: python -m tests.web.generate"


@pytest.mark.live
def test_an_error_in_the_types_of_a_module_is_found(tmp_path: Path) -> None:
    (tmp_path / "wrong.js").write_text(
        'import { TodoClient } from "./todo.js";\n(await new TodoClient().tasks.get(1)).name;\n'
    )
    with pytest.raises(RuntimeError, match="'name' does not exist"):
        generate_types(tmp_path)
