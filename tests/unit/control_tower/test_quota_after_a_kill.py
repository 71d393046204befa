"""What a child used counts on its root's quota in every later life of the server."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest

from control_tower.execution.context import Context
from control_tower.ports import EffectContext, ModelRequest, ModelTurn
from control_tower.quota.quotas import ResourceQuota
from events.types import Committed, Ephemeral
from tests.rig.tower import ALICE, Ledger, Modelling, World

ONE_TURN = ResourceQuota(max_llm_calls=1, on_limit="fail")
ASKED = [{"role": "user", "content": "hello"}]
WAKES_S = 1000
"""When the parent wants the turn that its family has had."""


@dataclass(slots=True)
class Hanging(Modelling):
    """Models whose turns begin, and never end."""

    async def run(self, request: ModelRequest, effect: EffectContext) -> ModelTurn:
        """See ``ports.Models``."""
        self.turns += 1
        await asyncio.sleep(100_000)
        raise AssertionError


class Families(World):
    """A parent that bears one child, sleeps, and then wants a turn of a model for itself."""

    def __init__(
        self,
        child: Callable[[Context], Awaitable[object]],
        *,
        share: ResourceQuota | None = None,
        models: Modelling | None = None,
    ) -> None:
        super().__init__()
        self.models = models or self.models
        self.tower = self.another()

        async def parent(ctx: Context) -> object:
            await ctx.spawn("child", "x", share)
            await ctx.sleep(WAKES_S)
            return (await ctx.llm(ASKED)).text

        self.agent(parent)
        self.agent(child, "child")

    async def children(self, pid: str) -> list[str]:
        """Return a mission's children."""
        row = await self.store.mission(pid)
        assert row is not None
        return list(row.children)

    async def must_not_think(self, pid: str) -> None:
        """See the parent refused: the one turn was its child's."""
        await asyncio.sleep(WAKES_S)
        mission = await self.ended(pid)
        assert (mission["outcome"], self.models.turns) == ("quota_exceeded", 1)


async def thinks(ctx: Context) -> str:
    """Take a turn of a model."""
    return str((await ctx.llm(ASKED)).text)


@pytest.mark.parametrize("share", [None, ResourceQuota(max_llm_calls=1)])
def test_a_call_in_flight_at_a_childs_end_is_charged_for_good(share: ResourceQuota | None) -> None:
    """On the parent's account or its own: it is in the use that is stored with the child."""
    world = Families(thinks, share=share, models=Hanging())

    async def scenario() -> None:
        pid = await world.submit(quota=ONE_TURN)
        await asyncio.sleep(1)
        (child_pid,) = await world.children(pid)
        cancelled = await world.tower.cancel(ALICE, child_pid)
        assert cancelled["usage"]["llm_calls"] == 1
        await world.restart()
        await world.must_not_think(pid)

    world.run(scenario)


def test_a_call_of_a_child_that_a_kill_has_cut_counts_before_the_child_goes_on() -> None:
    """It is paused; the call is charged all the same."""
    world = Families(thinks, models=Hanging())

    async def scenario() -> None:
        pid = await world.submit(quota=ONE_TURN)
        await asyncio.sleep(1)
        (child_pid,) = await world.children(pid)
        await world.tower.pause(ALICE, child_pid)
        await world.restart()
        await world.must_not_think(pid)

    world.run(scenario)


def test_a_call_that_a_kill_has_cut_is_charged_once() -> None:
    """Its next attempt is the second call, and fits a limit of two."""
    world = Families(thinks, models=Hanging())
    world.agent(thinks)

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(max_llm_calls=2, on_limit="fail"))
        await asyncio.sleep(1)
        world.models = Modelling()
        await world.restart()
        mission = await world.ended(pid)
        assert (mission["outcome"], mission["usage"]["llm_calls"]) == ("completed", 2)

    world.run(scenario)


def test_the_use_of_a_child_that_its_parent_was_not_told_of_counts() -> None:
    """The server died between the child's end and the unit in which its parent learns of it."""
    world = Families(thinks)

    async def scenario() -> None:
        pid = await world.submit(quota=ONE_TURN)
        publish, died = Ledger.publish, asyncio.Event()

        def die(ledger: Ledger, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
            publish(ledger, events, after)
            if any(event.type == "mission.completed" for event in events):
                assert world.store.pending, "the parent's unit is on its way, and not committed"
                world.store.pending.clear()
                died.set()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Ledger, "publish", die)
            await died.wait()
        await world.restart()
        await world.must_not_think(pid)

    world.run(scenario)


def test_the_use_of_a_child_that_outlived_its_parent_counts() -> None:
    """There was nobody to tell of it but the root."""

    async def child(ctx: Context) -> None:
        await ctx.spawn("thinks", "x")
        await ctx.sleep(1)

    world = Families(child)

    async def thinks_and_waits(ctx: Context) -> None:
        await ctx.llm(ASKED)
        await ctx.sleep(100)

    world.agent(thinks_and_waits, "thinks")

    async def scenario() -> None:
        pid = await world.submit(quota=ONE_TURN)
        await asyncio.sleep(10)
        await world.restart()
        await world.must_not_think(pid)

    world.run(scenario)
