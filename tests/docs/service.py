"""The service that the tests of the documentation run against."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

HERE = "http://127.0.0.1:8000"
"""Where the documentation says that the service is."""


@dataclass(frozen=True)
class Service:
    """A running service and the file that it logs to."""

    url: str
    log: Path

    def events(self) -> list[dict[str, Any]]:  # JSON
        """Return the events that the service has logged."""
        lines = self.log.read_bytes().splitlines()
        return [orjson.loads(line) for line in lines if line.startswith(b"{")]

    def run(self, session: str) -> list[str]:
        """Run commands of the documentation in bash against this service.

        Return the lines that they print.

        Raises:
            AssertionError: if a command fails.
        """
        assert HERE in session
        with tempfile.TemporaryDirectory() as folder:
            outcome = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", session.replace(HERE, self.url)],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=60,
            )
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout.splitlines()
