"""``on_busy``: who gives way to a mission that interrupts, and whom a mission rejects for."""

import asyncio

import pytest

from control_tower.commands import Submission
from control_tower.errors import Busy, Conflict, NotFound, Refusal, Unavailable
from control_tower.execution.context import Context
from control_tower.giving_way import DISPLACED
from control_tower.store.database import DiskFull
from control_tower.unit import Unit
from tests.rig.tower import ALICE, BOB, OPERATOR, World


async def nap(ctx: Context) -> str:
    """A program that is busy for a hundred seconds."""
    await ctx.step("nap", asyncio.sleep, 100, idempotent=True)
    return ctx.mission


def napping() -> World:
    """Return a world whose agent naps."""
    world = World()
    world.agent(nap)
    return world


async def session_of(world: World, pid: str) -> str:
    """Return a mission's session."""
    return str((await world.tower.mission(ALICE, pid))["session_id"])


def test_a_submit_sent_again_meanwhile_does_not_interrupt_itself() -> None:
    """While it is being committed its first copy keeps the session busy, and is left alone."""
    world = napping()

    async def scenario() -> None:
        first = await world.submit("first")
        session = await session_of(world, first)
        await world.ended(first)
        once = Submission(mission="x", session_id=session, idempotency_key="k", on_busy="interrupt")
        copies = await world.held_back(
            world.tower.submit(ALICE, once, body_sha256="x"),
            world.tower.submit(ALICE, once, body_sha256="x"),
        )
        world.store.step()
        one, two = await asyncio.gather(*copies)
        assert (one["mission_id"], one["duplicate"]) == (two["mission_id"], False)
        assert two["duplicate"]
        assert (await world.ended(one["mission_id"]))["outcome"] == "completed"

    world.run(scenario)


