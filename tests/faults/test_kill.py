"""One `kill -9` at a chosen moment, and what each kind of call does about it."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from tests.faults.conftest import MakeTower, completed_steps
from tests.faults.witness import TERMINAL, Sink
from tests.integration.tower_process import Event, Wire, eventually, wire

pytestmark = pytest.mark.slow

HANG_MS = 600_000


async def play(ws: Wire, *script: list[Any]) -> str:
    """Submit a mission that plays a script; return its id."""
    mission = json.dumps({"key": "test", "script": script})
    ack = await ws.call("mission.submit", mission=mission, agent="worker")
    return str(ack["mission_id"])


async def asked(ws: Wire, pid: str, kind: str) -> str:
    """Return the question of a kind that a mission asks, waiting for it."""
    while True:
        for event in ws.durable:
            told = (event["type"], event["mission_id"], event["data"].get("kind"))
            if told == ("interrupt.raised", pid, kind):
                return str(event["data"]["interrupt_id"])
        await ws.receive()


async def story(ws: Wire, pid: str) -> list[Event]:
    """Return a mission's events from the log, once it has ended."""
    await ws.call("subscribe", topics=[f"mission:{pid}"], since="start")
    while True:
        mine = [e for e in ws.durable if e["mission_id"] == pid]
        if mine and max(mine, key=lambda e: int(e["offset"]))["type"] in TERMINAL:
            return sorted(mine, key=lambda e: int(e["offset"]))
        await ws.receive()


def steps(events: list[Event], event_type: str) -> Counter[str]:
    """Count the events of a type by step."""
    return Counter(e["data"]["step"] for e in events if e["type"] == event_type)


async def test_work_and_a_question_go_on_from_their_journal(make_tower: MakeTower) -> None:
    """Killed in the middle of 200 steps, and while another mission waits on a person."""
    tower = make_tower()
    async with wire(tower.ws_url) as ws:
        waits = (await ws.call("mission.submit", mission="write a.txt: b; delete a.txt"))[
            "mission_id"
        ]
        question = await asked(ws, waits, "confirmation")
        works = (await ws.call("mission.submit", mission="work 200 steps"))["mission_id"]
        while len(completed_steps(ws.durable, works)) < 50:
            await ws.receive()
        tower.kill()
        before = steps([e for e in ws.durable if e["mission_id"] == works], "step.completed")
    tower.start()
    async with wire(tower.ws_url) as ws:
        block = await ws.call("mission.get", mission_id=waits)
        assert (block["state"], block["pending_interrupts"]) == ("waiting", [question])
        await ws.call("confirm", confirmation_id=question, approved=True)
        assert (await story(ws, waits))[-1]["type"] == "mission.completed"
        told = await story(ws, works)
        assert told[-1]["type"] == "mission.completed"
        assert steps(told, "step.completed") == Counter(set(steps(told, "step.started")))
        assert len(steps(told, "step.completed")) == 200
        started = steps(told, "step.started")
        assert len(before) >= 50
        assert {step: started[step] for step in before} == dict.fromkeys(before, 1), (
            "no journaled step runs again"
        )
        recovered = next(e["data"] for e in told if e["type"] == "mission.recovered")
        assert recovered["attempt"] == 2
        assert recovered["replayed_steps"] >= len(before)
    assert tower.stop() == 0


