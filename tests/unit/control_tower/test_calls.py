"""System calls: each kind, live and replayed."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from control_tower.commands import (
    ClarificationAnswer,
    ConfirmationAnswer,
    DecisionAnswer,
    QuotaIncrease,
)
from control_tower.errors import (
    BreakerOpen,
    ChildFailed,
    ClarificationExpired,
    ConcurrentCall,
    Conflict,
    Expired,
    InvalidParams,
    NotFound,
    QuotaExceeded,
    StepFailed,
    ToolFailed,
    ToolInvalid,
    ToolRefused,
    ToolTimeout,
)
from control_tower.execution.context import Context
from control_tower.limits import TowerLimits
from control_tower.quota.quotas import ResourceQuota
from tests.rig.tower import ALICE, BOB, OPERATOR, World


def test_the_model_streams_and_is_not_called_again_on_replay() -> None:
    """Deltas follow step.started; a journaled turn survives the crash without a second call."""
    world = World()

    async def main(ctx: Context) -> str:
        reply = await ctx.llm([{"role": "user", "content": "one two three"}])
        await ctx.sleep(5)
        return reply.text

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        assert [d["data"]["text"] for d in world.ledger.deltas] == ["one ", "two ", "three "]
        assert [d["data"]["at"] for d in world.ledger.deltas] == [0, 4, 8]
        started = next(e for e in world.ledger.of(pid) if e["type"] == "step.started")
        assert all(d["after"] >= started["offset"] for d in world.ledger.deltas)
        await world.restart()
        mission = await world.ended(pid)
        assert mission["result"] == "one two three"
        assert world.models.turns == 1
        assert mission["usage"]["llm_calls"] == 1
        assert mission["usage"]["input_tokens"] == 10

    world.run(scenario)


def test_a_sleep_is_not_prolonged_by_a_restart() -> None:
    """The alarm is of the journal, not of the process."""
    world = World()

    async def main(ctx: Context) -> str:
        before = ctx.now()
        await ctx.sleep(100)
        return f"{ctx.now() - before:.0f}"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(70)
        await world.restart()
        mission = await world.ended(pid)
        assert mission["result"] == "100"

    world.run(scenario)


def test_instants_are_the_same_in_each_replay() -> None:
    """now, random and uuid come from the journal the second time."""
    world = World()
    seen: list[Any] = []

    async def main(ctx: Context) -> str:
        seen.append((ctx.now(), ctx.random(), ctx.uuid()))
        await ctx.sleep(10)
        return "x"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(5)
        await world.restart()
        await world.ended(pid)
        assert len(seen) == 2
        assert seen[0] == seen[1]

    world.run(scenario)


def test_a_failed_step_raises_the_same_error_when_replayed() -> None:
    """Whatever a call raises is its outcome and is journaled."""
    world = World()
    ran: list[int] = []

    def broken() -> None:
        ran.append(1)
        raise ValueError("no such luck")

    async def main(ctx: Context) -> str:
        try:
            await ctx.step("broken", broken)
        except StepFailed as failed:
            await ctx.sleep(10)
            return failed.message
        return "?"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(5)
        await world.restart()
        mission = await world.ended(pid)
        assert mission["result"] == "ValueError: no such luck"
        assert ran == [1]

    world.run(scenario)


def test_parallel_branches_get_their_outcomes_in_the_same_order_when_replayed() -> None:
    """Branches meet outcomes in offset order, live as in replay."""
    world = World()
    orders: list[list[str]] = []

    async def slow(name: str, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return name

    async def main(ctx: Context) -> str:
        order: list[str] = []
        orders.append(order)

        def branch(name: str, seconds: float) -> Any:
            async def run(inner: Context) -> str:
                for n in range(3):
                    got = await inner.step(
                        f"{name}{n}", slow, f"{name}{n}", seconds, idempotent=True
                    )
                    order.append(str(got))
                return name

            return run

        names = await ctx.parallel(branch("a", 0.03), branch("b", 0.02), branch("c", 0.01))
        await ctx.sleep(10)
        return "".join(names)

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(5)
        await world.restart()
        mission = await world.ended(pid)
        assert mission["result"] == "abc"
        assert len(orders) == 2
        assert orders[0] == orders[1]
        assert orders[0] != sorted(orders[0])

    world.run(scenario)


def test_a_branch_that_raises_lets_the_others_finish_first() -> None:
    """The first error in branch order is raised, once all have ended."""
    world = World()
    finished: list[str] = []

    async def good(ctx: Context) -> None:
        await ctx.sleep(5)
        finished.append("good")

    async def bad(ctx: Context) -> None:
        await ctx.sleep(1)
        raise KeyError("later in order")

    async def worse(ctx: Context) -> None:
        raise ValueError("first in time")

    async def main(ctx: Context) -> str:
        try:
            await ctx.parallel(good, bad, worse)
        except KeyError as error:
            return f"{error} {finished}"
        return "?"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        mission = await world.ended(pid)
        assert mission["result"] == "'later in order' ['good']"

    world.run(scenario)


def test_a_second_call_on_a_context_is_refused() -> None:
    """ConcurrentCall names ctx.parallel."""
    world = World()

    async def main(ctx: Context) -> str:
        first = asyncio.ensure_future(ctx.sleep(1))
        await asyncio.sleep(0)
        try:
            await ctx.sleep(1)
        except ConcurrentCall as error:
            await first
            return error.message
        return "?"

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit())
        assert "ctx.parallel" in mission["result"]

    world.run(scenario)


def test_a_changed_program_is_paused_with_what_differs() -> None:
    """Nondeterminism is never guessed around; mended, the mission goes on."""
    world = World()

    async def first(ctx: Context) -> str:
        await ctx.step("one", lambda: 1, idempotent=True)
        await ctx.sleep(50)
        return "done"

    async def changed(ctx: Context) -> str:
        await ctx.step("two", lambda: 2, idempotent=True)
        await ctx.sleep(50)
        return "wrong"

    world.agent(first)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(10)
        world.agent(changed)
        await world.restart()
        await asyncio.sleep(60)
        mission = await world.tower.mission(ALICE, pid)
        assert (mission["state"], mission["state_reason"]) == ("paused", "nondeterminism")
        assert (mission["error"]["step"], mission["error"]["expected"]) == ("1", "step one")
        assert mission["error"]["got"] == "step two"
        world.agent(first)
        await world.tower.resume(ALICE, pid)
        assert (await world.ended(pid))["result"] == "done"

    world.run(scenario)


def test_a_side_effect_in_flight_at_a_crash_becomes_a_question() -> None:
    """Never a silent re-run: it happened, retry or fail, as a person says."""
    for decision, result, runs in (
        (DecisionAnswer(decision="it_happened", result="paid 1"), "paid 1", 1),
        (DecisionAnswer(decision="retry"), "paid 2", 2),
        (DecisionAnswer(decision="fail"), "failed", 1),
    ):
        world = World()
        sink: list[int] = []

        async def pay(sink: list[int] = sink) -> str:
            sink.append(1)
            await asyncio.sleep(5)
            return f"paid {len(sink)}"

        world.tools.add(pay)

        async def main(ctx: Context) -> str:
            try:
                return str(await ctx.tool("pay"))
            except ToolFailed:
                return "failed"

        world.agent(main)

        async def scenario(
            world: World = world,
            sink: list[int] = sink,
            decision: DecisionAnswer = decision,
            result: str = result,
            runs: int = runs,
        ) -> None:
            pid = await world.submit()
            await asyncio.sleep(1)
            await world.restart()
            await asyncio.sleep(1)
            question = await world.question(pid)
            assert question["kind"] == "unknown_outcome"
            assert question["expires_at"] is None
            assert sink == [1]
            with pytest.raises(InvalidParams):
                await world.tower.answer(
                    ALICE, question["interrupt_id"], ClarificationAnswer(answer="yes")
                )
            await world.tower.answer(ALICE, question["interrupt_id"], decision)
            assert (await world.ended(pid))["result"] == result
            assert len(sink) == runs

        world.run(scenario)


def test_an_idempotent_effect_in_flight_at_a_crash_runs_again() -> None:
    """Attempt 2, without a question."""
    world = World()
    sink: list[int] = []

    async def read() -> str:
        sink.append(1)
        await asyncio.sleep(5)
        return "read"

    world.tools.add(read, idempotent=True)

    async def main(ctx: Context) -> str:
        return str(await ctx.tool("read"))

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        await world.restart()
        assert (await world.ended(pid))["result"] == "read"
        assert len(sink) == 2
        attempts = [
            e["data"]["attempt"] for e in world.ledger.of(pid) if e["type"] == "step.started"
        ]
        assert attempts == [1, 2]

    world.run(scenario)


def test_a_timed_out_side_effect_becomes_a_question_without_any_crash() -> None:
    """Its thread or socket may still act; the tower never repeats it."""
    world = World()

    async def pay() -> str:
        await asyncio.sleep(100)
        return "paid"

    world.tools.add(pay, timeout_s=2.0)

    async def main(ctx: Context) -> str:
        return str(await ctx.tool("pay"))

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        question = await world.question(pid)
        assert question["kind"] == "unknown_outcome"
        assert len(world.tools.calls) == 1
        answer = DecisionAnswer(decision="it_happened", result={"receipt": 9})
        await world.tower.answer(ALICE, question["interrupt_id"], answer)
        assert (await world.ended(pid))["result"] == "{'receipt': 9}"

    world.run(scenario)


def test_an_idempotent_tool_is_retried_and_then_raises_its_timeout() -> None:
    """Retries are of idempotent tools only; each is an attempt with its own events."""
    world = World()

    async def look() -> str:
        await asyncio.sleep(100)
        return "?"

    world.tools.add(look, timeout_s=1.0, idempotent=True, retries=2)

    async def main(ctx: Context) -> str:
        try:
            await ctx.tool("look")
        except ToolTimeout as error:
            return error.message
        return "?"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        mission = await world.ended(pid)
        assert mission["result"] == "look did not answer in time."
        assert len(world.tools.calls) == 3
        retries = [
            e["data"]["will_retry"] for e in world.ledger.of(pid) if e["type"] == "step.failed"
        ]
        assert retries == [True, True, False]

    world.run(scenario)


def test_an_unknown_tool_is_an_outcome_that_the_program_may_catch() -> None:
    """ToolInvalid is journaled like any other outcome."""
    world = World()

    async def main(ctx: Context) -> str:
        try:
            await ctx.tool("nothing")
        except ToolInvalid as error:
            return error.message
        return "?"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        assert (await world.ended(pid))["result"] == "There is no tool nothing."
        assert "step.failed" in world.ledger.types(pid)

    world.run(scenario)


def test_recorded_outcomes_stand_whether_their_tool_is_there_or_not() -> None:
    """One that has gone, and one that came: neither makes a replay diverge."""
    world = World()

    def look(at: str) -> str:
        return f"saw {at}"

    world.tools.add(look)

    async def main(ctx: Context) -> object:
        seen = await ctx.tool("look", at="it")
        with pytest.raises(ToolInvalid, match="no tool coming"):
            await ctx.tool("coming", at="it")
        await ctx.sleep(10)
        return seen

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(5)
        del world.tools.functions["look"]
        world.tools.add(look)
        world.tools.functions["coming"] = world.tools.functions.pop("look")
        world.tools.plans["coming"] = {}
        await world.restart()
        assert (await world.ended(pid))["result"] == "saw it"
        assert world.tools.calls == [("look", {"at": "it"})]

    world.run(scenario)


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_call_in_flight_whose_tool_has_gone_is_not_made_and_not_forgotten(
    idempotent: bool,
) -> None:
    """A side effect is a question all the same; what may be repeated fails, as it can't be."""
    world = World()

    async def slow() -> str:
        await asyncio.sleep(60)
        return "?"

    world.tools.add(slow, idempotent=idempotent)

    async def main(ctx: Context) -> object:
        return await ctx.tool("slow")

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(5)
        world.tools.functions.clear()
        await world.restart()
        if not idempotent:
            asked = await world.question(pid)
            assert asked["kind"] == "unknown_outcome"
            retry = DecisionAnswer(decision="retry")
            await world.tower.answer(ALICE, asked["interrupt_id"], retry)
        mission = await world.ended(pid)
        assert mission["error"] == {"code": "tool_invalid", "message": "There is no tool slow."}
        assert len(world.tools.calls) == 1

    world.run(scenario)