@pytest.mark.parametrize(
    ("cause", "refusal"), [("no room", Unavailable), ("the key is taken", Conflict)]
)
def test_a_submit_that_is_refused_interrupts_nobody(
    cause: str, refusal: type[Refusal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was running goes on, as if it had never come."""
    world = napping()

    def full(_: list[Unit]) -> None:
        raise DiskFull("no room")

    async def scenario() -> None:
        running = await world.submit("running")
        session = await session_of(world, running)
        other = Submission(mission="other", idempotency_key="k")
        urgent = Submission(
            mission="x", session_id=session, idempotency_key="k", on_busy="interrupt"
        )
        commands = [world.tower.submit(ALICE, urgent, body_sha256="x")]
        if cause == "the key is taken":
            commands.insert(0, world.tower.submit(ALICE, other, body_sha256="other"))
        *_, begun = await world.held_back(*commands)
        with monkeypatch.context() as patch:
            if cause == "no room":
                patch.setattr(world.store, "_apply", full)
            world.store.step()
        with pytest.raises(refusal):
            await begun
        assert (await world.ended(running))["outcome"] == "completed"

    world.run(scenario)


def test_the_displaced_end_once_the_newer_one_is_taken_in() -> None:
    """Its acceptance precedes their end, and their end its start; others in line come later."""
    world = napping()

    async def scenario() -> None:
        running = await world.submit("running")
        session = await session_of(world, running)
        queued = await world.submit("queued", session_id=session)
        urgent = await world.submit("urgent", session_id=session, on_busy="interrupt")
        await world.ended(queued)
        told = [(event["mission_id"], event["type"]) for event in world.ledger.events]
        order = [
            told.index(each)
            for each in (
                (urgent, "mission.queued"),
                (running, "mission.cancelled"),
                (urgent, "mission.started"),
                (urgent, "mission.completed"),
                (queued, "mission.started"),
            )
        ]
        assert order == sorted(order)
        cancelled = world.ledger.last(running, "mission.cancelled")["data"]
        assert (cancelled["reason"], cancelled["by"]) == (DISPLACED, "alice")

    world.run(scenario)


def test_the_displaced_give_way_after_a_crash() -> None:
    """The server died with the newer mission committed and the end of the older on its way."""
    world = napping()

    async def scenario() -> None:
        running = await world.submit("running")
        session = await session_of(world, running)
        queued = await world.submit("queued", session_id=session)
        shared = await world.submit("shared", session_id=session, on_busy="parallel")
        urgent = Submission(mission="urgent", session_id=session, on_busy="interrupt")
        [begun] = await world.held_back(world.tower.submit(ALICE, urgent, body_sha256="x"))
        world.store.step()
        assert world.store.pending, "the ends are on their way"
        await world.restart()
        pid = (await begun)["mission_id"]
        assert (await world.ended(running))["outcome"] == "cancelled"
        assert (await world.ended(shared))["outcome"] == "cancelled"
        assert (await world.ended(pid))["outcome"] == "completed"
        assert (await world.tower.mission(ALICE, queued))["outcome"] is None
        assert (await world.ended(queued))["outcome"] == "completed"

    world.run(scenario)


@pytest.mark.parametrize("crash", [False, True])
def test_of_two_that_interrupt_at_once_the_second_waits(crash: bool) -> None:
    """They displace the one that ran, not each other; a restart does not change that."""
    world = napping()

    async def scenario() -> None:
        running = await world.submit("running")
        session = await session_of(world, running)
        one, two = await asyncio.gather(
            world.submit("one", session_id=session, on_busy="interrupt"),
            world.submit("two", session_id=session, on_busy="interrupt"),
        )
        assert (await world.ended(running))["outcome"] == "cancelled"
        await asyncio.sleep(1)
        if crash:
            await world.restart()
        assert (await world.tower.mission(ALICE, two))["state"] == "blocked"
        assert (await world.ended(one))["outcome"] == "completed"
        assert (await world.ended(two))["outcome"] == "completed"

    world.run(scenario)


def test_who_has_left_the_session_meanwhile_is_not_cancelled() -> None:
    """It came to ask a person as the newer one was taken in: it keeps no session busy."""
    world = World()

    async def main(ctx: Context) -> str:
        if ctx.mission == "asks":
            await ctx.step("s", asyncio.sleep, 1, idempotent=True)
            return await ctx.clarify("Which?")
        return await nap(ctx)

    world.agent(main)

    async def scenario() -> None:
        asking = await world.submit("asks")
        session = await session_of(world, asking)
        await asyncio.sleep(0.9)
        world.store._auto = False
        await asyncio.sleep(0.2)
        world.store.step()  # the step's end is committed, and the question is on its way
        urgent = Submission(mission="urgent", session_id=session, on_busy="interrupt")
        [begun] = await world.held_back(world.tower.submit(ALICE, urgent, body_sha256="x"))
        assert world.tower._a.admission.gate.holders(session) == (asking,)
        world.store.step()
        pid = (await begun)["mission_id"]
        assert (await world.ended(pid))["outcome"] == "completed"
        assert (await world.tower.mission(OPERATOR, asking))["state"] == "waiting"

    world.run(scenario)


def test_a_delayed_mission_interrupts_at_its_start() -> None:
    """Until then the session's others run on; then whoever keeps it busy gives way."""
    world = napping()

    async def scenario() -> None:
        early = await world.submit("early")
        session = await session_of(world, early)
        start_at = "2027-01-15T08:02:30Z"  # as the late one runs
        delayed = await world.submit(
            "delayed", session_id=session, on_busy="interrupt", start_at=start_at
        )
        late = await world.submit("late", session_id=session)
        assert (await world.ended(early))["outcome"] == "completed"
        assert (await world.ended(late))["outcome"] == "cancelled"
        assert (await world.ended(delayed))["outcome"] == "completed"

    world.run(scenario)


def test_a_submit_sent_again_meanwhile_is_not_rejected_for_itself() -> None:
    """Its first copy keeps the session busy; another mission's submit is rejected for that."""
    world = napping()

    async def scenario() -> None:
        first = await world.submit("first")
        session = await session_of(world, first)
        await world.ended(first)
        once = Submission(mission="x", session_id=session, idempotency_key="k", on_busy="reject")
        other = Submission(mission="y", session_id=session, idempotency_key="o", on_busy="reject")
        one, two, three = await world.held_back(
            world.tower.submit(ALICE, once, body_sha256="x"),
            world.tower.submit(ALICE, once, body_sha256="x"),
            world.tower.submit(ALICE, other, body_sha256="y"),
        )
        world.store.step()
        assert await two == {**await one, "duplicate": True}
        with pytest.raises(Busy):
            await three

    world.run(scenario)


def test_whether_anothers_session_is_busy_is_not_told() -> None:
    """It looks as if it did not exist."""
    world = napping()

    async def scenario() -> None:
        session = await session_of(world, await world.submit())
        with pytest.raises(NotFound):
            await world.submit(caller=BOB, session_id=session, on_busy="reject")

    world.run(scenario)
