"""The schema's history, and how a database is brought to its end.

All revisions that a database lacks and its new version number are one transaction (SQLite:
``BEGIN IMMEDIATE … COMMIT``; PostgreSQL: under a lock that only one migrating process has). A
process killed in the middle leaves the schema as it was, and an empty database empty: it must not
wait for an operator's ``tower db upgrade`` because the first start was cut short. A schema newer
than the code is refused, never guessed at. Alembic is imported only when there is something to do:
it takes a quarter of a second.
"""

import secrets
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection as EngineConnection
from sqlalchemy import Engine, bindparam, create_engine, event, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from control_tower.store.statements import Connection, Query, engine_of
from control_tower.store.tables import meta

_BAPTISE = Query(update(meta).where(meta.c.epoch == "").values(epoch=bindparam("new_epoch")))
_KNOWN = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'",
    "postgresql": "SELECT 1 FROM pg_tables WHERE schemaname = current_schema()"
    " AND tablename = 'alembic_version'",
}
_MIGRATING = 0x746F776572
"""Of PostgreSQL's advisory lock: ``tower``."""

SCHEMA = "0004"
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


def schema_of(connection: Connection) -> str | None:
    """Return the database's revision, or None for an empty one."""
    if connection.execute(_KNOWN[engine_of(connection)]).fetchone() is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def prepare(connection: sqlite3.Connection, epoch: str) -> None:
    """Bring an SQLite database to the code's schema, and name its history."""
    upgrade(connection)
    baptise(connection, epoch)


def new_epoch(now: float) -> str:
    """Return an epoch that no history has: it begins with the time, for people who compare two."""
    return f"{int(now):x}-{secrets.token_hex(4)}"


def baptise(connection: Connection, epoch: str) -> None:
    """Give a new database ``epoch`` as its epoch; one that has one keeps it."""
    _BAPTISE.run(connection, new_epoch=epoch)


def upgrade(connection: sqlite3.Connection, revision: str = SCHEMA) -> None:
    """Bring an SQLite database to ``revision``.

    Raises:
        SchemaTooNew: when its schema is none of ours.
    """
    found = schema_of(connection)
    if found == revision:
        return
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    # The driver opens no transaction by itself (isolation_level=None), so each of alembic's
    # begins must; IMMEDIATE, or a second process could have begun to migrate as well.
    event.listen(engine, "begin", _begin)
    _migrate(engine, found, revision)


def upgrade_server(connection: Connection, driver: Any, revision: str = SCHEMA) -> None:
    """Bring a PostgreSQL database to ``revision``.

    ``connection`` keeps others from migrating meanwhile; ``driver`` is a psycopg connection of its
    own, which alembic's transactions are made on.

    Raises:
        SchemaTooNew: when its schema is none of ours.
    """
    connection.execute("SELECT pg_advisory_lock(%s)", (_MIGRATING,))
    try:
        found = schema_of(connection)
        if found != revision:
            engine = create_engine(
                "postgresql+psycopg://", creator=lambda: driver, poolclass=StaticPool
            )
            _migrate(engine, found, revision)
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_MIGRATING,))


def _migrate(engine: Engine, found: str | None, revision: str) -> None:
    from alembic import command  # noqa: PLC0415 - see the module's docstring
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaTooNew(found)
    try:
        with engine.connect() as wrapped:
            config.attributes["connection"] = wrapped
            command.upgrade(config, revision)
    except DBAPIError as error:
        if error.orig is None:
            raise
        raise error.orig from error  # what it means is known of the driver's own errors


def _begin(connection: EngineConnection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
