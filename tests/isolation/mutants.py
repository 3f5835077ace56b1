"""Mutants of the code that isolates users: one owner condition is missing or wrong in each.

Each is a plausible mistake that would let a user read or change data of another user. The isolation
tests must detect every one of them, or they prove nothing.
"""

import ast
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("todo_core", "todo_adapters", "todo_api", "migrations", "tests", "pyproject.toml")

KILLERS = (
    "tests/isolation/test_stateful.py",
    "tests/isolation/test_isolation.py",
    "tests/isolation/test_repetition.py",
    "tests/isolation/test_subtasks.py",
    "tests/isolation/test_reminders.py",
)
SECONDS = 240

type Change = Callable[[ast.AST], ast.AST | None]
"""Return a replacement for a node, or None if there is nothing to change."""


@dataclass(frozen=True)
class Mutant:
    """A changed file, and what was changed in it."""

    file: str
    name: str
    source: str


@dataclass(frozen=True)
class Kind:
    """A kind of change, applied at every place of a file where it is possible."""

    name: str
    file: str
    change: Change


def mutants() -> Iterator[Mutant]:
    """Yield all mutants, each with one change in one place of one file."""
    for kind in KINDS:
        tree = ast.parse((ROOT / kind.file).read_text())
        places = [index for index, node in enumerate(ast.walk(tree)) if kind.change(deepcopy(node))]
        if not places:
            raise LookupError(f"there is nothing to mutate: {kind.name} in {kind.file}")
        for index in places:
            changed = deepcopy(tree)
            node = list(ast.walk(changed))[index]
            line = getattr(node, "lineno", 0)
            mutated = ast.unparse(_Replace(node, kind.change).visit(changed))
            yield Mutant(kind.file, f"{kind.name}, {kind.file}:{line}", mutated)


class _Replace(ast.NodeTransformer):
    def __init__(self, place: ast.AST, change: Change) -> None:
        self._place = place
        self._change = change

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self._place:
            return self._change(node) or node
        return super().generic_visit(node)


# Conditions in SQL


def _is_owner_condition(node: ast.AST) -> bool:
    text = ast.unparse(node)
    return text in {"_OWNED", "_DELETED_OWNED"} or (
        isinstance(node, ast.Compare)
        and re.match(r"(\w+\.c|_\w+)\.(user|owner)_id ==", text) is not None
    )


def _without_owner(node: ast.AST) -> ast.AST | None:
    """Remove the owner condition from `.where(_OWNED, …)`."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".where"):
        kept = [each for each in node.args if not _is_owner_condition(each)]
        if len(kept) < len(node.args):
            node.args = kept
            return node if kept else node.func.value  # type: ignore[attr-defined]  # an attribute
    return None


def _without_owner_in_tuple(node: ast.AST) -> ast.AST | None:
    """Remove the owner condition from `(_OWNED, _THIS_ONE)`, whose elements are conditions."""
    if isinstance(node, ast.Tuple):
        kept = [each for each in node.elts if not _is_owner_condition(each)]
        if 0 < len(kept) < len(node.elts):
            return ast.Tuple(kept, node.ctx)
    return None


def _compared_by(operator: ast.cmpop) -> Change:
    """Return a change that compares `user_id == …` by another operator."""

    def change(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.Compare) and _is_owner_condition(node):
            node.ops = [operator]
            return node
        return None

    return change


def _compared_with_itself(node: ast.AST) -> ast.AST | None:
    """Compare `user_id == user_id`, which is always true."""
    if isinstance(node, ast.Compare) and _is_owner_condition(node):
        node.comparators = [node.left]
        return node
    return None


def _or_the_task(node: ast.AST) -> ast.AST | None:
    """Combine the conditions of `.where(_OWNED, _THIS_ONE)` by OR."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".where"):
        texts = [ast.unparse(each) for each in node.args]
        if "_OWNED" in texts and "_THIS_ONE" in texts:
            rest = [each for each, text in zip(node.args, texts, strict=True) if text[0] != "_"]
            node.args = [ast.parse("_OWNED | _THIS_ONE", mode="eval").body, *rest]
            return node
    return None


# Values


