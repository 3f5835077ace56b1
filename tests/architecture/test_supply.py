"""Installed dependencies: which ones serving needs, their exact versions, and their audit."""

import os
import re
import subprocess
import tomllib
from collections.abc import Iterable
from importlib.metadata import requires, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.dependencies import ROOT, group_requirements, missing
from tests.support.requirements import EXPORT, IMAGE_EXPORT, UV, pins

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def installed_for_serving(more: Iterable[str] = ()) -> dict[str, str]:
    """Return the installed version of each distribution that the service depends on.

    `more` are further requirements.
    """
    found: dict[str, str] = {}
    direct = [*PYPROJECT["project"]["dependencies"], *more]
    queue = [(Requirement(each), "") for each in direct]
    seen = set()
    while queue:
        requirement, extra = queue.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in (*requirement.extras, ""):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                found[name] = version(name)
                queue += [(Requirement(each), wanted) for each in requires(name) or ()]
    return found


def test_uv_run_installs_no_development_tool_but_pytest() -> None:
    assert PYPROJECT["tool"]["uv"]["default-groups"] == ["runner"]
    assert [each.name for each in group_requirements("runner")] == ["pytest"]
    serving = {Requirement(each).name for each in PYPROJECT["project"]["dependencies"]}
    assert serving.isdisjoint(each.name for each in group_requirements("dev"))


def test_the_group_of_the_tests_is_complete_and_installed() -> None:
    assert missing(group_requirements("test")) == []


def test_a_missing_or_outdated_dependency_of_the_tests_is_reported() -> None:
    wanted = ["pytest>=1", "pytest>=9999", "no-such-distribution-anywhere"]
    assert missing(map(Requirement, wanted)) == wanted[1:]


def test_the_exported_requirements_are_what_the_service_is_tested_with() -> None:
    pinned = pins()
    for name, tested in installed_for_serving().items():
        assert pinned.get(name) == tested, f"{name}: refresh requirements.txt (see CONTRIBUTING.md)"


def test_the_exported_requirements_contain_nothing_that_is_not_needed() -> None:
    only_elsewhere = {"colorama", "tzdata"}  # on Windows
    assert pins().keys() <= installed_for_serving().keys() | only_elsewhere


def test_the_exported_requirements_contain_no_development_tool() -> None:
    development = {canonicalize_name(each.name) for each in group_requirements("dev")}
    assert development.isdisjoint(pins())


def test_the_requirements_of_the_image_are_those_of_the_service_and_of_traces() -> None:
    image, service = pins(IMAGE_EXPORT), pins()
    assert {name: image.get(name) for name in service} == service
    installed = installed_for_serving(PYPROJECT["project"]["optional-dependencies"]["otel"])
    assert image.keys() - service.keys() <= installed.keys()
    assert {name: image.get(name) for name in installed} == installed


@pytest.mark.parametrize("export", [EXPORT, IMAGE_EXPORT], ids=["service", "image"])
def test_every_exported_requirement_has_hashes_and_no_url(export: str) -> None:
    requirements = re.split(r"(?<!\\)\n", export.strip())
    assert len(requirements) == len(pins(export)) > 30
    for requirement in requirements:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}(\s|$)", requirement), requirement
    assert "://" not in export
    assert not re.search(r"^\s*(-|#)(?!-hash)", export, re.MULTILINE)


@pytest.mark.parametrize("service", [["--offline"], ["--service-url", "http://127.0.0.1:1"]])
def test_an_audit_that_cannot_run_fails_and_says_so(service: list[str]) -> None:
    command = [UV, "audit", "--frozen", "--no-default-groups", *service]
    environment = os.environ | {"UV_HTTP_RETRIES": "0"}
    outcome = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30
    )
    assert outcome.returncode != 0
    assert re.search(r"requires network access|Request failed|error sending", outcome.stderr)
    assert "no known vulnerabilities" not in (outcome.stdout + outcome.stderr).lower()
