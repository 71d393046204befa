"""`tower db`: the tables of the database, whichever it is."""

import typer

from control_tower.store import (
    SCHEMA,
    BackupError,
    DatabaseUnusable,
    describe,
    holder_of,
    upgrade_folder,
)
from control_tower.store.engine import DATABASE_NAME
from server.commands.backup import described_json
from server.commands.listing import AsJson, DataDir, show_json
from server.commands.own_store import sqlite_folder
from server.commands.terminal import fail, loaded, out, plainly
from server.parts import postgres
from server.settings import Settings, SettingsError

db = typer.Typer(
    help="The tables of the database: which schema they have, and bringing it up to date.",
    no_args_is_help=True,
)


@db.command("status")
@plainly
def status(json: AsJson = False, data_dir: DataDir = None) -> None:
    """Say which schema the SQLite file has, which this version knows, and who serves it.

    Ends with 1 if the schema is not this version's.
    """
    folder = sqlite_folder(loaded({"data_dir": data_dir}).settings)
    try:
        found = describe(folder / DATABASE_NAME)
    except BackupError as error:
        fail(f"{error}.")
    holder = holder_of(folder)
    served_at = None if holder is None else holder.url
    if json:
        show_json(described_json(found) | {"known_schema": SCHEMA, "served_at": served_at})
    else:
        lines = (
            f"database  {found.path}  {found.size_bytes / 2**20:.1f} MiB",
            f"schema    {found.schema or 'none yet'}, this version knows {SCHEMA}",
            f"log       {found.head} events, whole from {found.floor} on, epoch {found.epoch}",
            f"server    {served_at or 'none runs'}",
        )
        out.print("\n".join(lines), markup=False, highlight=False)
    if found.schema != SCHEMA:
        raise typer.Exit(1)


@db.command("upgrade")
@plainly
def upgrade(data_dir: DataDir = None) -> None:
    """Bring the tables to this version. Stop every tower and make a backup first.

    An empty database gets its tables. A server does that by itself at its first start, and also
    upgrades an SQLite file whenever it opens one.
    """
    before, after = _upgraded(loaded({"data_dir": data_dir}).settings)
    said = "is at" if before == after else f"was at {before or 'nothing'} and is now at"
    out.print(f"The database {said} schema {after}.", highlight=False)


def _upgraded(settings: Settings) -> tuple[str | None, str]:
    if settings.database_url is None:
        try:
            return upgrade_folder(settings.data_dir)
        except BackupError as error:
            fail(f"{error}.")
    try:
        before, after = postgres().upgrade_tables(settings.database_url)
    except DatabaseUnusable as error:
        raise SettingsError(f"The database can't be used: {error}") from error
    return before, after
