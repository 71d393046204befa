"""What the disk may do to the writer, and what becomes of the units."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from control_tower.store import SqliteStore, writer
from control_tower.store.database import DatabaseBroken
from control_tower.unit import (
    Commit,
    GuardFailed,
    InsertSession,
    SaveFile,
    StoreFailed,
    TouchSession,
    Unit,
)
from tests.contract.store.kit import (
    Recorder,
    StillClock,
    all_settled,
    commit,
    file,
    founding,
    guard,
    joined,
    mission,
    progress,
    scope,
    session,
    settled,
)
from tests.unit.control_tower.store.faulty import FaultyConnection, engine_error, failing_on

PLENTY = 1 << 40


@asynccontextmanager
async def opened(
    folder: Path,
    connection_type: type[sqlite3.Connection] = sqlite3.Connection,
    free: Callable[[], int] = lambda: PLENTY,
    on_fatal: Callable[[BaseException], None] = lambda _: None,
) -> AsyncIterator[tuple[SqliteStore, Recorder]]:
    """Open a store with a disk of the test's making."""
    published = Recorder()
    async with await SqliteStore.open(
        folder,
        publish=published,
        clock=StillClock(),
        url="http://127.0.0.1:1",
        on_fatal=on_fatal,
        connection_type=connection_type,
        free=free,
    ) as store:
        yield store, published


def failing_while(is_full: Callable[[], bool]) -> type[FaultyConnection]:
    """Return a connection type on a disk that has no room for events while ``is_full``."""

    class Full(FaultyConnection):
        pass

    def fault(statement: str) -> BaseException | None:
        if is_full() and statement.startswith("INSERT INTO events"):
            return engine_error(sqlite3.SQLITE_FULL)
        return None

    Full.fault = staticmethod(fault)
    return Full