def test_edited_arguments_are_what_runs_and_what_is_journaled() -> None:
    """The original call is never made; arguments that do not fit leave the question pending."""
    world = World()

    async def refund(amount: int) -> str:
        return f"refunded {amount}"

    world.tools.add(refund, confirm=True)

    async def main(ctx: Context) -> str:
        return str(await ctx.tool("refund", amount=100))

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        question = await world.question(pid)
        with pytest.raises(InvalidParams):
            await world.tower.answer(
                ALICE,
                question["interrupt_id"],
                ConfirmationAnswer(approved=True, arguments={"bad": 1}),
            )
        edited = ConfirmationAnswer(approved=True, arguments={"amount": 5})
        await world.tower.answer(ALICE, question["interrupt_id"], edited)
        assert (await world.ended(pid))["result"] == "refunded 5"
        assert world.tools.calls == [("refund", {"amount": 5})]
        assert world.ledger.last(pid, "step.started")["data"]["input"] == {"amount": 5}

    world.run(scenario)


def test_an_answer_counts_once() -> None:
    """The same again: the same reply; another: conflict; a stranger's: not found."""
    world = World()

    async def main(ctx: Context) -> str:
        return await ctx.clarify("Which?", options=["a", "b"], strict=True)

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        question = (await world.question(pid))["interrupt_id"]
        with pytest.raises(NotFound):
            await world.tower.answer(BOB, question, ClarificationAnswer(answer="a"))
        with pytest.raises(InvalidParams):
            await world.tower.answer(ALICE, question, ClarificationAnswer(answer="c"))
        first = await world.tower.answer(ALICE, question, ClarificationAnswer(answer="a"))
        again = await world.tower.answer(ALICE, question, ClarificationAnswer(answer="a"))
        assert first == again
        with pytest.raises(Conflict):
            await world.tower.answer(ALICE, question, ClarificationAnswer(answer="b"))
        assert (await world.ended(pid))["result"] == "a"

    world.run(scenario)


