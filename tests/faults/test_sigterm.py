"""SIGTERM with work under way: exit 0 in time, everything goes on after the next start."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.conftest import MakeTower
from tests.faults.deaf import client_that_never_reads
from tests.faults.oracle import read_log
from tests.faults.witness import TERMINAL, Sink
from tests.integration.tower_process import TowerProcess, eventually, wire

pytestmark = pytest.mark.slow

MISSIONS = 50
STEPS = 40
NEVER_READING = 20
WITHIN_S = 20.0


async def stop(tower: TowerProcess) -> float:
    """Send SIGTERM; return how long the end took. It must be a good one."""
    began = time.monotonic()
    code = await asyncio.to_thread(tower.stop)
    assert code == 0
    took_s = time.monotonic() - began
    assert took_s < WITHIN_S
    return took_s


async def test_fifty_running_missions_go_on_after_a_restart(make_tower: MakeTower) -> None:
    """The client resumes with its last offset, and counts: no gap, nothing twice."""
    tower = make_tower()
    async with wire(tower.ws_url) as ws:
        attached = await ws.call("subscribe", topics=["system"], since="start")
        pids = [
            (await ws.call("mission.submit", mission=f"work {STEPS} steps", subscribe=False))[
                "mission_id"
            ]
            for _ in range(MISSIONS)
        ]
        begun: set[str] = set()
        while len(begun) < MISSIONS:
            begun.add((await ws.event("step.completed"))["mission_id"])
        stopping = asyncio.create_task(stop(tower))
        with contextlib.suppress(Exception):  # until it is closed, as it must be
            while True:
                await ws.receive()
        await stopping
        assert ws.connection.close_code in {1001, 1012}
        seen = ws.durable
        assert "tower.draining" in {event["type"] for event in ws.events}
    ended = Counter(event["type"] for event in seen if event["type"] in TERMINAL)
    assert ended.total() < MISSIONS, "they were under way when it stopped"
    tower.start()
    async with wire(tower.ws_url) as ws:
        reply = await ws.call(
            "subscribe", topics=["system"], since=seen[-1]["offset"], epoch=attached["epoch"]
        )
        assert reply["recovered"] is True
        while ended.total() < MISSIONS:
            ended[(await ws.ended())["type"]] += 1
        seen = seen + ws.durable
    assert ended == {"mission.completed": MISSIONS}
    assert [event["offset"] for event in seen] == list(range(1, len(seen) + 1))
    done = Counter(
        (event["mission_id"], event["data"]["step"])
        for event in seen
        if event["type"] == "step.completed"
    )
    assert set(done.values()) == {1}
    assert {pid: sum(one == pid for one, _ in done) for pid in pids} == dict.fromkeys(pids, STEPS)
    log = [event for event, _ in await read_log(tower.ws_url)]
    assert log[: len(seen)] == seen
    await stop(tower)


async def test_a_call_that_outlasts_the_drain_is_cut_and_asked_about(
    make_tower: MakeTower, sink: Sink
) -> None:
    """Neither a hanging coroutine nor a hanging thread keeps the server."""
    tower = make_tower(TOWER_DRAIN_S="1")
    script = [
        ["parallel", [["charge", "awaits", 0, 60_000]], [["charge_in_thread", "blocks", 0, 60_000]]]
    ]
    async with wire(tower.ws_url) as ws:
        mission = json.dumps({"key": "cut", "script": script})
        ack = await ws.call("mission.submit", mission=mission, agent="worker", subscribe=False)
        await eventually(lambda: sink.has("awaits") and sink.has("blocks"))
        assert await stop(tower) < 10
    tower.start()
    async with wire(tower.ws_url) as ws:
        await ws.call("subscribe", topics=[f"mission:{ack['mission_id']}"], since="start")
        for _ in range(2):
            asked = (await ws.event("interrupt.raised"))["data"]
            assert asked["kind"] == "unknown_outcome"
            said = f"{asked['arguments']['label']} done"
            await ws.call(
                "interrupt.answer",
                interrupt_id=asked["interrupt_id"],
                decision="it_happened",
                result=said,
            )
        assert (await ws.ended())["data"]["result"] == '[[["awaits done"], ["blocks done"]]]'
    assert len(sink.traces()) == 2
    await stop(tower)


async def test_a_tool_that_swallows_its_cancellation_ends_with_its_server(
    make_tower: MakeTower, sink: Sink
) -> None:
    """In its own coroutine or in a task that it left: only the next server acts, when told to."""
    tower = make_tower(TOWER_DRAIN_S="1")
    script = [["parallel", [["insist", "awaits", False]], [["insist", "leaves", True]]]]
    async with wire(tower.ws_url) as ws:
        mission = json.dumps({"key": "insist", "script": script})
        ack = await ws.call("mission.submit", mission=mission, agent="worker")
        for _ in range(2):
            await ws.event(lambda e: e["type"] == "step.started" and e["data"]["kind"] == "tool")
        first = tower.pid
        await stop(tower)
    assert not (tower.data_dir / "tower.lock").read_bytes()
    tower.start()
    async with wire(tower.ws_url) as ws:
        await ws.call("subscribe", topics=[f"mission:{ack['mission_id']}"], since="start")
        for _ in range(2):
            asked = (await ws.event("interrupt.raised"))["data"]
            assert asked["kind"] == "unknown_outcome"
            await ws.call("interrupt.answer", interrupt_id=asked["interrupt_id"], decision="retry")
        for label in ("awaits", "leaves"):
            sink.path.with_name(label).touch()
        assert (await ws.ended())["type"] == "mission.completed"
    traces = sink.traces()
    assert sorted(trace["label"] for trace in traces) == ["awaits", "leaves"]
    assert first not in {trace["server"] for trace in traces}
    await stop(tower)


async def test_clients_that_never_read_hold_nothing_up(make_tower: MakeTower) -> None:
    """Their output is stuck when SIGTERM comes; a client that reads hears of it all the same."""
    tower = make_tower()
    with contextlib.ExitStack() as stack:
        for _ in range(NEVER_READING):
            stack.enter_context(client_that_never_reads(tower.url))
        async with wire(tower.ws_url) as ws:
            await ws.call("mission.submit", mission="x", agent="echo", inputs={"tokens": 2_500})
            assert (await ws.ended())["type"] == "mission.completed"
            ack = await ws.call("mission.submit", mission="work 2000 steps")
            await ws.event("step.completed")
            shown = await ws.call("tower.status")
            stuck = [each["buffered_bytes"] for each in shown["clients"]]
            assert sum(each > 0 for each in stuck) == NEVER_READING, "their output is stuck"
            await asyncio.gather(stop(tower), ws.event("tower.draining"))
    tower.start()
    async with wire(tower.ws_url) as ws:
        block = await ws.call("mission.get", mission_id=ack["mission_id"])
        assert block["state"] in {"ready", "running"}


def test_the_lock_is_free_after_the_end(make_tower: MakeTower, tmp_path: Path) -> None:
    """Stopped and started again at once: no stale lock."""
    tower = make_tower()
    assert tower.stop() == 0
    assert (tmp_path / "data" / "tower.lock").read_bytes() == b""
    tower.start()
    assert tower.stop() == 0
