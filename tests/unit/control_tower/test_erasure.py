"""Erasing under a tower that runs: missions are cancelled first, and nobody sees them again."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from control_tower.commands import Caller
from control_tower.erasure import Eraser, cancel_all
from control_tower.errors import Forbidden, NotFound, Unavailable
from control_tower.execution.context import Context
from control_tower.sessions import Sessions
from control_tower.unit import StoreFailed, Tend, Unit
from tests.rig.tower import ALICE, BOB, OPERATOR, World


def eraser_of(world: World, forgotten: list[int] | None = None) -> Eraser:
    """The eraser of a world."""

    async def cancel(pid: str) -> object:
        return await world.tower.cancel(OPERATOR, pid, "erased")

    seen = forgotten if forgotten is not None else []
    return Eraser(
        world.store,
        world.clock,
        stop=lambda session_id: cancel_all(world.store, cancel, session_id),
        forget=lambda: seen.append(1),
    )


def desk(world: World) -> Sessions:
    """The commands on sessions of a world."""
    return Sessions(world.store, world.clock, world.ids)


async def session_of(world: World, pid: str) -> str:
    """A mission's session."""
    return str((await world.tower.mission(OPERATOR, pid))["session_id"])


def test_running_waiting_and_queued_missions_are_cancelled_first() -> None:
    """Children too; what the program would have done next is never done."""
    world, done = World(), list[str]()

    async def main(ctx: Context) -> str:
        if ctx.mission == "ask":
            await ctx.clarify("Which one?")
        if ctx.mission == "spawn":
            await (await ctx.spawn("main", "sleep")).result()
        await ctx.sleep(1000)
        done.append(ctx.mission)
        return "over"

    world.agent(main)

    async def scenario() -> None:
        first = await world.submit("sleep")
        session_id = await session_of(world, first)
        pids = [first] + [
            await world.submit(text, session_id=session_id, on_busy="parallel")
            for text in ("ask", "spawn", "sleep")
        ]
        other = await world.submit("sleep", BOB)
        await asyncio.sleep(1)
        forgotten: list[int] = []
        await desk(world).erase(ALICE, session_id, eraser_of(world, forgotten))
        assert forgotten == [1]
        assert world.tower.snapshot([f"session:{session_id}", "user:alice"]) == []
        for pid in pids:
            with pytest.raises(NotFound):
                await world.tower.mission(OPERATOR, pid)
            assert "mission.cancelled" in world.ledger.types(pid)
        assert [each["mission_id"] for each in world.tower.snapshot(["system"])] == [other]
        await asyncio.sleep(2000)
        assert done == ["sleep"]
        page = await world.store.read(["system"], 0, world.store.head, 10_000)
        assert [event.offset for event in page.events] == list(range(1, world.store.head + 1))
        assert not [event for event in page.events if session_id.encode() in event.body]

    world.run(scenario)


def test_to_everybody_it_is_gone_for_good() -> None:
    """To its user and operators, also for one that was deleted softly before."""
    world = World()

    async def main(ctx: Context) -> str:
        return "hello"

    world.agent(main)

    async def scenario() -> None:
        sessions, eraser = desk(world), eraser_of(world)
        for soft_first in (False, True):
            pid = await world.submit("hi")
            await world.ended(pid)
            session_id = await session_of(world, pid)
            if soft_first:
                await sessions.delete(ALICE, session_id)
            for other in (BOB, Caller("alice", "viewer"), Caller("vera", "viewer")):
                with pytest.raises((NotFound, Forbidden)):
                    await sessions.erase(other, session_id, eraser)
            gone = await sessions.erase(ALICE, session_id, eraser)
            assert gone.deleted_at is not None
            for caller in (ALICE, OPERATOR):
                for ask in (
                    partial(sessions.get, include_deleted=True),
                    sessions.restore,
                    partial(sessions.erase, eraser=eraser),
                ):
                    with pytest.raises(NotFound):
                        await ask(caller, session_id)
            with pytest.raises(NotFound):
                await world.submit("again", session_id=session_id)
        assert await sessions.list(ALICE, include_deleted=True) == []

    world.agent(main)
    world.run(scenario)


def test_the_reply_comes_when_nobody_sees_it_any_more() -> None:
    """Before the event that says so; and two who erase at once meet one erasure."""
    world = World()

    async def scenario() -> None:
        sessions, eraser = desk(world), eraser_of(world)
        made = await sessions.create(ALICE)
        heads: list[int] = []
        await sessions.erase(
            ALICE, made.session_id, eraser, ack=lambda _: heads.append(len(world.ledger.events))
        )
        assert world.ledger.events[-1]["type"] == "session.deleted"
        assert heads == [len(world.ledger.events) - 1]
        made = await sessions.create(ALICE)
        results = await asyncio.gather(
            *(sessions.erase(ALICE, made.session_id, eraser) for _ in range(2)),
            return_exceptions=True,
        )
        assert sorted(type(each).__name__ for each in results) == ["NotFound", "SessionRecord"]

    world.run(scenario)


def test_a_caller_who_goes_away_does_not_stop_it() -> None:
    """Nor does it leave half of it."""
    world = World()

    async def scenario() -> None:
        sessions, eraser = desk(world), eraser_of(world)
        made = await sessions.create(ALICE)
        erasing = asyncio.create_task(sessions.erase(ALICE, made.session_id, eraser))
        while (await world.store.marked_sessions()) == []:
            await asyncio.sleep(0)
        erasing.cancel()
        await asyncio.wait([erasing])
        await asyncio.sleep(1)
        assert await world.store.session(made.session_id) is None

    world.run(scenario)


