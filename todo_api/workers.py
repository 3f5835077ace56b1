"""The parent of the worker processes of `todo serve --workers`, and of `--reload`.

`todo serve` checks the settings, and then replaces itself with this process. The parent lives as
long as its workers, so it imports little more than uvicorn: it takes 27 MB instead of 105.
"""

from todo_api.startup import skip_unused_libraries

skip_unused_libraries()

import json  # noqa: E402 - see above
import logging  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
from contextlib import AbstractContextManager, nullcontext  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from typing import Any, override  # noqa: E402

import uvicorn  # noqa: E402
from uvicorn.supervisors import Multiprocess  # noqa: E402


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
            uvicorn.run(**options)
        else:
            config = uvicorn.Config(**options)
            Multiprocess(config, sockets=[_bind(config)]).run()


def _served_metrics(address: tuple[str, int] | None) -> AbstractContextManager[None]:
    """Serve the metrics of all workers on this address, if there is one."""
    if address is None:
        return nullcontext()
    from todo_api.exporter.server import serving_metrics  # late: it is rarely needed

    return serving_metrics(*address)


def _bind(config: uvicorn.Config) -> socket.socket:
    """Bind the address, or exit with uvicorn's message if it is in use.

    On Linux, the kernel distributes connections evenly among sockets of one address
    (SO_REUSEPORT, socket(7)). Of a single socket that workers share, one of them may accept all.
    """
    bound = config.bind_socket()
    if sys.platform != "linux":
        return bound
    address = bound.getsockname()
    bound.close()
    return _bind_beside_others(_SocketOfItsOwn, bound.family, address)


def _bind_beside_others[Kind: socket.socket](
    kind: type[Kind],
    family: socket.AddressFamily,
    address: Any,  # noqa: ANN401 - as its family has it
) -> Kind:
    bound = kind(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(address)
    return bound


class _SocketOfItsOwn(socket.socket):
    """A bound socket in whose place each process that it is sent to binds a socket of its own."""

    @override
    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        return _bind_beside_others, (socket.socket, self.family, self.getsockname())


if __name__ == "__main__":
    main()
