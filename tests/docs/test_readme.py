"""README.md: its commands, its first session, its excerpts and its figures."""

import json
import re
import shutil

import pytest

from tests.docs.pages import ROOT, blocks
from tests.docs.service import Service
from tests.isolation.mutants import mutants
from tests.isolation.targets import PROOF_OPERATIONS

README = (ROOT / "README.md").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session is one of curl")
def test_the_first_session_of_the_readme_works_in_bash(service: Service) -> None:
    [session] = [block for block in blocks(README, "sh") if "curl" in block]
    registered, listed, completed = map(json.loads, service.run(session))
    assert registered["email"] == "ada@example.com"
    assert [(task["title"], task["completed"]) for task in listed] == [("Buy milk", False)]
    assert (completed["id"], completed["completed"]) == (listed[0]["id"], True)


def test_the_second_command_of_the_readme_is_the_one_that_the_checks_run() -> None:
    assert blocks(README, "sh")[1].strip() == "pip install uv && uv run pytest"
    assert "'^pip install uv && uv run pytest$' README.md" in (ROOT / ".ci" / "run").read_text()


def test_every_excerpt_of_the_readme_is_in_the_file_named_above_it() -> None:
    excerpts = re.findall(r"\[\S+\]\((\S+)\):\n\n```python\n(.*?)```", README, re.DOTALL)
    assert len(excerpts) == len(blocks(README, "python")) == 2
    for name, excerpt in excerpts:
        is_there = excerpt in (ROOT / name).read_text()
        assert is_there, f"copy it again from {name}"


def test_the_figures_of_the_readme_are_those_of_the_proofs() -> None:
    assert f"run {PROOF_OPERATIONS:,} operations each" in README
    assert f"[{len(list(mutants()))} mutants]" in README
    for figure, module, code in (
        ("[26,000 altered tokens]", "security/test_token_mutations.py", "pytest.param(26_000, "),
        ("[150,000 request sequences]", "wire/test_framing.py", "tried = 150_000"),
        ("[ten minutes of hostile traffic]", "soak/test_soak.py", "SECONDS = 600"),
        ("below 400 MiB", "soak/test_soak.py", "MAX_MEMORY = 400 * 2**20"),
        ("below 250 ms", "soak/test_soak.py", "MAX_HONEST_P99 = 0.25"),
    ):
        assert figure in README
        assert code in (ROOT / "tests" / module).read_text(), f"{figure} is not what {module} tries"


def test_the_readme_links_to_the_files_that_newcomers_look_for() -> None:
    for target in (
        "todo_core/entities/task.py",
        "todo_adapters/sql/task_lists.py",
        "todo_api/http/problems.py",
        "docs/architecture.md#add-a-field-to-a-task",
    ):
        assert f"]({target})" in README