def test_missions_of_an_interrupted_erasure_never_run_again() -> None:
    """Killed before they were cancelled: at the next start they are gone before anything runs."""
    world, begun = World(), list[str]()

    async def main(ctx: Context) -> str:
        begun.append(ctx.mission)
        await ctx.sleep(10)
        return "over"

    world.agent(main)

    async def never(_: str) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        pid = await world.submit("go")
        await asyncio.sleep(1)
        assert begun == ["go"]
        session_id = await session_of(world, pid)
        stuck = Eraser(world.store, world.clock, stop=never)
        erasing = asyncio.create_task(desk(world).erase(ALICE, session_id, stuck))
        await asyncio.sleep(1)
        start = world.tower.start
        assert start is not None
        erasing.cancel()
        await stuck.close()
        world.tower._a.timers.stop()
        for process in tuple(world.tower._a.memory.processes.values()):
            process.lost = True
            if process.run is not None:
                process.run.abandon()
        world.tower._a.memory.processes.clear()
        world.store = world.store.crash(world.ledger)
        await eraser_of(world).finish()
        world.tower = world.another()
        await world.tower.start()
        await asyncio.sleep(100)
        assert begun == ["go"]
        assert await world.store.mission(pid) is None

    world.run(scenario)


def test_a_user_who_works_meanwhile_is_erased_to_the_end() -> None:
    """Sessions that come during the erasure are theirs, and go with it."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.sleep(5)
        return "over"

    world.agent(main)

    async def scenario() -> None:
        for _ in range(3):
            await world.submit("go")
        eraser = eraser_of(world)
        erasing = asyncio.create_task(eraser.erase_user("alice"))
        for _ in range(3):
            await asyncio.sleep(0)
            await world.submit("more")
        await erasing
        page = await world.store.read(["system"], 0, world.store.head, 10_000)
        assert [event.offset for event in page.events] == list(range(1, world.store.head + 1))
        left = await world.store.sessions_of("alice")
        if not left:  # the last one may have come behind the end, and is a new user's
            assert not await world.store.knows_user("alice")
        await eraser.erase_user("alice") if left else None
        assert not await world.store.knows_user("alice")
        with pytest.raises(NotFound):
            await eraser.erase_user("alice")

    world.run(scenario)


def test_a_store_that_refuses_leaves_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is told; trying again, or the next start, ends it."""
    world = World()

    async def scenario() -> None:
        sessions, eraser = desk(world), eraser_of(world)
        made = await sessions.create(ALICE)
        submit = world.store.submit

        def refusing(unit: Unit) -> None:
            unit.refused(StoreFailed("locked", outcome="rejected"))

        monkeypatch.setattr(world.store, "submit", refusing)
        with pytest.raises(Unavailable):
            await sessions.erase(ALICE, made.session_id, eraser)
        monkeypatch.setattr(world.store, "submit", submit)
        assert (await sessions.get(ALICE, made.session_id)).deleted_at is None
        await sessions.erase(ALICE, made.session_id, eraser)
        assert await world.store.session(made.session_id) is None

    world.run(scenario)


def test_an_erasure_that_the_store_refuses_goes_on_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its mark is committed, so to everybody there is nothing to erase: nobody asks again."""
    world = World()

    async def scenario() -> None:
        sessions, eraser = desk(world), eraser_of(world)
        made = await sessions.create(ALICE)
        submit, refusals = world.store.submit, [7]

        def refusing(unit: Unit) -> None:
            if refusals[0] and any(isinstance(write, Tend) for write in unit.writes):
                refusals[0] -= 1
                unit.refused(StoreFailed("disk full", outcome="rejected"))
            else:
                submit(unit)

        monkeypatch.setattr(world.store, "submit", refusing)
        with pytest.raises(StoreFailed):
            await sessions.erase(ALICE, made.session_id, eraser)
        with pytest.raises(NotFound):
            await sessions.erase(ALICE, made.session_id, eraser)
        await asyncio.sleep(1 + 2 + 4 + 8 + 16)
        assert await world.store.marked_sessions() == [made.session_id]
        await asyncio.sleep(32 + 60 + 1)
        assert await world.store.marked_sessions() == []
        await eraser.close()

    world.run(scenario)


def test_a_database_that_is_away_delays_an_erasure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would come back to it before the next start: whoever asks again is told 404."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.sleep(1000)
        return "over"

    world.agent(main)

    async def scenario() -> None:
        session_id = await session_of(world, await world.submit("go"))
        away = {"live_missions_of": 2, "erase_next_of_session": 2, "cancel": 2}

        def sometimes(name: str, do: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
            async def ask(*args: Any, **more: Any) -> Any:
                away[name] -= 1
                if away[name] >= 0:
                    raise Unavailable("The database does not answer.", outcome="rejected")
                return await do(*args, **more)

            return ask

        for name in ("live_missions_of", "erase_next_of_session"):
            monkeypatch.setattr(world.store, name, sometimes(name, getattr(world.store, name)))
        monkeypatch.setattr(world.tower, "cancel", sometimes("cancel", world.tower.cancel))
        await desk(world).erase(ALICE, session_id, eraser_of(world))
        assert await world.store.session(session_id) is None
        assert max(away.values()) < 0

    world.run(scenario)
