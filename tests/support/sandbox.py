"""Runs a program under restrictions like those of a systemd unit, on a machine without systemd.

These are: a file system that is read-only except for some folders, no capabilities, no new
privileges, no memory that is writable and executable, and a list of allowed system calls. The last
is loaded by libseccomp, as systemd does. It needs root. Namespaces and kinds of sockets are not
restricted, which systemd does by the arguments of system calls.

    python sandbox.py '{"writable": [...], "system_calls": [...]}' program argument …
"""

import ctypes
import ctypes.util
import errno
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_NO_NEW_PRIVS = 38
_PR_CAPBSET_DROP = 24
_PR_SET_MDWE = 65
_PR_MDWE_REFUSE_EXEC_GAIN = 1
_LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")
_ACT_ALLOW = 0x7FFF0000
_ACT_ERRNO = 0x00050000


def missing_for_sandbox() -> str | None:
    """Return why a sandbox cannot be made here, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux"
    if ctypes.util.find_library("seccomp") is None:
        return "needs libseccomp"
    return None


def sandboxed(
    command: Sequence[str | Path], *, writable: Sequence[Path], system_calls: Sequence[str]
) -> list[str]:
    """Return the command that runs this one in the sandbox."""
    rules = {"writable": list(map(str, writable)), "system_calls": list(system_calls)}
    return [sys.executable, __file__, json.dumps(rules), *map(str, command)]


def _restrict(writable: Sequence[str], system_calls: Sequence[str]) -> None:
    os.unshare(os.CLONE_NEWNS | os.CLONE_NEWIPC)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    for folder in writable:
        subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", "/"], check=True)
    for capability in range(int(_LAST_CAPABILITY.read_text()) + 1):
        _prctl(_PR_CAPBSET_DROP, capability)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_MDWE, _PR_MDWE_REFUSE_EXEC_GAIN)
    _filter_system_calls(system_calls)


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def _filter_system_calls(names: Sequence[str]) -> None:
    """Let all other system calls fail with EPERM. Those of other machines are left out."""
    library = ctypes.CDLL(ctypes.util.find_library("seccomp"))
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add.argtypes = [
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint)
    ]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    rules = library.seccomp_init(_ACT_ERRNO | errno.EPERM)
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            _require(library.seccomp_rule_add(rules, _ACT_ALLOW, number, 0))
    _require(library.seccomp_load(rules))


def _require(outcome: int) -> None:
    if outcome != 0:
        raise OSError(-outcome, "libseccomp")


if __name__ == "__main__":
    _restrict(**json.loads(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - the command of the test
