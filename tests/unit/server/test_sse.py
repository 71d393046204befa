"""Streams of one mission: what comes behind a gap, and that they end."""

import asyncio

import pytest

from control_tower.commands import Caller
from events.hub import Hub
from events.payloads import MissionCompleted, MissionStarted
from events.topics import build_filters
from events.turns import LoopTurns
from server.sse import EventStream, EventStreams
from tests.unit.events.fakes import MemoryLog, scope_of

M1 = scope_of(mission="m1")
STARTED = MissionStarted(attempt=1, node="n")
ENDED = MissionCompleted(result=1, usage={}, duration_ms=1.0)


class Rig:
    """A hub over a log of six events of a mission, of which the first three were trimmed."""

    def __init__(self, *, ended: bool) -> None:
        self.log = MemoryLog()
        for _ in range(5):
            self.log.commit(STARTED, M1)
        self.log.commit(ENDED if ended else STARTED, M1)
        self.log.floors["mission:m1"] = 3
        self.hub = Hub(self.log, LoopTurns())
        self.streams = EventStreams(self.hub, 10, None)

    async def open(self, since: int, *, finite: bool, from_now: bool = False) -> EventStream:
        """Open a stream of the mission."""
        return await self.streams.open(
            Caller("u1", "user"),
            build_filters(["mission:m1"]),
            since,
            until="m1",
            finite=finite,
            from_now=from_now,
        )


async def told(stream: EventStream) -> list[str]:
    """Read a stream to its end; return its events' ids, or types for those that have none."""
    said = b""
    async with asyncio.timeout(30):
        async for chunk in stream.response().body_iterator:
            assert isinstance(chunk, bytes)
            said += chunk
    blocks = [block.splitlines() for block in said.decode().split("\n\n") if block[:1] == "e"]
    return [lines[1 if lines[1].startswith("id") else 0].split(": ")[1] for lines in blocks]


async def test_an_ended_mission_with_a_trimmed_start_is_told_as_far_as_it_is_there() -> None:
    """The gap, what is left, and the end: a second stream is no different."""
    rig = Rig(ended=True)
    for _ in range(2):
        stream = await rig.open(0, finite=True)
        assert await told(stream) == ["stream.gap", "4", "5", "6"]
    assert not len(rig.streams)


async def test_an_ended_mission_of_which_nothing_is_left_is_a_gap_and_an_end() -> None:
    """All of it was trimmed, its end too."""
    rig = Rig(ended=True)
    rig.log.floors["mission:m1"] = 6
    assert await told(await rig.open(0, finite=True)) == ["stream.gap"]


async def test_a_place_of_another_log_is_a_gap_before_all_that_is_there() -> None:
    """As after a restore; of this log's start there is no more either."""
    rig = Rig(ended=True)
    stream = await rig.open(100, finite=True)
    assert await told(stream) == ["stream.gap", "stream.gap", "4", "5", "6"]


@pytest.mark.parametrize(("from_now", "at_look"), [(True, 1), (False, 1), (False, 2)])
async def test_a_mission_that_ends_while_its_stream_is_attached_ends_it(
    from_now: bool, at_look: int
) -> None:
    """It ran when its row was read; behind the present as of then, and behind a gap."""
    rig = Rig(ended=False)
    real, looks = rig.log.floor, 0

    async def floor(topics: list[str]) -> int:
        nonlocal looks
        looks += 1
        if looks == at_look:
            rig.hub.publish([rig.log.commit(ENDED, M1)])
        return await real(topics)

    rig.log.floor = floor  # type: ignore[method-assign,assignment]
    stream = await rig.open(5 if from_now else 0, finite=False, from_now=from_now)
    expected = ["6", "7"] if from_now else ["stream.gap", "4", "5", "6", "7"]
    assert await told(stream) == expected


@pytest.mark.parametrize("from_now", [False, True])
async def test_what_is_new_is_no_replay(from_now: bool) -> None:
    """Who asked for what comes from now on is not told that a replay is done."""
    rig = Rig(ended=False)
    stream = await rig.open(6, finite=False, from_now=from_now)
    rig.hub.publish([rig.log.commit(ENDED, M1)])
    assert await told(stream) == [*([] if from_now else ["replay.done"]), "7"]
