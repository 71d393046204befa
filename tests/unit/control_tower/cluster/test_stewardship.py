"""What one node does for all: erasures that were cut are finished, at their users' homes."""

import asyncio

import pytest

from control_tower.cluster.routed import erase_user
from control_tower.cluster.stewardship import Stewardship
from control_tower.commands import Submission
from control_tower.committing import committed
from control_tower.errors import NotFound
from control_tower.execution.context import Context
from control_tower.unit import MarkSession, MarkUser, Unit
from tests.rig.tower import ALICE, BOB
from tests.rig.town import TownNode, TownNodes, Village


async def endless(ctx: Context) -> None:
    """An agent that only a cancel ends."""
    await ctx.step("work", asyncio.sleep, 100_000, idempotent=True)


class Stewarded(Village):
    """Nodes with their stewardships; alice has a mission on the second."""

    def __init__(self) -> None:
        super().__init__(2)
        self.agent(endless)

    def steward(self, node: TownNode) -> Stewardship:
        """Return a node's stewardship."""
        return Stewardship(TownNodes(self.town, node.token), node.router, self.store)

    async def begin(self) -> None:
        """Submit a mission of alice's."""
        reply = await self.nodes[1].tower.submit(ALICE, Submission(mission="go"), body_sha256="")
        self.pid, self.session_id = reply["mission_id"], reply["session_id"]

    async def gone(self) -> bool:
        """Whether nothing is left of the session."""
        mission = await self.store.mission(self.pid)
        return mission is None and await self.store.session(self.session_id) is None


def test_an_erasure_that_a_kill_cut_is_finished_where_its_user_comes_home() -> None:
    """Its mission is cancelled there, and removed with the rest."""
    world = Stewarded()

    async def scenario() -> None:
        await world.begin()
        first, second = world.nodes
        mark = MarkSession(world.session_id, world.clock.now())
        await committed(world.store, Unit([], [mark]))
        world.die(second)
        stewardship = world.steward(first)
        stewardship.start()
        first.adoption.start()
        world.town.bury(2)
        await asyncio.sleep(10)
        assert await world.gone()
        assert world.pid not in first.local.parts.memory.processes
        await stewardship.stop()

    world.run(scenario)


def test_a_user_whose_erasure_was_cut_is_erased() -> None:
    """With every session, as if nobody had died."""
    world = Stewarded()

    async def scenario() -> None:
        await world.begin()
        await committed(world.store, Unit([], [MarkUser("alice", world.clock.now())]))
        await world.steward(world.nodes[0]).finish_erasing()
        assert await world.gone()
        assert not await world.store.knows_user("alice")

    world.run(scenario)


def test_only_the_steward_finishes_anything() -> None:
    """The others wait until it is gone; it looks at once when it has become one."""
    world = Stewarded()

    async def scenario() -> None:
        await world.begin()
        first, second = world.nodes
        stewardship = world.steward(second)
        stewardship.start()
        mark = MarkSession(world.session_id, world.clock.now())
        await committed(world.store, Unit([], [mark]))
        await asyncio.sleep(1000)
        assert not await world.gone()
        world.die(first)
        world.town.bury(1)
        await asyncio.sleep(10)
        assert await world.gone()
        await stewardship.stop()

    world.run(scenario)


def test_what_can_not_be_finished_now_is_tried_again() -> None:
    """A home that does not answer keeps nobody from looking later."""
    world = Stewarded()

    async def scenario() -> None:
        await world.begin()
        first, _ = world.nodes
        mark = MarkSession(world.session_id, world.clock.now())
        await committed(world.store, Unit([], [mark]))
        stewardship = world.steward(first)
        world.town.away = True
        stewardship.start()
        await asyncio.sleep(30)
        assert not await world.gone()
        world.town.away = False
        await asyncio.sleep(700)
        assert await world.gone()
        await stewardship.stop()

    world.run(scenario)


def test_a_user_is_erased_where_they_are_at_home() -> None:
    """Whatever node is asked; of a stranger there is nothing, and nobody gives them a home."""
    world = Stewarded()

    async def scenario() -> None:
        await world.begin()
        first, second = world.nodes
        await first.tower.submit(BOB, Submission(mission="go"), body_sha256="")
        await erase_user(first.router, world.store, "alice")
        assert await world.gone()
        assert world.pid not in second.local.parts.memory.processes
        with pytest.raises(NotFound):
            await erase_user(first.router, world.store, "nobody")
        assert world.town.homes == {"alice": 2, "bob": 1}

    world.run(scenario)
