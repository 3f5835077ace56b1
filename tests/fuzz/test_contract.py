"""The service against its own OpenAPI document, as Schemathesis reads it.

Valid input must be accepted, invalid input refused, and every response described by the document.
Two users send cases in turn, mostly for their own resources, so that operations succeed. A user who
loses the account or session by a case is replaced by a new one. Rules that the document cannot
express are listed in `_BEYOND_JSON_SCHEMA`.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from random import Random
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky, Unsatisfiable
from schemathesis import BaseSchema, GenerationMode, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure, FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.stateful.state_machine import RecordingStateMachine
from schemathesis.openapi.checks import (
    AllowHeaderMismatch,
    RejectedPositiveData,
    UnsupportedMethodResponse,
    UseAfterFree,
)

from tests.support.proof import note
from tests.support.servers import RunningServer
from tests.support.users import PASSWORD

# Schemathesis is generic over kinds of documents; these types accept any.
type Case = schemathesis.Case[Any]
type Operation = schemathesis.APIOperation[Any, Any, Any, Any]

# Hypothesis sees the random numbers that the server draws, on its threads in this process.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

SHARE_OF_OWN = 0.9
"""The share of cases that are sent for resources of their caller."""

SHARE_OF_NEW_KEYS = 0.5
"""The share of cases with an Idempotency-Key whose key was not sent before.