def _parameter(name: str, value: str) -> Change:
    """Return a change that gives a parameter of this name another value, in any dictionary."""

    def change(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.Dict):
            for index, key in enumerate(node.keys):
                if isinstance(key, ast.Constant) and key.value == name:
                    if value not in ast.unparse(node):
                        return None
                    node.values[index] = ast.parse(value, mode="eval").body
                    return node
        return None

    return change


def _argument(name: str, value: str) -> Change:
    """Return a change that gives a keyword argument another value where it is passed on."""

    def change(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == name and ast.unparse(keyword.value) == name:
                    keyword.value = ast.parse(value, mode="eval").body
                    return node
        return None

    return change


def _also(call: str, name: str, value: str) -> Change:
    """Return a change that gives calls that begin like this one more argument."""

    def change(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.Call) and ast.unparse(node).startswith(call):
            node.keywords.append(ast.keyword(name, ast.parse(value, mode="eval").body))
            return node
        return None

    return change


# Decisions


def _never(condition: str) -> Change:
    """Return a change that makes `if condition` never true."""

    def change(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.If) and condition in ast.unparse(node.test):
            node.test = ast.Constant(value=False)
            return node
        return None

    return change


def _always(condition: str) -> Change:
    """Return a change that makes `if condition` always true."""

    def change(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == condition:
            node.test = ast.Constant(value=True)
            return node
        return None

    return change


def _in_text(old: str, new: str) -> Change:
    """Return a change that replaces a part of a string."""

    def change(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and old in node.value:
            return ast.Constant(value=node.value.replace(old, new))
        return None

    return change


def _in_condition(part: str, beside: str) -> Change:
    """Return a change that removes this part of a condition that has the other one too."""

    def change(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.BoolOp):
            texts = [ast.unparse(each) for each in node.values]
            if part in texts and beside in texts:
                del node.values[texts.index(part)]
                return node
        return None

    return change


def _instead(old: str, new: str) -> Change:
    """Return a change that replaces exactly this expression by another."""

    def change(node: ast.AST) -> ast.AST | None:
        is_assigned = isinstance(getattr(node, "ctx", None), ast.Store)
        if isinstance(node, ast.expr) and not is_assigned and ast.unparse(node) == old:
            return ast.parse(new, mode="eval").body
        return None

    return change


SQL_TASKS = "todo_adapters/sql/tasks.py"
SQL_TRASH = "todo_adapters/sql/trash.py"
SQL_TASK_CHANGES = "todo_adapters/sql/task_changes.py"
SQL_TASK_LISTS = "todo_adapters/sql/task_lists.py"
SQL_TASK_ROWS = "todo_adapters/sql/task_rows.py"
SQL_TAGS = "todo_adapters/sql/tags.py"
SQL_REMINDERS = "todo_adapters/sql/reminders.py"
SQL_DAY_REMINDERS = "todo_adapters/sql/day_reminders.py"
SQL_USERS = "todo_adapters/sql/users.py"
SQL_REVISIONS = "todo_adapters/sql/revisions.py"
CURSORS = "todo_adapters/security/cursors.py"
SQL_SESSIONS = "todo_adapters/sql/sessions.py"
SQL_KEPT = "todo_adapters/sql/kept_responses.py"
MEMORY_KEPT = "todo_adapters/in_memory/kept_responses.py"
MEMORY_TASKS = "todo_adapters/in_memory/tasks.py"
MEMORY_REMINDERS = "todo_adapters/in_memory/reminders.py"
MEMORY_USERS = "todo_adapters/in_memory/users.py"
MEMORY_SESSIONS = "todo_adapters/in_memory/sessions.py"
TASKS = "todo_core/use_cases/tasks.py"
TIME_ZONES = "todo_core/use_cases/time_zones.py"
TASK_QUERY = "todo_core/entities/task_query.py"
IDEMPOTENCY = "todo_core/use_cases/once.py"
SESSIONS = "todo_core/use_cases/sessions.py"
REVOCATION = "todo_core/use_cases/revocation.py"
AUTHENTICATION = "todo_core/use_cases/authentication.py"
ACCOUNTS = "todo_core/use_cases/accounts.py"
IDENTITIES = "todo_core/use_cases/identities.py"
WHO = "todo_api/http/dependencies.py"
BULK = "todo_core/use_cases/bulk.py"
ORDERING = "todo_core/use_cases/ordering.py"
REMINDERS = "todo_core/use_cases/reminders.py"
EDITING = "todo_core/use_cases/editing.py"
LOCKED_TASKS = "todo_core/use_cases/locked_tasks.py"
TRASH = "todo_core/use_cases/trash.py"
SUBTASKS_MIGRATION = "migrations/versions/0014_subtasks.py"
TASK = "todo_core/entities/task.py"
LIVE_EVENTS = "todo_core/use_cases/live_events.py"
WATCHERS = "todo_api/http/watchers.py"
EVENT_ROUTES = "todo_api/http/routes/events.py"
LONG_POLLS = "todo_api/http/long_polls.py"
CHANGE_ROUTES = "todo_api/http/routes/changes.py"
TASK_ROUTES = "todo_api/http/routes/tasks.py"
BULK_ROUTES = "todo_api/http/routes/bulk.py"
# Of the two statements, the one for SQLite, on which the mutants are tested.
TAGS_OF_OWNER = "json_each(tag_keys) AS each_key\n        WHERE owner_id = :owner AND"
RELATIVES_OF_OWNER = (
    "SELECT id FROM tasks WHERE owner_id = :owner AND",
    "SELECT parent_id FROM tasks WHERE owner_id = :owner AND",
)
LOCKED_ZONE = (
    "select(UserRow).with_only_columns(USERS.c.time_zone)"
    ".where(USERS.c.id == bindparam('user_id'), USERS.c.deleted_at.is_(None))"
)
MOVED_TO = "changed.time_zone, now=changed.updated_at"
OTHERS = "__import__('uuid').UUID(int=0)"

KINDS = (
    Kind("the owner's condition dropped", SQL_TASKS, _without_owner),
    Kind("the owner's condition dropped", SQL_TRASH, _without_owner),
    Kind("the owner's condition dropped", SQL_TRASH, _without_owner_in_tuple),
    Kind("the owner is not", SQL_TRASH, _compared_by(ast.NotEq())),
    Kind("the owner or any before", SQL_TRASH, _compared_by(ast.LtE())),
    Kind("the owner or any after", SQL_TRASH, _compared_by(ast.GtE())),
    Kind("the owner compared with itself", SQL_TRASH, _compared_with_itself),
    Kind("the owner's condition dropped", SQL_TASK_CHANGES, _without_owner),
    Kind("the owner compared with itself", SQL_TASK_CHANGES, _compared_with_itself),
    Kind("the owner is not", SQL_TASKS, _compared_by(ast.NotEq())),
    Kind("the owner or any before", SQL_TASKS, _compared_by(ast.LtE())),
    Kind("the owner or any after", SQL_TASKS, _compared_by(ast.GtE())),
    Kind("the owner compared with itself", SQL_TASKS, _compared_with_itself),
    Kind("the owner or the task", SQL_TASKS, _or_the_task),
    Kind("the task's id for the owner's", SQL_TASKS, _parameter("owner", "task_id")),
    Kind("a new task for nobody", SQL_TASKS, _parameter("owner", "task.id")),
    Kind("a new task for nobody", SQL_TASK_ROWS, _parameter("owner", "task.id")),
    Kind("a task of nobody", SQL_TASK_ROWS, _instead("owner_id", OTHERS)),
    *(
        Kind(f"the tags of {whose}", SQL_TAGS, _in_text(TAGS_OF_OWNER, TAGS_OF_OWNER + rest))
        for whose, rest in (
            ("everybody", " 1 OR"),
            ("nobody", " 0 AND"),
        )
    ),
    *(
        Kind(name, file, change)
        for file in (SQL_REMINDERS, SQL_DAY_REMINDERS)
        for name, change in (
            ("the owner's condition dropped", _without_owner),
            ("the owner is not", _compared_by(ast.NotEq())),
            ("the owner or any after", _compared_by(ast.GtE())),
            ("the owner compared with itself", _compared_with_itself),
        )
    ),
    # Not in the other one: of the rows that would be read too, the owner's come last.
    Kind("the owner or any before", SQL_REMINDERS, _compared_by(ast.LtE())),
    Kind("the owner's condition dropped", SQL_REMINDERS, _without_owner_in_tuple),
    Kind(
        "another's fired reminder found",
        MEMORY_REMINDERS,
        _instead(
            "each.owner_id in revisions and each.revision > revisions[each.owner_id]",
            "any(each.revision > revision for revision in revisions.values())",
        ),
    ),
    Kind(
        "another's tasks fired",
        MEMORY_REMINDERS,
        _instead(
            "sorted(((owner_id, task_id) for task_id in {*task_ids}))",
            "sorted((key for key in tasks if key[1] in task_ids))",
        ),
    ),
    Kind(
        "an email about another's task",
        REMINDERS,
        _instead("self.users.get(owner_id)", f"self.users.get({OTHERS})"),
    ),
    Kind("an email about nobody's task", REMINDERS, _argument("owner_id", OTHERS)),
    *(
        Kind(
            f"the tags of {whose}",
            SQL_TAGS,
            _in_text(TAGS_OF_OWNER, TAGS_OF_OWNER.replace(" = ", f" {operator} ")),
        )
        for whose, operator in (
            ("others", "<>"),
            ("the owner or any before", "<="),
            ("the owner or any after", ">="),
        )
    ),
    *(
        Kind(f"the time zone of {whose}", SQL_USERS, _instead(LOCKED_ZONE, changed))
        for whose, changed in (
            ("anybody", LOCKED_ZONE.replace("USERS.c.id == bindparam('user_id'), ", "")),
            ("another", LOCKED_ZONE.replace("USERS.c.id ==", "USERS.c.id !=")),
        )
    ),
    *(
        Kind(
            f"the relatives of {whose}",
            SQL_TASKS,
            _in_text(relatives, relatives.replace(" owner_id = :owner AND", other)),
        )
        for relatives in RELATIVES_OF_OWNER
        for whose, other in (
            ("everybody", " :owner = :owner AND"),
            ("others", " owner_id <> :owner AND"),
            ("the owner or any before", " owner_id <= :owner AND"),
            ("the owner or any after", " owner_id >= :owner AND"),
        )
    ),
    Kind(
        "a parent of anybody",
        SUBTASKS_MIGRATION,
        _in_text("FOREIGN KEY (owner_id, parent_id) REFERENCES tasks (owner_id, id)", "CHECK (1)"),
    ),
    *(
        Kind(
            f"the {what} of everybody",
            SQL_TASK_LISTS,
            _instead(
                "_owned(selected, columns)",
                f"selected if {condition!r} in shape.conditions else _owned(selected, columns)",
            ),
        )
        for what, condition in (
            ("subtasks of a task", "parent_id"),
            ("subtasks", "has_parent"),
            ("tasks without a parent", "has_parent not"),
        )
    ),
    Kind("the owner's condition dropped", SQL_TASK_LISTS, _without_owner),
    Kind("the owner is not", SQL_TASK_LISTS, _compared_by(ast.NotEq())),
    Kind("the owner compared with itself", SQL_TASK_LISTS, _compared_with_itself),
    Kind(
        "a search of everybody",
        SQL_TASK_LISTS,
        _instead(
            "_owned(selected, columns)",
            "selected if 'search' in shape.conditions else _owned(selected, columns)",
        ),
    ),
    Kind(
        "everybody's tasks in order",
        SQL_TASK_LISTS,
        _instead(
            "_owned(selected, columns)",
            "selected if shape.order is TaskOrder.POSITION else _owned(selected, columns)",
        ),
    ),
    Kind(
        "a cursor of any query",
        TASK_QUERY,
        _instead(
            "repr([sorted(part) if isinstance(part, frozenset) else part for part in parts])", "''"
        ),
    ),
    Kind("another's row counts", SQL_REVISIONS, _compared_with_itself),
    Kind("a cursor of anybody", CURSORS, _instead("scope.encode()", "b''")),
    Kind("any cursor", CURSORS, _never("hmac.compare_digest")),
    Kind("the owner's condition dropped", SQL_SESSIONS, _without_owner),
    Kind("the owner or any after", SQL_SESSIONS, _compared_by(ast.GtE())),
    Kind("the owner or any before", SQL_SESSIONS, _compared_by(ast.LtE())),
    Kind("the session's id for the owner's", SQL_SESSIONS, _parameter("user_id", "session_id")),
    Kind("the owner's condition dropped", SQL_KEPT, _without_owner),
    Kind("the owner is not", SQL_KEPT, _compared_by(ast.NotEq())),
    Kind("the owner compared with itself", SQL_KEPT, _compared_with_itself),
    Kind(
        "another's response replayed",
        MEMORY_KEPT,
        _instead(
            "self._store.kept_responses.get((request.user_id, request.key))",
            "next((kept for key, kept in self._store.kept_responses.items()"
            " if key[1] == request.key), None)",
        ),
    ),
    Kind(
        "another's responses count",
        MEMORY_KEPT,
        _instead(
            "self._store.kept_sizes.get(request.user_id)",
            "next(iter(self._store.kept_sizes.values()), None)",
        ),
    ),
    Kind("any request is a replay", IDEMPOTENCY, _never("kept.fingerprint")),
    Kind(
        "a key of nobody",
        BULK_ROUTES,
        _instead("idempotent_request(request, owner_id)", f"idempotent_request(request, {OTHERS})"),
    ),
    Kind(
        "a key of nobody",
        TASK_ROUTES,
        _instead(
            "respond_once(request, owner_id, write)", f"respond_once(request, {OTHERS}, write)"
        ),
    ),
    Kind(
        "a key of nobody",
        TASK_ROUTES,
        _instead(
            "respond_once(request, owner_id, write, hits=hits_of(task_ids))",
            f"respond_once(request, {OTHERS}, write, hits=hits_of(task_ids))",
        ),
    ),
    Kind(
        "another's task found",
        MEMORY_TASKS,
        _instead(
            "self._store.tasks.get((owner_id, task_id))",
            "next((each for each in self._store.tasks.values() if each.id == task_id), None)",
        ),
    ),
    Kind(
        "another's tasks listed",
        MEMORY_TASKS,
        _instead(
            "task.owner_id == owner_id and query.includes(task)",
            "query.includes(task)",
        ),
    ),
    Kind(
        "another's task locked",
        MEMORY_TASKS,
        _instead(
            "sorted((task for task in owned if task.id in named), key=lambda task: task.id)",
            "[each for each in self._store.tasks.values() if each.id in named]",
        ),
    ),
    Kind(
        "another's subtasks locked",
        MEMORY_TASKS,
        _instead(
            "task.parent_id in families",
            "any(each.id == task.id and each.parent_id in families"
            " for each in self._store.tasks.values())",
        ),
    ),
    *(
        Kind(
            "another's subtasks listed",
            MEMORY_TASKS,
            _instead(
                "task.owner_id == owner_id and query.includes(task)",
                f"(task.owner_id == owner_id or {asked}) and query.includes(task)",
            ),
        )
        for asked in ("query.parent_id is not None", "query.has_parent is not None")
    ),
    Kind(
        "another's subtasks are in the way",
        MEMORY_TASKS,
        _instead(
            "self.count(owner_id, TaskQuery(parent_id=task_id))",
            "any(each.parent_id == task_id for each in self._store.tasks.values())",
        ),
    ),
    Kind(
        "another's task as a parent",
        MEMORY_TASKS,
        _instead(
            "parent not in self._store.tasks",
            "not any(key[1] == task.parent_id for key in self._store.tasks)",
        ),
    ),
    Kind(
        "another's task was deleted with it",
        MEMORY_TASKS,
        _in_condition("deleted.task.owner_id == owner_id", "deleted.expires_at == expires_at"),
    ),
    Kind(
        "another's parent was deleted with it",
        MEMORY_TASKS,
        _instead(
            "deleted.expires_at == expires_at",
            "any(deleted.expires_at == each.expires_at"
            " for key, each in self._store.deleted_tasks.items() if key[1] == task_id)",
        ),
    ),
    Kind(
        "another's tasks found by a search",
        MEMORY_TASKS,
        _instead(
            "task.owner_id == owner_id and query.includes(task)",
            "(task.owner_id == owner_id or query.search) and query.includes(task)",
        ),
    ),
    Kind(
        "everybody's tasks in order",
        MEMORY_TASKS,
        _instead(
            "task.owner_id == owner_id and query.includes(task)",
            "(task.owner_id == owner_id or query.order == 'position') and query.includes(task)",
        ),
    ),
    Kind("the tags of everybody", MEMORY_TASKS, _always("task.owner_id == owner_id")),
    *(
        Kind(
            "another's days moved",
            MEMORY_TASKS,
            _instead(f"[key for key in {table} if key[0] == owner_id]", f"[*{table}]"),
        )
        for table in ("tasks", "deleted_tasks")
    ),
    Kind(
        "another's time zone",
        MEMORY_USERS,
        _instead("self.get(user_id)", "[*self._store.users.values()][-1]"),
    ),
    Kind(
        "another's task restored",
        MEMORY_TASKS,
        _instead(
            "self._store.deleted_tasks.get((owner_id, task_id))",
            "next((each for key, each in self._store.deleted_tasks.items() if key[1] == task_id),"
            " None)",
        ),
    ),
    Kind(
        "another's deletions listed",
        MEMORY_TASKS,
        _instead(
            "[Change(key[1], deleted.revision, None)"
            " for key, deleted in self._store.deleted_tasks.items() if key[0] == owner_id]",
            "[Change(key[1], deleted.revision, None)"
            " for key, deleted in self._store.deleted_tasks.items()]",
        ),
    ),
    Kind(
        "another's session ended",
        MEMORY_SESSIONS,
        _instead("session is None or session.user_id != user_id", "session is None"),
    ),
    Kind(
        "another's sessions listed",
        MEMORY_SESSIONS,
        _instead(
            "[each for each in self._store.sessions.values() if each.user_id == user_id]",
            "[*self._store.sessions.values()]",
        ),
    ),
    Kind("nobody for the owner", TASKS, _argument("owner_id", OTHERS)),
    *(
        Kind("nobody's time zone", file, _instead(f"zone_of(owner_id, {users})", zone))
        for file, users, zone in (
            (TASKS, "work.users", f"zone_of({OTHERS}, work.users)"),
            (BULK, "work.users", f"zone_of({OTHERS}, work.users)"),
            (EDITING, "work.users", f"zone_of({OTHERS}, work.users)"),
            (TRASH, "work.users", f"zone_of({OTHERS}, work.users)"),
            (TIME_ZONES, "self.users", f"zone_of({OTHERS}, self.users)"),
        )
    ),
    Kind(
        "nobody's tags",
        TASKS,
        _instead(
            "self.tasks.tag_counts(owner_id, limit=MOST_TAGS)",
            f"self.tasks.tag_counts({OTHERS}, limit=MOST_TAGS)",
        ),
    ),
    Kind(
        "nobody's overdue tasks",
        TASKS,
        _instead("self.tasks.count(owner_id, overdue)", f"self.tasks.count({OTHERS}, overdue)"),
    ),
    Kind(
        "nobody's days moved",
        ACCOUNTS,
        _instead(
            f"work.tasks.move_due_days(user.id, {MOVED_TO})",
            f"work.tasks.move_due_days({OTHERS}, {MOVED_TO})",
        ),
    ),
    Kind("nobody for the owner", BULK, _argument("owner_id", OTHERS)),
    Kind("nobody for the owner", ORDERING, _argument("owner_id", OTHERS)),
    *(
        Kind("nobody's tasks in order", ORDERING, _instead(owner, OTHERS))
        for owner in ("other.owner_id", "task.owner_id")
    ),
    Kind(
        "nobody's tasks in order",
        ORDERING,
        _instead(
            "tasks.page(owner_id, _IN_ORDER, limit=LONGEST_PAGE, after=after)",
            f"tasks.page({OTHERS}, _IN_ORDER, limit=LONGEST_PAGE, after=after)",
        ),
    ),
    Kind(
        "nobody's tasks in order",
        ORDERING,
        _instead("_all_in_order(work.tasks, owner_id)", f"_all_in_order(work.tasks, {OTHERS})"),
    ),
    Kind(
        "nobody's tasks placed",
        ORDERING,
        _instead(
            "_place(work.tasks, owner_id, positions, self.clock)",
            f"_place(work.tasks, {OTHERS}, positions, self.clock)",
        ),
    ),
    Kind("an order without another's task", ORDERING, _never("len(found) != len(task_ids)")),
    Kind("nobody for the owner", EDITING, _argument("owner_id", OTHERS)),
    Kind("nobody's subtasks", EDITING, _instead("(tasks, task.owner_id)", f"(tasks, {OTHERS})")),
    Kind("nobody's families locked", LOCKED_TASKS, _instead("self._owner_id", OTHERS)),
    Kind("nobody for the owner", TRASH, _argument("owner_id", OTHERS)),
    *(
        Kind(
            "nobody's families locked",
            file,
            _instead(
                f"LockedTasks({tasks}, owner_id, {rest})", f"LockedTasks({tasks}, {OTHERS}, {rest})"
            ),
        )
        for file, tasks, rest in (
            (TASKS, "work.tasks", "[parent_id]"),
            (TRASH, "work.tasks", "[former_id]"),
            (TRASH, "work.tasks", "[task_id], families_of=[task_id]"),
            (BULK, "work.tasks", "named, families_of=families"),
            (BULK, "work.tasks", "ids, families_of=ids"),
        )
    ),
    Kind("a successor of nobody", TASK, _also("replace(self, id=id, ", "owner_id", OTHERS)),
    Kind("nobody for the owner", TASK_ROUTES, _argument("owner_id", OTHERS)),
    Kind("nobody for the owner", BULK_ROUTES, _argument("owner_id", OTHERS)),
    Kind("changes of nobody's tasks", CHANGE_ROUTES, _instead("caller.user_id", OTHERS)),
    Kind("a revoked session's wait", LONG_POLLS, _never("watchers.has_valid_session(poll)")),
    Kind("sessions of nobody", SESSIONS, _argument("user_id", OTHERS)),
    Kind("sessions of nobody", REVOCATION, _argument("user_id", OTHERS)),
    Kind("an ended session goes on", AUTHENTICATION, _never("in self.revoked_sessions")),
    Kind(
        "the address is not looked at", WHO, _instead("not _is_their_name(caller, named)", "False")
    ),
    Kind(
        "the query is not looked at",
        WHO,
        _instead("not _is_their_name(caller, url_user_ids[0])", "False"),
    ),
    Kind(
        "the usual query may name anybody",
        WHO,
        _instead(
            "request.scope['query_string'] == b'url_user_id=%b' % str(caller.user_id).encode()",
            "request.scope['query_string'].startswith(b'url_user_id=')",
        ),
    ),
    Kind(
        "any name is theirs",
        WHO,
        _instead("text.lower() == str(caller.user_id) or text == caller.alias", "True"),
    ),
    Kind("a ticket under any name", LIVE_EVENTS, _instead("f'{value} {name}'", "value")),
    Kind("a revoked session's ticket", LIVE_EVENTS, _never("in self.revoked_sessions")),
    Kind("a stream of nobody's tasks", EVENT_ROUTES, _instead("caller.user_id", OTHERS)),
    Kind(
        "everybody is told",
        WATCHERS,
        _instead(
            "self._watchers.get(owner_id, ())",
            "[watcher for each in self._watchers.values() for watcher in each]",
        ),
    ),
    Kind(
        "everybody is reminded",
        WATCHERS,
        _instead(
            "fired.get(owner_id, ())", "[each for several in fired.values() for each in several]"
        ),
    ),
    Kind("a subject may be another's id", IDENTITIES, _never("self._exists(user_id)")),
    Kind(
        "a deleted account's sessions go on",
        ACCOUNTS,
        _instead("self.revoke_sessions.everywhere(work, user.id, issued_until=issued_until)", "()"),
    ),
)


@contextmanager
def copied() -> Iterator[Path]:
    """Copy the project into a temporary folder, to be mutated."""
    with tempfile.TemporaryDirectory(prefix="todo-mutant-") as folder:
        copy = Path(folder)
        ignored = shutil.ignore_patterns("__pycache__", "node_modules", "todo-data")
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, copy / name)
        yield copy


def survives(mutant: Mutant | None, copy: Path) -> bool:
    """Return whether the isolation tests pass although the project is mutated.

    Without a mutant, return whether they pass in an unchanged copy.

    Raises:
        RuntimeError: if they did not run.
    """
    original = None
    if mutant is not None:
        original = (copy / mutant.file).read_text()
        (copy / mutant.file).write_text(mutant.source)
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-B", "-m", "pytest", "-q", "-x", "--no-header"),
                *("-p", "no:cacheprovider", "-m", "not live and not proof"),
                *("-k", "not postgresql", *KILLERS),
            ],
            cwd=copy,
            env={
                "PATH": "",
                "PYTHONPATH": str(copy),
                "HOME": str(copy),
                "HYPOTHESIS_NO_SHRINKING": "1",
            },
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    finally:
        if mutant is not None and original is not None:
            (copy / mutant.file).write_text(original)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stdout[-3000:] + done.stderr[-3000:])
    return done.returncode == 0
