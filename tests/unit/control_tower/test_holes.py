"""One test for each hole that the design closes."""

import asyncio
from typing import Any

import msgspec
import pytest

from control_tower.commands import (
    ClarificationAnswer,
    ConfirmationAnswer,
    DecisionAnswer,
    Submission,
)
from control_tower.errors import Conflict, InvalidParams, NotFound, Unavailable
from control_tower.execution.calls import EVENT_LIMIT_BYTES
from control_tower.execution.context import Context
from control_tower.execution.outcomes import PREVIEW_CHARACTERS
from control_tower.lifecycle import Lifecycle
from control_tower.limits import TowerLimits
from control_tower.quota.quotas import ResourceQuota
from tests.rig.tower import ALICE, BOB, OPERATOR, World

TERMINAL = {
    "mission.completed",
    "mission.failed",
    "mission.cancelled",
    "mission.timed_out",
    "mission.quota_exceeded",
}


def ends(world: World, pid: str) -> list[str]:
    """Return a mission's terminal events."""
    return [kind for kind in world.ledger.types(pid) if kind in TERMINAL]


def test_a_cancel_that_meets_a_commit_in_flight_leaves_one_terminal_event() -> None:
    """Whichever is committed first wins; the other sees it."""
    for delay in range(40):
        world = World()

        async def main(ctx: Context) -> str:
            await ctx.step("a", asyncio.sleep, 0.001, idempotent=True)
            await ctx.step("b", asyncio.sleep, 0.001)
            return "done"

        world.agent(main)

        async def scenario(world: World = world, delay: int = delay) -> None:
            pid = await world.submit()
            for _ in range(delay):
                await asyncio.sleep(0)
            mission = await world.tower.cancel(ALICE, pid)
            assert mission["outcome"] in {"cancelled", "completed"}
            await asyncio.sleep(1)
            assert len(ends(world, pid)) == 1
            assert world.ledger.types(pid)[-1] in TERMINAL

        world.run(scenario)


