"""`/api/tasks…`: the same operations, for front ends that name no owner."""

import httpx

from tests.support.event_streams import open_stream, refused_stream
from tests.support.servers import RunningServer
from tests.support.users import ApiUser


def test_a_task_is_the_same_at_both_urls(ada: ApiUser) -> None:
    task = ada.http.post("/api/tasks", json={"title": "Buy milk"}).json()
    assert task["user_id"] == ada.id
    assert ada.list() == ada.http.get("/api/tasks").json() == [task]
    assert ada.http.get(f"/api/tasks/{task['id']}").json() == task
    assert ada.http.get("/api/tasks/stats").json()["total"] == 1


def test_urls_in_responses_have_the_form_that_the_client_uses(ada: ApiUser) -> None:
    for title in ("one", "two"):
        created = ada.http.post("/api/tasks", json={"title": title})
        location = created.headers["location"]
        assert location == f"/api/tasks/{created.json()['id']}"
        assert ada.http.get(location).json() == created.json()
    first = ada.http.get("/api/tasks", params={"limit": "1"})
    following = first.links["next"]["url"]
    assert following.startswith("/api/tasks?limit=1&cursor=")
    assert [task["title"] for task in ada.http.get(following).json()] == ["one"]


def test_the_owner_may_be_named_in_the_query(ada: ApiUser) -> None:
    task = ada.create()
    answer = ada.http.get("/api/tasks", params={"url_user_id": ada.id.upper()})
    assert answer.json() == [task]


def test_an_unknown_query_parameter_does_not_choose_the_owner(ada: ApiUser, bob: ApiUser) -> None:
    ada.create()
    assert bob.http.get("/api/tasks", params={"user_id": ada.id}).json() == []


def test_a_user_id_tasks_names_nobody(ada: ApiUser) -> None:
    ada.create()
    for path in ("/api/tasks/tasks", "/api/tasks/tasks/1", "/api/tasks/tasks/1/complete"):
        for method in ("GET", "PATCH"):
            answer = ada.http.request(method, f"{path}?url_user_id={ada.id}", json={})
            assert answer.status_code in (404, 405), (method, path)
    assert ada.http.get("/api/tasks/tasks").status_code == 404


def test_the_alias_is_not_in_the_openapi_document(http: httpx.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    assert "/api/{user_id}/tasks" in paths
    assert [path for path in paths if path.startswith("/api/tasks")] == []


def test_a_ticket_of_the_alias_opens_one_stream_of_the_alias(
    server: RunningServer, ada: ApiUser
) -> None:
    ticket = ada.http.post("/api/tasks/events/ticket").raise_for_status().json()["ticket"]
    url = f"/api/tasks/events?ticket={ticket}"
    with open_stream(server.url, url) as stream:
        stream.next()
        assert stream.next().revision == 0
        ada.create()
        assert stream.next().revision == 1
    with server.client() as http:
        assert refused_stream(http, url).status_code == 401
