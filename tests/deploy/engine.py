"""Docker, its Compose and buildah in a Debian of their own.

Where nobody has installed a container engine, and images cannot be pulled, the programs come from
Debian's packages: a folder with Debian 13 becomes the root of a process that has its own mounts,
processes and network, and dockerd runs in it. Nothing outside of the folder is changed, and
everything ends with that process. Its network has no way out, so images are built beside it, by
buildah in the same folder.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import children_of

ROOT = Path(__file__).parents[2]
SUITE = "trixie"
BASE = f"docker.io/library/debian:{SUITE}-slim"
"""The base image, under the name that the Dockerfiles use; it is made from Debian's packages."""

_PROGRAMS = (
    "buildah",
    "docker-cli",
    "docker-compose",
    "docker.io",
    "iproute2",
    "iptables",
    "netavark",
)
_LEFT_OUT_OF_SLIM = ("doc/*", "info/*", "linda/*", "lintian/*", "locale/*", "man/*")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_START_SECONDS = 30

_ENTER = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs tmpfs "$1/tmp"
for shared in "$2" "$3"; do
  mkdir -p "$1$shared"
  mount --bind "$shared" "$1$shared"
done
"""
"""Turns the folder $1 into a root with the folders $2 and $3 of this machine."""

_PIVOT = """
mkdir -p "$1/outside"
cd "$1"
shift 3
pivot_root . outside
umount -l /outside
exec "$@"
"""

_ISOLATED = f"""{_ENTER}
mount -t sysfs sysfs "$1/sys"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
else
  mount -t tmpfs tmpfs "$1/sys/fs/cgroup"
  for controller in cpu cpuacct cpuset memory devices freezer blkio pids; do
    mkdir "$1/sys/fs/cgroup/$controller"
    mount --bind "/sys/fs/cgroup/$controller" "$1/sys/fs/cgroup/$controller"
  done
fi
{_PIVOT}"""

_WITH_NETWORK = f"""{_ENTER}
mount --rbind /sys "$1/sys"
cat /etc/resolv.conf >"$1/etc/resolv.conf"
{_PIVOT}"""


def reason_to_skip() -> str | None:
    """Return why the engine cannot run here, or None if it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the engine needs Linux, and to be root"
    if shutil.which("mmdebstrap") is None:
        return "the engine needs mmdebstrap; on Debian: apt-get install mmdebstrap"
    return None


