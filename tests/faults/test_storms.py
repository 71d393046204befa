"""Thousands of connections that come back at once, and those that never read beside them."""

import asyncio
import contextlib
import time
from dataclasses import dataclass

import pytest

from tests.faults.conftest import MakeTower, Show
from tests.faults.deaf import client_that_never_reads
from tests.faults.herd import Herd
from tests.faults.probe import probing
from tests.integration.tower_process import TowerProcess, Wire, wire

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MISSED = 60
"""Events that happen while everybody is away."""

LONG = "calculate 1" + " " * 9_900 + "+ 1"
"""Makes two events of about ten kilobytes."""


async def happen(ws: Wire, count: int, *, pause_s: float = 0.0) -> int:
    """Have so many events happen; return the head."""
    for _ in range(count):
        await ws.call("session.create")
        await asyncio.sleep(pause_s)
    return int((await ws.call("ping"))["offset"])


def for_many(make_tower: MakeTower, count: int) -> TowerProcess:
    """Start a server with room for so many."""
    return make_tower(TOWER_MAX_CONNECTIONS=str(count + 100), TOWER_LOG_LEVEL="warning")


async def storm(make_tower: MakeTower, count: int, show: Show) -> None:
    """Drop everybody; let things happen; let everybody come back, and more things happen."""
    tower = for_many(make_tower, count)
    async with wire(tower.ws_url) as ws, Herd(tower.url, count) as herd:
        await herd.join()
        await herd.reach(await happen(ws, 5))
        herd.drop()
        await happen(ws, MISSED)
        async with probing(tower.ws_url) as probe:
            began = time.monotonic()
            coming = asyncio.create_task(herd.join())
            while not coming.done():
                await happen(ws, 1, pause_s=0.1)
            joined_s = time.monotonic() - began
            await herd.reach(await happen(ws, 1))
        took_s = time.monotonic() - began
        show(
            f"{count} back in {joined_s:.1f} s, all at the head after {took_s:.1f} s; "
            f"a bystander's answers: {probe}"
        )
        assert not herd.wrong, herd.wrong[:3]
        assert len((await ws.call("tower.status"))["clients"]) == count + 1


async def test_a_thousand_come_back_at_once(make_tower: MakeTower, show: Show) -> None:
    """Each from where it had got to; nothing lost, nothing twice, in order."""
    await storm(make_tower, 1_000, show)


@pytest.mark.soak
@pytest.mark.parametrize("count", [5_000, 10_000])
async def test_ten_thousand_come_back_at_once(
    make_tower: MakeTower, show: Show, count: int
) -> None:
    """The same, with as many as one process takes."""
    await storm(make_tower, count, show)


@dataclass(slots=True)
class Deaf:
    """What was seen of the clients that never read: when, and what waited for them at most."""

    stuck_at: float = 0.0
    gone_at: float = 0.0
    worst_bytes: int = 0

    async def watch(self, ws_url: str, others: int) -> None:
        """Look at the server's clients until only the ``others`` are left."""
        async with wire(ws_url) as ws:
            while not self.gone_at:
                clients = (await ws.call("tower.status"))["clients"]
                waiting = max(each["buffered_bytes"] for each in clients)
                self.worst_bytes = max(self.worst_bytes, waiting)
                if waiting and not self.stuck_at:
                    self.stuck_at = time.monotonic()
                if self.stuck_at and len(clients) <= others:
                    self.gone_at = time.monotonic()
                await asyncio.sleep(0.2)


async def test_clients_that_never_read_beside_a_thousand_that_do(
    make_tower: MakeTower, show: Show
) -> None:
    """They cost no more than their bound and are gone in time; the others have everything."""
    tower = for_many(make_tower, 1_000)
    async with wire(tower.ws_url) as ws, Herd(tower.url, 1_000) as herd:
        bound = (await ws.call("hello"))["limits"]["send_buffer_bytes"]
        await herd.join()
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(client_that_never_reads(tower.url))
            async with probing(tower.ws_url) as probe:
                deaf = Deaf()
                # The herd, the probe, this one and the watch stay.
                watching = asyncio.create_task(deaf.watch(tower.ws_url, 1_003))
                for _ in range(12):
                    await ws.call("mission.submit", mission=LONG)
                    await ws.ended()
                await herd.reach((await ws.call("ping"))["offset"])
                assert not deaf.gone_at, "the others did not have to wait until they were gone"
                await watching
        gone_s = deaf.gone_at - deaf.stuck_at
        show(f"gone {gone_s:.1f} s after stuck, {deaf.worst_bytes} bytes waited; others: {probe}")
        assert 0 < deaf.worst_bytes <= bound
        assert gone_s < 15 + 10  # the promise, and a busy machine
        assert not herd.wrong, herd.wrong[:3]
    assert await asyncio.to_thread(tower.stop) == 0
