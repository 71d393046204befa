"""The schema's history, and how a database is brought to its end.

Each revision and its version number are one ``BEGIN IMMEDIATE … COMMIT``: a process killed in the
middle leaves the schema as it was. A schema newer than the code is refused, never guessed at.
Alembic is imported only when there is something to do: it takes a quarter of a second.
"""

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import StaticPool

SCHEMA = "0002"
"""The newest revision; a test compares it with the files."""


class SchemaTooNew(Exception):
    """The database was made by a newer version of the program.

    Attributes:
        found: its revision.
    """

    def __init__(self, found: str) -> None:
        super().__init__(
            f"the database has schema {found}, this version knows only up to {SCHEMA}: "
            "run the newer version, or restore a backup made by this one"
        )
        self.found = found


def schema_of(connection: sqlite3.Connection) -> str | None:
    """Return the database's revision, or None for an empty one."""
    known = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
    ).fetchone()
    if known is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def upgrade(connection: sqlite3.Connection, revision: str = SCHEMA) -> None:
    """Bring the database to ``revision``.

    Raises:
        SchemaTooNew: when its schema is none of ours.
    """
    found = schema_of(connection)
    if found == revision:
        return
    from alembic import command  # noqa: PLC0415 - see the module's docstring
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaTooNew(found)
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    # The driver opens no transaction by itself (isolation_level=None), so each of alembic's
    # begins must; IMMEDIATE, or a second process could have begun to migrate as well.
    event.listen(engine, "begin", _begin)
    with engine.connect() as wrapped:
        config.attributes["connection"] = wrapped
        command.upgrade(config, revision)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
