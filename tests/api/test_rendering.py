"""The fast JSON rendering produces the JSON that the response models describe."""

from collections.abc import Mapping
from copy import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from todo_api.http.schemas.tasks import (
    CHUNK,
    PriorityLabel,
    ReminderResponse,
    TaskListEnvelope,
    TaskListResponse,
    TaskResponse,
    task_envelope_json,
    task_json,
    task_list_json,
)
from todo_core.entities.due_date import DueDate
from todo_core.entities.priority import Priority
from todo_core.entities.rank import Rank
from todo_core.entities.recurrence import RecurrenceRule
from todo_core.entities.reminders import Reminder, Reminders
from todo_core.entities.repetition import RepeatFrom, Repetition
from todo_core.entities.tags import Tags
from todo_core.entities.task import Description, Task, TaskId, Title
from todo_core.entities.task_query import TaskPage
from todo_core.entities.user import UserId

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=50)
TIMES = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001 - as above
    timezones=st.just(UTC),
)
LABELS: Mapping[Priority, PriorityLabel] = {
    Priority.NONE: "none",
    Priority.LOW: "low",
    Priority.MEDIUM: "medium",
    Priority.HIGH: "high",
    Priority.URGENT: "urgent",
}
DUE_DATES = st.builds(DueDate, TIMES) | st.builds(DueDate, TIMES, st.dates())
RULES = st.sampled_from(["daily", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "monthly"]).map(
    RecurrenceRule.parse
)
REMINDERS = st.builds(Reminder, TIMES) | st.builds(
    Reminder, st.none() | TIMES, st.integers(0, 40_320)
)
TASKS = st.builds(
    Task,
    id=st.integers(1, 2**53 - 1).map(TaskId),
    owner_id=st.builds(uuid4).map(UserId),
    title=TEXT.map(Title.stored),
    description=st.none() | TEXT.map(Description.stored),
    priority=st.sampled_from(Priority),
    due_date=st.none() | DUE_DATES,
    tags=st.lists(TEXT, max_size=3).map(Tags.stored),
    reminders=st.lists(REMINDERS, max_size=3).map(Reminders),
    position=st.builds(Rank.of_new_task, TIMES, st.integers(1, 2**53 - 1)),
    parent_id=st.none() | st.integers(1, 2**53 - 1).map(TaskId),
    repetition=st.none() | st.builds(Repetition, RULES, st.sampled_from(RepeatFrom)),
    next_id=st.none() | st.integers(1, 2**53 - 1).map(TaskId),
    completed_at=st.none() | TIMES,
    version=st.integers(1, 1000),
    created_at=TIMES,
    updated_at=TIMES.map(lambda time: time + timedelta(microseconds=1)),
)


def described(task: Task) -> TaskResponse:
    """Return the model of the response with this task."""
    due_date, repetition = task.due_date, None if task.completed else task.repetition
    return TaskResponse(
        id=task.id,
        user_id=task.owner_id,
        title=task.title,
        description=task.description,
        completed=task.completed_at is not None,
        created_at=task.created_at,
        updated_at=task.updated_at,
        version=task.version,
        status="completed" if task.completed else "pending",
        completed_at=task.completed_at,
        priority=LABELS[task.priority],
        due_date=None if due_date is None else due_date.day or due_date.at,
        tags=[*task.tags],
        reminders=[
            ReminderResponse(remind_at=each.at)
            if each.minutes_before is None
            else ReminderResponse(remind_at=each.at, minutes_before=each.minutes_before)
            for each in task.reminders
        ],
        recurrence_rule=repetition and str(repetition.rule),
        recurrence_pattern=repetition and repetition.rule.shorthand,
        recurrence_interval=repetition and repetition.rule.interval,
        repeat_from=repetition and repetition.repeat_from.value,
        next_id=task.next_id,
        position=task.position,
        parent_id=task.parent_id,
    )


@given(TASKS)
def test_a_rendered_task_equals_the_json_of_its_model(task: Task) -> None:
    model = described(task)
    assert TypeAdapter(TaskResponse).validate_json(task_json(task)) == model
    assert task_json(task) == model.model_dump_json().encode()


@given(st.lists(TASKS, max_size=5))
def test_a_rendered_list_equals_the_json_of_its_model(tasks: list[Task]) -> None:
    model = TaskListResponse([described(task) for task in tasks])
    assert task_list_json(tasks) == model.model_dump_json().encode()


@given(TASKS, st.sampled_from([CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 600]))
@settings(max_examples=10, deadline=None)
def test_a_long_list_rendered_in_chunks_equals_the_json_of_its_model(
    task: Task, count: int
) -> None:
    tasks = [replace(task, id=TaskId(number)) for number in range(count)]
    model = TaskListResponse([described(task) for task in tasks])
    assert task_list_json(tasks) == model.model_dump_json().encode()


@given(st.lists(TASKS, max_size=5))
def test_a_rendered_envelope_is_valid_for_its_model(tasks: list[Task]) -> None:
    envelope = TaskListEnvelope.model_validate_json(task_envelope_json(TaskPage(tasks, 1)))
    assert envelope.total == len(tasks)
    assert [task.id for task in envelope.tasks] == [task.id for task in tasks]