def test_two_answers_at_once_count_once() -> None:
    """One wins and the other is told so, whoever's unit comes first."""
    world = World()

    async def main(ctx: Context) -> str:
        return await ctx.clarify("Which?")

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        question = (await world.question(pid))["interrupt_id"]
        answers = await asyncio.gather(
            *(
                world.tower.answer(ALICE, question, ClarificationAnswer(answer=word))
                for word in ("a", "b", "a")
            ),
            return_exceptions=True,
        )
        conflicts = [a for a in answers if isinstance(a, Conflict)]
        assert len(conflicts) == 1
        assert (await world.ended(pid))["result"] == "a"
        assert world.ledger.types(pid).count("interrupt.resolved") == 1

    world.run(scenario)


def test_an_expired_confirmation_is_a_refusal_and_a_clarification_raises() -> None:
    """Default no; a late answer is told that it is late."""
    world = World(TowerLimits(confirmation_ttl_s=10, clarification_ttl_s=20))

    async def refund() -> str:
        return "refunded"

    world.tools.add(refund, confirm=True)

    async def main(ctx: Context) -> str:
        said = []
        try:
            await ctx.tool("refund")
        except ToolRefused as error:
            said.append(error.message)
        said.append(str((await ctx.confirm("Sure?")).approved))
        try:
            await ctx.clarify("Name?")
        except ClarificationExpired as error:
            said.append(error.message)
        return " ".join(said)

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        question = await world.question(pid)
        mission = await world.ended(pid)
        assert mission["result"] == (
            "Nobody approved refund in time. False Nobody answered in time."
        )
        with pytest.raises(Expired):
            await world.tower.answer(
                ALICE, question["interrupt_id"], ConfirmationAnswer(approved=True)
            )
        assert world.tools.calls == []

    world.run(scenario)


