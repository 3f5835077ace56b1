"""The metadata of the package: typed packages, the licence, and the documented recipes."""

import re
import tomllib

from tests.docs.pages import ROOT
from todo_api.settings import Settings

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_of_the_application_is_marked_as_typed() -> None:
    shipped = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    typed = [name for name in shipped if name != "migrations"]
    assert typed == ["todo_core", "todo_adapters", "todo_api"]
    assert [name for name in typed if not (ROOT / name / "py.typed").exists()] == []


def test_the_licence_is_the_one_that_the_metadata_names() -> None:
    assert PROJECT["project"]["license"] == "MIT"
    assert PROJECT["project"]["license-files"] == ["LICENSE"]
    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n")


def test_the_version_is_the_same_everywhere() -> None:
    [example] = re.findall(r"^#TODO_APP_VERSION=(.+)$", (ROOT / ".env.example").read_text(), re.M)
    chart = (ROOT / "deploy" / "helm" / "todo" / "Chart.yaml").read_text()
    charts = re.findall(r'^(?:version|appVersion): "?([^"\n]+)"?$', chart, re.M)
    default = Settings.model_fields["app_version"].default
    assert [example, default, *charts] == [PROJECT["project"]["version"]] * 4


def test_the_changelog_has_a_section_for_the_version_and_its_date() -> None:
    version = re.escape(PROJECT["project"]["version"])
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## \[{version}\] - \d{{4}}-\d\d-\d\d$", changelog, re.M)


def test_every_recipe_that_the_documentation_names_is_in_the_justfile() -> None:
    recipes = set(re.findall(r"^([a-z-]+)(?: \*\w+)?:$", (ROOT / "justfile").read_text(), re.M))
    named = set(re.findall(r"`just ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text()))
    assert named >= {"check", "test-fast", "test", "proof", "bench"}
    assert named <= recipes
