"""Streams of events pass through proxies without delay."""

import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.event_streams import open_stream, ticket_of, watching
from tests.support.proxies import proxy
from tests.support.servers import RunningServer

CHANGES = 5
SOON_SECONDS = 0.5


@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_each_event_passes_through_a_proxy_at_once(
    name: str, tmp_path: Path, sqlite_server: RunningServer
) -> None:
    port = urlsplit(sqlite_server.url).port
    assert port is not None
    ada = sqlite_server.register()
    try:
        with proxy(name, tmp_path, port) as url, ada.http:
            by_ticket = ada.tasks("/events", ticket=ticket_of(ada))
            with watching(url, ada) as one, open_stream(url, by_ticket) as other:
                assert other.next().fields.keys() == {"retry"}
                assert (one.next().revision, other.next().revision) == (0, 0)
                for revision in range(1, CHANGES + 1):
                    ada.create()
                    written = time.monotonic()
                    for stream in (one, other):
                        event = stream.next()
                        assert event.revision == revision
                        assert event.at - written < SOON_SECONDS
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
