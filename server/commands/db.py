"""`tower db`: the tables of a PostgreSQL database."""

import typer

from control_tower.store import DatabaseUnusable
from server.commands.terminal import loaded, out, plainly
from server.parts import postgres
from server.settings import SettingsError

db = typer.Typer(help="The tables of TOWER_DATABASE_URL.")


@db.command("upgrade")
@plainly
def upgrade() -> None:
    """Bring the tables to this version. Stop every tower and make a backup first.

    An empty database gets its tables; a server does that by itself at its first start.
    """
    settings = loaded({}).settings
    if settings.database_url is None:
        raise SettingsError(
            "TOWER_DATABASE_URL is not set; an SQLite file is upgraded when it is opened."
        )
    try:
        before, after = postgres().upgrade_tables(settings.database_url)
    except DatabaseUnusable as error:
        raise SettingsError(f"The database can't be used: {error}") from error
    said = "is at" if before == after else f"was at {before or 'nothing'} and is now at"
    out.print(f"The database {said} schema {after}.", highlight=False)
