"""The parent of the worker processes of `todo serve --workers`, and of `--reload`.

`todo serve` checks the settings, and then replaces itself with this process. The parent lives as
long as its workers, so it imports little more than uvicorn: it takes 27 MB instead of 105.
"""

from todo_api.startup import skip_unused_libraries

skip_unused_libraries()

import json  # noqa: E402 - see above
import logging  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from typing import override  # noqa: E402

import uvicorn  # noqa: E402


class _JsonFormatter(logging.Formatter):
    """Formats a record as the workers do, which use structlog."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "event": record.getMessage(),
                "level": record.levelname.lower(),
                "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
                "logger": record.name,
            }
        )


def main() -> None:
    """Run workers with the options of uvicorn in the first argument, in JSON.

    The second argument is the format of the log, `json` or `console`.
    """
    options = json.loads(sys.argv[1])
    handler = logging.StreamHandler()
    if sys.argv[2] == "json":
        handler.setFormatter(_JsonFormatter())
    logging.basicConfig(handlers=[handler])
    # Uvicorn sends itself the signal again at the end: a requested stop is not a failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    uvicorn.run(
        "todo_api.worker:app", factory=True, http="todo_api.worker:http_protocol", **options
    )


if __name__ == "__main__":
    main()