async def test_a_person_decides_about_what_was_in_flight(make_tower: MakeTower, sink: Sink) -> None:
    """It happened, try again, it failed: each is what the log and the world then say."""
    tower = make_tower()
    async with wire(tower.ws_url) as ws:
        acted = await play(ws, ["charge", "acted", 0, HANG_MS])
        retried = await play(ws, ["hesitate", "retried", 0, 0])
        failed = await play(ws, ["book", "failed", HANG_MS, 0])
        await eventually(lambda: sink.has("acted"))
        while steps(ws.durable, "step.started").total() < 3:
            await ws.receive()
        tower.kill()
    tower.start()
    async with wire(tower.ws_url) as ws:
        await ws.call("subscribe", topics=["user:local"], since="start")
        for pid, answer in (
            (acted, {"decision": "it_happened", "result": "acted done"}),
            (retried, {"decision": "retry"}),
            (failed, {"decision": "fail"}),
        ):
            question = await asked(ws, pid, "unknown_outcome")
            assert (await ws.call("mission.get", mission_id=pid))["state"] == "waiting"
            answered = await ws.call("interrupt.answer", interrupt_id=question, **answer)
            assert answered["status"] == "resolved"
        results = {pid: (await story(ws, pid))[-1] for pid in (acted, retried, failed)}
        assert {e["type"] for e in results.values()} == {"mission.completed"}
        assert results[acted]["data"]["result"] == '["acted done"]'
        assert results[retried]["data"]["result"] == '["retried done"]'
        assert results[failed]["data"]["result"] == '["failed"]'
    assert Counter(trace["label"] for trace in sink.traces()) == {"acted": 1, "retried": 1}
    assert [trace["attempt"] for trace in sink.traces() if trace["label"] == "retried"] == [2]


async def test_what_may_run_again_does_so_unasked(make_tower: MakeTower, sink: Sink) -> None:
    """An idempotent tool in flight is called again, under the same key."""
    tower = make_tower()
    async with wire(tower.ws_url) as ws:
        pid = await play(ws, ["notify", "twice", 0, 4_000])
        await eventually(lambda: sink.has("twice"))
        tower.kill()
    tower.start()
    async with wire(tower.ws_url) as ws:
        told = await story(ws, pid)
        assert told[-1]["data"]["result"] == '["twice done"]'
        assert "interrupt.raised" not in {event["type"] for event in told}
        attempts = [e["data"]["attempt"] for e in told if e["type"] == "step.started"]
        assert attempts == [1, 2]
    traces = sink.traces()
    assert [trace["attempt"] for trace in traces] == [1, 2]
    assert len({trace["key"] for trace in traces}) == 1


async def test_an_approval_covers_one_attempt(make_tower: MakeTower, sink: Sink) -> None:
    """Approved, begun, killed: it is in doubt, not simply run under the old approval."""
    tower = make_tower()
    async with wire(tower.ws_url) as ws:
        pid = await play(ws, ["refund", "approved", 0, HANG_MS])
        question = await asked(ws, pid, "confirmation")
        await ws.call("confirm", confirmation_id=question, approved=True)
        await eventually(lambda: sink.has("approved"))
        tower.kill()
    tower.start()
    async with wire(tower.ws_url) as ws:
        await ws.call("subscribe", topics=[f"mission:{pid}"], since="start")
        doubt = await asked(ws, pid, "unknown_outcome")
        await ws.call("interrupt.answer", interrupt_id=doubt, decision="fail")
        assert (await story(ws, pid))[-1]["data"]["result"] == '["failed"]'
    assert len(sink.traces()) == 1


async def test_killed_while_it_starts_again_and_again(make_tower: MakeTower) -> None:
    """A start that is cut short leaves nothing that the next one could stumble over."""
    tower = make_tower()
    async with wire(tower.ws_url) as ws:
        pid = (await ws.call("mission.submit", mission="work 100 steps"))["mission_id"]
        await ws.event("step.completed")
        tower.kill()
    for delay_s in (0.5, 0.9, 1.3):
        starting = asyncio.create_task(asyncio.to_thread(tower.start))
        await asyncio.sleep(delay_s)
        tower.signal(9)
        await asyncio.gather(starting, return_exceptions=True)
        tower.wait()
    tower.start()
    async with wire(tower.ws_url) as ws:
        told = await story(ws, pid)
        assert told[-1]["type"] == "mission.completed"
        assert set(steps(told, "step.completed").values()) == {1}
