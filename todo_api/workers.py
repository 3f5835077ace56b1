"""The parent of the worker processes of `todo serve --workers`, and of `--reload`.

`todo serve` checks the settings, and then replaces itself with this process. The parent lives as
long as its workers, so it imports little more than uvicorn: it takes 27 MB instead of 105.
"""

from todo_api.startup import skip_unused_libraries

skip_unused_libraries()

import json  # noqa: E402 - see above
import logging  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from contextlib import AbstractContextManager, nullcontext  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from typing import override  # noqa: E402

import uvicorn  # noqa: E402

from todo_api.supervisor import Supervisor  # noqa: E402


class _JsonFormatter(logging.Formatter):
    """Formats a record as the workers do, which use structlog."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC)
        return json.dumps(
            {
                "event": record.getMessage(),
                "level": record.levelname.lower(),
                "timestamp": time.isoformat().replace("+00:00", "Z"),
                "logger": record.name,
            },
            separators=(",", ":"),
        )


def main() -> None:
    """Run workers with the options of uvicorn in the first argument, in JSON.

    The second argument is the format of the log, `json` or `console`.
    """
    options = json.loads(sys.argv[1])
    handler = logging.StreamHandler()
    handler.setFormatter(
        _JsonFormatter()
        if sys.argv[2] == "json"
        else logging.Formatter("%(asctime)s [%(levelname)s] %(message)s")
    )
    logging.basicConfig(handlers=[handler])
    # Uvicorn sends itself the signal again at the end: a requested stop is not a failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    options |= {
        "app": "todo_api.worker:app",
        "factory": True,
        "http": "todo_api.worker:http_protocol",
    }
    with _served_metrics(options.pop("metrics")):
        if options["reload"]:
            os.environ["TODO_DRAIN_DELAY"] = "0"  # no load balancer waits for a restart
            uvicorn.run(**options)
        else:
            sys.exit(Supervisor(uvicorn.Config(**options)).supervise())


def _served_metrics(address: tuple[str, int] | None) -> AbstractContextManager[None]:
    """Serve the metrics of all workers on this address, if there is one."""
    if address is None:
        return nullcontext()
    from todo_api.exporter.server import serving_metrics  # late: it is rarely needed

    return serving_metrics(*address)


if __name__ == "__main__":
    main()
