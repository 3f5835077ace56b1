"""Node programs for the tests, in the versions that a `package-lock.json` pins."""

import shutil
import subprocess
from pathlib import Path

_INSTALL_TIMEOUT_SECONDS = 300


def install(folder: Path) -> None:
    """Install the packages of `package-lock.json` in this folder, unless they are installed.

    Raises:
        RuntimeError: if npm is missing, or cannot install them.
    """
    npm = program("npm")
    lock = folder / "package-lock.json"
    # npm writes this file last, so an installation that was interrupted has none.
    installed = folder / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    result = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=_INSTALL_TIMEOUT_SECONDS,
    )
    if result.returncode != 0:
        raise RuntimeError(f"npm could not install the packages of {folder.name}:\n{result.stderr}")


def program(name: str) -> str:
    """Return the path of a program.

    Raises:
        RuntimeError: if it is missing.
    """
    path = shutil.which(name)
    if path is None:
        raise RuntimeError(f"{name} is missing; these tests need Node 20.19 or newer, with npm")
    return path