@pytest.fixture
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry a full disk at once instead of each second."""
    monkeypatch.setattr(writer, "RETRY_S", 0.01)


@pytest.mark.usefixtures("_quick_retries")
@pytest.mark.parametrize("statement", ["INSERT INTO events", "COMMIT"])
async def test_a_full_disk_holds_results_in_order_and_refuses_new_work(
    tmp_path: Path, statement: str
) -> None:
    """Critical units wait and are committed once there is room, without a hole."""
    full, failed = failing_on(statement, *[sqlite3.SQLITE_FULL] * 3, after=1)
    async with opened(tmp_path, full) as (store, published):
        pcb = mission()
        await commit(store, *founding(pcb), drafts=[joined()])
        units = [
            Unit([progress(scope(pcb), "result 1")], guard=guard()),
            Unit([joined()], critical=False),
            Unit([progress(scope(pcb), "result 2")], guard=guard()),
        ]
        first, refused, second = await all_settled(store, units)
        assert isinstance(first, Commit)
        assert isinstance(second, Commit)
        assert (first.offset, second.offset) == (2, 3)
        assert isinstance(refused, StoreFailed)
        assert (refused.outcome, refused.disk_full) == ("rejected", True)
        assert len(failed) == 3
        assert [event.offset for event in published.events] == [1, 2, 3]


@pytest.mark.usefixtures("_quick_retries")
async def test_units_that_come_while_the_disk_is_full_wait_behind(tmp_path: Path) -> None:
    """Order is kept; new work is refused without waiting for room."""
    is_full = True
    full = failing_while(lambda: is_full)
    async with opened(tmp_path, full) as (store, _):
        waiting = [asyncio.ensure_future(settled(store, Unit([joined()]))) for _ in range(3)]
        refused = await settled(store, Unit([joined()], critical=False))
        assert isinstance(refused, StoreFailed)
        assert refused.disk_full
        assert not any(one.done() for one in waiting)
        assert await store.session("s_1") is None, "reads go on"
        is_full = False
        outcomes = await asyncio.gather(*waiting)
        offsets = [one.offset for one in outcomes if isinstance(one, Commit)]
        assert offsets == [1, 2, 3]


async def test_new_work_is_refused_while_little_room_is_left(tmp_path: Path) -> None:
    """Below the reserve results still fit; new work is taken again when room is back."""
    free = writer.RESERVE_BYTES - 1

    async with opened(tmp_path, free=lambda: free) as (store, _):
        result, refused = await all_settled(
            store, [Unit([joined()]), Unit([joined()], critical=False)]
        )
        assert isinstance(result, Commit)
        assert isinstance(refused, StoreFailed)
        assert (refused.outcome, refused.disk_full) == ("rejected", True)
        free = writer.RESERVE_BYTES
        assert isinstance(await settled(store, Unit([joined()], critical=False)), Commit)
        assert store.head == 2


async def test_closing_with_a_full_disk_refuses_what_is_held(tmp_path: Path) -> None:
    """It was never acknowledged, and the process need not hang."""
    async with opened(tmp_path, failing_while(lambda: True)) as (store, _):
        held = asyncio.ensure_future(settled(store, Unit([joined()])))
        assert isinstance(await settled(store, Unit([joined()], critical=False)), StoreFailed)
        await store.close()
        refused = await held
        assert isinstance(refused, StoreFailed)
        assert (refused.outcome, refused.disk_full) == ("rejected", True)


async def test_a_wal_index_that_cannot_grow_leaves_new_work_in_doubt(tmp_path: Path) -> None:
    """Its frames may stand whole in the WAL, so "rejected" would be too much to say."""
    full, _ = failing_on("COMMIT", sqlite3.SQLITE_IOERR_SHMSIZE)
    async with opened(tmp_path, full) as (store, _):
        refused = await settled(store, Unit([joined()], critical=False))
        assert isinstance(refused, StoreFailed)
        assert (refused.outcome, refused.disk_full) == ("unknown", True)
        assert isinstance(await settled(store, Unit([joined()])), Commit)


async def test_a_locked_database_refuses_the_group(tmp_path: Path) -> None:
    """Certainly nothing was committed; the next group is taken."""
    busy, failed = failing_on("BEGIN IMMEDIATE", sqlite3.SQLITE_BUSY)
    async with opened(tmp_path, busy) as (store, _):
        refused = await settled(store, Unit([joined()]))
        assert isinstance(refused, StoreFailed)
        assert (refused.outcome, refused.disk_full) == ("rejected", False)
        assert len(failed) == 1
        assert isinstance(await settled(store, Unit([joined()])), Commit)


async def test_a_refused_group_stops_units_of_its_missions_already_on_their_way(
    tmp_path: Path,
) -> None:
    """They were submitted before the refusal was heard, on the belief that all went well."""
    in_commit, go_on = threading.Event(), threading.Event()

    class Busy(FaultyConnection):
        pass

    def fault(statement: str) -> BaseException | None:
        if statement == "BEGIN IMMEDIATE" and in_commit.is_set() and not go_on.is_set():
            go_on.wait(10)
            return engine_error(sqlite3.SQLITE_BUSY)
        return None

    Busy.fault = staticmethod(fault)
    async with opened(tmp_path, Busy) as (store, _):
        await commit(store, *founding(mission(), mission("m_2")))
        in_commit.set()
        first = asyncio.ensure_future(settled(store, Unit([joined()], guard=guard())))
        await asyncio.sleep(0.05)  # until the writer's thread stands in its BEGIN
        later = asyncio.ensure_future(settled(store, Unit([joined()], guard=guard())))
        other = asyncio.ensure_future(settled(store, Unit([joined()], guard=guard("m_2"))))
        await asyncio.sleep(0)
        go_on.set()
        assert isinstance(await first, StoreFailed)
        assert isinstance(await later, GuardFailed)
        assert isinstance(await other, Commit)
        assert isinstance(await settled(store, Unit(guard=guard())), Commit)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_CORRUPT])
async def test_a_failing_disk_stops_all_writing(tmp_path: Path, code: int) -> None:
    """The group's outcome is unknown, whoever comes later is rejected, the server is told once."""
    fatal: list[BaseException] = []
    broken, _ = failing_on("COMMIT", code, after=1)
    async with opened(tmp_path, broken, on_fatal=fatal.append) as (store, published):
        await commit(store, drafts=[joined()])
        outcomes = await all_settled(store, [Unit([joined()]), Unit([joined()])])
        assert [one.outcome for one in outcomes if isinstance(one, StoreFailed)] == [
            "unknown",
            "unknown",
        ]
        late = await settled(store, Unit([joined()]))
        assert isinstance(late, StoreFailed)
        assert late.outcome == "rejected"
        assert [type(one) for one in fatal] == [DatabaseBroken]
        assert [event.offset for event in published.events] == [1]
        assert store.head == 1


