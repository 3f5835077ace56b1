"""The parameters with which a client filters, sorts and pages tasks.

Parameters that are not known are ignored. One that is known must have a value that is.
"""

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import QueryParams

from todo_api.http.long_polls import LONGEST_WAIT_SECONDS
from todo_api.http.schemas.tasks import task_id_of
from todo_api.http.schemas.text import LINE_PATTERN
from todo_core.entities.priority import Priority
from todo_core.entities.tags import MAX_TAGS, Tag, Tags
from todo_core.entities.task import TaskId
from todo_core.entities.task_query import ALL_TASKS, TaskOrder, TaskQuery, When
from todo_core.entities.text import SearchText
from todo_core.errors import FieldError, ValidationFailed
from todo_core.use_cases.tasks import LONGEST_PAGE

LARGEST_OFFSET = 10_000

ALIASES = {
    "q": "search",
    "skip": "offset",
    "sort_by": "sort",
    "sort_order": "order",
    "due_date_from": "due_after",
    "due_date_to": "due_before",
}
"""Other names of parameters, which existing front ends use."""

_LISTS = {"priority", "tags", "tags_any"}
"""The parameters with several values, separated by commas or sent one by one."""

_STATUSES = {"all": None, "pending": False, "active": False, "completed": True}
_SORTS: Mapping[str, tuple[TaskOrder, bool]] = {  # the second is whether it is descending
    "created_at": (TaskOrder.CREATED_AT, False),
    "-created_at": (TaskOrder.CREATED_AT, True),
    "created": (TaskOrder.CREATED_AT, True),
    "newest": (TaskOrder.CREATED_AT, True),
    "oldest": (TaskOrder.CREATED_AT, False),
    "updated_at": (TaskOrder.UPDATED_AT, False),
    "-updated_at": (TaskOrder.UPDATED_AT, True),
    "updated": (TaskOrder.UPDATED_AT, True),
    "completed_at": (TaskOrder.COMPLETED_AT, False),
    "-completed_at": (TaskOrder.COMPLETED_AT, True),
    "due_date": (TaskOrder.DUE_DATE, False),
    "-due_date": (TaskOrder.DUE_DATE, True),
    "position": (TaskOrder.POSITION, False),
    "-position": (TaskOrder.POSITION, True),
    "priority": (TaskOrder.PRIORITY, False),
    "-priority": (TaskOrder.PRIORITY, True),
    "title": (TaskOrder.TITLE, False),
    "-title": (TaskOrder.TITLE, True),
}
_ORDERS = {"asc": False, "desc": True}
_BOOLEAN = TypeAdapter(bool)
_OFFSET_AS_SPACE = re.compile(r"(T[^ ]*) (\d\d:\d\d)")
_LONGEST_TIME = 40
_DECIMAL = re.compile(r"[0-9]{1,6}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NO_PARENT = "none"
_ID = re.compile(r"[0-9]{1,20}")
_TAG = re.compile(r"(?:[^,\\]|\\.|\\\Z)+", re.DOTALL)


@dataclass(frozen=True)
class ListRequest:
    """What a client asks for: the arguments of `ListTasks`."""

    query: TaskQuery = ALL_TASKS
    limit: int = LONGEST_PAGE
    cursor: str | None = None
    offset: int = 0
    counts: bool = False

    @property
    def has_tag(self) -> bool:
        """Whether the page stays the same until the tasks change, even as time passes."""
        return not self.query.deleted and not self.query.depends_on_clock

    @cached_property
    def tag(self) -> str:
        """A short text that differs for other pages of the same user."""
        parts = (self.query.fingerprint, self.limit, self.cursor, self.offset, self.counts)
        return f"{zlib.crc32(repr(parts).encode()):x}"


_USUAL = ListRequest()


def list_request(request: Request) -> ListRequest:
    """Read the parameters.

    Raises:
        ValidationFailed: naming every parameter whose value is not valid.
    """
    raw = request.scope["query_string"]
    if raw.startswith(b"url_user_id=") and b"&" not in raw:
        return _USUAL  # as for most requests; reading no parameters takes 15 µs
    reader = _Reader(request.query_params)
    direction = reader.one_of("order", _ORDERS)
    order, descending = reader.one_of("sort", _SORTS) or (TaskOrder.CREATED_AT, True)
    query = replace(
        _filter(reader),
        order=order,
        descending=descending if direction is None else direction,
        deleted=bool(reader.read("deleted", _boolean)),
    )
    limit = reader.read("limit", _number_in(1, LONGEST_PAGE))
    cursor, offset = reader.get("cursor"), reader.read("offset", _number_in(0, LARGEST_OFFSET))
    if cursor is not None and offset:
        reader.refuse("offset", "not_allowed", "cannot be combined with a cursor")
    counts = reader.read("count", _boolean)
    if reader.errors:
        raise ValidationFailed(*reader.errors)
    return ListRequest(
        query, LONGEST_PAGE if limit is None else limit, cursor, offset or 0, bool(counts)
    )


@dataclass(frozen=True)
class ChangesRequest:
    """What a client asks for: the arguments of `ListChanges`, and how long it may wait."""

    since: str | None
    limit: int
    wait_seconds: int


def changes_request(request: Request) -> ChangesRequest:
    """Read the parameters of a list of changes.

    Raises:
        ValidationFailed: naming every parameter whose value is not valid.
    """
    reader = _Reader(request.query_params)
    limit = reader.read("limit", _number_in(1, LONGEST_PAGE))
    wait_seconds = reader.read("wait", _number_in(0, LONGEST_WAIT_SECONDS))
    if reader.errors:
        raise ValidationFailed(*reader.errors)
    return ChangesRequest(reader.get("since"), limit or LONGEST_PAGE, wait_seconds or 0)


def is_permanent(request: Request) -> bool:
    """Return whether a task is to be deleted without the trash.

    Raises:
        ValidationFailed: if `permanent` is neither true nor false.
    """
    reader = _Reader(request.query_params)
    permanent = reader.read("permanent", _boolean)
    if reader.errors:
        raise ValidationFailed(*reader.errors)
    return bool(permanent)


def filter_request(request: Request) -> TaskQuery:
    """Read the filter of a change of many tasks. At least one parameter is required.

    All tasks that match are changed, so the parameters of a page are refused. So is
    what a list may leave open: which of several values counts, and what white space searches for.

    Raises:
        ValidationFailed: naming every parameter whose value is not valid.
    """
    reader = _Reader(request.query_params)
    reader.refuse_repeated()
    query = _filter(reader)
    blank = [
        name
        for name, value in {
            "search": query.search,
            "priority": query.priorities,
            "tags": query.tags,
            "tags_any": query.any_tags,
        }.items()
        if value is None and reader.get(name) is not None and not reader.errors
    ]
    for name in blank:
        reader.refuse(name, "blank", "must not be blank")
    for name in ("limit", "cursor", "offset", "deleted"):
        if reader.get(name) is not None:
            reader.refuse(name, "not_allowed", "is for lists only")
    if not reader.errors and all(reader.get(name) is None for name in _FILTERS):
        raise ValidationFailed(
            FieldError("", "filter_required", f"Filter the tasks by one of {', '.join(_FILTERS)}.")
        )
    if reader.errors:
        raise ValidationFailed(*reader.errors)
    return query


def _filter(reader: "_Reader") -> TaskQuery:
    """Read which tasks match, whatever their order and page."""
    return TaskQuery(
        completed=reader.completed(),
        priorities=reader.read("priority", _priorities),
        tags=reader.read("tags", _tag_keys),
        any_tags=reader.read("tags_any", _tag_keys),
        parent_id=reader.read("parent_id", _parent_id),
        has_parent=reader.read("parent_id", _has_parent),
        due_after=reader.read("due_after", _when),
        due_before=reader.read("due_before", _when),
        has_due=reader.read("has_due", _boolean),
        overdue=reader.read("overdue", _boolean),
        created_after=reader.read("created_after", _time),
        created_before=reader.read("created_before", _time),
        updated_after=reader.read("updated_after", _time),
        search=reader.read("search", _search_text),
    )


def next_link(request: Request, cursor: str) -> str:
    """Return the Link header (RFC 8288) to the page that follows, relative to this server."""
    kept = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if ALIASES.get(name, name) not in {"cursor", "offset"}
    ]
    path = quote(request.scope["path"])
    return f'<{path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'