def test_every_way_to_end_at_once_ends_once() -> None:
    """Deadline, cancel from two sides, and the program's own end, in one tick."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.sleep(10)
        return "done"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit(deadline_s=10.0)
        await asyncio.sleep(10)
        await asyncio.gather(world.tower.cancel(ALICE, pid), world.tower.cancel(OPERATOR, pid))
        await asyncio.sleep(1)
        assert len(ends(world, pid)) == 1

    world.run(scenario)


def test_a_timeout_that_fires_while_its_result_commits_changes_nothing() -> None:
    """The effect has ended; its result is on its way and stands."""
    world = World()

    async def work() -> str:
        await asyncio.sleep(1.0)
        return "result"

    world.tools.add(work, timeout_s=1.0000001)

    async def main(ctx: Context) -> str:
        return str(await ctx.tool("work"))

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        assert (await world.ended(pid))["result"] == "result"
        assert world.ledger.types(pid).count("step.completed") == 1
        assert "interrupt.raised" not in world.ledger.types(pid)

    world.run(scenario)


def test_a_stale_process_writes_nothing() -> None:
    """The fence is checked in the transaction: a newer token refuses the unit, events and all."""
    world = World()

    async def main(ctx: Context) -> str:
        for n in range(10):
            await ctx.step(f"s{n}", asyncio.sleep, 1, idempotent=True)
        return "done"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(2.5)
        process = world.tower._a.memory.processes[pid]
        process.pcb = msgspec.structs.replace(process.pcb, token=99)
        before = len(world.ledger.events)
        await asyncio.sleep(5)
        assert len(world.ledger.events) == before
        assert pid not in world.tower._a.memory.processes
        assert process.lost
        await world.restart()
        assert (await world.ended(pid))["result"] == "done"

    world.run(scenario)


def test_an_approval_covers_one_attempt() -> None:
    """Cut by a crash, an approved call is a question again, and never made behind it."""
    world = World()

    async def pay() -> str:
        await asyncio.sleep(5)
        return "paid"

    world.tools.add(pay, confirm=True)

    async def main(ctx: Context) -> str:
        return str(await ctx.tool("pay"))

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        question = await world.question(pid)
        yes = ConfirmationAnswer(approved=True)
        await world.tower.answer(ALICE, question["interrupt_id"], yes)
        await asyncio.sleep(1)
        await world.restart()
        await asyncio.sleep(100)
        assert len(world.tools.calls) == 1
        again = await world.question(pid)
        assert again["kind"] == "unknown_outcome"
        assert await world.tower.answer(ALICE, question["interrupt_id"], yes)
        await asyncio.sleep(10)
        assert len(world.tools.calls) == 1
        await world.tower.answer(ALICE, again["interrupt_id"], DecisionAnswer(decision="retry"))
        assert (await world.ended(pid))["result"] == "paid"
        assert len(world.tools.calls) == 2

    world.run(scenario)


def test_parallel_branches_cannot_reserve_more_than_the_quota() -> None:
    """Five branches, three calls: a call waits while others hold the room, then asks."""
    world = World()

    async def look(n: int) -> int:
        await asyncio.sleep(1)
        return n

    world.tools.add(look, idempotent=True)

    async def main(ctx: Context) -> str:
        async def branch(inner: Context) -> Any:
            return await inner.tool("look", n=1)

        return str(sum(await ctx.parallel(*[branch] * 5)))

    world.agent(main)

    async def scenario() -> None:
        quota = ResourceQuota(max_tool_calls=3)
        pid = await world.submit(quota=quota)
        await asyncio.sleep(0.5)
        assert len(world.tools.calls) == 3
        account = world.tower._a.budget.accounts[pid]
        assert account.used.tool_calls + account.reserved.tool_calls == 3
        await asyncio.sleep(10)
        mission = await world.tower.mission(ALICE, pid)
        assert mission["state"] == "waiting"
        assert len(mission["pending_interrupts"]) == 2
        assert len(world.tools.calls) == 3
        for interrupt_id in mission["pending_interrupts"]:
            more = DecisionAnswer(decision="finish")
            await world.tower.answer(ALICE, interrupt_id, more)
        assert (await world.ended(pid))["outcome"] == "quota_exceeded"
        assert world.tower._a.budget.accounts == {}

    world.run(scenario)


def test_a_message_answers_only_the_oldest_clarification() -> None:
    """A chat message never approves anything."""
    world = World()

    async def pay() -> str:
        return "paid"

    world.tools.add(pay, confirm=True)

    async def main(ctx: Context) -> str:
        if ctx.mission == "pay":
            return str(await ctx.tool("pay"))
        return await ctx.clarify("What?")

    world.agent(main)

    async def scenario() -> None:
        paying = await world.submit("pay")
        question = await world.question(paying)
        session = question["session_id"]
        said = Submission(mission="yes", session_id=session)
        sent = await world.tower.send_message(ALICE, "yes", said, body_sha256="1")
        assert "answered" not in sent
        asking = sent["mission_id"]
        assert (await world.question(asking))["kind"] == "clarification"
        assert (await world.tower.mission(ALICE, paying))["state"] == "waiting"
        said = Submission(mission="this", session_id=session, idempotency_key="k")
        answered = await world.tower.send_message(ALICE, "this", said, body_sha256="2")
        assert (
            answered["answered"]
            == (world.ledger.last(asking, "interrupt.resolved")["data"]["interrupt_id"])
        )
        assert (await world.ended(asking))["result"] == "this"
        again = await world.tower.send_message(ALICE, "this", said, body_sha256="2")
        assert (again["message_id"], again["duplicate"]) == (answered["message_id"], True)
        assert world.tools.calls == []
        with pytest.raises(NotFound):
            await world.tower.send_message(BOB, "this", said, body_sha256="3")

    world.run(scenario)


def test_an_answer_after_the_end_is_a_conflict() -> None:
    """Cancelling a mission cancels its questions."""
    world = World()

    async def main(ctx: Context) -> str:
        return await ctx.clarify("What?")

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        question = await world.question(pid)
        await world.tower.cancel(ALICE, pid)
        with pytest.raises(Conflict):
            await world.tower.answer(
                ALICE, question["interrupt_id"], ClarificationAnswer(answer="x")
            )
        kinds = world.ledger.types(pid)
        assert kinds.index("interrupt.cancelled") < kinds.index("mission.cancelled")

    world.run(scenario)


def test_a_function_in_flight_at_a_crash_is_in_doubt_unless_idempotent() -> None:
    """ctx.step is a side effect like any other."""
    world = World()
    ran: list[int] = []

    async def work() -> str:
        ran.append(1)
        await asyncio.sleep(5)
        return "x"

    async def main(ctx: Context) -> str:
        return str(await ctx.step("work", work))

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        await world.restart()
        question = await world.question(pid)
        assert question["kind"] == "unknown_outcome"
        assert ran == [1]
        happened = DecisionAnswer(decision="it_happened", result="said so")
        await world.tower.answer(ALICE, question["interrupt_id"], happened)
        assert (await world.ended(pid))["result"] == "said so"

    world.run(scenario)


def test_a_long_output_is_shown_short_and_kept_whole() -> None:
    """An event holds at most 256 KiB; the step keeps everything, over a crash too."""
    world = World()
    long = "x" * (EVENT_LIMIT_BYTES + 1)

    async def main(ctx: Context) -> str:
        text = str(await ctx.step("long", lambda: long, idempotent=True))
        await ctx.sleep(10)
        return str(len(text))

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        shown = world.ledger.last(pid, "step.completed")["data"]
        assert len(shown["output"]) == PREVIEW_CHARACTERS
        assert shown["truncated"] is True
        assert shown["size"] == len(long) + 2
        await world.restart()
        assert (await world.ended(pid))["result"] == str(len(long))

    world.run(scenario)


def test_a_missing_agent_blocks_its_missions_until_it_is_back() -> None:
    """After a restart without the agent nothing is lost and nothing fails."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.sleep(5)
        return "done"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        program = world.shelf.programs.pop("main")
        await world.restart()
        await asyncio.sleep(10)
        mission = await world.tower.mission(ALICE, pid)
        assert (mission["state"], mission["state_reason"]) == ("blocked", "agent_missing")
        world.shelf.programs["main"] = program
        await world.restart()
        assert (await world.ended(pid))["result"] == "done"

    world.run(scenario)


