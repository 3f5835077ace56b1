"""The service that the tests of the documentation run against."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson


@dataclass(frozen=True)
class Service:
    """A running service and the file that it logs to."""

    url: str
    log: Path

    def events(self) -> list[dict[str, Any]]:  # JSON
        """Return the events that the service has logged."""
        lines = self.log.read_bytes().splitlines()
        return [orjson.loads(line) for line in lines if line.startswith(b"{")]
