"""`tower serve`: run the server."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import structlog
import typer
import uvloop
from rich.table import Table
from typer.core import TyperCommand

from server import interpreter, logging, reloading
from server.app import create_app, package_version, running
from server.commands.terminal import err, loaded, out, plainly
from server.serving import (
    BACKLOG,
    TowerServer,
    end_for_good,
    listen,
    make_config,
    room_to_block,
    url_of,
)
from server.settings import Loaded, Settings, SettingsError, load
from server.standby import Standby

log = structlog.get_logger(__name__)


class ServeCommand(TyperCommand):
    """`tower serve --help` also shows every setting and where its value comes from."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, then the settings."""
        super().format_help(ctx, formatter)
        try:
            out.print(settings_table(load()))
        except SettingsError as error:
            err.print(str(error), markup=False)


def settings_table(found: Loaded) -> Table:
    """Return every setting with its value and where it came from."""
    table = Table(title="Settings", title_justify="left", box=None, pad_edge=False)
    for heading in ("name", "value", "from", "what"):
        table.add_column(heading, overflow="fold")
    for source in found.sources():
        style = None if source.origin == "default" else "bold"
        table.add_row(source.name, source.value, source.origin, source.description, style=style)
    return table


@plainly
def serve(
    apps: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILES or MODULES]...",
            help="Python files or modules that register agents and tools.",
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the database.")] = None,
    model: Annotated[str | None, typer.Option(help="Default model, as provider:name.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start again whenever the app changes; to develop.")
    ] = False,
    listener: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve missions over /ws and HTTP, with the chat at the printed address.

    Every option is also a setting: TOWER_HOST, TOWER_PORT and so on, in the environment or in
    tower.toml. Stop with Ctrl-C: running missions go on from where they are at the next start.
    """
    found = loaded(
        {
            "host": host,
            "port": port,
            "data_dir": data_dir,
            "model": model,
            "config": config,
            "log_level": log_level,
        }
    )
    settings = found.settings
    logging.configure(settings.log_level, settings.log_format, secrets_of(settings))
    if reload:
        supervise(found, apps or [])
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with runner, room_to_block(runner.get_loop()):
        runner.run(serve_until_stopped(settings, apps or [], listener))


def supervise(found: Loaded, apps: list[str]) -> NoReturn:
    """Run the server as a child, again whenever an app or the settings file changes."""
    settings = found.settings
    given = sys.argv[sys.argv.index("serve") + 1 :]
    places = reloading.watched([*settings.apps, *apps], found.file)
    with contextlib.closing(listen(settings.host, settings.port)) as listener:
        listener.listen(BACKLOG)
        arguments = [each for each in given if each != "--reload"]
        raise typer.Exit(reloading.Supervisor(arguments, listener, places).run())


async def serve_until_stopped(
    settings: Settings, apps: list[str], descriptor: int | None = None
) -> None:
    """Serve until a signal says otherwise; while another serves the database, stand by.

    With a ``descriptor``, on the listener of a supervisor.
    """
    if descriptor is None:
        listener = listen(settings.host, settings.port)
    else:
        listener = reloading.inherited(descriptor)
    url = url_of(settings, listener)
    standby = Standby(listener)
    try:
        async with running(
            settings,
            url=url,
            on_fatal=lambda _: end_for_good(),
            apps=apps,
            standing_by=standby.note,
        ) as tower:
            await standby.leave()
            server = TowerServer(
                make_config(create_app(tower), settings),
                tower,
                lambda: announce(url, settings),
            )
            interpreter.settle()
            await server.serve(sockets=[listener])
    except asyncio.CancelledError:
        if not standby.told_to_end:
            raise
    finally:
        listener.close()


def announce(url: str, settings: Settings) -> None:
    """Say where the server is: to people on a terminal, else to the log."""
    log.info("server.started", url=url, version=package_version(), auth=settings.auth)
    if sys.stdout.isatty():
        out.print(f"\n  Control Tower is at [bold]{url}[/bold]  (Ctrl-C stops it)\n")
    else:
        print(f"Control Tower is at {url}", flush=True)  # noqa: T201 - the one line on stdout


def secrets_of(settings: Settings) -> list[str]:
    """Return the settings' and the environment's secrets, which logs must never show."""
    secrets = [settings.jwt_secret, *settings.secrets.values()]
    own = [secret.get_secret_value() for secret in secrets if secret]
    return own + logging.secrets_of_environment(os.environ)
