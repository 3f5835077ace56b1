"""The fast JSON rendering produces the JSON that the response models describe."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from todo_api.http.schemas.tasks import (
    CHUNK,
    TaskListEnvelope,
    TaskListResponse,
    TaskResponse,
    task_envelope_json,
    task_json,
    task_list_json,
)
from todo_core.entities.task import Description, Task, TaskId, Title
from todo_core.entities.task_query import TaskPage
from todo_core.entities.user import UserId

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=50)
TIMES = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001 - as above
    timezones=st.just(UTC),
)
TASKS = st.builds(
    Task,
    id=st.integers(1, 2**53 - 1).map(TaskId),
    owner_id=st.builds(uuid4).map(UserId),
    title=TEXT.map(Title.stored),
    description=st.none() | TEXT.map(Description.stored),
    completed=st.booleans(),
    version=st.integers(1, 1000),
    created_at=TIMES,
    updated_at=TIMES.map(lambda time: time + timedelta(microseconds=1)),
)


@given(TASKS)
def test_a_rendered_task_equals_the_json_of_its_model(task: Task) -> None:
    model = TaskResponse.model_validate(task, from_attributes=True)
    assert TypeAdapter(TaskResponse).validate_json(task_json(task)) == model
    assert task_json(task) == model.model_dump_json().encode()


@given(st.lists(TASKS, max_size=5))
def test_a_rendered_list_equals_the_json_of_its_model(tasks: list[Task]) -> None:
    model = TaskListResponse.model_validate(tasks, from_attributes=True)
    assert task_list_json(tasks) == model.model_dump_json().encode()


@given(TASKS, st.sampled_from([CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 600]))
@settings(max_examples=10, deadline=None)
def test_a_long_list_rendered_in_chunks_equals_the_json_of_its_model(
    task: Task, count: int
) -> None:
    tasks = [replace(task, id=TaskId(number)) for number in range(count)]
    model = TaskListResponse.model_validate(tasks, from_attributes=True)
    assert task_list_json(tasks) == model.model_dump_json().encode()


@given(st.lists(TASKS, max_size=5))
def test_a_rendered_envelope_is_valid_for_its_model(tasks: list[Task]) -> None:
    envelope = TaskListEnvelope.model_validate_json(task_envelope_json(TaskPage(tasks, 1)))
    assert envelope.total == len(tasks)
    assert [task.id for task in envelope.tasks] == [task.id for task in tasks]
