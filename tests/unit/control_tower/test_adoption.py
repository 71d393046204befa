"""Two towers over one store: when one is gone, the other takes its users over as a start would."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from control_tower import recovery
from control_tower.commands import ClarificationAnswer, Submission
from control_tower.committing import committed
from control_tower.erasure import Eraser, cancel_all
from control_tower.execution.context import Context
from control_tower.limits import TowerLimits
from control_tower.records import ProcessControlBlock
from control_tower.tower import Tower
from control_tower.unit import MarkSession, Unit
from events.types import Committed, Ephemeral
from tests.rig.tower import ALICE, BOB, OPERATOR, Ledger, World, kill


class Pair(World):
    """Two towers: the first runs everything until it dies, the other is ``heir``."""

    lives = 1

    def __init__(self, limits: TowerLimits | None = None) -> None:
        super().__init__(limits)
        self.heir = self.another("node-2")

    async def pass_on(self, *user_ids: str) -> None:
        """Kill the first tower; the other adopts its users."""
        self.lives += 1
        kill(self.tower)
        self.store.pending.clear()
        await asyncio.sleep(0)
        await self.heir.adopt(user_ids)
        self.tower = self.heir

    def run(self, scenario: Callable[[], Awaitable[None]]) -> None:
        """Run a scenario, both towers started."""

        async def both() -> None:
            await self.heir.start(restore=False)
            await scenario()

        super().run(both)

    async def once(self, seconds: float) -> str:
        """Take for ever on the first tower, and ``seconds`` on the other."""
        await asyncio.sleep(seconds if self.lives > 1 else 100_000)
        return "done"


def completed(world: Pair) -> list[str]:
    """Return the missions that have completed, in that order."""
    return [e["mission_id"] for e in world.ledger.events if e["type"] == "mission.completed"]


def test_a_running_mission_goes_on_elsewhere() -> None:
    """What was journaled is not done again; the mission is recovered, and ends."""
    world = Pair()
    made: list[str] = []

    async def main(ctx: Context) -> str:
        await ctx.step("first", lambda: made.append("first"), idempotent=True)
        return str(await ctx.step("second", world.once, 5, idempotent=True))

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        await world.pass_on("alice")
        assert (await world.ended(pid))["result"] == "done"
        assert made == ["first"]
        assert world.ledger.types(pid).count("mission.recovered") == 1

    world.run(scenario)


def test_a_session_stays_busy_and_its_queue_keeps_its_order() -> None:
    """The holder holds, those behind it wait as they did, and a newcomer is the last."""
    world = Pair()

    async def main(ctx: Context) -> str:
        return str(await ctx.step("work", world.once, 5, idempotent=True))

    world.agent(main)

    async def scenario() -> None:
        first = await world.submit()
        session_id = (await world.tower.mission(ALICE, first))["session_id"]
        behind = [await world.submit(session_id=session_id) for _ in range(3)]
        await asyncio.sleep(1)
        await world.pass_on("alice")
        behind.append(await world.submit(session_id=session_id))
        waits = [await world.tower.explain(ALICE, pid) for pid in behind]
        assert [each["position"] for each in waits] == [1, 2, 3, 4]
        for pid in behind:
            await world.ended(pid)
        assert completed(world) == [first, *behind]

    world.run(scenario)


def test_what_rests_is_answered_and_rings_elsewhere() -> None:
    """A question is answered, a sleep ends, a delayed start comes, a deadline passes."""
    world = Pair(TowerLimits(park_after_s=1))

    async def main(ctx: Context) -> str:
        return str(await ctx.clarify("Which?"))

    async def sleeper(ctx: Context) -> str:
        await ctx.sleep(50)
        return "slept"

    async def late(_: Context) -> str:
        return "at last"

    async def endless(ctx: Context) -> None:
        await ctx.sleep(100_000)

    for program, name in ((main, "main"), (sleeper, "sleeper"), (late, "late"), (endless, "end")):
        world.agent(program, name)

    async def scenario() -> None:
        asks = await world.submit()
        sleeps = await world.submit(agent="sleeper")
        starts = await world.submit(agent="late", start_at="2027-01-15T08:01:00Z")
        ends = await world.submit(agent="end", deadline_s=70)
        question = await world.question(asks)
        await asyncio.sleep(5)
        await world.pass_on("alice")
        answer = ClarificationAnswer(answer="this")
        await world.tower.answer(ALICE, question["interrupt_id"], answer)
        assert (await world.ended(asks))["result"] == "this"
        assert (await world.ended(sleeps, 60))["result"] == "slept"
        assert (await world.ended(starts, 120))["result"] == "at last"
        assert (await world.ended(ends, 120))["outcome"] == "timed_out"

    world.run(scenario)


def test_others_missions_run_on_meanwhile_and_are_left_alone() -> None:
    """Bob, at home with the heir, notices nothing of alice's coming."""
    world = Pair()

    async def main(ctx: Context) -> str:
        for number in range(20):
            await ctx.step(f"n{number}", asyncio.sleep, 0.5, idempotent=True)
        return "through"

    world.agent(main)

    async def submit_to(tower: Tower) -> str:
        reply = await tower.submit(BOB, Submission(mission="go"), body_sha256="go")
        return str(reply["mission_id"])

    async def scenario() -> None:
        of_bob = await submit_to(world.heir)
        of_alice = await world.submit()
        await asyncio.sleep(2)
        await world.pass_on("alice")
        assert (await world.ended(of_bob))["result"] == "through"
        assert (await world.ended(of_alice))["result"] == "through"
        assert "mission.recovered" not in world.ledger.types(of_bob)
        assert world.ledger.types(of_alice).count("mission.recovered") == 1

    world.run(scenario)


