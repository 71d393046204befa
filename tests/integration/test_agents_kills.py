"""``react`` under many kills at random moments: no turn that is journaled is asked for again."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.integration.conftest import MakeTower
from tests.integration.tower_process import wire
from tests.rig.model_api import Answer, Request, Said, serving

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

KILLS = 20
TURNS = 3 * KILLS
SLOW_S = 0.4
"""What a turn takes, so that about every other kill meets one in flight."""

APP = """
import os
from agents import tool

@tool(risk="write", idempotent=True)
async def note(number: int) -> str:
    with open(os.environ["SINK"], "a") as sink:
        sink.write(f"{number}\\n")
    return "noted"
"""


def counting(request: Request) -> Answer:
    """Return the next of many turns that each note a number."""
    if request.turns < TURNS:
        return Said("", [("note", {"number": request.turns})], first_s=SLOW_S)
    return Said("All is noted.")


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_kill_costs_one_turn_at_most(
    make_tower: MakeTower, tmp_path: Path, seed: int
) -> None:
    """The model is asked once for a turn, and once more for each kill that cut one."""
    chance, sink, app = random.Random(seed), tmp_path / "sink", tmp_path / "app.py"
    app.write_text(APP)
    async with serving(counting) as api:
        settings = api.settings("openai") | {"SINK": str(sink), "TOWER_MODEL": "openai:tiny"}
        tower = make_tower(str(app), **settings)
        quota = {"max_llm_calls": None, "max_tool_calls": None}
        async with wire(tower.ws_url) as ws:
            ack = await ws.call("mission.submit", mission="Note.", agent="react", quota=quota)
        for _ in range(KILLS):
            before = len(api.requests)
            while len(api.requests) == before:
                await asyncio.sleep(0.05)
            await asyncio.sleep(chance.uniform(0, 3 * SLOW_S))
            tower.kill()
            tower.start()
        async with wire(tower.ws_url) as ws:
            await ws.call("subscribe", topics=[f"mission:{ack['mission_id']}"], since=0)
            last = await ws.ended()
            turns = [
                event["data"]["step"]
                for event in ws.durable
                if event["type"] == "step.completed" and event["data"]["kind"] == "llm"
            ]
    assert (last["type"], last["data"]["result"]) == ("mission.completed", "All is noted.")
    assert len(turns) == len(set(turns)) == TURNS + 1
    asked = [request.turns for request in api.requests]
    assert sorted(set(asked)) == list(range(TURNS + 1))
    assert len(asked) - len(turns) <= KILLS
    noted = [int(line) for line in sink.read_text().split()]
    assert sorted(set(noted)) == list(range(TURNS))
    assert len(noted) - TURNS <= KILLS
