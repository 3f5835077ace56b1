"""docs/api.md: the names of the contract, the endpoints and the error codes."""

import json
import re
import shutil
from collections.abc import Iterator

import pytest

from tests.docs.pages import ROOT, blocks
from tests.docs.service import Service
from todo_api.app import create_app
from todo_api.http.schemas.tasks import OTHER_NAMES
from todo_api.http.task_queries import ALIASES, LIST_PARAMETERS
from todo_api.settings import Settings
from todo_core.entities.recurrence_grammar import PARTS

PAGE = (ROOT / "docs" / "api.md").read_text()
CODE = "\n".join(
    module.read_text()
    for folder in ("todo_core", "todo_adapters", "todo_api")
    for module in sorted((ROOT / folder).rglob("*.py"))
)

BODIES = ("TaskResponse", "TaskPatch", "TaskCreate", "UpdateProfileRequest")

CONTRACT = re.findall(
    r"\w+",
    """
    UserBase UserCreate UserRead UserUpdate UserLogin
    TaskBase TaskCreate TaskRead TaskUpdate TaskUpdateStatus
    RegisterRequest RegisterResponse LoginRequest LoginResponse TokenData AuthenticatedUser
    RefreshTokenRequest RefreshTokenResponse ChangePasswordRequest ForgotPasswordRequest
    ResetPasswordRequest UserProfileResponse UpdateProfileRequest
    TaskResponse TaskListResponse TaskDeleteResponse
    TaskToggleCompletionRequest TaskToggleCompletionResponse
    get_current_user get_current_active_user verify_user_id_in_url_matches_authenticated_user
    """,
)


def rows_of_names() -> Iterator[tuple[list[str], str]]:
    """Return the names of the contract in each row, and the row's description of them."""
    table = PAGE.partition("## Names of the published contract")[2]
    for names, here in re.findall(r"^\| (`.+?`) \| (.+) \|$", table, re.MULTILINE):
        yield re.findall(r"`(\w+)`", names), here


def test_every_name_of_the_contract_is_on_the_api_page() -> None:
    assert sorted(name for names, _ in rows_of_names() for name in names) == sorted(CONTRACT)


def test_every_counterpart_of_a_name_of_the_contract_exists() -> None:
    for names, here in rows_of_names():
        same = names if "the same name" in here else []
        for name in (*same, *re.findall(r"`([A-Z]\w+[a-z])(?:\.\w+)?`", here)):
            assert re.search(rf"^(?:class|type|def|async def)? ?{name}\b", CODE, re.MULTILINE), name


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session is one of curl")
def test_the_session_about_search_works_in_bash(service: Service) -> None:
    [session] = [block for block in blocks(PAGE, "sh") if "search=strasse" in block]
    found = [[task["title"] for task in json.loads(line)] for line in service.run(session)]
    assert found == [
        ["Kehre die Straße"],
        ["100% of the report"],
        ["100% of the report", "Kehre die Straße", "Read", "Sweep the STREET"],
    ]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session is one of curl")