class _Reader:
    """Reads parameters, and collects what is wrong with them."""

    def __init__(self, parameters: QueryParams) -> None:
        self.errors: list[FieldError] = []
        self._values: dict[str, tuple[str, str]] = {}
        self._repeated: list[str] = []
        for sent, value in parameters.multi_items():
            name = ALIASES.get(sent, sent)
            if name in self._values and name in _LISTS:
                value = f"{self._values[name][1]},{value}"
            elif name in self._values:
                self._repeated.append(name)
            if value or name not in self._values:  # of several values, the last that is not empty
                self._values[name] = (sent, value)

    def get(self, name: str) -> str | None:
        """Return the text of a parameter, or None if it was not sent or is empty."""
        return self._values[name][1] or None if name in self._values else None

    def read[Value](self, name: str, parse: Callable[[str], Value]) -> Value | None:
        """Return the value of a parameter, or None if it was not sent or is not valid."""
        text = self.get(name)
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            self.refuse(name, "invalid_value", str(error))
            return None

    def one_of[Value](self, name: str, values: Mapping[str, Value]) -> Value | None:
        """Return the value that a parameter names, or None if it was not sent or is not valid."""

        def parse(text: str) -> Value:
            if text.lower() not in values:
                raise ValueError(f"must be one of {', '.join(values)}")
            return values[text.lower()]

        return self.read(name, parse)

    def completed(self) -> bool | None:
        """Return which tasks match `status` and `completed`, or None for all."""
        completed = self.read("completed", _boolean)
        status = self.one_of("status", _STATUSES)
        if completed is not None and status not in (None, completed):
            self.refuse("status", "contradiction", "contradicts completed")
        return completed if status is None else status

    def refuse_repeated(self) -> None:
        """Add an error for each filter that was sent more than once, or with its alias."""
        for name in dict.fromkeys(self._repeated):
            if name in _FILTERS:
                self.refuse(name, "repeated", "must be sent only once")

    def refuse(self, name: str, code: str, predicate: str) -> None:
        """Add an error for a parameter, under the name by which it was sent."""
        sent = self._values[name][0]
        subject = sent.replace("_", " ").capitalize()
        self.errors.append(FieldError(sent, code, f"{subject} {predicate}."))


