"""`todo user`: the commands with which an operator manages accounts.

They run the use cases of `Administration` in this process, on the database of the service, which
need not be running. Every change is recorded in the security log.
"""

import json
import os
import pwd
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, NoReturn

import typer

from todo_api.cli.errors import exit_with, explained_errors, require_newest_schema, settings_or_exit
from todo_api.container import Container, close
from todo_api.runtime.logging import configure_logs
from todo_api.settings import Settings
from todo_core.entities.user import User
from todo_core.errors import EditConflict, EmailTaken, UserNotFound, ValidationFailed
from todo_core.use_cases.administration import Administration

commands = typer.Typer(help="Manage accounts.", no_args_is_help=True)

_UserArgument = Annotated[str, typer.Argument(metavar="USER", help="The email or id of the user.")]
_PasswordStdin = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from the first line of the input."),
]
_NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Return before all processes refuse the sessions.")
]


@commands.command("list")
def list_users(
    email: Annotated[str, typer.Option(help="List users whose email contains this.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="The maximum number of users.")] = 50,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each user.")
    ] = False,
) -> None:
    """List users, the most recently created first."""
    with _administration() as administration:
        found = administration.list_users(email_part=email, limit=limit + 1)
    shown = found[:limit]
    if as_json:
        for user in shown:
            typer.echo(json.dumps(_as_json(user)))
    else:
        for line in _table(shown):
            typer.echo(line)
    if len(found) > limit:
        typer.echo(f"There are more than {limit} users: raise --limit or use --email.", err=True)


@commands.command("create")
def create_user(
    email: Annotated[str, typer.Option(help="The email, with which the user logs in.")],
    name: Annotated[str, typer.Option(help="The name of the user.")],
    password_stdin: _PasswordStdin = False,
) -> None:
    """Create an account, also while registration is closed. Print its id."""
    password = _read_password(from_stdin=password_stdin)
    with _administration() as administration:
        user = administration.create_user(name=name, email=email, password=password)
    typer.echo(str(user.id))


@commands.command("set-password")
def set_password(
    user: _UserArgument, password_stdin: _PasswordStdin = False, no_wait: _NoWait = False
) -> None:
    """Set the password of a user, revoke their sessions, and notify them by email."""
    password = _read_password(from_stdin=password_stdin)
    with _administration() as administration:
        found = administration.find_user(user)
        administration.set_password(user_id=found.id, new_password=password)
    typer.echo(f"The password of {_label(found)} was set.", err=True)
    _wait_for_processes(no_wait=no_wait)


@commands.command("revoke-sessions")
def revoke_sessions(user: _UserArgument, no_wait: _NoWait = False) -> None:
    """Revoke all sessions of a user."""
    with _administration() as administration:
        found = administration.find_user(user)
        revoked = administration.revoke_user_sessions(user_id=found.id)
    typer.echo(f"Sessions of {_label(found)} that were revoked: {revoked}.", err=True)
    _wait_for_processes(no_wait=no_wait)


@commands.command("disable")
def disable_user(user: _UserArgument, no_wait: _NoWait = False) -> None:
    """Disable an account and revoke its sessions. Nothing is deleted."""
    with _administration() as administration:
        found = administration.disable_user(user_id=administration.find_user(user).id)
    typer.echo(f"The account of {_label(found)} is disabled.", err=True)
    _wait_for_processes(no_wait=no_wait)


@commands.command("enable")
def enable_user(user: _UserArgument) -> None:
    """Enable a disabled account. Its user has to log in again."""
    with _administration() as administration:
        found = administration.enable_user(user_id=administration.find_user(user).id)
    typer.echo(f"The account of {_label(found)} is enabled.", err=True)


@commands.command("delete")
def delete_user(
    user: _UserArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    no_wait: _NoWait = False,
) -> None:
    """Permanently delete an account and all of its data."""
    with _administration() as administration:
        found = administration.find_user(user)
        if not yes and not _is_confirmed(found):
            exit_with("Nothing was deleted.")
        administration.delete_user(user_id=found.id)
    typer.echo(f"The account of {_label(found)} was deleted.", err=True)
    _wait_for_processes(no_wait=no_wait)


@contextmanager
def _administration() -> Iterator[Administration]:
    """Open the database, and exit with a clear message if a use case fails."""
    settings = settings_or_exit()
    configure_logs(settings, operator=_operator())
    with explained_errors(), _container(settings) as container:
        require_newest_schema(container)
        try:
            yield container.application().administration
        except UserNotFound:
            exit_with("There is no user with this email or id.")
        except EmailTaken:
            exit_with("Another account has this email.")
        except ValidationFailed as failure:
            exit_with("\n".join(error.message for error in failure.errors))
        except EditConflict:
            exit_with("The account was changed at the same time. Try again.")


@contextmanager
def _container(settings: Settings) -> Iterator[Container]:
    container = Container(settings=settings)
    try:
        yield container
    finally:
        close(container)  # emails that were accepted are sent first


def _operator() -> str:
    """Return the name of the operating system's user, for the security log.

    The environment is not asked, since anybody can set it, except for root, who may do all.
    """
    user_id = os.getuid()
    if user_id == 0 and (name := os.environ.get("SUDO_USER")):
        return name
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:  # in a container, the id may have no name
        return str(user_id)


def _read_password(*, from_stdin: bool) -> str:
    """Read the password without showing it. As an argument, other users could see it."""
    if from_stdin:
        return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        _require_terminal("--password-stdin")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _is_confirmed(user: User) -> bool:
    if not sys.stdin.isatty():
        _require_terminal("--yes")
    return typer.confirm(
        f"Permanently delete the account of {_label(user)} and all of its data?", err=True
    )


def _require_terminal(option: str) -> NoReturn:
    exit_with(f"The input is not a terminal: use {option}.")


def _wait_for_processes(*, no_wait: bool) -> None:
    """Wait until every process of the service has noticed which sessions were revoked."""
    if no_wait:
        return
    seconds = settings_or_exit().session_check_interval.total_seconds()
    typer.echo(f"Waiting for {seconds:g} s, until all processes refuse the sessions.", err=True)
    time.sleep(seconds)


def _label(user: User) -> str:
    return user.email or str(user.id)


def _as_json(user: User) -> dict[str, str | None]:
    return {
        "id": str(user.id),
        "email": None if user.email is None else str(user.email),
        "name": str(user.name),
        "created_at": _timestamp(user.created_at),
        "disabled_at": None if user.disabled_at is None else _timestamp(user.disabled_at),
    }


def _timestamp(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _table(users: Sequence[User]) -> Iterator[str]:
    rows = [("ID", "CREATED", "STATE", "EMAIL", "NAME")]
    rows += [
        (
            str(user.id),
            _timestamp(user.created_at),
            "disabled" if user.is_disabled else "active",
            user.email or "-",
            user.name,
        )
        for user in users
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
