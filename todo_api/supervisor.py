"""Starts, replaces and stops the workers of `todo_api.workers`."""

import logging
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, override

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

_REPLACED = signal.SIGUSR1
"""As `todo_api.runtime.drain.REPLACED`, which would import more than the parent needs."""

_SECONDS_TO_START = 60.0
_SECONDS_TO_LEAVE = 46.0
"""How long a replaced worker may take: six seconds until it stops (`todo_api.runtime.drain`),
thirty for its requests and ten for its emails."""

_LONGEST_PAUSE_SECONDS = 30
_SECONDS_BETWEEN_PINGS = 0.1
_SECONDS_BETWEEN_SIGNALS = 0.2
"""So that a worker handles one signal before the next one arrives."""

_log = logging.getLogger("uvicorn.error")


class _Worker(Process):
    @override
    def _healthcheck(self, timeout: float) -> bool | None:
        """Return whether the worker has started, or None if it does not respond or has ended.

        Uvicorn's own check waits until the timeout for a process that ends meanwhile.
        """
        try:
            self.parent_conn.send(b"ping")
            wait([self.parent_conn, self.process.sentinel], timeout)
            return bool(self.parent_conn.recv()) if self.parent_conn.poll() else None
        except (OSError, EOFError):
            return None


class _Listener:
    """The listening socket of one worker.

    On Linux, the kernel distributes connections evenly among sockets of one address
    (SO_REUSEPORT, socket(7)). Of a single socket that workers share, one of them may accept all.
    """

    def __init__(self, bound: socket.socket) -> None:
        self._family, self._address = bound.family, bound.getsockname()
        self._socket: socket.socket | None = None if _has_own_sockets() else bound

    def open(self) -> socket.socket:
        """Return the socket, which is bound first if it is not open.

        Raises:
            OSError: if another program listens on the address.
        """
        if self._socket is None:
            self._socket = _bind_beside_others(self._family, self._address)
        return self._socket

    def pause(self) -> None:
        """Let other workers accept the connections. A shared socket stays open for them."""
        if _has_own_sockets():
            self.close()

    def close(self) -> None:
        """Close the socket in this process."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@dataclass
class _Slot:
    """The place of one worker.

    `process` is None before the first worker and while a failed one waits for its next start.
    """

    listener: _Listener
    process: Process | None = None
    is_ready: bool = False
    failures: int = 0
    next_start: float = 0.0

    def fill(self, process: Process, *, is_ready: bool) -> None:
        """Put a worker here."""
        self.process, self.is_ready = process, is_ready

    def fail(self) -> int:
        """Count a failed start, and return the seconds until the next one: 0, 1, 2, 4 … 30."""
        self.process = None
        self.failures += 1
        pause = 0
        if self.failures > 1:
            self.listener.pause()
            # The exponent is limited too, because the number of failures is not.
            pause = min(2 ** min(self.failures - 2, 10), _LONGEST_PAUSE_SECONDS)
        self.next_start = time.monotonic() + pause
        return pause


class Supervisor(Multiprocess):
    """The workers, each of which has one of the listening sockets.

    They stop at SIGTERM, which each of them delays (`todo_api.runtime.drain`). A second SIGTERM
    ends the delay, and SIGINT has none. SIGHUP replaces the workers one after another.

    A worker that dies is replaced. Its socket stays open here, so that connections which it has not
    accepted wait for the next worker. If that one does not start, the socket is closed until the
    next attempt, so that the other workers get all connections. If no worker has started yet, a
    failure stops all of them.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        """Bind the address, or exit with uvicorn's message if it is in use."""
        bound = config.bind_socket()
        super().__init__(config, sockets=[])
        self._slots = [_Slot(_Listener(bound)) for _ in range(config.workers)]
        if _has_own_sockets():
            bound.close()
        self._leaving: list[Process] = []
        """Workers that others have replaced."""
        self._has_served = False
        self._has_failed = False

    def supervise(self) -> int:
        """Run the workers until a signal or a failure stops them, and return the exit code."""
        self.run()
        return STARTUP_FAILURE if self._has_failed else 0

    @override
    def init_processes(self) -> None:
        for slot in self._slots:
            slot.listener.open()  # before any worker listens
        for slot in self._slots:
            self._start(slot)

    @override
    def keep_subprocess_alive(self) -> None:
        for slot in self._slots:
            if self._is_stopping():
                return
            if slot.process is None:
                if time.monotonic() >= slot.next_start:
                    self._start(slot)
                continue
            is_alive = slot.process.is_alive(timeout=self.config.timeout_worker_healthcheck)
            if self._is_stopping():
                return
            if is_alive:
                self._note_readiness(slot, slot.process)
            else:
                self._handle_death(slot, slot.process)

    def _start(self, slot: _Slot) -> None:
        try:
            process = self._launch(slot)
        except OSError as error:
            _log.error("Cannot start a worker: %s. Next try in %d seconds.", error, slot.fail())
        else:
            slot.fill(process, is_ready=False)

    def _launch(self, slot: _Slot) -> Process:
        process = _Worker(self.config, [slot.listener.open()])
        process.start()
        return process

    def _note_readiness(self, slot: _Slot, process: Process) -> None:
        if not slot.is_ready and process.is_ready(self.config.timeout_worker_healthcheck):
            slot.is_ready = self._has_served = True
            slot.failures = 0

    def _handle_death(self, slot: _Slot, process: Process) -> None:
        process.kill()  # if it does not respond
        process.join()
        if slot.is_ready:
            _log.error("The worker [%d] died.", process.pid)
            slot.fail()
        elif self._may_recover(process):
            _log.error("A worker did not start. Next try in %d seconds.", slot.fail())
        else:
            _log.error("A worker did not start. Stopping the others.")
            self._has_failed = True
            self.should_exit.set()
            return
        if slot.next_start <= time.monotonic():
            self._start(slot)

    def _may_recover(self, failed: Process) -> bool:
        """Return whether another start may succeed: one has, or a signal ended this one."""
        was_killed = failed.exitcode is not None and failed.exitcode < 0
        return self._has_served or was_killed or any(map(_is_ready, self._processes()))

    @override
    def restart_all(self) -> None:
        for slot in self._slots:
            if self._is_stopping() or not self._replace(slot):
                return

    def _replace(self, slot: _Slot) -> bool:
        """Replace a worker by a new one, and return whether that has succeeded."""
        try:
            new = self._launch(slot)
        except OSError as error:
            _log.error("Cannot start a worker: %s. The others stay.", error)
            return False
        if not self._becomes_ready(new):
            new.kill()
            new.join()
            if slot.process is None:
                slot.listener.pause()
            if not self._is_stopping():
                _log.error("A new worker did not start. The others stay.")
            return False
        old = slot.process
        slot.fill(new, is_ready=True)
        slot.failures = 0
        self._has_served = True
        if old is not None:
            self._leaving.append(old)
            self._wait_for_leaving(old)
        return True

    def _becomes_ready(self, new: Process) -> bool:
        """Wait until a worker serves, and return whether it does."""
        deadline = time.monotonic() + _SECONDS_TO_START
        while new.process.is_alive() and time.monotonic() < deadline and not self._is_stopping():
            if new.is_ready(timeout=1):
                return True
            time.sleep(_SECONDS_BETWEEN_PINGS)
        return False

    def _wait_for_leaving(self, old: Process) -> None:
        """Tell a worker that it was replaced, and wait until it has ended or all are to stop."""
        if old.process.is_alive() and old.pid is not None:
            os.kill(old.pid, _REPLACED)
        deadline = time.monotonic() + _SECONDS_TO_LEAVE
        while old.process.is_alive():
            old.process.join(_SECONDS_BETWEEN_SIGNALS)
            self.keep_subprocess_alive()
            if self._is_stopping():
                return
            if time.monotonic() > deadline:
                _log.error("The replaced worker [%d] did not stop. Killing it.", old.pid)
                old.kill()
                old.join()
        self._leaving.remove(old)

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
        for slot in self._slots:
            slot.listener.close()  # the workers have it too, and accept what waits
        for process in self._processes():
            process.terminate()

    @override
    def join_all(self) -> None:
        for process in self._processes():
            while process.process.is_alive():
                process.process.join(_SECONDS_BETWEEN_SIGNALS)
                if self._has_signal_to_stop():
                    self.signal_queue.clear()
                    self.terminate_all()

    def _processes(self) -> list[Process]:
        working = [slot.process for slot in self._slots if slot.process is not None]
        return working + self._leaving

    def _is_stopping(self) -> bool:
        return self.should_exit.is_set() or self._has_signal_to_stop()

    def _has_signal_to_stop(self) -> bool:
        """Return whether a signal to stop was received and not handled yet."""
        return not {signal.SIGINT, signal.SIGTERM}.isdisjoint(self.signal_queue)


def _is_ready(process: Process) -> bool:
    return process.process.is_alive() and process.is_ready(timeout=1)


def _has_own_sockets() -> bool:
    return sys.platform == "linux"


def _bind_beside_others(
    family: socket.AddressFamily,
    address: Any,  # noqa: ANN401 - as its family has it
) -> socket.socket:
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(address)
    return listener
