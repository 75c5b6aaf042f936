"""`python -m services.portal web | provider | erase-file | hash`."""

import asyncio
import getpass
import sys
from typing import Annotated

import argon2
import typer
import uvicorn

# ruff: noqa: PLC0415 - each process holds only what it is: the provider is up in half the time

commands = typer.Typer(add_completion=False, no_args_is_help=True)


@commands.command()
def web() -> None:
    """Run the web application; settings come from HOUQIN_* variables."""
    from services.portal.settings import Settings
    from services.portal.web import application
    from shared import observe

    settings = Settings()
    observe.configure("portal", settings.trace_share, settings.log_level)
    uvicorn.run(
        application(settings), host=settings.host, port=settings.port, log_level="warning",
        access_log=False, timeout_graceful_shutdown=3,
    )  # fmt: skip


@commands.command()
def provider() -> None:
    """Run the OpenID provider; settings come from HOUQIN_* variables."""
    from services.portal.grants import Settings
    from services.portal.provider import create_app

    settings = Settings()
    app = create_app(settings)
    uvicorn.run(app, host=settings.host, port=settings.port, log_level="warning")


@commands.command("erase-file")
def erase_file(
    sha256: Annotated[str, typer.Argument(help="the file's name")],
    why: Annotated[str, typer.Option(help="on whose request, by which rule; no names of persons")],
) -> None:
    """Destroy a stored file for good; settings as for `web`. Fails if there is none."""
    from services.portal.files.ledger import erase
    from services.portal.settings import Settings

    if not asyncio.run(erase(Settings(), sha256, why)):
        typer.echo("没有这个文件，或已删除 · no such file, or already gone", err=True)
        raise typer.Exit(1)


@commands.command("hash")
def hash_password(
    password: Annotated[str, typer.Option(help="asked for if not given")] = "",
) -> None:
    """Print the line of the accounts file for a password."""
    given = password or (getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().strip())
    typer.echo(f'argon2 = "{argon2.PasswordHasher().hash(given)}"')


commands()
