"""Connections dropped in mid-stream, hundreds of times: nothing lost, nothing twice, in order."""

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from tests.faults.conftest import MakeTower, Show
from tests.faults.oracle import read_log
from tests.faults.relay import Fault, Relay
from tests.faults.tails import Tail
from tests.integration.tower_process import Event, wire

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

IN_FLIGHT = 3
MISSION = "work 12 steps then count to 30"


def tails(url: str, sessions: list[str]) -> Iterator[Tail]:
    """One client of each kind of subscription."""
    first, second = (f"session:{session}" for session in sessions)

    def everything(_: Event) -> bool:
        return True

    def of(*wanted: str) -> Any:
        return lambda event: event["session_id"] in wanted

    def ends(event: Event) -> bool:
        return str(event["type"]).startswith("mission.")

    for _ in range(2):
        yield Tail(url, everything, topics=["system"])
    yield Tail(url, of(sessions[0]), topics=[first], deltas=False)
    yield Tail(url, of(*sessions), topics=[first, second])
    # Topics that overlap: what several of them match still comes once.
    yield Tail(url, everything, topics=["user:local", "system", first])
    yield Tail(url, ends, topics=["system", second], types=["mission.*"])


async def work(url: str, session: str, enough: asyncio.Event) -> None:
    """Have one mission after the other run, until it is enough and the last one has ended."""
    async with wire(url) as ws:
        while not enough.is_set():
            await ws.call("mission.submit", mission=MISSION, session_id=session, on_busy="parallel")
            await ws.ended()


async def drop(make_tower: MakeTower, random: Random, drops: int, show: Show) -> None:
    """Follow missions through ``drops`` drops; hold what the clients saw against the log."""
    tower = make_tower()
    async with wire(tower.ws_url) as ws:
        sessions = [(await ws.call("session.create"))["session_id"] for _ in range(2)]
        async with Relay(tower.url, random) as relay:
            ws_url = relay.url.replace("http", "ws") + "/ws"
            crowd = list(tails(ws_url, sessions))
            enough = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                following = [group.create_task(tail.follow()) for tail in crowd]
                working = [
                    group.create_task(work(tower.ws_url, sessions[number % 2], enough))
                    for number in range(IN_FLIGHT)
                ]
                while relay.faults.total() < drops:
                    await asyncio.sleep(0.05)
                    assert not any(task.done() for task in following)
                enough.set()
                await asyncio.gather(*working)
                # The last ones have their drops in the replay of what they missed.
                head = (await ws.call("hello"))["offset"]
                for tail in crowd:
                    tail.head = head
                relay.calm = True
    log = [event for event, _ in await read_log(tower.ws_url)][:head]
    assert [event["offset"] for event in log] == list(range(1, head + 1))
    wrong = [said for tail in crowd for said in tail.verdict(log)]
    shown = {fault.name: count for fault, count in relay.faults.items()}
    show(f"{head} events, {sum(t.connections for t in crowd)} connections, faults {shown}")
    assert not wrong, wrong[:10]
    assert set(relay.faults) == set(Fault)


async def test_two_hundred_drops_lose_nothing(make_tower: MakeTower, show: Show) -> None:
    """Resets, half closes, stalls and half-open connections, for six kinds of subscription."""
    await drop(make_tower, Random(1), 200, show)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("seed", range(2))
async def test_a_thousand_drops_lose_nothing(make_tower: MakeTower, seed: int, show: Show) -> None:
    """The same, for longer, with other chances."""
    await drop(make_tower, Random(100 + seed), 1_000, show)
