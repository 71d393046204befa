"""The store without threads: what simulations rely on."""

import asyncio
import sqlite3

import pytest

from control_tower.store import InlineStore, inline
from control_tower.unit import Commit, StoreFailed, Unit, UnitRefused
from tests.contract.store.kit import Recorder, commit, founding, joined, mission, progress, scope
from tests.contract.store.test_log import now
from tests.unit.control_tower.store.faulty import failing_on


def submitted(store: InlineStore, *, critical: bool = True) -> list[Commit | UnitRefused]:
    """Submit a unit; what becomes of it will be in the list."""
    outcomes: list[Commit | UnitRefused] = []
    store.submit(
        Unit([joined()], critical=critical, committed=outcomes.append, refused=outcomes.append)
    )
    return outcomes


def test_nothing_happens_before_the_step() -> None:
    """Then everything pending is one group."""
    published = Recorder()
    store = InlineStore.open(publish=published, auto=False)
    first, second = submitted(store), submitted(store)
    assert (len(store.pending), store.head, first, published.events) == (2, 0, [], [])
    store.step()
    assert isinstance(first[0], Commit)
    assert isinstance(second[0], Commit)
    assert (store.pending, store.head, len(published.events)) == ([], 2, 2)
    store.step()
    assert store.head == 2


def test_a_crash_loses_what_was_not_stepped_and_nothing_else() -> None:
    """The new store goes on at the same head with the same epoch."""
    store = InlineStore.open(publish=Recorder(), auto=False, epoch="e")
    submitted(store)
    store.step()
    lost = submitted(store)
    again = store.crash(Recorder())
    submitted(again)
    again.step()
    assert (again.head, again.epoch, lost) == (2, "e", [])
    assert len(now(again.read(["system"], 0, 2)).events) == 2


def test_a_full_disk_keeps_results_pending_and_refuses_new_work() -> None:
    """Until a step finds room, in order."""
    full, _ = failing_on("INSERT INTO events", *[sqlite3.SQLITE_FULL] * 2)
    store = InlineStore.open(publish=Recorder(), auto=False, connection_type=full)
    result, refused = submitted(store), submitted(store, critical=False)
    store.step()
    assert isinstance(refused[0], StoreFailed)
    assert refused[0].disk_full
    assert result == []
    later = submitted(store)
    store.step()
    assert result == []
    store.step()
    assert [one.offset for one in (*result, *later) if isinstance(one, Commit)] == [1, 2]


async def test_by_itself_it_tries_a_full_disk_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the writer does each second."""
    monkeypatch.setattr(inline, "RETRY_S", 0.01)
    full, failed = failing_on("INSERT INTO events", *[sqlite3.SQLITE_FULL] * 2)
    store = InlineStore.open(publish=Recorder(), connection_type=full)
    result = submitted(store)
    while not result:
        await asyncio.sleep(0.005)
    assert isinstance(result[0], Commit)
    assert len(failed) == 2
    await store.close()


@pytest.mark.parametrize(
    ("code", "outcome", "is_fatal"),
    [(sqlite3.SQLITE_BUSY, "rejected", False), (sqlite3.SQLITE_IOERR, "unknown", True)],
)
def test_a_disk_that_fails(code: int, outcome: str, is_fatal: bool) -> None:
    """A locked database rejects; a broken one leaves in doubt and says so."""
    fatal: list[BaseException] = []
    failing, _ = failing_on("COMMIT", code)
    store = InlineStore.open(
        publish=Recorder(), auto=False, connection_type=failing, on_fatal=fatal.append
    )
    refused = submitted(store)
    store.step()
    assert isinstance(refused[0], StoreFailed)
    assert refused[0].outcome == outcome
    assert bool(fatal) is is_fatal


async def test_many_missions_are_more_than_the_memory_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows and scopes that were let go are read again; nothing depends on their being there."""
    monkeypatch.setattr("control_tower.store.ledger.CAPACITY", 4)
    monkeypatch.setattr("control_tower.store.scopes._CAPACITY", 4)
    published = Recorder()
    store = InlineStore.open(publish=published)
    pcbs = [mission(f"m_{n}", f"s_{n}", f"u_{n}") for n in range(12)]
    await commit(store, *founding(*pcbs))
    for _ in range(2):
        for pcb in pcbs:
            await commit(store, drafts=[progress(scope(pcb))])
    page = await store.read(["system"], 0, store.head)
    assert list(page.events) == published.events
    assert len(store._scopes.by_mission) <= 4
    await store.close()
