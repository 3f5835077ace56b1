"""What the tests in a browser need, and where it is."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).parent
"""Where package.json is, with what the tests need from npm."""


def reason_to_skip() -> str | None:
    """Return why the tests cannot run here, or None if they can or must."""
    if os.environ.get("CI") == "true":
        return None
    if find_spec("playwright") is None:
        return "Playwright is missing; run them with: uv run --group browser pytest -m browser"
    if shutil.which("chromium") is None:
        return "Chromium is missing; on Debian: apt-get install chromium"
    return None


def chromium_path() -> str:
    """Return the path of Chromium.

    Raises:
        FileNotFoundError: if it is not installed.
    """
    found = shutil.which("chromium")
    if found is None:
        raise FileNotFoundError("chromium is needed; on Debian: apt-get install chromium")
    return found


def chromium_options() -> list[str]:
    """Return the options with which Chromium runs here: root cannot use its sandbox."""
    return ["--no-sandbox"] if os.geteuid() == 0 else []
