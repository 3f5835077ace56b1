"""nginx and Caddy in front of the service, and a relay that cuts the stream between them.

Both keep their connections to the service open and share them between clients, as they do in
production, and forward upgrade offers, as they are configured where WebSockets are used.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from threading import Thread

from tests.support.processes import free_port

_START_SECONDS = 10
_LARGEST_SEGMENT = 1460
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"

_NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream todo {{ server 127.0.0.1:{upstream}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port};
        location = /readyz {{ return 403; }}
        location / {{
            proxy_pass http://todo;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_request_buffering {buffering};
        }}
    }}
}}
"""

_CADDY = """
{{
    admin off
    auto_https off
    grace_period 1s
}}
:{port} {{
    bind 127.0.0.1
    respond /readyz 403
    reverse_proxy 127.0.0.1:{upstream} {{
        transport http {{
            keepalive_idle_conns_per_host 16
        }}
    }}
}}
"""

_OPTIONS = """
{
    admin off
    auto_https off
    grace_period 1s
}
"""

FORBIDDEN = b"/readyz"
"""The path that the proxies deny to all clients."""


@contextmanager
def proxy(name: str, folder: Path, upstream: int) -> Iterator[str]:
    """Run `nginx`, `nginx-unbuffered` or `caddy` in front of the port, and yield its URL.

    Raises:
        FileNotFoundError: if it is not installed.
    """
    program = name.partition("-")[0]
    found = shutil.which(program, path=_PATH)
    if found is None:
        raise FileNotFoundError(f"{program} is needed; on Debian: apt-get install {program}")
    port = free_port()
    settings = folder / f"{name}.conf"
    if program == "nginx":
        buffering = "off" if name == "nginx-unbuffered" else "on"
        text = _NGINX.format(folder=folder, port=port, upstream=upstream, buffering=buffering)
        command = [found, "-c", str(settings), "-e", str(folder / "nginx.log")]
    else:
        text = _CADDY.format(port=port, upstream=upstream)
        command = [found, "run", "--adapter", "caddyfile", "--config", str(settings)]
    settings.write_text(text)
    with _running(name, command, folder, port) as url:
        yield url


@contextmanager
def caddy_with(site: str, folder: Path, port: int) -> Iterator[str]:
    """Run Caddy with this configuration of a site on the port, and yield its URL.

    Raises:
        FileNotFoundError: if it is not installed.
    """
    found = shutil.which("caddy", path=_PATH)
    if found is None:
        raise FileNotFoundError("caddy is needed; on Debian: apt-get install caddy")
    settings = folder / "site.conf"
    settings.write_text(_OPTIONS + site)
    command = [found, "run", "--adapter", "caddyfile", "--config", str(settings)]
    with _running("site", command, folder, port) as url:
        yield url


@contextmanager
def _running(name: str, command: Sequence[str], folder: Path, port: int) -> Iterator[str]:
    environment = {
        "PATH": _PATH,
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
    }
    with (folder / f"{name}.out").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError("the proxy did not start")


class CuttingRelay:
    """Forwards connections to a port, in segments of 1 to 1,460 bytes, each in a separate write."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._random = Random(1)  # noqa: S311 - it need not be a secret
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> "CuttingRelay":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._connected, sock=self._listener)

    async def _stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ahead: asyncio.StreamWriter | None = None
        try:
            behind, ahead = await asyncio.open_connection("127.0.0.1", self._target)
            there = self._forward(reader, ahead, is_cut=True)
            await asyncio.gather(there, self._forward(behind, writer, is_cut=False))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in (writer, ahead):
                if each is not None:
                    each.close()
            self._tasks.discard(task)

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_cut: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                while data:
                    size = self._segment_size() if is_cut else len(data)
                    writer.write(data[:size])
                    data = data[size:]
                    await writer.drain()
                    if data:
                        await asyncio.sleep(0.0003)
        writer.close()

    def _segment_size(self) -> int:
        """Return a random size, which is small as often as it is large."""
        return int(_LARGEST_SEGMENT ** self._random.random())