def test_only_the_named_users_are_taken_over() -> None:
    """Carol's missions wait for whoever adopts her."""
    world = Pair()

    async def main(ctx: Context) -> str:
        return str(await ctx.step("work", world.once, 1, idempotent=True))

    world.agent(main)

    async def scenario() -> None:
        of_alice = await world.submit()
        of_bob = await world.submit(caller=BOB)
        await asyncio.sleep(1)
        await world.pass_on("alice")
        await world.ended(of_alice)
        assert (await world.tower.mission(OPERATOR, of_bob))["state"] == "running"
        await world.tower.adopt(["bob"])
        await world.ended(of_bob)

    world.run(scenario)


def test_taking_a_user_over_twice_is_once() -> None:
    """A second reading finds missions that are here, running, and lets them be."""
    world = Pair()

    async def main(ctx: Context) -> str:
        return str(await ctx.step("work", world.once, 5, idempotent=True))

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        session_id = (await world.tower.mission(ALICE, pid))["session_id"]
        behind = await world.submit(session_id=session_id)
        await asyncio.sleep(1)
        await world.pass_on("alice")
        await asyncio.sleep(1)
        await world.tower.adopt(["alice"])
        await world.ended(pid)
        await world.ended(behind)
        assert world.ledger.types(pid).count("mission.recovered") == 1

    world.run(scenario)


