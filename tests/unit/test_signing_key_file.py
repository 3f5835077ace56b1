"""The file in which the embedded service keeps its signing key."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from todo_adapters.security.keys import secret_in_file

SECRET = "a secret that is thirty-two bytes"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "signing-key"
    file.touch(0o600)
    file.write_text(f"{SECRET}\n")
    return file


def mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_a_private_signing_key_is_read_without_a_warning(key_file: Path) -> None:
    with capture_logs() as logs:
        assert secret_in_file(key_file) == SECRET
    assert logs == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o777])
def test_a_signing_key_that_others_can_read_is_made_private_with_a_warning(
    key_file: Path, mode: int
) -> None:
    key_file.chmod(mode)
    with capture_logs() as logs:
        assert secret_in_file(key_file) == SECRET
    assert mode_of(key_file) == 0o600
    [warning] = logs
    assert warning["log_level"] == "warning"
    assert warning["event"] == "signing_key.permissions_mended"
    assert SECRET not in str(warning)


def test_a_signing_key_that_is_a_symbolic_link_is_refused_and_its_target_unchanged(
    key_file: Path, tmp_path: Path
) -> None:
    key_file.chmod(0o644)
    link = tmp_path / "link"
    link.symlink_to(key_file)
    with pytest.raises(OSError, match="link is a symbolic link"):
        secret_in_file(link)
    assert mode_of(key_file) == 0o644


def test_a_signing_key_that_is_a_symbolic_link_to_nothing_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nothing")
    with pytest.raises(OSError, match="link is a symbolic link"):
        secret_in_file(link)
    assert [file.name for file in tmp_path.iterdir()] == ["link"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root creates files for another user")
def test_a_signing_key_that_root_creates_belongs_to_the_owner_of_the_folder(
    tmp_path: Path,
) -> None:
    os.chown(tmp_path, 65534, 65534)
    secret = secret_in_file(tmp_path / "signing-key")
    found = (tmp_path / "signing-key").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (65534, 0o600)
    assert secret_in_file(tmp_path / "signing-key") == secret


def refuse(*_: object) -> None:
    raise PermissionError


@pytest.mark.parametrize("fchmod", [refuse, lambda *_: None], ids=["refused", "without effect"])
def test_a_signing_key_that_cannot_be_made_private_is_refused(
    monkeypatch: pytest.MonkeyPatch, key_file: Path, fchmod: Callable[..., None]
) -> None:
    key_file.chmod(0o644)
    monkeypatch.setattr(os, "fchmod", fchmod)
    with pytest.raises(PermissionError, match="can be read"):
        secret_in_file(key_file)


def test_a_signing_key_of_another_user_is_refused(
    monkeypatch: pytest.MonkeyPatch, key_file: Path
) -> None:
    if os.geteuid() == 0:
        os.chown(key_file, 65534, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PermissionError, match="owned by another user"):
        secret_in_file(key_file)


def test_a_signing_key_that_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "signing-key", 0o600)
    with pytest.raises(OSError, match="not a regular file"):
        secret_in_file(tmp_path / "signing-key")


def test_a_signing_key_that_is_not_text_is_refused(key_file: Path) -> None:
    key_file.write_bytes(b"\xff" * 40)
    with pytest.raises(ValueError, match="holds no secret"):
        secret_in_file(key_file)
