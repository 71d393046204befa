"""Nothing begins after the end of a drain, whatever the store commits then."""

import asyncio

from control_tower.execution.context import Context
from tests.rig.tower import World


async def next_unit(world: World) -> None:
    """Wait until something is on its way to the store, which keeps it waiting."""
    world.store._auto = False
    while not world.store.pending:
        await asyncio.sleep(0)


async def stop_and_commit(world: World) -> None:
    """Stop the tower; commit what is on its way only then, and let happen what may."""
    await world.tower.stop(0)
    world.store.step()
    for _ in range(20):
        await asyncio.sleep(0)
    world.store._auto = True
    for _ in range(20):
        await asyncio.sleep(0)


def test_an_intent_that_is_committed_after_the_drain_begins_nothing() -> None:
    """The next start asks about the call, which a retry makes for the first time."""
    world = World()
    begun: list[str] = []

    async def pay() -> str:
        begun.append("paid")
        return "ok"

    async def main(ctx: Context) -> str:
        await ctx.emit("begins")
        return str(await ctx.tool("pay"))

    world.tools.add(pay)
    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        while "mission.progress" not in world.ledger.types(pid):
            await asyncio.sleep(0)
        await next_unit(world)
        await stop_and_commit(world)
        assert world.ledger.types(pid)[-1] == "step.started"
        assert begun == []
        await world.restart()
        assert (await world.question(pid))["kind"] == "unknown_outcome"
        assert begun == []

    world.run(scenario)


def test_a_mission_that_is_accepted_after_the_drain_runs_no_program() -> None:
    """Its caller is told that it was accepted; it runs at the next start."""
    world = World()
    ran: list[str] = []

    async def main(ctx: Context) -> str:
        ran.append(ctx.mission)
        return ctx.mission

    world.agent(main)

    async def scenario() -> None:
        submitting = asyncio.create_task(world.submit())
        await next_unit(world)
        await stop_and_commit(world)
        pid = await submitting
        assert ran == []
        await world.restart()
        assert (await world.ended(pid))["outcome"] == "completed"
        assert len(ran) == 1

    world.run(scenario)
