"""The Dockerfiles themselves: what they are built on, for which architectures, and their style."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.engine import BASE, ROOT
from tests.support.requirements import IMAGE_EXPORT, UV, pins

HADOLINT = Path(sys.executable).with_name("hadolint")
FILES = (ROOT / "Dockerfile", ROOT / "deploy/compose/pgbouncer/Dockerfile")


def test_all_stages_of_the_dockerfiles_are_built_on_the_base_image() -> None:
    for file in FILES:
        stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", file.read_text(), re.MULTILINE)
        names = {name for _, name in stages}
        assert {image for image, _ in stages} - names == {BASE}


@pytest.mark.deploy
def test_every_locked_package_has_a_file_for_arm64(tmp_path: Path) -> None:
    """The Dockerfile names no architecture, so the packages decide whether it can be built."""
    command = [UV, "pip", "install", "--dry-run", "--no-deps", "--require-hashes"]
    platform = ["--python-platform", "aarch64-manylinux_2_40", "--python-version", "3.13"]
    options = [*platform, "--only-binary", ":all:", "--target", str(tmp_path)]
    outcome = subprocess.run(
        [*command, *options, "--requirement", str(ROOT / "deploy" / "requirements.txt")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert (
        f"Would install {len(pins(IMAGE_EXPORT)) - 1} packages" in outcome.stderr
    )  # without colorama


@pytest.mark.deploy
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_dockerfile_follows_the_rules_of_hadolint(file: Path) -> None:
    """Versions of Debian's packages are those of its release, and `FROM` has its own rule above."""
    ignored = ["--ignore", "DL3008"]
    outcome = subprocess.run(
        [HADOLINT, *ignored, str(file)], capture_output=True, text=True, timeout=60
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
