"""The schema: made by its revisions, the same as the tables, never newer than the code."""

import sqlite3
from pathlib import Path
from typing import Any, Self

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from control_tower.store import SchemaTooNew, SqliteStore, holder_of, migrations
from control_tower.store.engine import DATABASE_NAME
from control_tower.store.tables import metadata
from tests.contract.store.kit import Recorder, StillClock
from tests.unit.control_tower.store.faulty import engine_error, failing_on


def memory(connection_type: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
    """Return an empty database."""
    return sqlite3.connect(":memory:", isolation_level=None, factory=connection_type)


def test_the_newest_revision_is_the_schema() -> None:
    """``SCHEMA`` is checked without alembic at each start, so it must not fall behind."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.SCHEMA


def test_the_revisions_make_the_tables() -> None:
    """Nothing is in one and not in the other, save the full-text index and its shadows."""
    connection = memory()
    migrations.upgrade(connection)
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    with engine.connect() as wrapped:

        def ours(_: object, name: str | None, kind: str, *__: object) -> bool:
            return not (kind == "table" and str(name).startswith("messages_text"))

        context = MigrationContext.configure(
            wrapped, opts={"compare_type": True, "include_object": ours}
        )
        assert compare_metadata(context, metadata) == []
    connection.close()


def test_upgrading_twice_changes_nothing() -> None:
    """The second time alembic is not even asked."""
    connection = memory()
    assert migrations.schema_of(connection) is None
    migrations.upgrade(connection)
    before = connection.total_changes
    migrations.upgrade(connection)
    assert migrations.schema_of(connection) == migrations.SCHEMA
    assert connection.total_changes == before
    connection.close()


def test_migrations_and_the_version_are_one_transaction() -> None:
    """Cut anywhere, the database is as it was: it has all revisions or none of them."""
    statements: list[str] = []
    connection = memory()
    connection.set_trace_callback(statements.append)
    migrations.upgrade(connection)
    connection.close()
    begins = [at for at, text in enumerate(statements) if text.startswith("BEGIN")]
    commits = [at for at, text in enumerate(statements) if text.startswith("COMMIT")]
    assert {statements[at] for at in begins} == {"BEGIN IMMEDIATE"}
    assert len(commits) == len(begins) == 1
    inside = statements[begins[0] : commits[0]]
    assert any("CREATE TABLE events" in text for text in inside)
    assert any("INSERT INTO alembic_version" in text for text in inside)
    assert any(f"SET version_num='{migrations.SCHEMA}'" in text for text in inside)
    changes = [text for text in statements if text.startswith(("CREATE", "ALTER", "INSERT"))]
    assert [text for text in changes if text not in inside] == []


def test_a_migration_that_fails_leaves_nothing() -> None:
    """The driver's error comes out, the tables do not."""

    class Cut(sqlite3.Cursor):
        def execute(self, statement: str, parameters: Any = (), /) -> Self:
            if "INSERT INTO meta" in statement:
                raise engine_error(sqlite3.SQLITE_FULL)
            return super().execute(statement, parameters)

    class Failing(sqlite3.Connection):
        def cursor(self, factory: type[sqlite3.Cursor] = Cut) -> sqlite3.Cursor:  # type: ignore[override]
            return super().cursor(Cut)

    connection = memory(Failing)
    with pytest.raises(sqlite3.Error, match="injected"):
        migrations.upgrade(connection)
    tables = sqlite3.Connection.execute(connection, "SELECT name FROM sqlite_master").fetchall()
    assert tables == []
    connection.close()


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    """The error names both versions; the folder is free again for the right program."""

    async def opened() -> SqliteStore:
        return await SqliteStore.open(
            tmp_path,
            publish=Recorder(),
            clock=StillClock(),
            url="http://127.0.0.1:0",
            on_fatal=lambda _: None,
        )

    await (await opened()).close()
    connection = sqlite3.connect(tmp_path / DATABASE_NAME)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(SchemaTooNew, match=rf"9999.*{migrations.SCHEMA}"):
        await opened()
    assert holder_of(tmp_path) is None
    connection = sqlite3.connect(tmp_path / DATABASE_NAME)
    assert migrations.schema_of(connection) == "9999"
    connection.close()


async def test_an_open_that_fails_lets_go_of_the_folder(tmp_path: Path) -> None:
    """A second try finds no lock of its own making."""
    failing, _ = failing_on("PRAGMA wal_checkpoint", sqlite3.SQLITE_IOERR)
    with pytest.raises(Exception, match="injected"):
        await SqliteStore.open(
            tmp_path,
            publish=Recorder(),
            clock=StillClock(),
            url="http://127.0.0.1:0",
            on_fatal=lambda _: None,
            connection_type=failing,
        )
    assert holder_of(tmp_path) is None
