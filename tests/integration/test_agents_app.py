"""The first example of the documentation, served as people do, by the installed command."""

import sys
from pathlib import Path

import httpx2
import pytest

from tests.integration.tower_process import TowerProcess, wire
from tests.unit.agents.test_docs import APPS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

OTHER = """
from agents import Context, agent

@agent("other", description="Comes from the settings.")
async def other(ctx: Context) -> str:
    return "here"
"""


class Command(TowerProcess):
    """`tower serve`, as it was installed."""

    program = (str(Path(sys.executable).with_name("tower")),)


async def test_the_first_example_runs_unchanged(tmp_path: Path) -> None:
    """`tower serve app.py`, beside the built-in agents and an app of TOWER_APPS."""
    app, other = tmp_path / "app.py", tmp_path / "other.py"
    app.write_text(APPS[0])
    other.write_text(OTHER)
    tower = Command(tmp_path / "data", str(app), TOWER_APPS=str(other)).start()
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
            assert (await ws.ended())["data"]["result"] == "here"
    finally:
        tower.end()
