"""A call that fits the quota but for what its family holds of it waits, and keeps no slot."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from control_tower.execution.context import Context
from control_tower.limits import TowerLimits
from control_tower.quota.quotas import ResourceQuota
from events.types import Committed, Ephemeral
from tests.rig.tower import ALICE, Ledger, World

TURN = ResourceQuota(max_llm_calls=1)
ASKED = [{"role": "user", "content": "hello"}]


async def parent(ctx: Context) -> str:
    """Give a child all turns that there are, and want one."""
    await ctx.spawn("child", "x", TURN)
    return str((await ctx.llm(ASKED)).text)


async def naps(ctx: Context) -> None:
    """Need no turn, but time."""
    await ctx.sleep(100)


def family(limits: TowerLimits, child: Callable[[Context], Awaitable[object]]) -> World:
    """Return a world with a parent and its child."""
    world = World(limits)
    world.agent(parent)
    world.agent(child, "child")
    return world


def test_the_only_slot_goes_to_the_child_whose_share_is_waited_for() -> None:
    """Else each would wait for the other until the parent's running time is used up."""
    world = family(TowerLimits(max_running=1), naps)

    async def scenario() -> None:
        pid = await world.submit(quota=TURN)
        mission = await world.ended(pid, 200)
        assert (mission["result"], mission["usage"]["elapsed_seconds"] < 1) == ("hello", True)
        assert world.ledger.last(pid, "mission.blocked")["data"]["cause"] == "child"
        assert world.ledger.last(pid, "mission.resumed")["data"]["cause"] == "child"

    world.run(scenario)


def test_a_mission_that_lacks_room_is_told_of_it_however_long_that_takes() -> None:
    """It stays in memory: nobody would know what to load."""
    world = family(TowerLimits(park_after_s=1), naps)

    async def scenario() -> None:
        assert (await world.ended(await world.submit(quota=TURN), 200))["result"] == "hello"

    world.run(scenario)


def test_a_call_that_gets_room_is_made_though_another_branch_asks() -> None:
    """A person may take a day to answer."""
    world = family(TowerLimits(), naps)

    async def asks_and_thinks(ctx: Context) -> list[object]:
        await ctx.spawn("child", "x", TURN)

        async def asks(branch: Context) -> object:
            return await branch.clarify("Which?")

        async def thinks(branch: Context) -> object:
            return (await branch.llm(ASKED)).text

        return list(await ctx.parallel(asks, thinks))

    world.agent(asks_and_thinks)

    async def scenario() -> None:
        pid = await world.submit(quota=TURN)
        await asyncio.sleep(110)
        assert world.models.turns == 1
        assert (await world.tower.mission(ALICE, pid))["state"] == "waiting"

    world.run(scenario)


def test_room_that_was_made_as_the_server_died_is_found() -> None:
    """The child has ended, and nobody will say so to its parent, who joins it not."""
    world = family(TowerLimits(), naps)

    async def scenario() -> None:
        publish, died = Ledger.publish, asyncio.Event()

        def die(ledger: Ledger, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
            publish(ledger, events, after)
            if not died.is_set() and any(event.type == "mission.completed" for event in events):
                assert world.store.pending, "the parent's unit is on its way, and not committed"
                world.store.pending.clear()
                died.set()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Ledger, "publish", die)
            pid = await world.submit(quota=TURN)
            await died.wait()
        await world.restart()
        assert (await world.ended(pid, 10))["result"] == "hello"

    world.run(scenario)
