"""An effect that may be made again begins before its intent is committed, unless that would show.

What is lost with the intent in a kill may be nothing that the effect was made of.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from control_tower.commands import ConfirmationAnswer
from control_tower.execution.context import Context
from control_tower.records import Priority
from tests.rig.tower import ALICE, OPERATOR, World

FOR_EVER_S = 100_000.0


async def soon() -> None:
    """Let everything run that needs no time."""
    for _ in range(50):
        await asyncio.sleep(0)


class Paused(World):
    """A world whose database can be away."""

    async def away(self) -> None:
        """From now on nothing is committed."""
        self.store._auto = False
        await soon()

    async def killed(self) -> None:
        """Die as by kill -9, and start again, the database there."""
        self.store._auto = True
        await self.restart()


def _now(ctx: Context) -> object:
    return ctx.now()


def _random(ctx: Context) -> object:
    return ctx.random()


def _uuid(ctx: Context) -> object:
    return ctx.uuid()


@pytest.mark.parametrize("made", [_now, _random, _uuid])
def test_values_of_a_replay_are_committed_before_an_effect_has_them(
    made: Callable[[Context], object],
) -> None:
    """A shop that knows a repeated order by its key must not get another key after a kill."""
    world = Paused()
    keys: list[object] = []

    async def charge(key: object) -> str:
        keys.append(key)
        await asyncio.sleep(1)
        return "ok"

    world.tools.add(charge, idempotent=True)

    async def main(ctx: Context) -> Any:
        await ctx.emit("begun")
        return await ctx.tool("charge", key=made(ctx))

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        while "mission.progress" not in world.ledger.types(pid):
            await asyncio.sleep(0)
        await world.away()
        await asyncio.sleep(10)
        assert keys == []
        await world.killed()
        assert (await world.ended(pid))["outcome"] == "completed"
        assert len(keys) == 1

    world.run(scenario)


def test_an_effect_of_nothing_new_begins_at_once() -> None:
    """That is what most are; a slow disk delays none of them."""
    world = Paused()
    calls: list[str] = []

    async def look() -> str:
        calls.append("look")
        return "ok"

    world.tools.add(look, idempotent=True)

    async def main(ctx: Context) -> Any:
        await ctx.emit("begun")
        return await ctx.tool("look")

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        while "mission.progress" not in world.ledger.types(pid):
            await asyncio.sleep(0)
        await world.away()
        assert calls == ["look"]
        await world.killed()
        await world.ended(pid)

    world.run(scenario)


def test_an_approval_is_committed_before_its_effect_begins() -> None:
    """However answer and call come together: after a kill the person may say no."""
    world = Paused()
    calls: list[str] = []

    async def look() -> str:
        await asyncio.sleep(FOR_EVER_S if world.loop.time() < FOR_EVER_S else 0)
        return "ok"

    async def wipe() -> str:
        calls.append("wipe")
        return "ok"

    world.tools.add(look, idempotent=True)
    world.tools.add(wipe, idempotent=True, confirm=True, risk="destructive")

    async def main(ctx: Context) -> Any:
        return await ctx.parallel(lambda one: one.tool("look"), lambda two: two.tool("wipe"))

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        while "interrupt.raised" not in world.ledger.types(pid):
            await asyncio.sleep(0.1)
        asked = world.ledger.last(pid, "interrupt.raised")["data"]["interrupt_id"]
        await world.restart()
        while "mission.recovered" not in world.ledger.types(pid):
            await asyncio.sleep(0)
        # The program is about to make its calls again. Two commands come in, one is committed.
        world.store._auto = False
        commands = [
            asyncio.create_task(world.tower.set_priority(OPERATOR, pid, Priority.HIGH)),
            asyncio.create_task(
                world.tower.answer(ALICE, asked, ConfirmationAnswer(approved=True))
            ),
        ]
        await soon()
        world.store.step()
        await soon()
        assert calls == []
        for command in commands:
            command.cancel()
        await world.killed()
        await world.tower.answer(ALICE, asked, ConfirmationAnswer(approved=False))
        await asyncio.sleep(1)
        assert calls == []
        await world.tower.cancel(ALICE, pid)

    world.run(scenario)
