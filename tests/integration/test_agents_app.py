"""The first example of the documentation, served as people do, by the installed command."""

import sys
from pathlib import Path

import httpx2
import pytest

from tests.integration.tower_process import TowerProcess, wire
from tests.unit.agents.test_docs import APPS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

OTHER = """
from agents import Context, Secret, agent, tool

@tool(risk="write")
async def knock(key: str) -> str:
    print("knocked with", key)
    return f"opened with {len(key)} characters: {key}"

@agent("other", description="Comes from the settings.")
async def other(ctx: Context) -> str:
    return await ctx.tool(knock, key=Secret("DOOR_KEY"))
"""
DOOR_KEY = "canary-of-the-door"


class Command(TowerProcess):
    """`tower serve`, as it was installed."""

    program = (str(Path(sys.executable).with_name("tower")),)


async def test_the_first_example_runs_unchanged(tmp_path: Path) -> None:
    """`tower serve app.py`, beside the built-in agents and an app of TOWER_APPS."""
    app, other = tmp_path / "app.py", tmp_path / "other.py"
    app.write_text(APPS[0])
    other.write_text(OTHER)
    config = tmp_path / "tower.toml"
    config.write_text(f'[secrets]\nDOOR_KEY = "{DOOR_KEY}"\n')
    settings = {"TOWER_APPS": str(other), "TOWER_CONFIG": str(config)}
    tower = Command(tmp_path / "data", str(app), **settings).start()
    try:
        listed = httpx2.get(f"{tower.url}/api/v1/agents").json()
        agents = {each["name"] for each in listed["agents"]}
        assert {"support", "other", "demo", "react", "echo"} <= agents
        async with wire(tower.ws_url) as ws:
            await ws.call("mission.submit", mission="My parcel is broken.", agent="support")
            asked = (await ws.event("interrupt.raised"))["data"]
            assert (asked["kind"], asked["message"]) == ("clarification", "Which order?")
            await ws.call("clarify", clarification_id=asked["interrupt_id"], answer="A-17")
            asked = (await ws.event("interrupt.raised"))["data"]
            assert (asked["kind"], asked["tool"], asked["risk"]) == (
                "confirmation",
                "refund",
                "destructive",
            )
            assert asked["arguments"] == {"order": "A-17", "amount": 12.5}
            await ws.call("confirm", confirmation_id=asked["interrupt_id"], approved=True)
            assert (await ws.ended())["data"]["result"] == "refunded 12.5 on A-17"
            await ws.call("mission.submit", mission="where?", agent="other")
            opened = "opened with 18 characters: [secret DOOR_KEY]"
            assert (await ws.ended())["data"]["result"] == opened
            assert DOOR_KEY not in str(ws.messages)
        assert DOOR_KEY not in tower.log.read_text()
    finally:
        tower.end()
