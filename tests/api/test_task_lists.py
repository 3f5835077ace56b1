"""Lists of tasks over HTTP: what is chosen, in which order, and in which pages."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support.problems import problem
from tests.support.servers import RunningServer
from tests.support.users import ApiUser
from todo_core.entities.user import UserId

TITLES = ["one", "two", "three", "four", "five"]


@pytest.fixture
def tasks(ada: ApiUser) -> list[dict[str, Any]]:
    """Five tasks of Ada, the newest first, of which `two` and `four` are completed."""
    created = [ada.create(title) for title in TITLES]
    for task in (created[3], created[1]):
        url = ada.tasks(f"/{task['id']}/complete")
        task |= ada.http.patch(url, json={"completed": True}).json()
    return created[::-1]


def titles(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [task["title"] for task in answer.json()]


def listed(user: ApiUser, **parameters: str) -> list[str]:
    return titles(user.http.get(user.tasks(**parameters)))


def refusal(user: ApiUser, **parameters: str) -> list[tuple[str, str]]:
    """Return the parameters that are refused, and the codes."""
    answer = user.http.get(user.tasks(**parameters))
    assert (answer.status_code, problem(answer)["code"]) == (422, "validation_failed")
    return [(error["pointer"], error["code"]) for error in problem(answer)["errors"]]


@pytest.mark.usefixtures("tasks")
class TestChoice:
    @pytest.mark.parametrize("status", ["pending", "active", "Pending"])
    def test_pending_tasks_can_be_chosen(self, ada: ApiUser, status: str) -> None:
        assert listed(ada, status=status) == ["five", "three", "one"]
        assert listed(ada, completed="false") == ["five", "three", "one"]

    def test_completed_tasks_can_be_chosen(self, ada: ApiUser) -> None:
        assert listed(ada, status="completed") == ["four", "two"]
        assert listed(ada, completed="true", status="completed") == ["four", "two"]

    @pytest.mark.parametrize("status", ["all", ""])
    def test_all_tasks_are_listed_otherwise(self, ada: ApiUser, status: str) -> None:
        assert listed(ada, status=status) == TITLES[::-1]

    def test_a_status_that_contradicts_completed_is_refused(self, ada: ApiUser) -> None:
        refused = refusal(ada, status="pending", completed="true")
        assert refused == [("/status", "contradiction")]

    def test_tasks_can_be_chosen_by_their_times(
        self, ada: ApiUser, tasks: list[dict[str, Any]]
    ) -> None:
        _, four, three, two, _ = tasks
        assert listed(ada, created_after=three["created_at"]) == ["five", "four"]
        assert listed(ada, created_before=three["created_at"]) == ["two", "one"]
        assert listed(ada, updated_after=four["updated_at"]) == ["two"]
        assert listed(ada, created_after=two["created_at"], status="completed") == ["four"]

    def test_a_time_may_be_written_in_several_ways(
        self, ada: ApiUser, tasks: list[dict[str, Any]]
    ) -> None:
        today = datetime.now(UTC)
        assert listed(ada, created_before=today.date().isoformat()) == []
        tomorrow = (today + timedelta(days=2)).date().isoformat()
        assert listed(ada, created_before=tomorrow) == TITLES[::-1]
        three = datetime.fromisoformat(tasks[2]["created_at"])
        elsewhere = three.astimezone(datetime.fromisoformat("2026-01-01T00:00+05:45").tzinfo)
        for text in (
            three.replace(tzinfo=None).isoformat(),
            elsewhere.isoformat(),
            elsewhere.isoformat().replace("+", " "),  # what becomes of a plus in a URL
        ):
            assert listed(ada, created_after=text) == ["five", "four"], text


@pytest.mark.usefixtures("tasks")
class TestOrder:
    @pytest.mark.parametrize(
        "parameters",
        [
            {"sort": "created_at"},
            {"sort": "oldest"},
            {"sort_by": "created_at", "sort_order": "asc"},
            {"sort": "newest", "order": "asc"},
            {"order": "asc"},
        ],
    )
    def test_the_oldest_can_be_first(self, ada: ApiUser, parameters: dict[str, str]) -> None:
        assert listed(ada, **parameters) == TITLES

    @pytest.mark.parametrize(
        "parameters",
        [
            {"sort": "-updated_at"},
            {"sort": "updated"},
            {"sort_by": "updated_at", "order": "DESC"},
        ],
    )
    def test_the_last_changed_can_be_first(self, ada: ApiUser, parameters: dict[str, str]) -> None:
        assert listed(ada, **parameters) == ["two", "four", "five", "three", "one"]

    @pytest.mark.parametrize(
        ("parameters", "expected"),
        [
            ({"sort": "title"}, ["five", "four", "one", "three", "two"]),
            ({"sort_by": "title", "sort_order": "desc"}, ["two", "three", "one", "four", "five"]),
            ({"sort": "-title"}, ["two", "three", "one", "four", "five"]),
            ({"sort": "-title", "order": "asc"}, ["five", "four", "one", "three", "two"]),
            ({"sort": "Title", "status": "completed"}, ["four", "two"]),
        ],
    )
    def test_titles_can_be_sorted(
        self, ada: ApiUser, parameters: dict[str, str], expected: list[str]
    ) -> None:
        assert listed(ada, **parameters) == expected

    def test_titles_are_sorted_whatever_the_case_of_their_letters(self, ada: ApiUser) -> None:
        for title in ("Zebra", "apple", "Éclair", "ECLAIR", "_", "Ｏnf"):
            ada.create(title)
        assert listed(ada, sort="title") == [
            *("_", "apple", "ECLAIR", "five", "four", "one", "Ｏnf", "three", "two", "Zebra"),
            "Éclair",
        ]


@pytest.mark.usefixtures("tasks")
class TestSearch:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("o", ["four", "two", "one"]),
            ("  ONE ", ["one"]),
            ("ﬁve", ["five"]),
            ("%", []),
            ("_", []),
            ("", TITLES[::-1]),
            (" \t ", TITLES[::-1]),
            ("a" * 200, []),
            (f" {'a' * 200} ", []),
        ],
    )
    def test_tasks_that_contain_a_text_are_listed(
        self, ada: ApiUser, text: str, expected: list[str]
    ) -> None:
        assert listed(ada, search=text) == listed(ada, q=text) == expected

    def test_descriptions_are_searched_too(self, ada: ApiUser, bob: ApiUser) -> None:
        for user in (ada, bob):
            body = {"title": "Shop", "description": "Milk,\nBUTTER"}
            assert user.http.post(user.tasks(), json=body).status_code == 201
        assert listed(ada, q="butter") == ["Shop"]
        assert listed(ada, q="milk,\nbut") == ["Shop"]

    def test_a_search_has_pages_and_a_total(self, ada: ApiUser) -> None:
        answer = ada.http.get(ada.tasks(q="O", limit="2", count="true"))
        assert titles(answer) == ["four", "two"]
        assert answer.headers["x-total-count"] == "3"
        following = answer.links["next"]["url"]
        assert titles(ada.http.get(following)) == ["one"]
        other = httpx.URL(following).copy_set_param("q", "t")
        assert ada.http.get(other).status_code == 400
        assert listed(ada, q="o", status="completed", sort="title") == ["four", "two"]
        assert listed(ada, q="o", skip="1", limit="1") == ["two"]

    def test_an_empty_parameter_does_not_replace_its_alias(self, ada: ApiUser) -> None:
        assert listed(ada, search="one", q="") == listed(ada, q="", search="one") == ["one"]

    def test_a_search_has_a_tag_of_its_own(self, ada: ApiUser) -> None:
        tag = ada.http.get(ada.tasks(q="one")).headers["etag"]
        headers = {"If-None-Match": tag}
        assert ada.http.get(ada.tasks(q="one"), headers=headers).status_code == 304
        assert ada.http.get(ada.tasks(q="two"), headers=headers).status_code == 200

    def test_the_longest_titles_can_be_continued(self, ada: ApiUser) -> None:
        for character in ("\U0001f600", "\ufdfa", "ΐ"):
            ada.create(character * 200)
        url, found = ada.tasks(sort="title", limit="1", search=""), []
        for _ in range(8):
            answer = ada.http.get(url)
            found += titles(answer)
            url = httpx.URL(answer.links["next"]["url"]) if "next" in answer.links else url
        assert len(set(found)) == 8


@pytest.mark.usefixtures("tasks")
class TestPages:
    def test_pages_follow_each_other_by_their_links(self, ada: ApiUser) -> None:
        found, url = [], ada.tasks(limit="2", sort="oldest", colour="a&b")
        for _ in range(3):
            answer = ada.http.get(url)
            found.append(titles(answer))
            url = httpx.URL(answer.links["next"]["url"]) if "next" in answer.links else url
        assert found == [["one", "two"], ["three", "four"], ["five"]]
        assert "link" not in answer.headers
        assert (url.params["limit"], url.params["colour"]) == ("2", "a&b")

    def test_the_link_survives_a_query_that_is_not_utf_8(self, ada: ApiUser) -> None:
        url = str(ada.tasks(limit="2"))
        answer = ada.http.get(httpx.URL(url + "&colour=%ff%0d%0aX:%20y"))
        following = answer.links["next"]["url"]
        assert following.isascii()
        assert "\n" not in following
        assert titles(ada.http.get(following)) == ["three", "two"]

    def test_a_page_that_holds_everything_has_no_link(self, ada: ApiUser) -> None:
        for parameters in ({}, {"limit": "5"}, {"limit": "500", "offset": "3"}):
            answer = ada.http.get(ada.tasks(**parameters))
            assert "link" not in answer.headers

    def test_tasks_that_come_and_go_change_no_other_page(
        self, ada: ApiUser, tasks: list[dict[str, Any]]
    ) -> None:
        first = ada.http.get(ada.tasks(limit="2"))
        ada.create("six")
        for task in tasks[1:3]:  # the last one of the first page, and the first one of the next
            assert ada.http.delete(ada.tasks(f"/{task['id']}")).status_code == 204
        assert titles(ada.http.get(first.links["next"]["url"])) == ["two", "one"]

    def test_the_total_is_counted_on_request(self, ada: ApiUser) -> None:
        assert "x-total-count" not in ada.http.get(ada.tasks()).headers
        for parameters, total in (
            ({}, "5"),
            ({"limit": "1"}, "5"),
            ({"limit": "1", "status": "completed"}, "2"),
            ({"status": "pending"}, "3"),
            ({"offset": "4"}, "5"),
            ({"created_before": "2026-01-01"}, "0"),
        ):
            answer = ada.http.get(ada.tasks(count="true", **parameters))
            assert answer.headers["x-total-count"] == total

    def test_an_offset_leaves_out_the_first_tasks(self, ada: ApiUser) -> None:
        assert listed(ada, offset="3") == ["two", "one"]
        assert listed(ada, skip="1", limit="2") == ["four", "three"]
        assert listed(ada, offset="10000") == []
        answer = ada.http.get(ada.tasks(skip="1", limit="2"))
        assert titles(ada.http.get(answer.links["next"]["url"])) == ["two", "one"]

    def test_a_browser_may_read_the_headers_of_a_page(self, ada: ApiUser) -> None:
        answer = ada.http.get(
            ada.tasks(limit="1", count="true"), headers={"Origin": "http://localhost:3000"}
        )
        exposed = answer.headers["access-control-expose-headers"]
        assert {"Link", "X-Total-Count"} <= set(exposed.split(", "))

    def test_a_cursor_of_anything_else_has_one_response(self, ada: ApiUser, bob: ApiUser) -> None:
        bob.create()
        bob.create()

        def cursor(user: ApiUser, **parameters: str) -> str:
            link = user.http.get(user.tasks(limit="1", **parameters)).links["next"]["url"]
            return str(httpx.URL(link).params["cursor"])

        own = cursor(ada)
        documents = set()
        for wrong in (
            *("x", "A" * 40, own[:-1], own + "A", "é", "\0", "a b"),
            cursor(bob),
            cursor(ada, status="completed"),
            cursor(ada, sort="oldest"),
            cursor(ada, sort="title"),
            cursor(ada, search="o"),
        ):
            answer = ada.http.get(ada.tasks(limit="1", cursor=wrong))
            document = problem(answer)
            assert (answer.status_code, document["code"]) == (400, "invalid_cursor"), wrong
            documents.add(answer.text.replace(document["request_id"], ""))
        assert len(documents) == 1
        assert listed(ada, limit="1", cursor=own) == ["four"]
        assert listed(ada, limit="3", cursor=own) == ["four", "three", "two"]


def test_a_list_has_500_tasks_unless_told_otherwise(server: RunningServer, ada: ApiUser) -> None:
    create_task = server.container.application().create_task
    owner = UserId(UUID(ada.id))
    for number in range(501):
        create_task(owner_id=owner, title=f"task {number}")
    answer = ada.http.get(ada.tasks())
    assert titles(answer) == [f"task {number}" for number in range(500, 0, -1)]
    assert titles(ada.http.get(answer.links["next"]["url"])) == ["task 0"]


BAD_VALUES: list[tuple[dict[str, str], list[str]]] = [
    ({"status": "done"}, ["/status"]),
    ({"completed": "maybe"}, ["/completed"]),
    ({"limit": "0"}, ["/limit"]),
    ({"limit": "501"}, ["/limit"]),
    ({"limit": "-1"}, ["/limit"]),
    ({"limit": "1e2"}, ["/limit"]),
    ({"limit": "\u0661"}, ["/limit"]),
    ({"limit": "9" * 5_000}, ["/limit"]),
    ({"offset": "10001"}, ["/offset"]),
    ({"skip": "x"}, ["/skip"]),
    ({"sort": "colour"}, ["/sort"]),
    ({"sort_by": "id; DROP TABLE tasks"}, ["/sort_by"]),
    ({"order": "up"}, ["/order"]),
    ({"count": "2"}, ["/count"]),
    ({"search": "a" * 201}, ["/search"]),
    ({"q": "ä" * 201}, ["/q"]),
    ({"search": "ß" * 101}, ["/search"]),
    ({"q": "\ufdfa" * 12}, ["/q"]),
    ({"search": "a\0b"}, ["/search"]),
    ({"q": "\x1b[31m"}, ["/q"]),
    ({"created_after": "yesterday"}, ["/created_after"]),
    ({"created_after": "T" * 8_000}, ["/created_after"]),
    ({"created_before": "2026-12-01T" + "T " * 2_000}, ["/created_before"]),
    ({"created_before": "2026-13-01"}, ["/created_before"]),
    ({"updated_after": "0001-01-01T00:00:00+14:00"}, ["/updated_after"]),
    ({"limit": "0", "sort": "x", "updated_after": "\0"}, ["/limit", "/sort", "/updated_after"]),
]


def test_a_parameter_with_a_bad_value_is_named(ada: ApiUser) -> None:
    for parameters, refused in BAD_VALUES:
        errors = refusal(ada, **parameters)
        assert sorted(pointer for pointer, _ in errors) == refused
        assert {code for _, code in errors} == {"invalid_value"}


def test_an_offset_does_not_go_with_a_cursor(ada: ApiUser) -> None:
    assert refusal(ada, cursor="x", offset="1") == [("/offset", "not_allowed")]


def test_tasks_are_counted(ada: ApiUser, bob: ApiUser, tasks: list[dict[str, Any]]) -> None:
    bob.create()
    stats = ada.http.get(ada.tasks("/stats"))
    assert stats.json() == {"total": 5, "pending": 3, "completed": 2, "overdue": 0}
    ada.http.delete(ada.tasks(f"/{tasks[1]['id']}"))
    one_less = {"total": 4, "pending": 3, "completed": 1, "overdue": 0}
    assert ada.http.get(ada.tasks("/stats")).json() == one_less
    bobs = {"total": 1, "pending": 1, "completed": 0, "overdue": 0}
    assert bob.http.get(bob.tasks("/stats")).json() == bobs
