"""What killing a real server under twenty missions has found, each in one small world."""

import asyncio
from collections.abc import Sequence

import pytest

from control_tower.execution.calls import FunctionCall, Kind
from control_tower.execution.context import Context
from control_tower.limits import TowerLimits
from control_tower.quota.quotas import ResourceQuota, ResourceUsage
from control_tower.records import InterruptKind, StepRecord
from control_tower.store import InlineStore
from events.types import Committed, Ephemeral
from tests.rig.tower import ALICE, OPERATOR, Ledger, World


class Lives(World):
    """A world that counts how often it was started."""

    lives = 1

    def die_at(self, event_type: str, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
        """Lose what is on its way to the store when such an event is published.

        Returns:
            What is set then.
        """
        died, publish = asyncio.Event(), Ledger.publish

        def die(ledger: Ledger, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
            publish(ledger, events, after)
            if self.lives == 1 and any(event.type == event_type for event in events):
                assert self.store.pending, "something is on its way, and not committed"
                self.store.pending.clear()
                died.set()

        monkeypatch.setattr(Ledger, "publish", die)
        return died

    async def hang_once(self, seconds: float) -> str:
        """Take for ever in the first life, and ``seconds`` in later ones."""
        await asyncio.sleep(seconds if self.lives > 1 else 100_000)
        return "done"

    async def restart(self) -> None:
        """Die and start again."""
        self.lives += 1
        await super().restart()


def test_a_sleep_beside_a_running_branch_still_rings() -> None:
    """The mission was running when it died, so nothing but its replay knows of the alarm."""
    world = Lives()

    async def main(ctx: Context) -> str:
        async def sleeps(branch: Context) -> None:
            await branch.sleep(5)

        async def works(branch: Context) -> None:
            await branch.step("works", world.hang_once, 1, idempotent=True)

        await ctx.parallel(sleeps, works)
        return "both"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        await world.restart()
        assert (await world.ended(pid, 6))["result"] == "both"

    world.run(scenario)


def test_a_question_beside_a_running_branch_still_expires() -> None:
    """It expires at its time, though another branch keeps the mission running."""
    world = Lives(TowerLimits(confirmation_ttl_s=100))

    async def main(ctx: Context) -> bool:
        async def asks(branch: Context) -> bool:
            return (await branch.confirm("Go on?")).approved

        async def works(branch: Context) -> None:
            await branch.step("works", world.hang_once, 200, idempotent=True)

        approved, _ = await ctx.parallel(asks, works)
        return bool(approved)

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        await world.restart()
        await asyncio.sleep(105)
        assert "interrupt.expired" in world.ledger.types(pid)
        assert (await world.ended(pid, 200))["result"] is False

    world.run(scenario)


def test_text_streamed_before_the_crash_is_there_for_newcomers() -> None:
    """Deltas die with a server: the first one after a replay carries the text so far."""
    world = Lives()

    async def main(ctx: Context) -> str:
        ctx.delta("one ")
        await ctx.step("first", asyncio.sleep, 1, idempotent=True)
        ctx.delta("two ")
        await ctx.step("second", asyncio.sleep, 1, idempotent=True)
        ctx.delta("three ")
        await ctx.step("third", world.hang_once, 1, idempotent=True)
        ctx.delta("four")
        return "x"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(5)
        before = len(world.ledger.deltas)
        await world.restart()
        await world.ended(pid)
        text = ""
        for delta in world.ledger.deltas[before:]:
            data = delta["data"]
            assert data["at"] <= len(text)
            text = text[: data["at"]] + data["text"]
        assert text == "one two three four"

    world.run(scenario)


def test_a_child_whose_parent_ended_at_the_crash_ends_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The parent's end was committed and its child's was not: the start makes up for it."""
    world = Lives()
    died = world.die_at("mission.completed", monkeypatch)

    async def child(ctx: Context) -> str:
        await ctx.step("long", world.hang_once, 100, idempotent=True)
        return "went on"

    async def main(ctx: Context) -> str:
        await ctx.spawn("child", "wait")
        await ctx.step("short", asyncio.sleep, 5, idempotent=True)
        return "done"

    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        (child_pid,) = (await world.tower.mission(OPERATOR, pid))["children"]
        await died.wait()
        await world.restart()
        mission = await world.ended(child_pid, 50)
        assert mission["outcome"] == "cancelled"
        assert "mission.recovered" not in world.ledger.types(child_pid)

    world.run(scenario)


def test_the_end_of_a_family_releases_only_what_this_life_holds() -> None:
    """A child cancelled with its parent after a crash holds what a life before had reserved."""
    world = Lives()

    async def child(ctx: Context) -> str:
        await ctx.step("long", world.hang_once, 10_000, idempotent=False)
        return "never"

    async def main(ctx: Context) -> str:
        await ctx.spawn("child", "wait")
        await ctx.clarify("How long?")
        return "never"

    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        await world.restart()
        await asyncio.sleep(1)
        (child_pid,) = (await world.tower.mission(OPERATOR, pid))["children"]
        question = (await world.settled(child_pid))["pending_interrupt"]
        shown = await world.tower.interrupt(OPERATOR, question)
        assert shown["kind"] == InterruptKind.UNKNOWN_OUTCOME
        await world.tower.cancel(ALICE, pid)
        await world.ended(child_pid, 5)
        await asyncio.sleep(0.1)
        tower = world.tower._a
        assert tower.budget.accounts == {}
        assert tower.memory.processes == {}

    world.run(scenario)


def test_what_dead_calls_may_have_used_is_nobody_elses() -> None:
    """Two in doubt have used up a quota of two: neither is made again before a person is asked."""
    world = Lives()
    begun: list[int] = []

    async def effect(seconds: float) -> str:
        begun.append(world.lives)
        return await world.hang_once(seconds)

    async def main(ctx: Context) -> str:
        async def one(branch: Context) -> None:
            spent = ResourceUsage(tool_calls=1)
            request = FunctionCall(effect, (1,), idempotent=True, reserve=spent)
            await branch.call(Kind.STEP, "long", [1], [1], request)

        await ctx.parallel(one, one)
        return "both"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(max_tool_calls=2))
        await asyncio.sleep(1)
        assert begun == [1, 1]
        await world.restart()
        mission = await world.settled(pid)
        assert begun == [1, 1]
        assert mission["usage"]["tool_calls"] == 2
        assert len(mission["pending_interrupts"]) == 2

    world.run(scenario)


def test_a_child_does_not_get_the_slot_that_its_parent_leaves() -> None:
    """It is to end, and must not begin for a moment first."""
    world = Lives(TowerLimits(max_running=1))

    async def child(ctx: Context) -> str:
        return "never"

    async def main(ctx: Context) -> str:
        await ctx.spawn("child", "wait")
        await ctx.step("short", asyncio.sleep, 5, idempotent=True)
        return "done"

    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit()
        await world.ended(pid)
        (child_pid,) = (await world.tower.mission(OPERATOR, pid))["children"]
        await world.ended(child_pid)
        assert world.ledger.types(child_pid) == ["mission.submitted", "mission.cancelled"]

    world.run(scenario)


def test_a_session_goes_to_its_first_after_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody held it when the server died, and the first in its queue takes longest to load."""
    world = Lives()
    died = world.die_at("mission.completed", monkeypatch)
    read = InlineStore.steps
    began: list[str] = []

    async def main(ctx: Context) -> str:
        began.append(ctx.mission)
        await ctx.step("works", asyncio.sleep, 1, idempotent=True)
        return "x"

    world.agent(main)

    async def scenario() -> None:
        holder = await world.submit("holds")
        session_id = (await world.tower.mission(OPERATOR, holder))["session_id"]
        pids = [await world.submit(f"{n}", session_id=session_id) for n in range(3)]

        async def slow_for_the_first(store: InlineStore, pid: str) -> list[StepRecord]:
            await asyncio.sleep(5 if pid == pids[0] else 0)
            return await read(store, pid)

        await died.wait()
        began.clear()
        monkeypatch.setattr(InlineStore, "steps", slow_for_the_first)
        await world.restart()
        for pid in pids:
            await world.ended(pid)
        assert began == ["0", "1", "2"]

    world.run(scenario)