def test_the_session_about_pages_works_in_bash(service: Service) -> None:
    [session] = [block for block in blocks(PAGE, "sh") if "limit=2" in block]
    first, total, second, counted = service.run(session)
    assert [task["title"] for task in json.loads(first)] == ["three", "two"]
    assert total.lower() == "x-total-count: 3"
    assert [task["title"] for task in json.loads(second)] == ["one"]
    assert json.loads(counted) == {"total": 3, "pending": 3, "completed": 0, "overdue": 0}


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session is one of curl")
def test_the_session_about_due_dates_prints_what_the_page_says(service: Service) -> None:
    [session] = [block for block in blocks(PAGE, "sh") if "due_before" in block]
    printed = service.run(session)
    assert printed == [
        *('"title":"Call Bob"', '"title":"Buy milk"', '"due_date":"2020-01-15"'),
        '{"total":3,"pending":3,"completed":0,"overdue":1}',
        '[{"name":"Home","count":2},{"name":"shop","count":1}]',
        *("[]", '"time_zone":"Pacific/Auckland"', '"due_date":"2099-12-06"'),
    ]
    for line in printed:
        assert f"`{line}`" in PAGE


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session is one of curl")
def test_the_session_about_tasks_that_repeat_prints_what_the_page_says(service: Service) -> None:
    [session] = [block for block in blocks(PAGE, "sh") if "recurrence_rule" in block]
    printed = service.run(session)
    assert printed == [
        '"due_date":"2099-02-28"',
        '"recurrence_rule":"FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1"',
        '"due_date":"2099-03-31"',
        *('"next_id":null', "404"),
        *('"due_date":"2099-01-09T19:00:00Z"', '"next_id":null'),
        (
            '"code":"invalid_recurrence_rule",'
            '"message":"FREQ must be one of DAILY, WEEKLY, MONTHLY, YEARLY."'
        ),
    ]
    for line in printed:
        assert f"`{line}`" in PAGE


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session is one of curl")
def test_the_session_about_reminders_prints_what_the_page_says(service: Service) -> None:
    [session] = [block for block in blocks(PAGE, "sh") if "minutes_before" in block]
    printed = service.run(session)
    absolute = '{"remind_at":"2099-11-30T07:00:00Z"}'
    assert printed == [
        f'"reminders":[{{"minutes_before":15,"remind_at":"2099-12-01T15:45:00Z"}},{absolute}]',
        f'"reminders":[{{"minutes_before":15,"remind_at":"2099-12-01T23:45:00Z"}},{absolute}]',
        *('"reminder_emails":false', "event: reminder"),
    ]
    for line in printed:
        assert f"`{line}`" in PAGE


def test_the_api_page_lists_exactly_the_parts_and_codes_of_recurrence_rules() -> None:
    section = PAGE.partition("### Rules\n")[2].partition("\n### ")[0]
    parts = section.partition("| part | value |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", parts, re.MULTILINE)) == {*PARTS}
    codes = section.partition("| code | meaning |")[2].partition("\n\n")[0]
    modules = ("recurrence", "recurrence_grammar", "repetition")
    code = "".join((ROOT / f"todo_core/entities/{each}.py").read_text() for each in modules)
    raised = re.findall(r'(?:refusal\(|FieldError\("\w+",)\s*"([a-z_]+)"', code)
    cells = re.findall(r"^\| (`.+?`) \|", codes, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == {*raised}


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session is one of curl")
def test_the_session_about_safe_writes_prints_what_the_page_says(service: Service) -> None:
    [session] = [block for block in blocks(PAGE, "sh") if "If-None-Match" in block]
    printed = service.run(session)
    assert printed == ['200 "1"', '200 "2"', '412 "2"', "304"]
    for line in printed:
        assert f"`{line}`" in PAGE


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session is one of curl")
def test_the_session_about_subtasks_prints_what_the_page_says(service: Service) -> None:
    [session] = [block for block in blocks(PAGE, "sh") if "parent_id" in block]
    printed = [line.strip() for line in service.run(session)]
    assert printed == [
        *("Plan the party", "Invite Bob Bake a cake", '"code":"invalid_parent","request_id"'),
        '{"total":3,"pending":0,"completed":3,"overdue":0}',
        '{"total":0,"pending":0,"completed":0,"overdue":0}',
        "Invite Bob Bake a cake",
    ]
    for line in printed:
        assert f"`{line}`" in PAGE


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session is one of curl")
def test_the_session_about_the_order_by_hand_prints_what_the_page_says(service: Service) -> None:
    [session] = [block for block in blocks(PAGE, "sh") if "/move" in block]
    printed = [line.strip() for line in service.run(session)]
    assert printed == [
        *("rice oats milk", '200 "2"', '200 "2" true', '412 "2"', "rice milk oats"),
        *("oats milk rice", "tea oats milk rice", "404", "404", "tea oats milk rice"),
    ]
    for line in printed:
        assert f"`{line}`" in PAGE


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session is one of curl")
def test_the_session_about_live_events_prints_what_the_page_says(service: Service) -> None:
    [session] = [block for block in blocks(PAGE, "sh") if "TICKET" in block]
    printed = service.run(session)
    assert printed == ['data: {"revision": 1}', "id: 1", "401"]
    for line in printed:
        assert f"`{line}`" in PAGE


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session is one of curl")
def test_the_session_about_many_tasks_prints_what_the_page_says(service: Service) -> None:
    [session] = [block for block in blocks(PAGE, "sh") if "/bulk" in block]
    printed = service.run(session)
    assert printed == ["200", "404", '{"completed":2}', '{"deleted":2}']
    for line in printed:
        assert f"`{line}`" in PAGE


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session is one of curl")
def test_the_session_about_sending_a_write_again_prints_what_the_page_says(
    service: Service,
) -> None:
    [session] = [block for block in blocks(PAGE, "sh") if "replayed:" in block]
    printed = service.run(session)
    assert [line.strip() for line in printed] == [
        *("201 replayed:", "201 replayed:true", "422 replayed:"),
        '{"total":1,"pending":1,"completed":0,"overdue":0}',
    ]
    for line in printed:
        assert f"`{line.strip()}`" in PAGE


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session is one of curl")
def test_the_session_about_synchronization_prints_what_the_page_says(service: Service) -> None:
    [session] = [block for block in blocks(PAGE, "sh") if "SINCE" in block]
    printed = service.run(session)
    assert printed == [
        *('"title":"Buy milk"', '"title":"Buy oats"'),
        *('"revision":3,"deleted":true', '"version":2'),
        *('"title":"Buy rye"', '"pointer":"/wait"'),
    ]
    for line in printed:
        assert f"`{line}`" in PAGE


def test_the_api_page_lists_exactly_the_endpoints() -> None:
    described = {
        (method, re.sub(r"\{\w+\}", "{}", path))
        for method, path in re.findall(r"^\| `([A-Z]+) (/\S+)` \|", PAGE, re.MULTILINE)
    }
    served = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, operations in create_app(Settings()).openapi()["paths"].items()
        for method in operations
    }
    assert described == served


