"""Logging never makes a request fail."""

import io
import logging
import sys
from collections.abc import Iterator
from typing import override

import pytest
import structlog
from opentelemetry.util.re import parse_env_headers

from todo_api.runtime.logging import configure_logs
from todo_api.settings import Settings


class FullDisk(io.StringIO):
    """A stream on a full disk, which fails on every write."""

    @override
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.fixture
def _logs_as_before() -> Iterator[None]:
    configuration = structlog.get_config()
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.configure(**configuration)
    logging.basicConfig(handlers=handlers, level=level, force=True)


@pytest.mark.usefixtures("_logs_as_before")
def test_a_log_line_that_cannot_be_written_is_lost_without_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = FullDisk()
    monkeypatch.setattr(sys, "stderr", disk)
    configure_logs(Settings(log_format="json"))
    structlog.get_logger().info("an event")
    logging.getLogger("uvicorn.error").warning("another")
    assert disk.getvalue() == ""


@pytest.mark.usefixtures("_logs_as_before")
def test_a_header_that_opentelemetry_cannot_parse_is_not_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    configure_logs(Settings(log_format="json"))
    assert parse_env_headers("authorization: Bearer canary", liberal=True) == {}
    logging.getLogger("opentelemetry").warning("another line")
    assert "another line" in log.getvalue()
    assert "canary" not in log.getvalue()