def test_a_parked_question_still_expires_after_a_restart() -> None:
    """The alarm of a mission at rest is restored."""
    world = World(TowerLimits(clarification_ttl_s=500))

    async def main(ctx: Context) -> str:
        try:
            return await ctx.clarify("Name?")
        except ClarificationExpired:
            return "gave up"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(200)
        await world.restart()
        mission = await world.ended(pid)
        assert mission["result"] == "gave up"
        created = world.ledger.of(pid)[0]["at"]
        assert created.endswith("Z")

    world.run(scenario)


def test_a_mission_at_its_limit_asks_is_extended_and_makes_that_very_call() -> None:
    """Reserve before the call: the third tool call is not made until a person extends."""
    world = World()

    async def look(n: int) -> int:
        return n

    world.tools.add(look, idempotent=True)

    async def main(ctx: Context) -> str:
        return str([await ctx.tool("look", n=n) for n in range(4)])

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(max_tool_calls=2))
        question = await world.question(pid)
        assert (question["kind"], question["resource"]) == ("resource_exhausted", "tool_calls")
        assert (question["used"], question["limit"]) == (2, 2)
        raised = world.ledger.last(pid, "interrupt.raised")["data"]
        assert (raised["resource"], raised["used"], raised["limit"]) == ("tool_calls", 2, 2)
        assert len(world.tools.calls) == 2
        extend = DecisionAnswer(decision="extend", quota=QuotaIncrease(max_tool_calls=2))
        await world.tower.answer(ALICE, question["interrupt_id"], extend)
        mission = await world.ended(pid)
        assert mission["result"] == "[0, 1, 2, 3]"
        assert mission["quota"]["max_tool_calls"] == 4
        assert mission["usage"]["tool_calls"] == 4
        assert "quota.warned" in world.ledger.types(pid)
        assert world.tower._a.budget.accounts == {}

    world.run(scenario)


