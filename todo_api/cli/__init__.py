"""The `todo` command: one module for each group of commands."""

from importlib.metadata import version
from typing import Annotated

import typer

from todo_api.cli.backups import backup, restore
from todo_api.cli.check import check
from todo_api.cli.database import cleanup, downgrade, migrate
from todo_api.cli.serve import serve
from todo_api.cli.users import commands as user_commands

main = typer.Typer(
    help="A Todo backend. Settings are read from the environment and from .env.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"todo {version('todo')}")
        raise typer.Exit


@main.callback()
def options(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Take the options that belong to no command."""
    del show_version  # its callback has done all


for command in (serve, check, migrate, downgrade, cleanup, backup, restore):
    main.command()(command)
main.add_typer(user_commands, name="user")
