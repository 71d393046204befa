"""Idempotency keys that a second command brings before the first is committed.

The second is an answer by message, in the unit of a mission that has run for long: the key
refuses that command, and nothing else happens to the mission.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from control_tower.commands import ClarificationAnswer, Submission
from control_tower.errors import Conflict
from control_tower.execution.context import Context
from control_tower.limits import TowerLimits
from control_tower.records import Priority
from tests.rig.tower import ALICE, OPERATOR, World


def unless_napping(program: Callable[[Context], Awaitable[object]]) -> Any:
    """Return the program, which only naps where its mission says so."""

    async def main(ctx: Context) -> object:
        if ctx.mission.startswith("nap"):
            return await ctx.step("nap", asyncio.sleep, 10, idempotent=True)
        return await program(ctx)

    return main


async def asks(ctx: Context) -> str:
    """Ask, and say the answer."""
    return await ctx.clarify("Which?")


async def raised(world: World, pid: str) -> dict[str, Any]:
    """Return the question that a mission has raised, whatever else it is at."""
    interrupt_id = world.ledger.last(pid, "interrupt.raised")["data"]["interrupt_id"]
    return await world.tower.interrupt(OPERATOR, interrupt_id)


def send(world: World, text: str, session_id: str | None = None) -> Any:
    """Return a message to be sent with the one key."""
    submission = Submission(mission=text, session_id=session_id, idempotency_key="k")
    return world.tower.send_message(ALICE, text, submission, body_sha256=text)


async def refuse_answer(world: World, session_id: str) -> None:
    """Answer the session's question with a key that is taken as the answer is committed."""
    first, answer = await world.held_back(
        send(world, "nap elsewhere"), send(world, "red", session_id)
    )
    world.store.step()
    assert "mission_id" in await first
    with pytest.raises(Conflict, match="idempotency key"):
        await answer


async def answered(world: World, question: dict[str, Any]) -> dict[str, Any]:
    """Answer a question and return its mission once it has ended."""
    interrupt_id = question["interrupt_id"]
    await world.tower.answer(ALICE, interrupt_id, ClarificationAnswer(answer="green"))
    return await world.ended(question["mission_id"])


def test_a_key_that_is_taken_cuts_no_effect() -> None:
    """What is in flight beside the question is not cut, and nobody is asked what became of it."""
    world = World()
    acts: list[str] = []

    async def charge() -> str:
        acts.append("begun")
        await asyncio.sleep(5)
        acts.append("charged")
        return "ok"

    world.tools.add(charge)

    async def main(ctx: Context) -> Any:
        return await ctx.parallel(lambda b: b.clarify("Which?"), lambda b: b.tool("charge"))

    world.agent(unless_napping(main))

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        question = await raised(world, pid)
        await refuse_answer(world, question["session_id"])
        assert pid in world.tower._a.memory.processes
        await asyncio.sleep(10)
        assert acts == ["begun", "charged"]
        assert (await answered(world, question))["result"] == ["green", "ok"]
        assert world.ledger.types(pid).count("interrupt.raised") == 1

    world.run(scenario)


@pytest.mark.parametrize("busy", [False, True])
def test_an_answer_refused_for_its_key_takes_no_place(busy: bool) -> None:
    """The mission waits as before: it neither holds the session and a slot nor queues for them."""
    world = World()
    world.agent(unless_napping(asks))

    async def scenario() -> None:
        pid = await world.submit()
        question = await world.question(pid)
        session = question["session_id"]
        if busy:
            await world.submit("nap first", session_id=session)
        account = world.tower._a.budget.accounts[pid]
        used = account.used
        await refuse_answer(world, session)
        assert account.used == used
        assert (await world.tower.mission(ALICE, pid))["state"] == "waiting"
        process = world.tower._a.memory.processes[pid]
        assert (process.has_slot, process.in_gate) == (False, False)
        second = await world.submit("nap second", session_id=session)
        explained = await world.tower.explain(ALICE, second)
        assert (explained["state"], explained["position"]) == (
            ("blocked", 1) if busy else ("running", None)
        )
        await world.ended(second)
        assert (await answered(world, question))["result"] == "green"
        assert world.ledger.last(pid, "mission.resumed")["data"]["cause"] == "answered"

    world.run(scenario)


