"""What the offline client does with writes that meet those of another device."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.users import ApiUser
from tests.sync.offline_client import OfflineClient

type Device = Callable[[str], OfflineClient]
"""Starts the device with this name, which continues where it was."""


@pytest.fixture
def device(ada: ApiUser, tmp_path: Path) -> Device:
    return lambda name: OfflineClient(tmp_path / f"{name}.json", ada.http)


def outcomes(client: OfflineClient) -> list[str]:
    return [write["outcome"] for write in client.done]


def copy_of(*tasks: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {task["id"]: task for task in tasks}


def test_a_device_sends_after_a_restart_what_it_queued_before(ada: ApiUser, device: Device) -> None:
    phone = device("phone")
    key = phone.write("create", "", title="Buy milk")
    phone.write("toggle", key)
    phone.write("edit", key, title="Buy oats")
    assert ada.list() == []
    phone = device("phone")
    phone.sync()
    assert (phone.queue, outcomes(phone)) == ([], ["applied"] * 3)
    [stored] = ada.list()
    assert (stored["title"], stored["completed"], stored["version"]) == ("Buy oats", True, 3)
    assert phone.tasks == copy_of(stored)


def test_an_edit_of_an_older_version_is_made_to_the_newer_one(ada: ApiUser, device: Device) -> None:
    task = ada.create()
    phone, laptop = device("phone"), device("laptop")
    phone.sync()
    laptop.sync()
    phone.write("edit", task["id"], title="Buy oats")
    laptop.write("edit", task["id"], description="Two litres")
    phone.sync()
    laptop.sync()
    [stored] = ada.list()
    assert (stored["title"], stored["description"]) == ("Buy oats", "Two litres")
    assert stored["version"] == 3
    phone.sync()
    assert phone.tasks == laptop.tasks == copy_of(stored)


def test_a_task_that_was_changed_meanwhile_is_not_deleted(ada: ApiUser, device: Device) -> None:
    task = ada.create()
    phone, laptop = device("phone"), device("laptop")
    phone.sync()
    laptop.sync()
    phone.write("edit", task["id"], title="Buy oats")
    laptop.write("delete", task["id"])
    phone.sync()
    laptop.sync()
    assert outcomes(laptop) == ["dropped"]
    assert laptop.tasks == copy_of(*ada.list())
    laptop.write("delete", task["id"])
    laptop.sync()
    phone.write("toggle", task["id"])
    phone.sync()
    assert (outcomes(laptop), outcomes(phone)) == (["dropped", "applied"], ["applied", "dropped"])
    assert phone.tasks == laptop.tasks == {}


class LostResponses(httpx.BaseTransport):
    """Delivers requests, and loses the response to each write once."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._lost: set[str] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._client.request(
            request.method, str(request.url), content=request.read(), headers=request.headers
        )
        key = request.headers.get("idempotency-key", "")
        if key and key not in self._lost:
            self._lost.add(key)
            raise httpx.ReadError("the response was lost")
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def test_a_write_whose_response_was_lost_takes_effect_once(ada: ApiUser, tmp_path: Path) -> None:
    with httpx.Client(base_url=ada.http.base_url, transport=LostResponses(ada.http)) as http:
        phone = OfflineClient(tmp_path / "phone.json", http)
        key = phone.write("create", "", title="Buy milk")
        phone.write("toggle", key)
        for _ in range(3):
            phone.sync()
    assert (phone.queue, outcomes(phone)) == ([], ["replayed", "replayed"])
    [stored] = ada.list()
    assert (stored["completed"], stored["version"]) == (True, 2)
    assert phone.tasks == copy_of(stored)
