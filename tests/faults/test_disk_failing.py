"""The disk fails, is locked, or has lost the tail of what was written."""

import asyncio
import os
import resource
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.faults.conftest import MakeTower, completed_steps
from tests.faults.oracle import read_log
from tests.integration.tower_process import Event, Refused, Wire, wire

pytestmark = pytest.mark.slow

FATAL_EXIT_CODE = 74
LOST_AT_MOST = 5
"""Events of the last commit, which the damage has hit."""


async def test_an_input_output_error_ends_the_process(make_tower: MakeTower) -> None:
    """Fail-stop: exit 74 at once; what was acknowledged is there after the next start."""
    tower = make_tower()
    async with wire(tower.ws_url) as ws:
        await ws.call("subscribe", topics=["system"], since="start")
        ack = await ws.call("mission.submit", mission="work 3000 steps")
        for _ in range(100):
            await ws.event("step.completed")
        # From here on a write beyond what the file has now fails, as on a dying disk.
        size = (tower.data_dir / "tower.db-wal").stat().st_size
        _, hard = resource.prlimit(tower.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(tower.pid, resource.RLIMIT_FSIZE, (size, hard))
        code = await asyncio.to_thread(tower.wait, 30.0)
        assert code == FATAL_EXIT_CODE
        with pytest.raises(ConnectionClosed):
            await everything(ws)
        seen = ws.durable
    assert "store.broken" in tower.log.read_text()
    tower.start()
    log = [event for event, _ in await read_log(tower.ws_url)]
    assert log[: len(seen)] == seen
    async with wire(tower.ws_url) as ws:
        block = await ws.call("mission.cancel", mission_id=ack["mission_id"])
        assert block["outcome"] == "cancelled"
    assert tower.stop() == 0


async def log_with_starts(ws_url: str, count: int) -> tuple[list[Event], list[int]]:
    """Return the log, and where in it the server started, once it has said so ``count`` times."""
    while True:
        log = [event for event, _ in await read_log(ws_url)]
        starts = [place for place, event in enumerate(log) if event["type"] == "node.joined"]
        if len(starts) >= count:
            return log, starts


async def everything(ws: Wire) -> None:
    """Receive until the connection ends."""
    while True:
        await ws.receive()


async def test_a_locked_database_is_said_after_a_bound(make_tower: MakeTower) -> None:
    """Somebody holds a lock by hand: 503, nothing acknowledged, and running missions survive."""
    tower = make_tower()
    async with wire(tower.ws_url) as ws:
        works = await ws.call("mission.submit", mission="work 150 steps")
        await ws.event("step.completed")
        other = sqlite3.connect(tower.data_dir / "tower.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(Refused) as refused:
            await ws.call("mission.submit", mission="calculate 1 + 1")
        assert refused.value.code == "unavailable"
        assert refused.value.details["outcome"] == "rejected"
        assert time.monotonic() - began < 12
        await asyncio.sleep(6)  # so that the mission's own unit has met the lock, too
        other.execute("ROLLBACK")
        other.close()
        last = await ws.ended()
        assert (last["mission_id"], last["type"]) == (works["mission_id"], "mission.completed")
        steps = completed_steps(ws.durable, works["mission_id"])
        assert len(steps) == len(set(steps)) == 150
        again = await ws.call("mission.submit", mission="calculate 1 + 1")
        assert (await ws.ended())["mission_id"] == again["mission_id"]
    assert tower.stop() == 0


def torn_frame(wal: Path) -> None:
    """A write was under way: a part of a frame stands behind the last commit."""
    with wal.open("ab") as file:
        file.write(os.urandom(1000))


def cut_tail(wal: Path) -> None:
    """The last page did not reach the disk."""
    os.truncate(wal, wal.stat().st_size - 1500)


def flipped_bits(wal: Path) -> None:
    """The last page reached it damaged."""
    with wal.open("r+b") as file:
        file.seek(-2000, os.SEEK_END)
        found = file.read(16)
        file.seek(-2000, os.SEEK_END)
        file.write(bytes(byte ^ 0xFF for byte in found))


@pytest.mark.parametrize(
    ("damage", "keeps_all"),
    [(torn_frame, True), (cut_tail, False), (flipped_bits, False)],
)
async def test_a_damaged_tail_costs_no_more_than_itself(
    make_tower: MakeTower, damage: Callable[[Path], None], keeps_all: bool
) -> None:
    """What stands before the damage is whole and goes on; who has seen more is told so."""
    tower = make_tower()
    async with wire(tower.ws_url) as ws:
        attached = await ws.call("subscribe", topics=["system"], since="start")
        ack = await ws.call("mission.submit", mission="work 60 steps")
        for _ in range(20):
            await ws.event("step.completed")
        tower.kill()
        seen = ws.durable
    wal = tower.data_dir / "tower.db-wal"
    assert wal.stat().st_size > 10_000
    damage(wal)
    tower.start()
    log, starts = await log_with_starts(tower.ws_url, 2)
    assert [event["offset"] for event in log] == list(range(1, len(log) + 1))
    kept = log[: starts[1]]
    shorter = min(len(kept), len(seen))
    assert kept[:shorter] == seen[:shorter]
    assert len(seen) - len(kept) <= (0 if keeps_all else LOST_AT_MOST)
    async with wire(tower.ws_url) as ws:
        reply = await ws.call("subscribe", topics=["system"], since=10**9, epoch=attached["epoch"])
        assert (reply["recovered"], reply["reason"]) == (False, "epoch_changed")
        await ws.call("subscribe", topics=[f"mission:{ack['mission_id']}"], since="start")
        assert (await ws.ended())["type"] == "mission.completed"
        steps = completed_steps(ws.durable, ack["mission_id"])
        assert len(steps) == len(set(steps)) == 60
    assert tower.stop() == 0
