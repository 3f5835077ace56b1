"""The locked requirements of the service, in requirements.txt."""

import os
import re
from pathlib import Path

from packaging.utils import canonicalize_name

EXPORT = (Path(__file__).parents[2] / "requirements.txt").read_text()
UV = os.environ.get("UV", "uv")


def pins() -> dict[str, str]:
    """Return the version of each distribution in requirements.txt."""
    return {
        canonicalize_name(name): pinned
        for name, pinned in re.findall(r"^([\w.-]+)(?:\[.*?\])?==([^\s;]+)", EXPORT, re.MULTILINE)
    }
