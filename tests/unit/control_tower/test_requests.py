"""The Python surface: an envelope goes in and comes back answered."""

import asyncio

import pytest

from control_tower import ControlTower, Envelope, ResourceQuota, SchedulingPriority
from control_tower.commands import DecisionAnswer
from control_tower.errors import Conflict
from control_tower.execution.context import Context
from tests.rig.tower import World


def test_an_envelope_comes_back_answered() -> None:
    """Submitted, asked twice, completed; the status can be read at any time."""
    world = World()

    async def main(ctx: Context) -> str:
        sure = await ctx.confirm("Sure?")
        name = await ctx.clarify("Name?")
        return f"{ctx.inputs['n']} {sure.approved} {name}"

    world.agent(main)

    async def scenario() -> None:
        tower = ControlTower(world.tower)
        envelope = Envelope("go", "alice", inputs={"n": 3})
        quota = ResourceQuota(max_tool_calls=1)
        assert await tower.submit_request(envelope, SchedulingPriority.HIGH, quota) is envelope
        assert envelope.status == "waiting"
        await tower.resume_request(envelope, True)
        assert envelope.status == "waiting"
        with pytest.raises(Conflict):
            await tower.resume_request(Envelope("x", "alice"), "nobody asked")
        await tower.resume_request(envelope, "Ada")
        assert (envelope.status, envelope.result) == ("completed", "3 True Ada")
        block = await tower.get_request_status(str(envelope.pid))
        assert (block["priority"], block["quota"]["max_tool_calls"]) == ("high", 1)
        assert tower.get_system_status()["ended"] == {"completed": 1}

    world.run(scenario)


def test_a_request_can_be_cancelled_and_decided() -> None:
    """cancel_request ends it; a decision answers a question that is none of yes, no and words."""
    world = World()

    async def pay() -> str:
        await asyncio.sleep(100)
        return "paid"

    world.tools.add(pay, timeout_s=1.0)

    async def main(ctx: Context) -> str:
        return str(await ctx.tool("pay"))

    world.agent(main)

    async def scenario() -> None:
        tower = ControlTower(world.tower)
        envelope = await tower.submit_request(Envelope("go", "alice"))
        happened = DecisionAnswer(decision="it_happened", result="paid")
        await tower.resume_request(envelope, happened)
        assert envelope.result == "paid"
        envelope = await tower.submit_request(Envelope("go", "alice"))
        block = await tower.cancel_request(str(envelope.pid), "no more")
        assert block["outcome"] == "cancelled"

    world.run(scenario)
