"""The `todo` command: one module for each group of commands."""

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
for command in (serve, check, migrate, downgrade, cleanup, backup, restore):
    main.command()(command)
main.add_typer(user_commands, name="user")