def test_what_a_program_raises_is_told_without_a_traceback() -> None:
    """Class and message; a result that is not JSON is an error of its own."""
    world = World()

    async def main(ctx: Context) -> Any:
        if ctx.mission == "raise":
            raise LookupError("no such thing")
        return object()

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit("raise"))
        assert mission["error"] == {
            "code": "agent_failed",
            "message": "LookupError: no such thing",
        }
        mission = await world.ended(await world.submit("object"))
        assert mission["outcome"] == "failed"
        assert mission["error"]["code"] == "result_invalid"

    world.run(scenario)


def test_waiting_missions_leave_memory_and_come_back_whole() -> None:
    """A thousand parked missions are a record and an alarm each; any of them is answered."""
    world = World(TowerLimits(park_after_s=1))

    async def main(ctx: Context) -> str:
        return await ctx.clarify("What?")

    world.agent(main)

    async def scenario() -> None:
        pids = [await world.submit(f"m{n}") for n in range(1000)]
        await asyncio.sleep(5)
        assert world.tower._a.memory.processes == {}
        assert world.tower.status()["processes"] == {"waiting": 1000}
        assert world.tower._a.budget.accounts == {}
        assert len(world.tower._a.timers) == 1000
        shown = world.tower.snapshot([f"mission:{pids[7]}"])
        assert [each["mission_id"] for each in shown] == [pids[7]]
        question = await world.question(pids[7])
        answer = ClarificationAnswer(answer="this")
        await world.tower.answer(ALICE, question["interrupt_id"], answer)
        assert (await world.ended(pids[7]))["result"] == "this"

    world.run(scenario)


def test_deltas_count_their_place_over_a_replay() -> None:
    """What was streamed before a park is not streamed again, and what follows counts on."""
    world = World(TowerLimits(park_after_s=1))

    async def main(ctx: Context) -> str:
        ctx.delta("αβγ ")
        name = await ctx.clarify("Name?")
        ctx.delta(name)
        return name

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        question = await world.question(pid)
        await asyncio.sleep(5)
        answer = ClarificationAnswer(answer="Ada")
        await world.tower.answer(ALICE, question["interrupt_id"], answer)
        await world.ended(pid)
        assert [(d["data"]["at"], d["data"]["text"]) for d in world.ledger.deltas] == [
            (0, "αβγ "),
            (4, "Ada"),
        ]

    world.run(scenario)


def test_a_fault_of_the_kernel_holds_one_mission_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The caller is told, the mission is paused, and a resume goes on from its journal."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.step("a", lambda: 1, idempotent=True)
        await ctx.sleep(5)
        return "done"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)

        def broken(*_: object) -> None:
            raise ValueError("a bug")

        with monkeypatch.context() as patched:
            patched.setattr(Lifecycle, "pause", broken)
            with pytest.raises(Unavailable):
                await world.tower.pause(ALICE, pid)
        await asyncio.sleep(10)
        mission = await world.tower.mission(ALICE, pid)
        assert (mission["state"], mission["state_reason"]) == ("paused", "internal")
        await world.tower.resume(ALICE, pid)
        assert (await world.ended(pid))["result"] == "done"
        assert world.ledger.types(pid).count("step.started") == 2

    world.run(scenario)


def test_a_mission_of_spaces_is_refused_by_name() -> None:
    """An empty mission makes no nameless session."""
    world = World()

    async def scenario() -> None:
        with pytest.raises(InvalidParams) as refused:
            await world.submit("  \n ")
        assert refused.value.details == {"field": "mission"}
        assert world.ledger.events == []

    world.run(scenario)
