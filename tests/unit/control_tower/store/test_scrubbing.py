"""No trace of what was erased: the bytes of the data folder are searched for it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_tower.erasure import Eraser
from control_tower.store import SqliteStore, text_index
from control_tower.store.engine import DATABASE_NAME, connect_reader
from control_tower.unit import InsertMessage
from tests.contract.store.kit import (
    Recorder,
    StillClock,
    commit,
    message,
    mission,
    progress,
    scope,
)
from tests.contract.store.test_erasing import CANARY, life, mark

CANARIES = (CANARY.encode(), b"s_alice", b"m_alice", b"msg_alice", b"i_alice")


async def opened(folder: Path) -> SqliteStore:
    """Open the folder."""
    return await SqliteStore.open(
        folder,
        publish=Recorder(),
        clock=StillClock(),
        url="http://127.0.0.1:0",
        on_fatal=lambda _: None,
    )


def traces(folder: Path) -> set[tuple[str, bytes]]:
    """Which canary is in which file."""
    return {
        (path.name, canary)
        for path in folder.iterdir()
        for canary in CANARIES
        if canary in path.read_bytes()
    }


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A store in which alice's and bob's words are mixed on every page."""
    opened_store = await opened(tmp_path)
    alice, bob = (scope(mission(f"m_{user}", f"s_{user}", user)) for user in ("alice", "bob"))
    await commit(opened_store, *life("alice", CANARY), drafts=[])
    await commit(opened_store, *life("bob", "violin"))
    for turn in range(300):
        said = message(f"msg_alice_t{turn}", "s_alice", f"{CANARY} {turn} {'la ' * 40}")
        heard = message(f"msg_bob_t{turn}", "s_bob", f"violin {turn}")
        await commit(
            opened_store,
            InsertMessage(said),
            InsertMessage(heard),
            drafts=[progress(alice, CANARY * 50), progress(bob, "violin")],
        )
    yield opened_store
    await opened_store.close()


async def test_no_byte_is_left_in_the_files(store: SqliteStore, tmp_path: Path) -> None:
    """Neither in the database, nor its index, nor the WAL, while it is open; bob's are."""
    assert {canary for _, canary in traces(tmp_path)} == set(CANARIES)
    await mark(store)
    eraser = Eraser(store, StillClock())
    await eraser.session_erased("s_alice")
    await eraser.erase_user("alice")
    await eraser.scrubbed()
    assert traces(tmp_path) == set()
    assert await store.scrubbing() is None
    assert len(await store.search_messages("violin", None, 500, 0)) == 301
    assert await store.search_messages("la", None, 10, 0) == []


async def test_scrubbing_waits_for_a_reader(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup needs the WAL; commits go on meanwhile, and the traces go when it is done."""
    monkeypatch.setattr("control_tower.erasure.RETRY_S", 0.01)
    reader = connect_reader(tmp_path / DATABASE_NAME)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    eraser = Eraser(store, StillClock())
    await eraser.erase_user("alice")
    await commit(store, drafts=[progress(scope(mission("m_bob", "s_bob", "bob")))])
    await asyncio.sleep(0.1)
    assert await store.scrubbing() is not None
    reader.execute("COMMIT")
    reader.close()
    await eraser.scrubbed()
    assert traces(tmp_path) == set()


async def test_what_is_erased_during_a_scrubbing_is_scrubbed_too(store: SqliteStore) -> None:
    """The first scrubbing's end does not cover it."""
    found = []
    for session_id in ("s_alice", "s_bob"):
        await mark(store, session_id)
        while (piece := await store.erase_next_of_session(session_id)) is not None:
            await commit(store, piece)
        found.append(await store.scrubbing())
    early, later = found
    assert early is not None
    assert later is not None
    await commit(store, early.end)
    assert await store.scrubbing() == later
    await commit(store, later.end)
    assert await store.scrubbing() is None


def test_a_merge_leaves_no_word_of_a_removed_text() -> None:
    """And what is left is found as before."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE VIRTUAL TABLE messages_text USING fts5(content, content='')")
    for number in range(200):
        text_index.add(connection, [(number, f"{CANARY} {number}" if number % 2 else "violin")])
    for number in range(1, 200, 2):
        text_index.remove(connection, number, f"{CANARY} {number}")

    def blocks() -> bytes:
        rows = connection.execute("SELECT block FROM messages_text_data").fetchall()
        return b"".join(block for (block,) in rows)

    assert CANARY[1:].encode() in blocks()
    merge, turns = text_index.Merge(), 0
    while merge.more:
        merge(connection)
        turns += 1
        assert turns < 1000
    assert CANARY[1:].encode() not in blocks()
    found = "SELECT count(*) FROM messages_text WHERE messages_text MATCH 'violin'"
    assert connection.execute(found).fetchone() == (100,)
    again = text_index.Merge()
    again(connection)
    assert not again.more
    connection.close()