def test_the_api_page_lists_exactly_the_fields_of_a_task() -> None:
    table = PAGE.partition("| field | rule | where |")[2].partition("\n\n")[0]
    described = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    schemas = create_app(Settings()).openapi()["components"]["schemas"]
    names = {name for body in BODIES for name in schemas[body]["properties"]}
    set_by_the_service = {"id", "user_id", "created_at", "updated_at", "version"}
    assert described == names - set_by_the_service - {"current_password"} | {"password"}


def test_the_api_page_lists_exactly_the_parameters_of_a_page() -> None:
    table = PAGE.partition("| parameter | value |")[2].partition("\n\n")[0]
    first_cells = re.findall(r"^\| (.+?) \|", table, re.MULTILINE)
    names = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert names - set(ALIASES) == {parameter["name"] for parameter in LIST_PARAMETERS}


def test_the_api_page_lists_exactly_the_other_names() -> None:
    table = PAGE.partition("| name | other names | where |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (\w+) \|$", table, re.MULTILINE)
    described = {(name, other) for name, others, _ in rows for other in re.findall(r"\w+", others)}
    of_fields = {(name, other) for name, others in OTHER_NAMES.items() for other in others}
    assert described == of_fields | {(name, other) for other, name in ALIASES.items()}


def test_the_api_page_lists_exactly_the_error_codes() -> None:
    table = PAGE.partition("| status | code |")[2].partition("\n\n")[0]
    described = set(re.findall(r"`([a-z_]+)`", table))
    used = set(re.findall(r'HTTPStatus\.[A-Z_]+,\s*"([a-z_]+)"', CODE))
    assert len(used) > 20
    # The errors of these two codes never reach a client.
    assert described == used - {"unauthenticated", "user_not_found"}