def _boolean(text: str) -> bool:
    try:
        return _BOOLEAN.validate_python(text)
    except ValidationError:
        raise ValueError("must be true or false") from None


def _number_in(smallest: int, largest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not _DECIMAL.fullmatch(text) or not smallest <= int(text) <= largest:
            raise ValueError(f"must be a number from {smallest} to {largest}")
        return int(text)

    return parse


def _time(text: str) -> datetime:
    """Parse a time (RFC 3339) or a date, which begins at midnight. Without an offset it is UTC."""
    time = _local_time(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _when(text: str) -> When:
    """Parse a time or a date as `_time` does, but in the time zone of the user."""
    time = _local_time(text)
    return time.date() if _DATE.fullmatch(text) else time


def _local_time(text: str) -> datetime:
    """Parse a time, which is one in UTC if it has an offset, or a date."""
    try:
        if len(text) > _LONGEST_TIME:
            raise ValueError
        # A plus that was not encoded arrives as a space.
        time = datetime.fromisoformat(_OFFSET_AS_SPACE.sub(r"\1+\2", text))
        return time if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a date or a time such as 2026-12-01T16:00:00Z") from None


def _priorities(text: str) -> frozenset[Priority] | None:
    """Parse one or more priorities, separated by commas. Without any, all are asked for."""
    try:
        return frozenset(map(Priority.parse, filter(str.strip, text.split(",")))) or None
    except ValidationFailed as failure:
        raise ValueError(_predicate(failure, "Priority")) from None


def _tag_keys(text: str) -> frozenset[str] | None:
    r"""Parse one or more tags, separated by commas. A comma in a tag is written as `\,`.

    Without any, all tasks are asked for.
    """
    names = [re.sub(r"\\([\\,])", r"\1", name) for name in _TAG.findall(text) if name.strip()]
    try:
        tags = Tags.parse(names)
    except ValidationFailed as failure:
        raise ValueError(_predicate(failure, "Tag")) from None
    return frozenset(tags.keys) or None


def _predicate(failure: ValidationFailed, subject: str) -> str:
    """Return the first message of a failure without its subject."""
    return failure.errors[0].message.removeprefix(f"{subject} ").rstrip(".")


def _parent_id(text: str) -> TaskId | None:
    """Parse the id of a parent, or `none`. A number that is not an id is one that no task has."""
    if text.lower() == _NO_PARENT:
        return None
    if not _ID.fullmatch(text):
        raise ValueError(f"must be the id of a task or {_NO_PARENT}")
    return task_id_of(int(text))


def _has_parent(text: str) -> bool | None:
    """Parse a parent: no tasks that have one are asked for by `none`."""
    return False if text.lower() == _NO_PARENT else None


def _search_text(text: str) -> SearchText | None:
    """Parse a text to be searched for. One of nothing but white space asks for no search."""
    if not text.strip():
        return None
    try:
        return SearchText(text)
    except ValidationFailed as failure:
        raise ValueError(_predicate(failure, SearchText.label())) from None


def _parameter(name: str, schema: Mapping[str, Any], description: str) -> Mapping[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _list_parameter(name: str, array: Mapping[str, Any], description: str) -> Mapping[str, Any]:
    """Describe a parameter of several values, separated by commas."""
    schema = {"type": "array", **array}
    return {**_parameter(name, schema, description), "style": "form", "explode": False}


_TIME = {
    "type": "string",
    "anyOf": [{"format": "date-time"}, {"format": "date"}],
    "examples": ["2026-12-01T16:00:00Z", "2026-12-01"],
}
_TAG_NAMES = {
    "maxItems": MAX_TAGS,
    "items": {
        "type": "string",
        "maxLength": Tag.max_length,
        "pattern": LINE_PATTERN,
        "examples": ["home"],
    },
}

FILTER_PARAMETERS: Sequence[Mapping[str, Any]] = (
    _parameter(
        "status",
        {"type": "string", "enum": [*_STATUSES], "default": "all"},
        "Which tasks: all, those that are `pending` (the same as `active`), or the completed ones.",
    ),
    _parameter(
        "completed",
        {"type": "boolean"},
        "Only completed tasks (true) or only open ones (false).",
    ),
    _list_parameter(
        "priority",
        {"items": {"type": "string", "enum": [priority.label for priority in Priority]}},
        "Only tasks with this priority, or with one of several, separated by commas.",
    ),
    _list_parameter(
        "tags",
        _TAG_NAMES,
        "Only tasks with this tag, or with all of several, separated by commas. A comma in a tag is"
        " written as `\\,`, and a backslash as `\\\\`.",
    ),
    _list_parameter(
        "tags_any",
        _TAG_NAMES,
        "Only tasks with one of these tags, which are written like those of `tags`.",
    ),
    _parameter(
        "parent_id",
        {"anyOf": [{"type": "integer", "format": "int64", "minimum": 0}, {"const": _NO_PARENT}]},
        "Only the subtasks of the task with this id, or, with `none`, only tasks that are not"
        " subtasks.",
    ),
    _parameter(
        "due_after",
        _TIME,
        "Only tasks that are due at this time or later. A date means its first moment in your time"
        " zone, in which a time without an offset is, too. `due_date_from` is the same.",
    ),
    _parameter(
        "due_before",
        _TIME,
        "Only tasks that are due before this time, which is written like that of `due_after`. A"
        " task that is due on a day is due at the end of that day: for the tasks of a week, name"
        " the day after its last one. `due_date_to` is the same.",
    ),
    _parameter(
        "has_due", {"type": "boolean"}, "Only tasks with a due date (true), or without (false)."
    ),
    _parameter(
        "overdue",
        {"type": "boolean"},
        "Only open tasks that were due before now (true), or only the others (false). The response"
        " has no `ETag` then.",
    ),
    _parameter("created_after", _TIME, "Only tasks created after this time."),
    _parameter("created_before", _TIME, "Only tasks created before this time."),
    _parameter("updated_after", _TIME, "Only tasks changed after this time."),
    _parameter(
        "search",
        {"type": "string", "maxLength": SearchText.max_length, "pattern": LINE_PATTERN},
        "Only tasks whose title or description contains this text, whatever the case of its"
        " letters. No character has a special meaning. `q` is the same.",
    ),
)
"""The parameters that filter tasks, for the OpenAPI document."""

_FILTERS = tuple(parameter["name"] for parameter in FILTER_PARAMETERS)

PERMANENT: Mapping[str, Any] = _parameter(
    "permanent",
    {"type": "boolean", "default": False},
    "Delete the task without the trash, or from the trash.",
)

_LIMIT = _parameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE, "default": LONGEST_PAGE},
    "The number of tasks on a page.",
)

CHANGES_PARAMETERS: Sequence[Mapping[str, Any]] = (
    _parameter(
        "since",
        {"type": "string"},
        "Where to continue: `next` of an earlier response. Without it, all tasks are listed.",
    ),
    _LIMIT,
    _parameter(
        "wait",
        {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT_SECONDS, "default": 0},
        "For how many seconds the response may wait for a change, if there is none yet.",
    ),
)

LIST_PARAMETERS: Sequence[Mapping[str, Any]] = (
    *FILTER_PARAMETERS,
    _parameter(
        "deleted",
        {"type": "boolean", "default": False},
        "The tasks in the trash instead of the others.",
    ),
    _parameter(
        "sort",
        {"type": "string", "enum": [*_SORTS], "default": "-created_at"},
        "The order; `-` is descending. `created`, `updated` and `newest` are descending."
        " `position` is the order that the user has chosen, in which new tasks come first. Tasks"
        " without a value, such as a due date, come last in either direction. `sort_by` is the"
        " same.",
    ),
    _parameter(
        "order",
        {"type": "string", "enum": [*_ORDERS]},
        "The direction, if it differs from that of `sort`. `sort_order` is the same.",
    ),
    _LIMIT,
    _parameter("cursor", {"type": "string"}, "Where to continue, from the `Link` of a page."),
    _parameter(
        "offset",
        {"type": "integer", "minimum": 0, "maximum": LARGEST_OFFSET, "default": 0},
        "How many tasks to leave out, instead of a cursor. `skip` is the same.",
    ),
    _parameter(
        "count",
        {"type": "boolean", "default": False},
        "Whether to count all tasks that match, in `X-Total-Count`.",
    ),
)
"""The parameters, for the OpenAPI document."""