async def test_a_failing_checkpoint_stops_all_writing_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed before it stands and was told; nothing new is promised."""
    monkeypatch.setattr(writer, "_CHECKPOINT_EVENTS", 1)
    fatal: list[BaseException] = []
    broken, _ = failing_on("PRAGMA wal_checkpoint(PASSIVE)", sqlite3.SQLITE_IOERR)
    async with opened(tmp_path, broken, on_fatal=fatal.append) as (store, _):
        assert isinstance(await settled(store, Unit([joined()])), Commit)
        assert isinstance(await settled(store, Unit([joined()])), StoreFailed)
        assert len(fatal) == 1


async def test_a_checkpoint_without_room_is_only_put_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commits stand in the WAL."""
    monkeypatch.setattr(writer, "_CHECKPOINT_EVENTS", 1)
    full, failed = failing_on("PRAGMA wal_checkpoint(PASSIVE)", sqlite3.SQLITE_FULL)
    async with opened(tmp_path, full) as (store, _):
        assert isinstance(await settled(store, Unit([joined()])), Commit)
        assert isinstance(await settled(store, Unit([joined()])), Commit)
        assert len(failed) == 1


async def test_a_bug_in_the_store_refuses_its_group_only(tmp_path: Path) -> None:
    """Rolled back and said so; the ledger believes nothing of it."""
    odd, _ = failing_on("COMMIT", sqlite3.SQLITE_ERROR)
    async with opened(tmp_path, odd) as (store, _):
        refused = await settled(store, Unit([joined()], [InsertSession(session())]))
        assert isinstance(refused, StoreFailed)
        assert refused.outcome == "rejected"
        assert isinstance(await settled(store, Unit([], [TouchSession("s_1", 1.0)])), StoreFailed)
        assert (await commit(store, drafts=[joined()])).offset == 1


async def test_a_commit_that_fails_after_units_fell_alone_leaves_no_belief(
    tmp_path: Path,
) -> None:
    """The group is done again with savepoints; when that commit fails, all of it is undone."""
    odd, _ = failing_on("COMMIT", sqlite3.SQLITE_BUSY)
    async with opened(tmp_path, odd) as (store, _):
        units = [
            Unit([joined()], [InsertSession(session())]),
            Unit([joined()], [TouchSession("s_unknown", 1.0)]),
        ]
        outcomes = await all_settled(store, units)
        assert all(isinstance(one, StoreFailed) for one in outcomes)
        assert await store.session("s_1") is None
        assert isinstance(await settled(store, Unit([], [TouchSession("s_1", 1.0)])), StoreFailed)
        assert (await commit(store, InsertSession(session()), drafts=[joined()])).offset == 1


@pytest.mark.usefixtures("_quick_retries")
async def test_a_database_that_really_has_no_room(tmp_path: Path) -> None:
    """SQLite's own limit on pages stands for a small disk."""
    async with opened(tmp_path) as (store, _):
        await commit(store, InsertSession(session()))
        connection = store._core.database.connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        large = SaveFile(file("large", b"x" * 100_000))
        refused = await settled(store, Unit([joined()], [large], critical=False))
        assert isinstance(refused, StoreFailed)
        assert refused.disk_full
        held = asyncio.ensure_future(settled(store, Unit([joined()], [large])))
        await asyncio.sleep(0)  # it is handed over first
        assert isinstance(await settled(store, Unit([], critical=False)), StoreFailed)
        assert not held.done()
        connection.execute("PRAGMA max_page_count = 1000000")
        outcome = await held
        assert isinstance(outcome, Commit)
        assert outcome.offset == 1


async def test_after_close_units_are_refused(tmp_path: Path) -> None:
    """On the loop's next turn, like any other refusal."""
    async with opened(tmp_path) as (store, _):
        await store.close()
        await store.close()
        refused = await settled(store, Unit([joined()]))
        assert isinstance(refused, StoreFailed)
        assert refused.outcome == "rejected"


async def test_close_commits_and_delivers_what_waits(tmp_path: Path) -> None:
    """Nothing submitted before it is left without an answer."""
    outcomes: list[Commit] = []
    async with opened(tmp_path) as (store, published):
        for _ in range(3000):
            store.submit(Unit([joined()], committed=outcomes.append))
        await store.close()
        assert [one.offset for one in outcomes] == list(range(1, 3001))
        assert len(published.events) == 3000


async def test_a_writer_that_dies_takes_the_process_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it nothing would ever be answered; the server is told, and closing does not hang."""
    fatal: list[BaseException] = []
    async with opened(tmp_path, on_fatal=fatal.append) as (store, _):

        def die() -> None:
            raise SystemError("out of luck")

        monkeypatch.setattr(store._writer, "_commit_held", die)
        store.submit(Unit([joined()]))
        while not fatal:
            await asyncio.sleep(0.01)
        assert isinstance(fatal[0], SystemError)