def test_at_a_limit_finish_raises_into_the_agent_and_cancel_ends_it() -> None:
    """Finish lets the agent return what there is; cancel, and on_limit=fail, end the mission."""
    world = World()

    async def look() -> int:
        return 1

    world.tools.add(look, idempotent=True)

    async def main(ctx: Context) -> str:
        done = 0
        try:
            while True:
                await ctx.tool("look")
                done += 1
        except QuotaExceeded:
            return f"partial {done}"

    world.agent(main)

    async def scenario() -> None:
        quota = ResourceQuota(max_tool_calls=2)
        pid = await world.submit(quota=quota)
        question = await world.question(pid)
        await world.tower.answer(ALICE, question["interrupt_id"], DecisionAnswer(decision="finish"))
        assert (await world.ended(pid))["result"] == "partial 2"
        pid = await world.submit(quota=quota)
        question = await world.question(pid)
        await world.tower.answer(ALICE, question["interrupt_id"], DecisionAnswer(decision="cancel"))
        assert (await world.ended(pid))["outcome"] == "quota_exceeded"
        pid = await world.submit(quota=ResourceQuota(max_tool_calls=2, on_limit="fail"))
        assert (await world.ended(pid))["outcome"] == "quota_exceeded"
        assert world.tower._a.budget.accounts == {}

    world.run(scenario)


def test_children_run_beside_their_parent_and_give_it_their_result() -> None:
    """Spawn and join, over a crash, with usage counted to the parent."""
    world = World()

    async def look(n: int) -> int:
        return n

    world.tools.add(look, idempotent=True)

    async def child(ctx: Context) -> str:
        await ctx.tool("look", n=1)
        await ctx.sleep(20)
        return ctx.mission.upper()

    async def main(ctx: Context) -> str:
        first = await ctx.spawn("child", "one")
        second = await ctx.spawn("child", "two", quota=ResourceQuota(max_tool_calls=1))
        return f"{await first.result()} {await second.result()}"

    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(5)
        await world.restart()
        mission = await world.ended(pid)
        assert mission["result"] == "ONE TWO"
        assert len(mission["children"]) == 2
        assert mission["usage"]["children"] == 2
        assert mission["usage"]["tool_calls"] == 2
        for child_pid in mission["children"]:
            kid = await world.tower.mission(ALICE, child_pid)
            assert kid["parent_pid"] == pid
            assert kid["session_id"] == mission["session_id"]
            assert kid["outcome"] == "completed"
        assert world.tower._a.budget.accounts == {}

    world.run(scenario)


