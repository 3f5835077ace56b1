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
import socket  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from typing import Any, override  # noqa: E402

import uvicorn  # noqa: E402
from uvicorn.config import STARTUP_FAILURE  # noqa: E402
from uvicorn.supervisors.multiprocess import Multiprocess, Process  # noqa: E402

_REPLACED = signal.SIGUSR1
"""As `todo_api.runtime.drain.REPLACED`, which would import more than the parent needs."""

_SECONDS_TO_START = 60.0
_SECONDS_BETWEEN_PINGS = 0.1
_SECONDS_BETWEEN_SIGNALS = 0.2
"""So that a worker handles one signal before the next one arrives."""


_log = logging.getLogger("uvicorn.error")


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
    if options["reload"]:
        os.environ["TODO_DRAIN_DELAY"] = "0"  # no load balancer waits for a restart
        uvicorn.run(**options)
    else:
        config = uvicorn.Config(**options)
        _Workers(config, sockets=_bind(config)).run()


class _Workers(Multiprocess):
    """The workers, each of which has one of the listening sockets.

    They stop at SIGTERM, which each of them delays (`todo_api.runtime.drain`), and at once at
    SIGINT or the second SIGTERM. SIGHUP replaces them one after another. The sockets stay open
    here, so that connections which no worker has accepted wait for the next worker.
    """

    @override
    def init_processes(self) -> None:
        self.processes = [self._start(listener) for listener in self.sockets]

    def _start(self, listener: socket.socket) -> Process:
        process = Process(self.config, [listener])
        process.start()
        return process

    @override
    def restart_all(self) -> None:
        for index, (old, listener) in enumerate(zip(self.processes, self.sockets, strict=True)):
            new = self._start(listener)
            if not self._becomes_ready(new):
                new.kill()
                new.join()
                if not self._is_to_stop():
                    _log.error("A new worker did not start. The others stay.")
                return
            self.processes[index] = new
            if old.process.is_alive() and old.process.pid is not None:
                os.kill(old.process.pid, _REPLACED)
            while old.process.is_alive():
                old.process.join(_SECONDS_BETWEEN_SIGNALS)
                if self._is_to_stop():
                    self.processes.append(old)
                    return

    def _becomes_ready(self, new: Process) -> bool:
        """Wait until a worker serves, and return whether it does."""
        deadline = time.monotonic() + _SECONDS_TO_START
        while new.process.is_alive() and time.monotonic() < deadline and not self._is_to_stop():
            if new.is_ready(timeout=1):
                return True
            time.sleep(_SECONDS_BETWEEN_PINGS)
        return False

    @override
    def keep_subprocess_alive(self) -> None:
        for index, process in enumerate(self.processes):
            if process.is_alive(timeout=self.config.timeout_worker_healthcheck):
                continue
            process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE:
                _log.error("A worker did not start. Stopping the others.")
                self.should_exit.set()
                return
            _log.error("The worker [%d] died.", process.pid)
            self.processes[index] = self._start(self.sockets[index])

    @override
    def handle_ttin(self) -> None:
        """Change nothing: the number of workers is that of the sockets."""

    @override
    def handle_ttou(self) -> None:
        """Change nothing, as above."""

    @override
    def handle_int(self) -> None:
        super().handle_int()
        self.signal_queue.append(signal.SIGINT)  # so that `join_all` terminates the workers again

    @override
    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()  # the workers have it too, and accept what waits
        super().terminate_all()

    @override
    def join_all(self) -> None:
        for process in self.processes:
            while process.process.is_alive():
                process.process.join(_SECONDS_BETWEEN_SIGNALS)
                if self._is_to_stop():
                    self.signal_queue.clear()
                    self.terminate_all()

    def _is_to_stop(self) -> bool:
        """Return whether a signal to stop was received and not handled yet."""
        return not {signal.SIGINT, signal.SIGTERM}.isdisjoint(self.signal_queue)


def _bind(config: uvicorn.Config) -> list[socket.socket]:
    """Bind a socket for each worker, or exit with uvicorn's message if the address is in use.

    On Linux, the kernel distributes connections evenly among sockets of one address
    (SO_REUSEPORT, socket(7)). Of a single socket that workers share, one of them may accept all.
    """
    bound = config.bind_socket()
    if sys.platform != "linux":
        return [bound] * config.workers
    family, address = bound.family, bound.getsockname()
    bound.close()
    return [_bind_beside_others(family, address) for _ in range(config.workers)]


def _bind_beside_others(
    family: socket.AddressFamily,
    address: Any,  # noqa: ANN401 - as its family has it
) -> socket.socket:
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(address)
    return listener


if __name__ == "__main__":
    main()
