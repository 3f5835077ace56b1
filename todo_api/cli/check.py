"""`todo check`: what an operator must still do before the service goes live."""

from collections.abc import Iterable
from typing import Annotated

import typer

from todo_api.cli.errors import explained_errors, settings_or_exit
from todo_api.cli.findings import CHECKS, Finding, Severity, check_url
from todo_api.container import Container, close

_WIDTH = 10


def check(
    url: Annotated[
        str | None,
        typer.Option(help="The public URL of the service, to check its TLS and the proxy."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 also if there are only warnings.")
    ] = False,
) -> None:
    """Report what must be done before the service goes live, with a remedy for each problem.

    Nothing is changed, and no email is sent. Exit with 1 if there is an error.
    """
    settings = settings_or_exit()
    container = Container(settings=settings)
    found: list[Finding] = []
    with explained_errors():
        try:
            for name, run in CHECKS.items():
                found += _report(name, run(container, settings))
        finally:
            close(container)
    if url is not None:
        found += _report("url", check_url(url))
    else:
        typer.echo("not run".ljust(_WIDTH) + "url: TLS and the proxy. Give --url https://…")
    errors = sum(finding.severity is Severity.ERROR for finding in found)
    typer.echo(f"\nErrors: {errors}. Warnings: {len(found) - errors}.", err=True)
    if errors or (strict and found):
        raise typer.Exit(1)


def _report(name: str, findings: Iterable[Finding]) -> list[Finding]:
    """Print what one check finds, and return it."""
    found = list(findings)
    if not found:
        typer.echo(f"{'ok':{_WIDTH}}{name}")
    for finding in found:
        typer.echo(f"{finding.severity:{_WIDTH}}{name}: {finding.problem}")
        typer.echo(f"{'':{_WIDTH}}{finding.remedy}")
    return found