def test_a_childs_quota_may_be_a_dict_of_its_limits() -> None:
    """As everywhere else where a quota is given."""
    world = World()

    async def child(ctx: Context) -> str:
        return "done"

    async def main(ctx: Context) -> object:
        return await (await ctx.spawn("child", "x", quota={"max_tool_calls": 1})).result()

    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        mission = await world.ended(await world.submit())
        assert mission["result"] == "done"
        kid = await world.tower.mission(ALICE, mission["children"][0])
        assert kid["quota"]["max_tool_calls"] == 1

    world.run(scenario)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda ctx: ctx.spawn("main", "x", quota={"max_tols": 1}),
        lambda ctx: ctx.spawn("main", "x", quota={"max_tool_calls": -1}),
        lambda ctx: ctx.spawn("main", "x", quota=5),
        lambda ctx: ctx.sleep("soon"),
        lambda ctx: ctx.sleep(None),
        lambda ctx: ctx.sleep(float("inf")),
        lambda ctx: ctx.sleep(float("nan")),
        lambda ctx: ctx.spawn("main", " "),
        lambda ctx: ctx.spawn("main", None),
        lambda ctx: ctx.spawn("main", "x" * 10_001),
        lambda ctx: ctx.spawn("main", "x\0"),
        lambda ctx: ctx.spawn("main", "\ud800"),
        lambda ctx: ctx.spawn(None, "x"),
        lambda ctx: ctx.history("x"),
        lambda ctx: ctx.history(None),
        lambda ctx: ctx.history(2.5),
        lambda ctx: ctx.history(-1),
        lambda ctx: ctx.history(2**70),
        lambda ctx: ctx.emit("n", n=[{"deep": 2**63}]),
        lambda ctx: ctx.confirm("n", n=-(2**70)),
        lambda ctx: ctx.step("n", len, 2**64),
    ],
)
def test_a_call_that_makes_no_sense_fails_the_mission(misuse: Callable[[Context], Any]) -> None:
    """It is the program's mistake, and the kernel goes on."""
    world = World()

    async def main(ctx: Context) -> object:
        return await misuse(ctx)

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit())
        assert (mission["outcome"], mission["error"]["code"]) == ("failed", "agent_failed")
        assert "step.started" not in world.ledger.types(mission["mission_id"])

    world.run(scenario)


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63 - 1), 10.0**300, "1" * 40])
def test_a_step_gives_back_what_every_client_can_read(number: float | str) -> None:
    """The largest integer of 64 bits, and what only looks like a larger one."""
    world = World()

    async def main(ctx: Context) -> object:
        return await ctx.step("n", lambda: [number])

    world.agent(main)

    async def scenario() -> None:
        assert (await world.ended(await world.submit()))["result"] == [number]

    world.run(scenario)


def test_an_integer_beyond_64_bits_is_refused_where_it_comes_from() -> None:
    """A step that returns one has failed, a mission that does has no result: both say why."""
    world = World()

    async def main(ctx: Context) -> object:
        with pytest.raises(StepFailed, match="64 bits"):
            await ctx.step("n", lambda: {"n": 2**63})
        return [2**70]

    world.agent(main)

    async def scenario() -> None:
        error = (await world.ended(await world.submit()))["error"]
        assert error["code"] == "result_invalid"
        assert "64 bits" in error["message"]

    world.run(scenario)


@pytest.mark.parametrize("where", ["program", "branch", "step", "tool"])
def test_a_generator_exit_of_ones_own_is_an_error_like_any_other(where: str) -> None:
    """It closes nobody's coroutine: the mission ends, and says of what."""
    world = World()

    async def gone(*_: object) -> None:
        raise GeneratorExit

    world.tools.add(gone)

    async def main(ctx: Context) -> object:
        match where:
            case "program":
                raise GeneratorExit
            case "branch":
                return await ctx.parallel(gone, gone)
            case "step":
                return await ctx.step("gone", gone)
            case _:
                return await ctx.tool("gone")

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit(), timeout_s=60)
        assert mission["outcome"] == "failed"
        assert "GeneratorExit" in mission["error"]["message"]

    world.run(scenario)