def test_half_a_taking_over_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut between two pages it leaves nothing behind, and the next brings all of it."""
    world = Pair()
    monkeypatch.setattr(recovery, "PAGE", 2)
    pages = world.store.live_missions_of_users
    read: list[str | None] = []

    async def fail_once(
        user_ids: Sequence[str], after: str | None, limit: int
    ) -> list[ProcessControlBlock]:
        read.append(after)
        if len(read) == 2:
            raise RuntimeError("a row is no row")
        return await pages(user_ids, after, limit)

    monkeypatch.setattr(world.store, "live_missions_of_users", fail_once)

    async def main(ctx: Context) -> str:
        return str(await ctx.step("work", world.once, 5, idempotent=True))

    world.agent(main)

    async def scenario() -> None:
        first = await world.submit()
        session_id = (await world.tower.mission(ALICE, first))["session_id"]
        behind = [await world.submit(session_id=session_id) for _ in range(3)]
        await asyncio.sleep(1)
        with pytest.raises(RuntimeError):
            await world.pass_on("alice")
        assert not world.heir.parts.memory.processes
        assert not world.heir.parts.residence.resting
        await world.heir.adopt(["alice"])
        world.tower = world.heir
        for pid in (first, *behind):
            await world.ended(pid, 60)
        assert completed(world) == [first, *behind]
        assert world.ledger.types(first).count("mission.recovered") == 1

    world.run(scenario)


def test_a_child_whose_parent_ended_at_the_death_ends_before_it_runs_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The parent's end was committed, its child's was not; slots are free, and it gets none."""
    world = Pair()
    began: list[int] = []
    died, publish = asyncio.Event(), Ledger.publish

    def die(ledger: Ledger, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        publish(ledger, events, after)
        if world.lives == 1 and any(event.type == "mission.completed" for event in events):
            assert world.store.pending, "the child's end is on its way"
            world.store.pending.clear()
            kill(world.tower)
            died.set()

    monkeypatch.setattr(Ledger, "publish", die)

    async def child(ctx: Context) -> None:
        async def work() -> None:
            began.append(world.lives)
            await asyncio.sleep(1000)

        await ctx.step("long", work, idempotent=True)

    async def main(ctx: Context) -> str:
        await ctx.spawn("child", "wait")
        await ctx.step("short", asyncio.sleep, 5, idempotent=True)
        return "done"

    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit()
        await died.wait()
        children = (await world.tower.mission(ALICE, pid))["children"]
        await world.pass_on("alice")
        ended = await world.ended(children[0])
        assert ended["outcome"] == "cancelled"
        assert began == [1]

    world.run(scenario)


def test_a_users_queue_is_counted_where_they_are_at_home() -> None:
    """What they had queued before counts against what they may queue."""
    world = Pair(TowerLimits(max_queued_per_user=2))

    async def main(ctx: Context) -> str:
        return str(await ctx.step("work", world.once, 1000, idempotent=True))

    world.agent(main)

    async def scenario() -> None:
        first = await world.submit()
        session_id = (await world.tower.mission(ALICE, first))["session_id"]
        for _ in range(2):
            await world.submit(session_id=session_id)
        await world.pass_on("alice")
        refused = await asyncio.gather(world.submit(session_id=session_id), return_exceptions=True)
        assert "2 of 2 queued missions" in str(refused[0])

    world.run(scenario)


@pytest.mark.parametrize("waits", ["sleeps", "works", "joins", "works beside"])
def test_what_is_being_erased_is_not_gone_on_with(waits: str) -> None:
    """Its tower died behind the mark; who finishes the erasure need not hurry, and runs none."""
    world = Pair()
    runs: list[tuple[str, int]] = []

    async def child(ctx: Context) -> None:
        runs.append((ctx.session_id, world.lives))
        await ctx.step("long", world.once, 5, idempotent=True)

    async def main(ctx: Context) -> None:
        runs.append((ctx.session_id, world.lives))
        if waits == "sleeps":
            await ctx.sleep(5)
        if waits in ("joins", "works beside"):
            spawned = await ctx.spawn("child", "wait")
            if waits == "joins":
                await spawned.result()
        await ctx.step("long", world.once, 5, idempotent=True)

    world.agent(main)
    world.agent(child, "child")

    async def cancel(pid: str) -> None:
        await world.tower.cancel(OPERATOR, pid)

    async def scenario() -> None:
        session_id = (await world.tower.mission(ALICE, await world.submit()))["session_id"]
        await world.submit(session_id=session_id)
        goes_on = await world.submit()
        await asyncio.sleep(1)
        await committed(world.store, Unit(writes=[MarkSession(session_id, world.clock.now())]))
        await world.pass_on("alice")
        await world.ended(goes_on, 60)
        eraser = Eraser(
            world.store, world.clock, stop=lambda each: cancel_all(world.store, cancel, each)
        )
        await eraser.session_erased(session_id)
        await eraser.close()
        await asyncio.sleep(60)
        assert (session_id, 1) in runs
        assert (session_id, 2) not in runs
        assert await world.store.session(session_id) is None
        assert await world.store.live_missions(None, 9) == []
        assert not world.tower.parts.memory.processes

    world.run(scenario)