The others mostly have the key of the example, which was sent with another request.
"""

KEY = "Idempotency-Key"

TASKS = 3
"""How many tasks a caller has at least."""

SCENARIOS = 3
"""How many sequences of operations follow from one seed."""

CREDENTIALS = {
    "login": ("email", "password"),
    "refresh": ("refresh_token",),
    "forgot_password": ("email",),
    "change_password": ("current_password",),
    "update_profile": ("current_password",),
    "delete_account": ("current_password",),
}
"""The fields by which these operations authenticate a user."""

_BEYOND_JSON_SCHEMA = {
    "filter_required",  # one of several parameters
    "contradiction",  # between two parameters or fields
    "blank",  # a filter without anything but white space
    "not_allowed",
    "too_short",  # surrounding white space is not counted
    "too_common",
    "repeats_identity",
    "invalid_due_date",  # before the year 1970
    "invalid_time",  # before the year 1970
    "needs_due_date",
    "unknown_time_zone",
    "invalid_recurrence_rule",  # the values of its parts
    "unsupported_recurrence_rule",
    "never_recurs",
    "invalid_parent",  # it is not there, or is a subtask itself
    "invalid_email",  # stricter than `format: email`: a dot in the domain, 64 characters before @
    "incorrect",  # a current password
    "required",  # a current password, if the account has one or the email changes
}
"""Codes of errors of bodies that are valid according to their schema."""


@dataclass
class Caller:
    """A user who sends cases, with their credentials and tasks."""

    id: str
    token: str
    credentials: dict[str, str]
    task_ids: list[int] = field(default_factory=list)

    @classmethod
    def new(cls, http: httpx.Client) -> "Caller":
        """Register a user, log them in, and create a few tasks."""
        login = {"email": f"{uuid4()}@example.com", "password": PASSWORD}
        http.post("/api/auth/register", json={"name": "Ada", **login}).raise_for_status()
        answer = http.post("/api/auth/login", json=login).raise_for_status().json()
        known = {"current_password": PASSWORD, "refresh_token": answer["refresh_token"]}
        caller = cls(answer["user"]["id"], answer["access_token"], login | known)
        caller.refill(http)
        return caller

    def refill(self, http: httpx.Client) -> None:
        """Create tasks until the caller has enough."""
        while len(self.task_ids) < TASKS:
            answer = http.post(
                f"/api/{self.id}/tasks",
                params={"url_user_id": self.id},
                json={"title": "Buy milk"},
                headers=self.headers_of_caller,
            )
            self.task_ids.append(answer.raise_for_status().json()["id"])

    def reload(self, http: httpx.Client) -> None:
        """Learn which tasks the caller has, and create tasks if they are too few."""
        answer = http.get(
            f"/api/{self.id}/tasks",
            params={"url_user_id": self.id},
            headers=self.headers_of_caller,
        )
        self.task_ids = [task["id"] for task in answer.raise_for_status().json()]
        self.refill(http)

    @property
    def headers_of_caller(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class Callers:
    """Two users who send cases in turn, and the results."""

    def __init__(self, http: httpx.Client, session: requests.Session, number: int) -> None:
        self.session = session
        self.sent = 0
        self.failed = 0
        self.failures: dict[str, str] = {}
        self._http = http
        self._random = Random(number)  # noqa: S311 - it need not be a secret
        self._callers = [Caller.new(self._http), Caller.new(self._http)]
        self._turn = 0
        self._valid_calls_on_tasks = Counter[bool]()

    @property
    def current(self) -> Caller:
        """The caller whose turn it is."""
        return self._callers[self._turn]

    @property
    def share_of_successful_task_calls(self) -> float:
        """The share of valid task calls that succeeded."""
        return self._valid_calls_on_tasks[True] / self._valid_calls_on_tasks.total()

    def next(self) -> None:
        """Switch to the other caller."""
        self._turn = 1 - self._turn

    def send(self, case: Case) -> None:
        """Send a case, mostly for resources of the next caller, and check the response."""
        self.next()
        self._make_own_mostly(case)
        headers = self.current.headers_of_caller
        response = case.call(headers=headers, session=self.session)
        if "user_id" in case.path_parameters and _is_valid(case):
            self._valid_calls_on_tasks[response.status_code < 300] += 1
        with self.collected_failures(case, response):
            case.validate_response(
                response,
                headers=headers,
                transport_kwargs={"headers": headers, "session": self.session},
            )

    def make_own(self, case: Case) -> None:
        """Set the caller as the owner that the case names."""
        if "user_id" in case.path_parameters:
            case.path_parameters["user_id"] = self.current.id
        if "url_user_id" in case.query:
            case.query["url_user_id"] = self.current.id

    @contextmanager
    def collected_failures(self, case: Case, response: Response) -> Iterator[None]:
        """Count a case, and collect the failures that the block finds in its response.

        Failures are not raised: Hypothesis would send the case again, to a service whose state has
        changed.
        """
        self.sent += 1
        try:
            yield
        except FailureGroup as found:
            self.failed += 1
            titles = ", ".join(sorted({str(each) for each in found.exceptions}))
            self.failures.setdefault(f"{case.operation.label}: {titles}", str(found))
        finally:
            self._remember(case, response)

    def _make_own_mostly(self, case: Case) -> None:
        caller = self.current
        if self._mostly():
            self.make_own(case)
        if self._random.random() < SHARE_OF_NEW_KEYS and KEY in (case.headers or {}):
            case.headers[KEY] = f"key-{self.sent}"
        if (
            "task_id" in case.path_parameters
            and not _is_negative_at(case, ParameterLocation.PATH)
            and self._mostly()
        ):
            case.path_parameters["task_id"] = self._random.choice(caller.task_ids)
        if isinstance(case.body, dict):
            for name in CREDENTIALS.get(_operation_id(case), ()):
                if isinstance(case.body.get(name), str) and self._mostly():
                    case.body[name] = caller.credentials[name]
            if not _is_negative_at(case, ParameterLocation.BODY):
                for fields in (case.body, *_operations(case.body)):
                    self._name_own(fields, "id", "before", "after", "parent_id")
                    if fields.get("reminders") and self._mostly():
                        fields["due_date"] = "2999-01-07"  # from which relative ones count
                named = case.body.get("task_ids")
                if isinstance(named, list) and self._mostly():
                    count = min(len(named), len(caller.task_ids))
                    case.body["task_ids"] = [*self._random.sample(caller.task_ids, count)]

    def _name_own(self, fields: dict[str, Any], *names: str) -> None:
        """Mostly let fields that name a task name one of the caller."""
        for name in names:
            if fields.get(name) is not None and self._mostly():
                fields[name] = self._random.choice(self.current.task_ids)

    def _mostly(self) -> bool:
        return self._random.random() < SHARE_OF_OWN

    def _remember(self, case: Case, response: Response) -> None:
        """Update the caller by the effect of the case."""
        caller, operation, status = self.current, _operation_id(case), response.status_code
        if status == 401 and operation not in {"login", "refresh"}:
            if response.request.headers.get("Authorization") == f"Bearer {caller.token}":
                self._callers[self._turn] = Caller.new(self._http)
        elif status == 201 and operation == "create_task":
            caller.task_ids.append(response.json()["id"])
        elif status == 204 and operation == "delete_task":
            gone = str(case.path_parameters["task_id"])
            caller.task_ids = [each for each in caller.task_ids if str(each) != gone]
            caller.refill(self._http)
        elif status == 200 and operation in {"change_tasks", "delete_matching_tasks"}:
            caller.reload(self._http)
        elif status == 200 and operation == "refresh":
            caller.token = response.json()["access_token"]
            caller.credentials["refresh_token"] = response.json()["refresh_token"]
        elif status == 200 and operation == "update_profile":
            caller.credentials["email"] = response.json()["email"]
        elif status == 204 and operation == "change_password":
            chosen = cast(dict[str, str], case.body)["new_password"]
            caller.credentials |= {"password": chosen, "current_password": chosen}


def test_every_response_is_described_by_the_openapi_document(
    postgresql_server: RunningServer,
) -> None:
    assert_contract_is_kept(postgresql_server, number=0, stride=4, examples=2, batches=1)


@pytest.mark.proof
@pytest.mark.parametrize("number", [1, 2, 3])
def test_very_many_responses_are_described_by_the_openapi_document(
    postgresql_server: RunningServer, number: int
) -> None:
    sent = assert_contract_is_kept(
        postgresql_server, number=number, stride=1, examples=100, batches=20
    )
    assert sent >= 7_000


def assert_contract_is_kept(
    server: RunningServer, *, number: int, stride: int, examples: int, batches: int
) -> int:
    """Send the cases that the number determines, and return how many were sent.

    Each operation gets every `stride`-th of the cases that cover its description systematically,
    and `examples` of valid and of invalid input. Sequences of operations follow, in batches of
    `SCENARIOS`.
    """
    # A stream of events has no end: tests/api/test_events.py opens it.
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json").exclude(
        operation_id="stream_events"
    )
    schema.hook(filter_failure)
    schema.config.generation.with_security_parameters = False  # the caller's token is always used
    with httpx.Client(base_url=server.url) as http, requests.Session() as session:
        callers = Callers(http, session, number)
        for result in schema.get_all_operations():
            operation = cast(Operation, result.ok())  # type: ignore[union-attr]  # an Err fails here
            _cover(callers, schema, operation, stride)
            _fuzz(callers, operation, GenerationMode.POSITIVE, number, examples)
            with suppress(Unsatisfiable):  # an operation may have no invalid input
                _fuzz(callers, operation, GenerationMode.NEGATIVE, number, examples)
        for batch in range(batches):
            _follow_links(callers, schema, number * 1_000 + batch)
    note("cases", "OpenAPI, PostgreSQL", tried=callers.sent, failed=callers.failed)
    assert callers.failed == 0, "\n\n".join(callers.failures.values())
    assert callers.share_of_successful_task_calls > 0.4
    return callers.sent


def filter_failure(context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """Return whether a failure is one (the Schemathesis hook of this name)."""
    match failure:
        case UnsupportedMethodResponse() | AllowHeaderMismatch():
            # Other methods than POST of `/tasks/bulk` are about a task with the id `bulk`.
            names = {
                "change_tasks",
                "complete_matching_tasks",
                "count_tasks",
                "list_changes",
                "reorder_tasks",
            }
            return _operation_id(case) not in names
        case UseAfterFree():
            return False  # a deleted task may have been restored
        case RejectedPositiveData():
            return not _is_beyond_json_schema(response)
        case AcceptedNegativeData():
            if response.status_code == HTTPStatus.PRECONDITION_FAILED:
                return False  # it is checked before the rules of the fields
            return not (
                _is_sent_twice_or_empty(response) or _is_stored_shorter(case) or _has_padding(case)
            )
        case _:
            return True


def _is_sent_twice_or_empty(response: Response) -> bool:
    """Return whether a parameter was sent more than once or empty: only the last value counts."""
    query = httpx.URL(str(response.request.url)).params
    return any(len(query.get_list(name)) > 1 or not query[name] for name in query)


def _is_beyond_json_schema(response: Response) -> bool:
    """Return whether only rules that JSON Schema cannot express refused the case."""
    problem = response.json()
    if problem["code"] in {
        *("invalid_reset_token", "invalid_cursor", "stale_version", "idempotency_key_reused")
    }:
        return True  # the valid value is in an email, or depends on earlier requests
    codes = {error["code"] for error in problem.get("errors", ())}
    return bool(codes) and codes <= _BEYOND_JSON_SCHEMA


def _is_stored_shorter(case: Case) -> bool:
    """Return whether the case has values that normalisation makes shorter."""
    body = case.body if isinstance(case.body, dict) else {}
    return any(map(_has_shorter_values, (body, *_operations(body))))


def _has_shorter_values(fields: dict[str, Any]) -> bool:
    sent = fields.get("tags")
    tags = [str(tag) for tag in sent] if isinstance(sent, list) else []
    lines = [*tags, *(str(fields.get(name)) for name in ("title", "name"))]
    return (
        any(line != line.strip() for line in lines)
        or len({tag.casefold() for tag in tags}) < len(tags)
        or "\r\n" in str(fields.get("description"))
        # They mean null.
        or any(str(fields.get(name, "-")).strip() == "" for name in _MAY_BE_EMPTY)
    )


_MAY_BE_EMPTY = ("priority", "due_date", "recurrence_rule", "recurrence_pattern", "repeat_from")


def _has_padding(case: Case) -> bool:
    """Return whether a header has surrounding white space, which is not part of its value."""
    values = [str(value) for value in (case.headers or {}).values()]
    return any(value != value.strip(" \t") for value in values)


def _cover(callers: Callers, schema: BaseSchema, operation: Operation, stride: int) -> None:
    """Send boundary values, missing parts, other methods and other media types."""
    cases = schema.iter_coverage_cases(
        operation,
        generation_modes=list(GenerationMode),
        generation_config=schema.config.generation,
    )
    for case in islice(cases, None, None, stride):
        callers.send(case)


def _fuzz(
    callers: Callers, operation: Operation, mode: GenerationMode, number: int, examples: int
) -> None:
    """Send this many examples of valid or of invalid input."""

    @seed(number)
    @_settings(examples)
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Case) -> None:
        callers.send(case)

    send()


def _follow_links(callers: Callers, schema: BaseSchema, number: int) -> None:
    """Send sequences of operations that follow from each other's responses, each by one caller."""
    machine = cast(type[RecordingStateMachine], schema.as_state_machine())

    class Scenario(machine):  # type: ignore[misc, valid-type]  # the base class is made from the document
        def setup(self) -> None:
            callers.next()

        def before_call(self, case: Case) -> None:
            callers.make_own(case)

        def get_call_kwargs(self, case: Case) -> dict[str, object]:  # noqa: ARG002 - as it has it
            return {"headers": callers.current.headers_of_caller, "session": callers.session}

        def validate_response(
            self, response: Response, case: Case, **sent: Any
        ) -> None:  # as it has it
            with callers.collected_failures(case, response):
                case.validate_response(
                    response,
                    headers=sent["headers"],
                    transport_kwargs=sent,
                    recorder=self.recorder,
                )

    # Hypothesis repeats parts of a scenario, to which the service responds differently by then.
    with suppress(Flaky):
        seed(number)(Scenario)
        Scenario.run(settings=_settings(SCENARIOS))


def _settings(examples: int) -> settings:
    """Return settings for new examples without shrinking, since failures are collected."""
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def _operations(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what can be recognised as the operations of a bulk."""
    operations = body.get("operations")
    for each in operations if isinstance(operations, list) else ():
        if isinstance(each, dict):
            yield from (value for value in each.values() if isinstance(value, dict))


def _is_valid(case: Case) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive


def _is_negative_at(case: Case, location: ParameterLocation) -> bool:
    """Return whether a part of the case is deliberately invalid."""
    return case.meta is not None and case.meta.is_negative_at(location)


def _operation_id(case: Case) -> str:
    return str(case.operation.definition.raw["operationId"])
