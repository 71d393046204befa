"""Backups of a database that is written to, and their way back into a data folder."""

import asyncio
import json
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_tower.store import (
    SCHEMA,
    BackupError,
    DataFolderLocked,
    SchemaTooNew,
    SqliteStore,
    back_up,
    describe,
    engine,
    migrations,
    restore,
    upgrade_folder,
)
from control_tower.store.engine import DATABASE_NAME
from control_tower.unit import InsertMessage
from tests.contract.store.kit import Recorder, StillClock, commit, message, mission, progress, scope
from tests.contract.store.test_erasing import life

ALICE = scope(mission("m_alice", "s_alice", "alice"))


async def opened(folder: Path) -> SqliteStore:
    """Open the folder."""
    return await SqliteStore.open(
        folder,
        publish=Recorder(),
        clock=StillClock(),
        url="http://127.0.0.1:0",
        on_fatal=lambda _: None,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder."""
    return tmp_path / "data"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[SqliteStore]:
    """A store with a life in it."""
    opened_store = await opened(folder)
    await commit(opened_store, *life("alice", "violin"), drafts=[])
    yield opened_store
    await opened_store.close()


async def test_a_backup_while_everything_goes_on(
    store: SqliteStore, folder: Path, tmp_path: Path
) -> None:
    """It is one state: as many messages as events, whatever was committed meanwhile."""
    copying, turn, target = None, 0, tmp_path / "b.db"
    while copying is None or not copying.done():
        said = message(f"msg_{turn}", "s_alice", f"turn {turn} " * 50)
        await commit(store, InsertMessage(said), drafts=[progress(ALICE)])
        turn += 1
        if turn == 100:
            copying = asyncio.ensure_future(asyncio.to_thread(back_up, folder, target))
    made = await copying
    assert 100 <= made.head <= store.head
    assert (made.schema, made.epoch) == (SCHEMA, store.epoch)
    copy = sqlite3.connect(target)
    messages = copy.execute("SELECT count(*) FROM messages WHERE message_id LIKE 'msg_%'")
    assert (
        messages.fetchone()[0] - 2
        == made.head
        == copy.execute("SELECT count(*) FROM events").fetchone()[0]
    )
    copy.close()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.db", "data"]


async def test_a_backup_replaces_nothing_by_itself(
    store: SqliteStore, folder: Path, tmp_path: Path
) -> None:
    """Nor does it leave a part behind where it fails."""
    target = tmp_path / "b.db"
    target.write_text("mine")
    with pytest.raises(BackupError, match="--force"):
        back_up(folder, target)
    assert target.read_text() == "mine"
    back_up(folder, target, replace=True)
    assert describe(target).schema == SCHEMA
    for bad in (tmp_path / "no" / "b.db", tmp_path):
        with pytest.raises(BackupError):
            back_up(folder, bad, replace=True)
    with pytest.raises(BackupError, match="no database"):
        back_up(tmp_path / "empty", tmp_path / "c.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.db", "data"]


async def test_a_restore_brings_it_back_under_a_new_epoch(folder: Path, tmp_path: Path) -> None:
    """What came after the backup is gone from the folder, and kept beside it."""
    store = await opened(folder)
    await commit(store, *life("alice", "violin"), drafts=[progress(ALICE)])
    back_up(folder, tmp_path / "b.db")
    await commit(store, *life("bob", "oboe"), drafts=[progress(ALICE)])
    with pytest.raises(DataFolderLocked):
        restore(folder, tmp_path / "b.db", "new")
    await store.close()
    restored = restore(folder, tmp_path / "b.db", "new")
    assert restored.database.epoch == "new"
    assert restored.database.head == 1
    store = await opened(folder)
    assert (store.epoch, store.head) == ("new", 1)
    assert await store.session("s_bob") is None
    assert len(await store.search_messages("violin", "alice", 10, 0)) == 1
    assert await store.search_messages("oboe", None, 10, 0) == []
    assert (await commit(store, drafts=[progress(ALICE)])).offset == 2
    await store.close()
    assert restored.kept is not None
    again = restore(folder, restored.kept, "newest")
    assert again.database.head == 2
    assert again.kept is not None
    assert again.kept != restored.kept
    store = await opened(folder)
    assert await store.session("s_bob") is not None
    await store.close()
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


async def test_a_backup_of_an_older_version_is_upgraded(folder: Path, tmp_path: Path) -> None:
    """In its copy: the backup itself stays as it was."""
    old = sqlite3.connect(tmp_path / "b.db", isolation_level=None)
    migrations.upgrade(old, "0001")
    old.close()
    assert restore(folder, tmp_path / "b.db", "new").database.schema == SCHEMA
    assert describe(tmp_path / "b.db").schema == "0001"


@pytest.mark.parametrize("fault", ["text", "empty", "torn", "foreign", "newer", "missing", "wal"])
async def test_what_is_no_backup_changes_nothing(
    store: SqliteStore, folder: Path, tmp_path: Path, fault: str
) -> None:
    """The folder is as it was, and says why it is."""
    target = tmp_path / "b.db"
    back_up(folder, target)
    if fault == "text":
        target.write_text(json.dumps({"no": "database"}) * 1000)
    elif fault == "empty":
        target.write_bytes(b"")
    elif fault == "torn":
        whole = target.read_bytes()
        target.write_bytes(whole[: len(whole) // 2] + b"\xff" * (len(whole) - len(whole) // 2))
    elif fault == "missing":
        target.unlink()
    elif fault == "wal":
        target.with_name("b.db-wal").write_bytes(b"x")
    else:
        connection = sqlite3.connect(target)
        if fault == "foreign":
            connection.execute("DROP TABLE alembic_version")
        else:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        connection.close()
    await store.close()
    before = (folder / DATABASE_NAME).read_bytes()
    with pytest.raises((BackupError, SchemaTooNew)):
        restore(folder, target, "new")
    assert (folder / DATABASE_NAME).read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {DATABASE_NAME, "tower.lock"}


async def test_a_damaged_database_is_kept_and_replaced(folder: Path, tmp_path: Path) -> None:
    """WAL and all, as a killed process left them."""
    store = await opened(folder)
    await commit(store, *life("alice", "violin"), drafts=[progress(ALICE)])
    back_up(folder, tmp_path / "b.db")
    await store.close()
    (folder / DATABASE_NAME).write_bytes(b"\xff" * 8192)
    (folder / f"{DATABASE_NAME}-wal").write_bytes(b"\xee" * 4096)
    restored = restore(folder, tmp_path / "b.db", "new")
    assert restored.kept is not None
    assert restored.kept.read_bytes() == b"\xff" * 8192
    assert restored.kept.with_name(f"{restored.kept.name}-wal").exists()
    store = await opened(folder)
    assert store.head == 1
    await store.close()


async def test_a_database_that_is_being_read_is_not_replaced(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of it stands in its WAL then, which a kill in the middle would part from it."""
    monkeypatch.setattr(engine, "_BUSY_MS", 50)
    await (await opened(folder)).close()
    path, file = folder / DATABASE_NAME, tmp_path / "b.db"
    back_up(folder, file)
    reader = engine.connect_reader(path)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM meta").fetchone()
    writer = engine.connect_writer(path)
    writer.execute("UPDATE meta SET head = 7")
    writer.close()
    with pytest.raises(BackupError, match="being read"):
        restore(folder, file, "epoch-2")
    assert describe(path).head == 7
    assert not list(folder.glob("*before*")) + list(folder.glob("*restoring*"))
    reader.close()
    restore(folder, file, "epoch-2")
    assert describe(path).head == 0


async def test_an_upgrade_without_a_server(folder: Path) -> None:
    """It says what it found; again changes nothing; a live folder is left alone."""
    with pytest.raises(BackupError, match="no database"):
        upgrade_folder(folder)
    assert not folder.exists()
    await (await opened(folder)).close()
    (folder / DATABASE_NAME).unlink()
    old = sqlite3.connect(folder / DATABASE_NAME, isolation_level=None)
    migrations.upgrade(old, "0001")
    old.close()
    assert upgrade_folder(folder) == ("0001", SCHEMA)
    assert upgrade_folder(folder) == (SCHEMA, SCHEMA)
    store = await opened(folder)
    with pytest.raises(DataFolderLocked):
        upgrade_folder(folder)
    await store.close()
