"""Use cases with spans do what they do without, and their spans contain no data."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import pytest
from opentelemetry.trace import StatusCode

from tests.support.spans import Recorder
from tests.support.world import PASSWORD, World
from todo_adapters.tracing.use_cases import trace_use_cases
from todo_core.application import Application
from todo_core.entities.idempotency import IdempotencyKey, IdempotentRequest
from todo_core.entities.task import TaskId
from todo_core.entities.user import UserId
from todo_core.errors import TaskNotFound, Unavailable, ValidationFailed


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def traced(world: World, recorder: Recorder) -> Application:
    application = Application(world.ports, world.policy)
    trace_use_cases(application, recorder.tracer)
    return application


@pytest.fixture
def ada(world: World) -> UserId:
    return world.register().id


def parts(application: Application) -> Iterator[tuple[str, object]]:
    """Yield every use case, and every part of one that is a use case too."""
    waiting = list(vars(application).items())
    while waiting:
        name, part = waiting.pop()
        if is_dataclass(part) and type(part).__module__.startswith("todo_core.use_cases"):
            yield name, part
            waiting += [(f"{name}.{each.name}", getattr(part, each.name)) for each in fields(part)]


def test_every_use_case_has_the_same_class_name_and_the_same_parts(
    world: World, traced: Application
) -> None:
    plain = dict(parts(Application(world.ports, world.policy)))
    found = dict(parts(traced))
    assert found.keys() == plain.keys()
    assert len(found) > 60
    for name, part in found.items():
        assert type(part).__name__ == type(plain[name]).__name__
        assert isinstance(part, type(plain[name]))


def test_every_public_use_case_is_traced_wherever_it_is_used(traced: Application) -> None:
    plain = {name for name, part in parts(traced) if type(part).__mro__[1] is object}
    groups = {name for name, part in vars(traced).items() if not callable(part)}
    assert {name for name in plain if "." not in name} == groups
    assert "task_writes" in groups
    assert traced.write_once.writes is traced.task_writes
    assert traced.write_once.writes.create_task is traced.create_task
    assert traced.read_profile.get_profile is traced.get_profile


def test_a_use_case_has_a_span_below_that_of_the_request(
    traced: Application, recorder: Recorder, ada: UserId
) -> None:
    with recorder.request():
        traced.read_profile(user_id=ada)
    assert recorder.tree() == {"ReadProfile": {"GetProfile": {}}}


def test_a_write_within_a_unit_of_work_has_a_span(
    traced: Application, recorder: Recorder, ada: UserId
) -> None:
    request = IdempotentRequest.of(ada, IdempotencyKey("a-key"), b"POST", b"/", b"", b"")
    with recorder.request():
        traced.write_once(
            request,
            lambda writes: writes.create_task(owner_id=ada, title="Buy milk").title.encode(),
        )
    assert recorder.tree() == {"WriteOnce": {"CreateTask": {}}}


def test_admission_and_the_rest_have_spans_of_their_own(
    traced: Application, recorder: Recorder, world: World
) -> None:
    email = world.register().email
    with recorder.request():
        admitted = traced.log_in.admit(email=str(email), password=PASSWORD)
        assert admitted.complete().user.email == email
    assert recorder.tree() == {"LogIn.admit": {}, "LogIn": {}}


def test_an_error_is_recorded_by_its_class_alone(
    traced: Application, recorder: Recorder, ada: UserId
) -> None:
    with recorder.request():
        with pytest.raises(TaskNotFound):
            traced.get_task(owner_id=ada, task_id=TaskId(4711))
        with pytest.raises(ValidationFailed):
            traced.create_task(owner_id=ada, title="canary" * 1000)
    assert [span.attributes for span in recorder.spans()] == [
        {"error.type": "todo_core.errors.TaskNotFound"},
        {"error.type": "todo_core.errors.ValidationFailed"},
    ]
    for span in recorder.spans():
        assert span.status.status_code is StatusCode.UNSET
        assert span.status.description is None
        assert span.events == ()


@pytest.mark.parametrize("error", [Unavailable("database"), RuntimeError("canary")])
def test_a_failure_of_the_service_is_an_error_without_its_message(
    traced: Application,
    recorder: Recorder,
    world: World,
    ada: UserId,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(world.tasks, "get", fail)
    with recorder.request(), pytest.raises(type(error)):
        traced.get_task(owner_id=ada, task_id=TaskId(1))
    [span] = recorder.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert "canary" not in span.to_json()


def test_a_request_that_is_not_sampled_has_no_spans(world: World, ada: UserId) -> None:
    recorder = Recorder(sampled=False)
    application = Application(world.ports, world.policy)
    trace_use_cases(application, recorder.tracer)
    with recorder.request():
        assert application.get_profile(user_id=ada).id == ada
    assert recorder.spans() == []


def test_a_background_job_has_no_spans(traced: Application, recorder: Recorder) -> None:
    assert traced.clean_up() == 0
    assert recorder.spans() == []
