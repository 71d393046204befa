"""Adoption: whatever is cut on the way, in the end each user of a dead node is at home and here."""

import asyncio
from collections.abc import Sequence

import pytest

from control_tower.cluster import adoption
from control_tower.commands import Submission
from control_tower.errors import Unavailable
from control_tower.execution.context import Context
from tests.rig.tower import ALICE
from tests.rig.town import TownNodes, Village

MISSION_S = 5


class Orphaned(Village):
    """Two nodes; the first dies with a mission of alice's, of whom nobody asks anything."""

    async def begin(self) -> str:
        """Submit the mission, let its node die, and have the other adopt; return its id."""

        async def main(ctx: Context) -> str:
            return str(await ctx.step("work", self._work, idempotent=True))

        self.agent(main)
        first, second = self.nodes
        reply = await first.tower.submit(ALICE, Submission(mission="go"), body_sha256="")
        await asyncio.sleep(1)
        self.die(first)
        self.town.bury(1)
        second.adoption.start()
        return str(reply["mission_id"])

    async def _work(self) -> str:
        await asyncio.sleep(MISSION_S)
        return "done"

    async def outcome(self, pid: str) -> str | None:
        """Return how a mission has ended, as the store has it: to ask for it would help it."""
        pcb = await self.store.mission(pid)
        assert pcb is not None
        return pcb.outcome


def test_an_adoption_that_is_not_answered_is_one_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The home has moved and nobody was told: the same round finds who has come."""
    world = Orphaned()
    adopt = TownNodes.adopt
    lost: list[str] = []

    async def unheard(nodes: TownNodes, most: int) -> list[str]:
        adopted = await adopt(nodes, most)
        if adopted and not lost:
            lost.extend(adopted)
            raise Unavailable("The answer is lost.", outcome="unknown")
        return adopted

    monkeypatch.setattr(TownNodes, "adopt", unheard)

    async def scenario() -> None:
        pid = await world.begin()
        await asyncio.sleep(MISSION_S + 3)
        assert lost == ["alice"]
        assert await world.outcome(pid) == "completed"

    world.run(scenario)


def test_who_could_not_be_restored_is_in_the_next_round() -> None:
    """Their home is ours by then, so they are nobody's orphan."""
    world = Orphaned()
    failed: list[Sequence[str]] = []

    async def scenario() -> None:
        residents = world.nodes[1].residents
        restore = residents._restore

        async def fail_once(user_ids: Sequence[str]) -> None:
            if not failed:
                failed.append(user_ids)
                raise RuntimeError("a bug")
            await restore(user_ids)

        residents._restore = fail_once
        pid = await world.begin()
        await asyncio.sleep(adoption.EVERY_S + MISSION_S + 3)
        assert failed == [["alice"]]
        assert await world.outcome(pid) == "completed"

    world.run(scenario)