def test_a_failed_child_raises_in_its_parent_and_a_parents_end_ends_its_children() -> None:
    """ChildFailed says why; cancel reaches the whole family."""
    world = World()

    async def failing(ctx: Context) -> str:
        raise ValueError("broken child")

    async def sleeping(ctx: Context) -> str:
        await ctx.sleep(1000)
        return "?"

    async def main(ctx: Context) -> str:
        bad = await ctx.spawn("failing", "x")
        try:
            await bad.result()
        except ChildFailed as error:
            await ctx.emit("noted", why=error.message)
        good = await ctx.spawn("sleeping", "y")
        return str(await good.result())

    world.agent(main)
    world.agent(failing, "failing")
    world.agent(sleeping, "sleeping")

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(5)
        progress = world.ledger.last(pid, "mission.progress")["data"]
        assert progress["name"] == "noted"
        assert "broken child" in progress["why"]
        await world.tower.cancel(ALICE, pid)
        for child_pid in (await world.tower.mission(ALICE, pid))["children"]:
            assert (await world.ended(child_pid))["outcome"] in {"failed", "cancelled"}
        assert world.tower._a.memory.processes == {}

    world.run(scenario)


def test_history_artifacts_and_profiles_reach_the_program() -> None:
    """What a program reads of its session, and what people can open of it."""
    world = World()

    async def main(ctx: Context) -> str:
        history = await ctx.history(10)
        await ctx.artifact("report.txt", "hello", "text/plain")
        return " | ".join(message.content for message in history)

    world.agent(main)

    async def scenario() -> None:
        first = await world.submit("one")
        session = (await world.ended(first))["session_id"]
        second = await world.submit("two", session_id=session)
        assert (await world.ended(second))["result"] == "one | one | two"
        artifact = world.ledger.last(second, "artifact.created")["data"]
        assert (artifact["name"], artifact["size"]) == ("report.txt", 5)
        assert artifact["url"].startswith(f"/api/v1/missions/{second}/artifacts/")

    world.run(scenario)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("", "text/plain"),
        ("..", "text/plain"),
        ("../x", "text/plain"),
        ("a\nb", "text/plain"),
        ("a" * 201, "text/plain"),
        ("a", "text"),
        ("a", "text/plain\r\nSet-Cookie: x=1"),
        ("a", "text/plain; \u00e9"),
    ],
)
def test_an_artifact_that_no_path_or_header_can_name_fails_the_program(
    name: str, media_type: str
) -> None:
    """Its name is a part of an address and its media type a header, so neither may end one."""
    world = World()

    async def main(ctx: Context) -> None:
        await ctx.artifact(name, "hello", media_type)

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit("one")
        ended = await world.ended(pid)
        assert (ended["outcome"], ended["error"]["code"]) == ("failed", "agent_failed")
        assert not [each for each in world.ledger.types(pid) if each == "artifact.created"]

    world.run(scenario)


def test_the_address_of_an_artifact_is_one() -> None:
    """Spaces and the like are escaped in it, as HTTP wants."""
    world = World()

    async def main(ctx: Context) -> None:
        await ctx.artifact("r\u00e9sum\u00e9 1?.txt", b"hello", "text/plain; charset=utf-8")

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit("one")
        await world.ended(pid)
        artifact = world.ledger.last(pid, "artifact.created")["data"]
        assert artifact["url"].endswith("/artifacts/r%C3%A9sum%C3%A9%201%3F.txt")

    world.run(scenario)


def test_a_call_cancelled_from_outside_fails_the_mission_at_once() -> None:
    """asyncio.timeout cuts at a moment that no journal knows."""
    world = World()

    async def main(ctx: Context) -> str:
        try:
            async with asyncio.timeout(1):
                await ctx.sleep(100)
        except TimeoutError:
            await ctx.sleep(1)
        return "went on"

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit())
        assert mission["outcome"] == "failed"
        assert mission["error"]["code"] == "foreign_cancellation"

    world.run(scenario)


def test_an_operator_may_answer_for_a_user() -> None:
    """The owner and operators answer."""
    world = World()

    async def main(ctx: Context) -> str:
        return str((await ctx.confirm("Sure?", amount=3)).arguments)

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        question = await world.question(pid)
        await world.tower.answer(
            OPERATOR, question["interrupt_id"], ConfirmationAnswer(approved=True)
        )
        assert (await world.ended(pid))["result"] == "{'amount': 3}"
        assert world.ledger.last(pid, "interrupt.resolved")["data"]["by"] == "root"

    world.run(scenario)


