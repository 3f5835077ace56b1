"""The OpenAPI document follows the recommended rules of Redocly's linter."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.node import install
from todo_api.app import create_app
from todo_api.settings import Settings

FOLDER = Path(__file__).parent

WITHOUT_CLIENT_ERRORS = {
    f"#/paths/~1{name}/get/responses" for name in ("healthz", "readyz", "startupz")
}
"""The health checks take no input, so they document no client errors."""


@pytest.mark.live
@pytest.mark.parametrize("task_list_envelope", [False, True])
def test_the_openapi_document_follows_the_recommended_rules(
    tmp_path: Path, task_list_envelope: bool
) -> None:
    settings = Settings(data_dir=tmp_path, task_list_envelope=task_list_envelope)
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(create_app(settings).openapi()))
    report = lint(document)
    found = {(each["ruleId"], each["location"][0]["pointer"]) for each in report["problems"]}
    assert found == {("operation-4xx-response", pointer) for pointer in WITHOUT_CLIENT_ERRORS}


@pytest.mark.live
def test_the_linter_reports_a_broken_rule(tmp_path: Path) -> None:
    broken = create_app(Settings(data_dir=tmp_path)).openapi()
    del broken["paths"]["/api/auth/login"]["post"]["security"]
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(broken))
    rules = [each["ruleId"] for each in lint(document)["problems"]]
    assert "security-defined" in rules


def lint(document: Path) -> dict[str, Any]:  # JSON
    install(FOLDER)
    redocly = FOLDER / "node_modules" / ".bin" / "redocly"
    result = subprocess.run(
        [redocly, "lint", "--format=json", document],
        cwd=document.parent,
        env={
            "PATH": os.environ["PATH"],
            "REDOCLY_TELEMETRY": "off",
            "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
        },
        capture_output=True,
        text=True,
    )
    report: dict[str, Any] = json.loads(result.stdout)
    return report
