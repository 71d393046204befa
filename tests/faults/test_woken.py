"""A node that sleeps through its lease in the middle of an effect, and wakes replaced."""

import json
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.cluster import FATAL_EXIT_CODE
from tests.faults.conftest import APP
from tests.faults.witness import TERMINAL, Sink
from tests.integration.tower_process import TowerProcess, Wire, wire
from tests.rig.postgres import new_database
from tests.rig.redis import server_url

pytestmark = pytest.mark.slow

BEFORE_MS = 1_500
NAMES = ("charge", "charge_in_task", "charge_elsewhere", "book")
LABELS = [f"{name} {number}" for name in NAMES for number in range(3)]
"""Effects of tools and of a program's own step. One in a thread can't be held: it may act."""


async def begin(ws: Wire, labels: Sequence[str]) -> None:
    """Submit a mission for each effect, and wait until all are in the middle of it."""
    await ws.call("hello", user_id="ann")
    for label in labels:
        script = [[label.split()[0], label, BEFORE_MS, 0]]
        mission = json.dumps({"key": label, "script": script})
        await ws.call("mission.submit", mission=mission, agent="worker")
    for _ in labels:
        await ws.event("step.started")


async def go_on(ws: Wire, labels: Sequence[str]) -> None:
    """Say of each effect in doubt that it is to be tried again, and wait until all have ended."""
    await ws.call("hello", user_id="ann")
    await ws.call("subscribe", topics=["user:ann"], since="start")
    ended = 0
    while ended < len(labels):
        event = await ws.event(lambda e: e["type"] == "interrupt.raised" or e["type"] in TERMINAL)
        if event["data"].get("kind") == "unknown_outcome":
            ident = event["data"]["interrupt_id"]
            await ws.call("interrupt.answer", interrupt_id=ident, decision="retry")
        elif event["type"] in TERMINAL:
            ended += 1


async def test_what_slept_in_the_middle_of_an_effect_does_not_act(
    tmp_path: Path, sink: Sink, postgres: str
) -> None:
    """Its users' new home asks, is told to try again, and acts; who wakes acts no more."""
    shared = {
        "FAULTS_SINK": str(sink.path),
        "TOWER_DATABASE_URL": new_database(postgres),
        "TOWER_REDIS_URL": server_url(),
        "TOWER_RATE_LIMITS": "off",
    }
    sleeper = TowerProcess(tmp_path / "sleeper", str(APP), **shared)
    heir = TowerProcess(tmp_path / "heir", str(APP), **shared)
    try:
        sleeper.start()
        async with wire(sleeper.ws_url) as ws:
            await begin(ws, LABELS)
            sleeper.signal(signal.SIGSTOP)
        heir.start()
        async with wire(heir.ws_url) as ws:
            await go_on(ws, LABELS)
        assert Counter(trace["label"] for trace in sink.traces()) == Counter(LABELS)
        sleeper.signal(signal.SIGCONT)
        assert sleeper.wait() == FATAL_EXIT_CODE
    finally:
        sleeper.kill()
        heir.end()
    assert Counter(trace["label"] for trace in sink.traces()) == Counter(LABELS)