def test_a_key_that_is_taken_refuses_its_command_only() -> None:
    """What came for the mission just before and after is committed, in units of its own."""
    world = World()
    world.agent(unless_napping(asks))

    async def scenario() -> None:
        pid = await world.submit()
        question = await world.question(pid)
        session = question["session_id"]
        elsewhere, low, answer, paused, high = await world.held_back(
            send(world, "nap elsewhere"),
            world.tower.set_priority(ALICE, pid, Priority.LOW),
            send(world, "red", session),
            world.tower.pause(ALICE, pid),
            world.tower.set_priority(ALICE, pid, Priority.HIGH),
        )
        world.store.step()
        assert "mission_id" in await elsewhere
        assert (await low)["priority"] == "low"
        with pytest.raises(Conflict, match="idempotency key"):
            await answer
        assert (await paused)["state"] == "paused"
        assert (await high)["priority"] == "high"
        await world.tower.resume(ALICE, pid)
        assert (await answered(world, question))["result"] == "green"

    world.run(scenario)


def test_what_a_program_made_meanwhile_is_kept() -> None:
    """Its instants are committed with the next record, and its text is streamed."""
    world = World()

    async def main(ctx: Context) -> Any:
        async def thinks(branch: Context) -> str:
            await asyncio.sleep(1)
            now = branch.now()
            await asyncio.sleep(1)
            branch.delta("thinking")
            await asyncio.sleep(1)
            await branch.step("after", asyncio.sleep, 0, idempotent=True)
            return str(now)

        return await ctx.parallel(lambda b: b.clarify("Which?"), thinks)

    world.agent(unless_napping(main))

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1.5)
        question = await raised(world, pid)
        world.store._auto = False
        first = asyncio.create_task(send(world, "nap elsewhere"))
        await asyncio.sleep(0.01)
        answer = asyncio.create_task(send(world, "red", question["session_id"]))
        await asyncio.sleep(1)
        world.store._auto = True
        world.store.step()
        await first
        with pytest.raises(Conflict):
            await answer
        texts = [delta["data"]["text"] for delta in world.ledger.deltas]
        assert texts == ["thinking"]
        await asyncio.sleep(2)
        kinds = [record.kind for record in await world.store.steps(pid)]
        assert "now" in kinds
        await world.restart()
        assert (await answered(world, question))["outcome"] == "completed"

    world.run(scenario)


def test_an_answer_refused_for_its_key_is_not_why_the_mission_goes_on() -> None:
    """It was preempted beside its question, and is resumed for the slot that it gets."""
    world = World(TowerLimits(max_running=1))

    async def main(ctx: Context) -> Any:
        async def works(branch: Context) -> None:
            for n in range(5):
                await branch.step(f"s{n}", asyncio.sleep, 1, idempotent=True)

        return await ctx.parallel(lambda b: b.clarify("Which?"), works)

    world.agent(unless_napping(main))

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1.5)
        await world.submit("nap", OPERATOR, priority=Priority.REALTIME)
        await asyncio.sleep(1)
        mission = await world.tower.mission(ALICE, pid)
        assert mission["state"] == "ready"
        await refuse_answer(world, mission["session_id"])
        await asyncio.sleep(60)
        assert world.ledger.last(pid, "mission.resumed")["data"]["cause"] == "slot"

    world.run(scenario)


def test_an_answer_whose_message_was_taken_as_a_mission_is_a_duplicate() -> None:
    """The same message came before, as nothing was asked yet."""
    world = World()
    world.agent(unless_napping(asks))

    async def scenario() -> None:
        pid = await world.submit()
        question = await world.question(pid)
        session = question["session_id"]
        message = Submission(mission="nap", session_id=session, idempotency_key="k")
        mission, answer = await world.held_back(
            world.tower.submit(ALICE, message, body_sha256="b"),
            world.tower.send_message(ALICE, "nap", message, body_sha256="b"),
        )
        world.store.step()
        assert await answer == {**await mission, "duplicate": True}
        assert (await answered(world, question))["result"] == "green"

    world.run(scenario)


def test_an_answer_by_message_sent_again_meanwhile_gets_the_same_reply() -> None:
    """The question is answered when its second copy is looked at: by the first one."""
    world = World()
    world.agent(unless_napping(asks))

    async def scenario() -> None:
        pid = await world.submit()
        session = (await world.question(pid))["session_id"]
        one, two, other = await world.held_back(
            send(world, "red", session),
            send(world, "red", session),
            world.tower.send_message(
                ALICE, "blue", Submission(mission="blue", session_id=session), body_sha256="b"
            ),
        )
        world.store.step()
        assert await two == {**await one, "duplicate": True}
        with pytest.raises(Conflict, match="answered meanwhile"):
            await other
        assert (await world.ended(pid))["result"] == "red"

    world.run(scenario)