class Engine:
    """A running dockerd, and buildah; both use files of the repository and of `shared`."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "root"
        self._log = folder / "dockerd.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.shared = folder / "shared"
        """A folder that has the same path inside and outside."""

    def install(self) -> None:
        """Install the programs, and make the base image."""
        self.shared.mkdir()
        _debootstrap(self._root, f"--include={','.join(_PROGRAMS)}")
        base = self.shared / "base.tar"
        _debootstrap(
            base,
            *(f"--dpkgopt=path-exclude=/usr/share/{each}" for each in _LEFT_OUT_OF_SLIM),
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        )
        self._buildah("from", "--name", "base", "scratch")
        self._buildah("add", "--quiet", "base", str(base), "/")
        self._buildah("config", "--cmd", "bash", "base")
        self._buildah("commit", "--quiet", "--rm", "base", BASE)
        base.unlink()

    def start(self) -> None:
        """Start dockerd, and return when it responds."""
        options = "--iptables=false --ip6tables=false --storage-driver=overlay2"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL"),  # it must not outlive the tests
                    *("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"),
                    *("sh", "-c", _ISOLATED, "sh", self._root, ROOT, self.shared),
                    *("env", f"PATH={_PATH}", "sh", "-c"),
                    f"ip link set lo up && exec dockerd {options}",
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._responds():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self._log.read_text())
            time.sleep(0.1)

    def stop(self) -> None:
        """Remove all containers, and stop everything."""
        if self._process is not None:
            if containers := self.docker("ps", "--all", "--quiet").split():
                self.docker("rm", "--force", "--volumes", *containers)
            os.kill(self._first_process(), signal.SIGTERM)
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def build(
        self,
        image: str,
        context: Path,
        file: str = "Dockerfile",
        *,
        certificates: Path | None = None,
    ) -> None:
        """Build an image with buildah, and load it into Docker.

        The certificates are those of an authority that this machine trusts in addition to others.
        """
        options = ["--build-arg", "SSL_CERT_FILE=/certificates.pem"] if certificates else []
        if certificates:
            copy = self.shared / "certificates.pem"
            shutil.copyfile(certificates, copy)
            options += ["--volume", f"{copy}:/certificates.pem:ro"]
        open_files = "--ulimit=nofile=4096:4096"  # buildah's default may be more than is allowed
        processes = "--ulimit=nproc=4096:4096"
        command = ["--pull=never", "--quiet", open_files, processes, *options]
        self._buildah(
            "build", *command, "--file", str(context / file), "--tag", image, str(context)
        )
        archive = self.shared / "image.tar"
        self._buildah("push", "--quiet", image, f"docker-archive:{archive}:{image}")
        self.docker("load", "--quiet", "--input", str(archive))
        archive.unlink()

    def compressed_size(self, image: str) -> int:
        """Return the number of bytes of an image in a registry, whose layers are compressed."""
        folder = self.shared / "compressed"
        self._buildah("push", "--quiet", image, f"oci:{folder}")
        size = sum(blob.stat().st_size for blob in (folder / "blobs" / "sha256").iterdir())
        shutil.rmtree(folder)
        return size

    def docker(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Run `docker` in the repository, and return its standard output.

        Raises:
            RuntimeError: if it fails; the message has its output.
        """
        outcome = self.run("docker", *arguments, environment=environment)
        if outcome.returncode:
            raise RuntimeError(f"docker {' '.join(arguments)}\n{outcome.stdout}{outcome.stderr}")
        return outcome.stdout

    def run(
        self, *command: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command beside dockerd."""
        process = str(self._first_process())
        return subprocess.run(
            [
                *("nsenter", "--target", process, "--mount", "--net", "--pid", "--root", "--"),
                *("sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(ROOT), *command),
            ],
            env={"PATH": _PATH, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=300,
        )

    @contextmanager
    def network(self) -> Iterator[None]:
        """Let this thread, and threads that it starts, use the network of the containers."""
        with (
            Path("/proc/thread-self/ns/net").open() as before,
            Path(f"/proc/{self._first_process()}/ns/net").open() as inside,
        ):
            os.setns(inside.fileno(), os.CLONE_NEWNET)
            try:
                yield
            finally:
                os.setns(before.fileno(), os.CLONE_NEWNET)

    def _first_process(self) -> int:
        assert self._process is not None
        [first] = children_of(self._process.pid)
        return first

    def _responds(self) -> bool:
        try:
            return self.run("docker", "version").returncode == 0
        except ValueError:  # the process has not been forked yet
            return False

    def _buildah(self, *arguments: str) -> None:
        environment = {
            "BUILDAH_FORMAT": "docker",
            "BUILDAH_ISOLATION": "chroot",
            "PATH": _PATH,
            "STORAGE_DRIVER": "overlay",
        }
        outcome = subprocess.run(
            [
                *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
                *("sh", "-c", _WITH_NETWORK, "sh", self._root, ROOT, self.shared),
                *("buildah", *arguments),
            ],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if outcome.returncode:
            output = outcome.stdout[-5000:] + outcome.stderr[-5000:]
            raise RuntimeError(f"buildah {' '.join(arguments)}\n{output}")


def _debootstrap(target: Path, *options: str) -> None:
    """Install a minimal Debian into a folder or a tar file."""
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", *options]
    subprocess.run([*command, SUITE, str(target), *_mirror()], check=True, timeout=300)


def _mirror() -> list[str]:
    """Return the mirror of this machine if it is a Debian, or nothing, which means the default."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
    )
    mirrors = (line.partition(" ") for line in listed.stdout.splitlines())
    return [url for label, _, url in mirrors if label == "Debian"][:1]
