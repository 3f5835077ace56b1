"""The locked requirements: of the service, in requirements.txt, and of its image, with `otel`."""

import os
import re
from pathlib import Path

from packaging.utils import canonicalize_name

_ROOT = Path(__file__).parents[2]
EXPORT = (_ROOT / "requirements.txt").read_text()
IMAGE_EXPORT = (_ROOT / "deploy" / "requirements.txt").read_text()
UV = os.environ.get("UV", "uv")


def pins(export: str = EXPORT) -> dict[str, str]:
    """Return the version of each distribution in an export, by default that of the service."""
    return {
        canonicalize_name(name): pinned
        for name, pinned in re.findall(r"^([\w.-]+)(?:\[.*?\])?==([^\s;]+)", export, re.MULTILINE)
    }
