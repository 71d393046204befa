"""`tower serve` and `tower worker`: run a server."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table
from typer.core import TyperCommand

from server.commands.launch import Launch
from server.commands.terminal import err, out, plainly
from server.role import Role
from server.settings import Loaded, SettingsError, load

MAX_PROCESSES = 64

Apps = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILES or MODULES]...",
        help="Python files or modules that register agents and tools.",
    ),
]
Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")]
Folder = Annotated[Path | None, typer.Option(help="Folder of the database.")]
Model = Annotated[str | None, typer.Option(help="Default model, as provider:name.")]
Config = Annotated[Path | None, typer.Option(help="Settings file.")]
LogLevel = Annotated[str | None, typer.Option(help="debug, info, warning or error.")]
Count = Annotated[
    int,
    typer.Option(
        min=1,
        max=MAX_PROCESSES,
        help="So many nodes on this machine, on one port; needs a shared database and bus.",
    ),
]
TetherOption = Annotated[int | None, typer.Option(hidden=True)]


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
    apps: Apps = None,
    host: Host = None,
    port: Port = None,
    data_dir: Folder = None,
    model: Model = None,
    config: Config = None,
    log_level: LogLevel = None,
    role: Annotated[
        Literal["all", "web"],
        typer.Option(help="all: web and missions; web: missions run on other nodes."),
    ] = "all",
    processes: Count = 1,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start again whenever the app changes; to develop.")
    ] = False,
    supervised: Annotated[int | None, typer.Option(hidden=True)] = None,
    tether: TetherOption = None,
) -> None:
    """Serve missions over /ws and HTTP, with the chat at the printed address.

    Every option that is a setting has a name for the environment and tower.toml, too: TOWER_HOST,
    TOWER_PORT and so on. Stop with Ctrl-C: running missions go on from where they are at the next
    start, or on another node.
    """
    given = _given(host, port, data_dir, model, config, log_level)
    Launch(Role(role), apps or [], given, reload, processes, supervised, tether).run()


@plainly
def worker(
    apps: Apps = None,
    host: Host = None,
    port: Port = None,
    data_dir: Folder = None,
    model: Model = None,
    config: Config = None,
    log_level: LogLevel = None,
    processes: Count = 1,
    tether: TetherOption = None,
) -> None:
    """Run missions that come in at other nodes over the same database.

    Its HTTP has what a supervisor asks (/health, /ready, /metrics), and nothing else. It needs
    TOWER_DATABASE_URL and TOWER_REDIS_URL; settings are those of serve.
    """
    given = _given(host, port, data_dir, model, config, log_level)
    Launch(Role.WORKER, apps or [], given, processes=processes, tether=tether).run()


def _given(
    host: str | None,
    port: int | None,
    data_dir: Path | None,
    model: str | None,
    config: Path | None,
    log_level: str | None,
) -> dict[str, object]:
    return {
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "model": model,
        "config": config,
        "log_level": log_level,
    }
