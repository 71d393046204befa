"""The tower from a submit to its terminal event."""

import asyncio

from control_tower.commands import ClarificationAnswer, ConfirmationAnswer
from control_tower.errors import ToolRefused
from control_tower.execution.context import Context
from tests.rig.tower import ALICE, World


def test_a_mission_that_returns_completes() -> None:
    """Submitted, started, one answer, one terminal event."""
    world = World()

    async def main(ctx: Context) -> str:
        return f"did {ctx.mission}"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit("this")
        mission = await world.ended(pid)
        assert (mission["outcome"], mission["result"]) == ("completed", "did this")
        assert world.ledger.types(pid) == [
            "message.created",
            "mission.submitted",
            "mission.started",
            "message.created",
            "mission.completed",
        ]

    world.run(scenario)


def test_steps_are_journaled_and_survive_a_crash() -> None:
    """After a crash in mid-step the journaled steps do not run again."""
    world = World()
    ran: list[int] = []

    async def work(n: int) -> int:
        ran.append(n)
        await asyncio.sleep(0.01)
        return n

    async def main(ctx: Context) -> str:
        done = [await ctx.step(f"work {n}", work, n, idempotent=True) for n in range(10)]
        return str(done)

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(0.055)
        done = [e for e in world.ledger.of(pid) if e["type"] == "step.completed"]
        assert 2 < len(done) < 9
        await world.restart()
        mission = await world.ended(pid)
        assert mission["result"] == str(list(range(10)))
        assert mission["attempt"] == 2
        assert "mission.recovered" in world.ledger.types(pid)
        for n in range(len(done)):
            assert ran.count(n) == 1
        assert world.ledger.types(pid).count("mission.completed") == 1

    world.run(scenario)


def test_a_risky_tool_asks_and_runs_once_approved() -> None:
    """The tool is called with exactly the approved arguments, after the approval."""
    world = World()

    async def refund(order: str) -> str:
        return f"refunded {order}"

    world.tools.add(refund, confirm=True, risk="destructive")

    async def main(ctx: Context) -> str:
        return str(await ctx.tool(refund, order="7"))

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        question = await world.question(pid)
        assert (question["tool"], question["arguments"]) == ("refund", {"order": "7"})
        assert world.tools.calls == []
        answer = ConfirmationAnswer(approved=True)
        await world.tower.answer(ALICE, question["interrupt_id"], answer)
        mission = await world.ended(pid)
        assert mission["result"] == "refunded 7"
        assert world.tools.calls == [("refund", {"order": "7"})]

    world.run(scenario)


def test_a_refused_tool_raises_into_the_program() -> None:
    """The program may catch the refusal and say what it kept."""
    world = World()

    async def refund(order: str) -> str:
        return f"refunded {order}"

    world.tools.add(refund, confirm=True)

    async def main(ctx: Context) -> str:
        try:
            await ctx.tool(refund, order="7")
        except ToolRefused as refused:
            return f"kept: {refused.message}"
        return "done"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        question = await world.question(pid)
        answer = ConfirmationAnswer(approved=False, message="not today")
        await world.tower.answer(ALICE, question["interrupt_id"], answer)
        mission = await world.ended(pid)
        assert mission["result"] == "kept: refund was refused: not today"
        assert world.tools.calls == []

    world.run(scenario)


def test_a_parked_question_is_answered_after_a_restart() -> None:
    """A waiting mission leaves memory, survives a restart, and goes on with what it had."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.step("before", lambda: "x", idempotent=True)
        name = await ctx.clarify("Your name?")
        return f"Hello {name}"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        question = await world.question(pid)
        await asyncio.sleep(120)
        assert pid not in world.tower._a.memory.processes
        await world.restart()
        answer = ClarificationAnswer(answer="Ada")
        await world.tower.answer(ALICE, question["interrupt_id"], answer)
        mission = await world.ended(pid)
        assert mission["result"] == "Hello Ada"
        assert world.ledger.types(pid).count("step.started") == 2

    world.run(scenario)
