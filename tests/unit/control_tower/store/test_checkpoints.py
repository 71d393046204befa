"""When the writer moves the WAL into the database, and that only the writer does."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from control_tower.store import SqliteStore, writer
from control_tower.store.engine import DATABASE_NAME, checkpoint, connect_reader, connect_writer
from tests.contract.store.kit import Recorder, StillClock, commit, joined
from tests.unit.control_tower.store.faulty import FaultyConnection


def watched() -> tuple[type[FaultyConnection], list[tuple[str, str]]]:
    """Return a connection type that notes its checkpoints and the threads that made them."""
    seen: list[tuple[str, str]] = []

    class Watched(FaultyConnection):
        pass

    def note(statement: str) -> None:
        if "checkpoint(" in statement:
            mode = statement.partition("(")[2].rstrip(")")
            seen.append((mode, threading.current_thread().name))

    Watched.fault = staticmethod(note)
    return Watched, seen


async def opened(folder: Path, connection_type: type[sqlite3.Connection]) -> SqliteStore:
    """Open a store."""
    return await SqliteStore.open(
        folder,
        publish=Recorder(),
        clock=StillClock(),
        url="http://127.0.0.1:0",
        on_fatal=lambda _: None,
        connection_type=connection_type,
    )


async def test_the_wal_is_moved_at_start_in_idle_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At start before anything is served; in idle once, not again and again."""
    monkeypatch.setattr(writer, "_IDLE_S", 0.01)
    connection_type, seen = watched()
    store = await opened(tmp_path, connection_type)
    assert [mode for mode, _ in seen] == ["TRUNCATE"]
    await commit(store, drafts=[joined()])
    while len(seen) < 2:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert seen[1:] == [("PASSIVE", "tower-writer")]
    await commit(store, drafts=[joined()])
    await store.close()
    assert [mode for mode, _ in seen[-1:]] == ["TRUNCATE"]
    assert not (tmp_path / f"{DATABASE_NAME}-wal").exists()


@pytest.mark.parametrize(
    ("setting", "mode"),
    [
        ("_CHECKPOINT_EVENTS", "PASSIVE"),
        ("_WAL_LARGE_BYTES", "PASSIVE"),
        ("_WAL_LIMIT_BYTES", "RESTART"),
    ],
)
async def test_a_large_wal_is_moved_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, mode: str
) -> None:
    """By the number of events or by its size; beyond a limit readers are waited for."""
    monkeypatch.setattr(writer, setting, 1)
    connection_type, seen = watched()
    store = await opened(tmp_path, connection_type)
    await commit(store, drafts=[joined(), joined()])
    await store.close()
    assert (mode, "tower-writer") in seen


async def test_the_wal_stays_small_under_load(tmp_path: Path) -> None:
    """However much is written, readers or not."""
    store = await opened(tmp_path, sqlite3.Connection)
    largest = 0
    for turn in range(40):
        await commit(store, drafts=[joined()] * 500)
        page = await store.read(["system"], turn * 500, store.head)
        assert len(page.events) == 500
        largest = max(largest, (tmp_path / f"{DATABASE_NAME}-wal").stat().st_size)
    await store.close()
    assert largest < 16 << 20


def test_readers_neither_write_nor_move_the_wal(tmp_path: Path) -> None:
    """What two connections may not do at once, one of them can't do at all."""
    path = tmp_path / "t.db"
    owner = connect_writer(path)
    owner.execute("CREATE TABLE t (x)")
    reader = connect_reader(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("INSERT INTO t VALUES (1)")
    assert reader.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
    wal = path.with_name("t.db-wal")
    held = wal.stat().st_size
    assert held > 0
    reader.close()
    assert wal.stat().st_size == held
    assert checkpoint(owner, "TRUNCATE")
    assert wal.stat().st_size == 0
    owner.close()


def test_every_commit_is_synced(tmp_path: Path) -> None:
    """FULL, in WAL mode, and no transaction that the driver opens by itself."""
    owner = connect_writer(tmp_path / "t.db")
    assert owner.execute("PRAGMA synchronous").fetchone() == (2,)
    assert owner.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert owner.isolation_level is None
    owner.close()
