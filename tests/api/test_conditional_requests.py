"""Conditional requests: entity tags, `If-Match` and `If-None-Match` (RFC 9110 §13)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.problems import problem
from tests.support.servers import running_server
from tests.support.settings import on_sqlite
from tests.support.users import ApiUser

type Task = dict[str, Any]  # JSON
type Change = Callable[[ApiUser, httpx.URL, str | None], httpx.Response]


def sender(method: str, path: str = "", body: object = None) -> Change:
    """Return a function that sends such a request for a task, with `If-Match` or without it."""

    def send(user: ApiUser, url: httpx.URL, if_match: str | None) -> httpx.Response:
        headers = {} if if_match is None else {"If-Match": if_match}
        return user.http.request(
            method, url.copy_with(path=url.path + path), json=body, headers=headers
        )

    return send


CHANGES = {
    "put": sender("PUT", body={"title": "Buy oats"}),
    "patch": sender("PATCH", body={"title": "Buy oats"}),
    "complete": sender("PATCH", "/complete", {"completed": True}),
    "toggle": sender("PATCH", "/complete"),
    "delete": sender("DELETE"),
}
changes = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def url_of(user: ApiUser, task: Task) -> httpx.URL:
    return user.tasks(f"/{task['id']}")


def test_every_response_with_one_task_has_its_version_as_its_tag(ada: ApiUser) -> None:
    created = ada.http.post(ada.tasks(), json={"title": "Buy milk"})
    url = url_of(ada, created.json())
    assert created.headers["etag"] == '"1"'
    for change, tag in (("put", '"2"'), ("complete", '"3"'), ("toggle", '"4"')):
        assert CHANGES[change](ada, url, None).headers["etag"] == tag
        assert ada.http.get(url).headers["etag"] == tag


def test_a_list_that_has_not_changed_is_not_sent_again(ada: ApiUser, bob: ApiUser) -> None:
    tags = set()
    for change in (
        lambda: None,
        ada.create,
        lambda: CHANGES["toggle"](ada, url_of(ada, ada.list()[0]), None),
        ada.create,
        lambda: CHANGES["delete"](ada, url_of(ada, ada.list()[0]), None),
    ):
        change()
        tag = ada.http.get(ada.tasks()).headers["etag"]
        assert tag.startswith('W/"')
        assert tag not in tags
        tags.add(tag)
        bob.create()
        for known, status in ((tag, 304), (f'"x", {tag}', 304), (tag.removeprefix("W/"), 304)):
            answer = ada.http.get(ada.tasks(), headers={"If-None-Match": known})
            assert (answer.status_code, answer.headers["etag"]) == (status, tag)
            assert answer.content == b""
        for url in (ada.tasks(limit="3"), ada.tasks(status="pending"), ada.tasks(count="true")):
            assert ada.http.get(url, headers={"If-None-Match": tag}).status_code == 200
    stale = ", ".join(tags - {tag})
    assert ada.http.get(ada.tasks(), headers={"If-None-Match": stale}).status_code == 200
    assert ada.http.get(ada.tasks(), headers={"If-None-Match": '"", W/"-", x'}).status_code == 200


@changes
def test_the_expected_version_is_changed(ada: ApiUser, change: Change) -> None:
    for tags in ('"1"', "*", '"7", "1"', 'W/"1","1"'):
        task = ada.create()
        assert change(ada, url_of(ada, task), tags).is_success, tags


@changes
def test_any_other_version_is_not(ada: ApiUser, change: Change) -> None:
    task = ada.create()
    for tags in ('"2"', 'W/"1"', "1", '"x"', '"01"', "", '"', f'"{"9" * 60}"'):
        answer = change(ada, url_of(ada, task), tags)
        assert (answer.status_code, problem(answer)["code"]) == (412, "stale_version"), tags
        assert answer.headers["etag"] == '"1"'
    assert ada.list() == [task]


@changes
def test_another_users_task_is_not_found_whatever_version_is_expected(
    ada: ApiUser, bob: ApiUser, change: Change
) -> None:
    task = ada.create()
    documents = set()
    for url in (
        bob.tasks(f"/{task['id']}"),
        bob.tasks("/7"),
        httpx.URL(f"/api/{ada.id}/tasks/{task['id']}", params={"url_user_id": ada.id}),
    ):
        for tags in (None, '"1"', '"2"', "*"):
            answer = change(bob, url, tags)
            assert answer.status_code == 404
            assert "etag" not in answer.headers
            documents.add(answer.text.replace(problem(answer)["request_id"], ""))
    assert len(documents) == 1
    assert ada.list() == [task]


def test_a_stale_version_is_reported_before_an_invalid_title(ada: ApiUser) -> None:
    task = ada.create()
    for tags, status in (('"2"', 412), ('"1"', 422)):
        answer = ada.http.patch(
            url_of(ada, task), json={"title": "a" * 201}, headers={"If-Match": tags}
        )
        assert answer.status_code == status


def test_of_concurrent_changes_of_one_version_one_takes_effect(ada: ApiUser) -> None:
    task = ada.create()

    def change(number: int) -> int:
        body = {"title": f"change {number}"}
        headers = {"If-Match": '"1"'}
        return ada.http.patch(url_of(ada, task), json=body, headers=headers).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(change, range(8)))
    assert sorted(statuses) == [200] + [412] * 7
    assert ada.list()[0]["version"] == 2


def test_a_task_that_the_client_has_is_not_sent_again(ada: ApiUser) -> None:
    task = ada.create()
    for tags, status in (
        ('"1"', 304),
        ('W/"1"', 304),
        ('"7", "1"', 304),
        ("*", 304),
        ('"2"', 200),
        ("1", 200),
        ("", 200),
    ):
        answer = ada.http.get(url_of(ada, task), headers={"If-None-Match": tags})
        assert answer.status_code == status, tags
        assert answer.headers["etag"] == '"1"'
        assert bool(answer.content) == (status == 200)


def test_the_operator_may_require_a_version(tmp_path: Path) -> None:
    with on_sqlite(tmp_path) as settings:
        required = settings.model_copy(update={"require_if_match": True})
        with running_server(required) as server:
            ada = server.register("Ada")
            with ada.http:
                for change in CHANGES.values():
                    task = ada.create()
                    for url in (url_of(ada, task), ada.tasks("/7")):
                        answer = change(ada, url, None)
                        refused = (answer.status_code, problem(answer)["code"])
                        assert refused == (428, "precondition_required")
                    assert task in ada.list()
                    assert change(ada, url_of(ada, task), "*").is_success
