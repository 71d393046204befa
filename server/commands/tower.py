"""The command line: `tower`, or `python -m server`. Without arguments it serves."""

from typing import Annotated

import typer

from server.app import package_version
from server.commands import missions, sessions
from server.commands.approve import approve
from server.commands.backup import backup, restore
from server.commands.db import db
from server.commands.doctor import doctor
from server.commands.erase import erase
from server.commands.keys import keys
from server.commands.new import new
from server.commands.run import run
from server.commands.serve import ServeCommand, serve, worker
from server.commands.top import top
from server.commands.watch import watch

app = typer.Typer(
    name="tower",
    help="Run agent missions and show every step of them live. Without a command: serve.",
    epilog="Ends with 0 when done, 1 when not (standard error says why), 2 when the command line "
    "is wrong, 3 when a mission waits for an answer, 130 after Ctrl-C.",
    no_args_is_help=False,
    invoke_without_command=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"control-tower {package_version()}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and end."
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        serve()


app.command(cls=ServeCommand)(serve)
app.command(cls=ServeCommand)(worker)
app.command()(new)
app.command()(run)
app.add_typer(missions.group, name="missions")
app.command()(approve)
app.command()(missions.cancel)
app.add_typer(sessions.group, name="sessions")
app.command()(watch)
app.command()(top)
app.command()(doctor)
app.add_typer(keys, name="keys")
app.add_typer(db, name="db")
app.command()(erase)
app.command()(backup)
app.command()(restore)