def test_a_call_on_an_open_breaker_waits_for_the_trial() -> None:
    """The mission is blocked, holds no slot, and makes that very call once it may, after a park."""
    world = World()

    async def look() -> str:
        return "seen"

    world.tools.add(look)

    async def main(ctx: Context) -> str:
        return str(await ctx.tool("look"))

    world.agent(main)

    async def scenario() -> None:
        world.tools.open_until["look"] = world.clock.now() + 200
        pid = await world.submit()
        await asyncio.sleep(1)
        mission = await world.tower.mission(ALICE, pid)
        assert (mission["state"], mission["state_reason"]) == ("blocked", "breaker")
        assert 190 < (await world.tower.explain(ALICE, pid))["eta_s"] < 200
        assert world.tools.calls == []
        assert world.tower._a.admission.queue.running == 0
        await asyncio.sleep(100)
        assert pid not in world.tower._a.memory.processes
        await world.restart()
        assert (await world.ended(pid))["result"] == "seen"
        assert len(world.tools.calls) == 1

    world.run(scenario)


def test_a_call_turned_away_by_a_breaker_that_opened_meanwhile_waits_too() -> None:
    """Nothing was done, so it may be made again, even if it is not idempotent, and is one call."""
    world = World()

    async def look() -> str:
        if len(world.tools.calls) == 1:
            world.tools.open_until["look"] = world.clock.now() + 30
            raise BreakerOpen("look failed too often")
        return "seen"

    world.tools.add(look)

    async def main(ctx: Context) -> str:
        return str(await ctx.tool("look"))

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        mission = await world.ended(pid)
        assert mission["result"] == "seen"
        assert len(world.tools.calls) == 2
        assert mission["usage"]["tool_calls"] == 1

    world.run(scenario)


def test_a_limit_on_children_or_events_asks_and_goes_on_with_that_very_call() -> None:
    """Spawning and emitting reserve like any other call."""
    world = World()

    async def child(ctx: Context) -> str:
        return ctx.mission

    async def main(ctx: Context) -> str:
        names = [await (await ctx.spawn("child", f"c{n}")).result() for n in range(3)]
        for n in range(20):
            await ctx.emit("tick", n=n)
        return "".join(str(name) for name in names)

    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(max_children=2, max_events=30))
        question = await world.question(pid)
        assert (question["resource"], question["used"]) == ("children", 2)
        with pytest.raises(InvalidParams):
            await world.tower.answer(
                ALICE, question["interrupt_id"], DecisionAnswer(decision="extend")
            )
        extend = DecisionAnswer(decision="extend", quota=QuotaIncrease(max_children=1))
        await world.tower.answer(ALICE, question["interrupt_id"], extend)
        question = await world.question(pid)
        assert question["resource"] == "events"
        extend = DecisionAnswer(decision="extend", quota=QuotaIncrease(max_events=100))
        await world.tower.answer(ALICE, question["interrupt_id"], extend)
        mission = await world.ended(pid)
        assert mission["result"] == "c0c1c2"
        assert world.ledger.types(pid).count("mission.progress") == 20
        assert mission["usage"]["children"] == 3

    world.run(scenario)


def test_a_program_sees_with_what_arguments_its_call_ran() -> None:
    """An edit by a person is not hidden from the agent, live and replayed."""
    world = World()
    seen: list[Any] = []

    async def refund(amount: int) -> str:
        return f"refunded {amount}"

    world.tools.add(refund, confirm=True)

    async def main(ctx: Context) -> str:
        await ctx.tool("refund", amount=100)
        seen.append(ctx.ran)
        await ctx.sleep(10)
        return "x"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        question = await world.question(pid)
        edited = ConfirmationAnswer(approved=True, arguments={"amount": 5})
        await world.tower.answer(ALICE, question["interrupt_id"], edited)
        await asyncio.sleep(5)
        await world.restart()
        await world.ended(pid)
        assert seen == [{"amount": 5}, {"amount": 5}]

    world.run(scenario)
