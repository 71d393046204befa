"""What the simulation found: each bug with the smallest world that shows it."""

import asyncio
import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from control_tower.commands import (
    ConfirmationAnswer,
    DecisionAnswer,
    QuotaIncrease,
    Submission,
)
from control_tower.errors import ModelFailed, Parked, QuotaExceeded, ToolFailed
from control_tower.execution.context import Context
from control_tower.execution.journal import Divergence
from control_tower.limits import TowerLimits
from control_tower.ports import EffectContext, InterruptQuery, ModelRequest, ModelTurn
from control_tower.quota.quotas import ResourceQuota
from control_tower.records import Priority, StepRecord, StepStatus
from control_tower.unit import StoreFailed, Unit
from tests.rig.tower import ALICE, OPERATOR, Modelling, World


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Rendering the tracebacks of programs that fail on purpose takes longer than the tests."""
    with capture_logs():
        yield


class Odd(BaseException):
    """What nobody should raise."""


class Mute(Exception):
    """An error that can't be shown."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("no words")


ODDITIES: dict[str, Callable[[], BaseException]] = {
    "SystemExit: 3": lambda: SystemExit(3),
    "Odd: beyond": lambda: Odd("beyond"),
    "Mute": Mute,
    "ValueError: half a ?": lambda: ValueError("half a \ud83d"),
    "Parked": Parked,
}


@pytest.mark.parametrize("message", ODDITIES)
def test_whatever_a_program_raises_ends_only_its_mission(message: str) -> None:
    """Neither the server nor the mission's own end is lost to a strange exception."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.emit("before")
        raised = ODDITIES[message]
        raise raised()

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit(), 5)
        assert mission["outcome"] == "failed"
        assert mission["error"] == {"code": "agent_failed", "message": message}

    world.run(scenario)


@pytest.mark.parametrize("message", ODDITIES)
def test_whatever_a_branch_raises_is_raised_by_parallel(message: str) -> None:
    """A branch that ends strangely has ended all the same."""
    world = World()

    async def good(ctx: Context) -> None:
        await ctx.emit("good")

    async def bad(ctx: Context) -> None:
        raised = ODDITIES[message]
        raise raised()

    async def main(ctx: Context) -> str:
        await ctx.parallel(good, bad)
        return "?"

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit(), 5)
        assert mission["error"] == {"code": "agent_failed", "message": message}

    world.run(scenario)


def test_parallel_without_branches_returns_at_once() -> None:
    """And leaves the program able to make further calls."""
    world = World()

    async def main(ctx: Context) -> list[Any]:
        nothing = await ctx.parallel()
        await ctx.sleep(1)
        return nothing

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit(), 5)
        assert mission["result"] == []

    world.run(scenario)


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (lambda: SystemExit(2), "SystemExit: 2"),
        (asyncio.CancelledError, "CancelledError"),
        (lambda: TimeoutError("slow"), "TimeoutError: slow"),
        (Parked, "Parked"),
        (Mute, "Mute"),
        (lambda: ValueError("half a \ud83d"), "ValueError: half a ?"),
    ],
)
def test_whatever_a_step_raises_is_its_outcome(
    raised: Callable[[], BaseException], message: str
) -> None:
    """A cancellation or a time-out that is not the tower's is an error like any other."""
    world = World()

    async def work() -> None:
        raise raised()

    async def main(ctx: Context) -> str:
        await ctx.step("work", work)
        return "?"

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit(), 5)
        assert mission["error"] == {"code": "step_failed", "message": message}

    world.run(scenario)


def test_a_step_that_returns_what_no_event_can_hold_fails() -> None:
    """Half a character is no JSON text."""
    world = World()

    async def main(ctx: Context) -> Any:
        return await ctx.step("work", lambda: "half a \ud83d")

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit(), 5)
        assert mission["error"]["code"] == "step_failed"

    world.run(scenario)


def test_half_a_character_streams_as_a_question_mark() -> None:
    """A delta must not raise into the program, where no replay would raise it again."""
    world = World()

    async def main(ctx: Context) -> str:
        ctx.delta("half a \ud83d")
        return "done"

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit(), 5)
        assert mission["result"] == "done"
        assert [delta["data"]["text"] for delta in world.ledger.deltas] == ["half a ?"]

    world.run(scenario)


def test_the_priority_of_a_mission_at_rest_can_be_changed() -> None:
    """It is neither queued nor running then; the new priority counts when it wakes."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.sleep(5)
        return "done"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        shown = await world.tower.set_priority(ALICE, pid, Priority.LOW)
        assert (shown["priority"], shown["state"]) == ("low", "blocked")
        assert (await world.ended(pid))["result"] == "done"

    world.run(scenario)


def test_nothing_streamed_while_the_end_is_on_its_way_follows_it() -> None:
    """A delta of the moment in which the mission is cancelled is dropped."""
    world = World()

    async def main(ctx: Context) -> str:
        while True:
            ctx.delta("on and on")
            await asyncio.sleep(0.001)

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(0.01)
        process = world.tower._a.kernel.memory.processes[pid]
        cancel = asyncio.ensure_future(world.tower.cancel(ALICE, pid))
        while process.unit is None:
            await asyncio.sleep(0)
        world.tower._a.kernel.runs.publish_delta(process, None, 1, 0, "too late")
        await cancel
        ended = world.ledger.last(pid, "mission.cancelled")
        assert world.ledger.deltas
        assert all(delta["after"] < ended["offset"] for delta in world.ledger.deltas)

    world.run(scenario)


def test_an_answer_by_message_sent_again_gets_the_same_reply() -> None:
    """With its key it is a duplicate, the offset included."""
    world = World()

    async def main(ctx: Context) -> str:
        return await ctx.clarify("Which?")

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        session_id = (await world.question(pid))["session_id"]
        submission = Submission(mission="red", session_id=session_id, idempotency_key="k")

        async def send() -> dict[str, Any]:
            return await world.tower.send_message(ALICE, "red", submission, body_sha256="b")

        first = await send()
        assert "answered" in first
        assert await send() == {**first, "duplicate": True}

    world.run(scenario)


def test_children_on_their_parents_quota_leave_no_account_behind() -> None:
    """The parent's end closes its account, whatever its children still do."""
    world = World()

    async def child(ctx: Context) -> str:
        while True:
            await ctx.step("live", asyncio.sleep, 0.001, idempotent=True)

    async def main(ctx: Context) -> str:
        await ctx.spawn("child", "live on")
        await ctx.sleep(0.01)
        return "done"

    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit()
        mission = await world.ended(pid)
        assert (await world.ended(mission["children"][0]))["outcome"] == "cancelled"
        assert not world.tower._a.budget.accounts

    world.run(scenario)


def test_what_a_child_was_allowed_beyond_its_parents_limits_is_kept() -> None:
    """A parent's stored limits cover what its children used, extensions included."""
    world = World()

    async def look() -> str:
        return "seen"

    async def child(ctx: Context) -> str:
        for _ in range(3):
            await ctx.tool("look")
        return "done"

    async def main(ctx: Context) -> str:
        born = await ctx.spawn("child", "go", ResourceQuota(max_tool_calls=1))
        return str(await born.result())

    world.tools.add(look)
    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(max_tool_calls=1))
        await asyncio.sleep(1)
        child_pid = (await world.tower.mission(ALICE, pid))["children"][0]
        question = await world.question(child_pid)
        more = DecisionAnswer(decision="extend", quota=QuotaIncrease(max_tool_calls=5))
        await world.tower.answer(ALICE, question["interrupt_id"], more)
        mission = await world.ended(pid)
        assert (mission["usage"]["tool_calls"], mission["quota"]["max_tool_calls"]) == (3, 6)

    world.run(scenario)


def test_a_call_that_waits_for_a_childs_share_goes_on_when_the_child_has_ended() -> None:
    """What an ended child gives back makes room for its parent's calls."""
    world = World()

    async def look() -> str:
        return "seen"

    async def child(ctx: Context) -> str:
        await ctx.sleep(1)
        return "done"

    async def main(ctx: Context) -> str:
        await ctx.spawn("child", "go", ResourceQuota(max_tool_calls=2))
        return str(await ctx.tool("look"))

    world.tools.add(look)
    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(max_tool_calls=2))
        assert (await world.ended(pid, 5))["result"] == "seen"

    world.run(scenario)


def test_an_approved_call_may_wait_for_room() -> None:
    """It is tried again when there is some, not over and over."""
    world = World()

    async def look() -> str:
        await asyncio.sleep(5)
        return "seen"

    async def main(ctx: Context) -> list[Any]:
        async def one(inner: Context) -> Any:
            return await inner.tool("look")

        async def other(inner: Context) -> Any:
            try:
                return await inner.tool("wipe")
            except QuotaExceeded:
                return "no more"

        return await ctx.parallel(one, other)

    async def wipe() -> str:
        return "wiped"

    world.tools.add(look)
    world.tools.add(wipe, confirm=True)
    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(max_tool_calls=1))
        await asyncio.sleep(1)
        asked = (await world.tower.interrupts(ALICE, InterruptQuery()))[0]
        await world.tower.answer(ALICE, asked["interrupt_id"], ConfirmationAnswer(approved=True))
        await asyncio.sleep(1)
        finish = DecisionAnswer(decision="finish")
        question = await world.question(pid)
        assert question["kind"] == "resource_exhausted"
        await world.tower.answer(ALICE, question["interrupt_id"], finish)
        assert (await world.ended(pid, 20))["result"] == ["seen", "no more"]

    world.run(scenario)


def test_an_error_that_cannot_be_encoded_does_not_lose_the_mission() -> None:
    """The record of the tool's health has room for whole characters only."""
    world = World()

    async def look() -> str:
        raise ToolFailed("half a \ud83d")

    async def main(ctx: Context) -> str:
        return str(await ctx.tool("look"))

    world.tools.add(look)
    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit(), 5)
        assert mission["error"] == {"code": "tool_failed", "message": "half a ?"}

    world.run(scenario)


def test_a_sleep_that_was_held_at_a_limit_begins_once_the_limit_is_raised() -> None:
    """It was allowed, and has not begun: that is progress, not rest."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.sleep(1)
        return "slept"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(max_events=3))
        question = await world.question(pid)
        assert question["kind"] == "resource_exhausted"
        more = DecisionAnswer(decision="extend", quota=QuotaIncrease(max_events=100))
        await world.tower.answer(ALICE, question["interrupt_id"], more)
        assert (await world.ended(pid, 5))["result"] == "slept"

    world.run(scenario)


def test_a_child_cut_by_a_crash_may_be_cancelled_before_it_goes_on() -> None:
    """What its call had reserved died with the process; nobody gives it back twice."""
    world = World(TowerLimits(max_running=2))

    async def look() -> str:
        await asyncio.sleep(1000)
        return "seen"

    async def child(ctx: Context) -> str:
        return str(await ctx.tool("look"))

    async def main(ctx: Context) -> str:
        if ctx.mission == "hold a slot":
            await ctx.step("work", asyncio.sleep, 500, idempotent=True)
            return "held"
        born = await ctx.spawn("child", "go")
        return str(await born.result())

    world.tools.add(look, timeout_s=None)
    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        child_pid = (await world.tower.mission(ALICE, pid))["children"][0]
        for _ in range(2):
            await world.submit("hold a slot", priority=Priority.HIGH, on_busy="parallel")
        await asyncio.sleep(1)
        await world.restart()
        await asyncio.sleep(1)
        assert (await world.tower.mission(ALICE, child_pid))["state"] == "ready"
        await world.tower.cancel(ALICE, child_pid)
        assert (await world.ended(pid, 2000))["error"]["code"] == "child_failed"
        assert pid not in world.tower._a.budget.accounts

    world.run(scenario)


def test_an_effect_that_outlives_a_divergence_is_not_begun_again() -> None:
    """Resumed, the mission waits for the attempt that is still under way."""
    world = World()
    ran: list[float] = []

    async def slow() -> str:
        ran.append(world.loop.time())
        await asyncio.sleep(20)
        return "slow"

    async def main(ctx: Context) -> list[Any]:
        async def one(inner: Context) -> Any:
            return await inner.step("slow", slow)

        async def other(inner: Context) -> Any:
            await inner.sleep(1)
            return await inner.step(ctx.inputs["name"], lambda: 1)

        return await ctx.parallel(one, other)

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit(inputs={"name": "a"})
        await asyncio.sleep(5)
        kernel = world.tower._a.kernel
        process = kernel.memory.processes[pid]
        assert process.run is not None
        kernel.runs.run_diverged(process.run, Divergence("9", None, "a test"))
        await asyncio.sleep(1)
        assert (await world.tower.mission(ALICE, pid))["state"] == "paused"
        await world.tower.resume(ALICE, pid)
        assert (await world.ended(pid, 60))["result"] == ["slow", 1]
        assert len(ran) == 1
        assert "interrupt.raised" not in world.ledger.types(pid)

    world.run(scenario)


def test_what_a_child_was_allowed_is_covered_by_its_parents_limits_after_a_crash() -> None:
    """The extension was the child's; the parent learns of it when its account is opened again."""
    world = World()

    async def look() -> str:
        return "seen"

    async def child(ctx: Context) -> str:
        for _ in range(3):
            await ctx.tool("look")
        await ctx.sleep(5)
        return "done"

    async def main(ctx: Context) -> str:
        born = await ctx.spawn("child", "go", ResourceQuota(max_tool_calls=1))
        return str(await born.result())

    world.tools.add(look)
    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(max_tool_calls=1))
        await asyncio.sleep(1)
        child_pid = (await world.tower.mission(ALICE, pid))["children"][0]
        question = await world.question(child_pid)
        more = DecisionAnswer(decision="extend", quota=QuotaIncrease(max_tool_calls=5))
        await world.tower.answer(ALICE, question["interrupt_id"], more)
        await asyncio.sleep(1)
        await world.restart()
        mission = await world.ended(pid)
        assert (mission["usage"]["tool_calls"], mission["quota"]["max_tool_calls"]) == (3, 6)

    world.run(scenario)


def test_a_retry_that_waits_for_room_is_made_once_there_is_some() -> None:
    """And it is the next attempt, not the failed one again."""
    world = World()
    attempts: list[int] = []

    async def look() -> str:
        attempts.append(len(attempts))
        if len(attempts) == 1:
            await asyncio.sleep(1)
            raise ToolFailed("not yet")
        return "seen"

    async def slow() -> str:
        await asyncio.sleep(5)
        return "slow"

    async def main(ctx: Context) -> list[Any]:
        async def one(inner: Context) -> Any:
            return await inner.tool("look")

        async def other(inner: Context) -> Any:
            await inner.sleep(0.5)
            try:
                return await inner.tool("slow")
            except ToolFailed:
                return "failed"

        return await ctx.parallel(one, other)

    world.tools.add(look, idempotent=True, retries=1)
    world.tools.add(slow)
    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(max_tool_calls=2))
        question = await world.question(pid)
        assert world.loop.time() > 5
        more = DecisionAnswer(decision="extend", quota=QuotaIncrease(max_tool_calls=5))
        await world.tower.answer(ALICE, question["interrupt_id"], more)
        assert (await world.ended(pid, 20))["result"] == ["seen", "slow"]
        begun = [e for e in world.ledger.of(pid) if e["type"] == "step.started"]
        assert [e["data"]["attempt"] for e in begun if e["data"]["name"] == "look"] == [1, 2]

    world.run(scenario)


def test_nothing_is_begun_for_a_mission_whose_unit_was_refused() -> None:
    """What waited in its inbox is dropped; only callers are told."""
    world = World()
    ran: list[str] = []

    async def effect(name: str) -> None:
        ran.append(name)

    async def main(ctx: Context) -> str:
        async def one(inner: Context) -> None:
            await inner.emit("one")

        async def other(inner: Context) -> None:
            await inner.step("two", effect, "two", idempotent=True)

        await ctx.parallel(one, other)
        return "?"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        process = world.tower._a.memory.processes[pid]
        while not process.inbox:
            await asyncio.sleep(0)
        unit = process.unit
        assert unit is not None
        world.store.pending.clear()
        unit.refused(StoreFailed("broken", outcome="unknown"))
        await asyncio.sleep(1)
        assert not ran

    world.run(scenario)


def test_a_turn_of_a_model_that_fails_is_a_call_all_the_same() -> None:
    """A program that asks a failing model again and again meets its limit."""
    world = World()

    class Failing(Modelling):
        """A provider that is down."""

        async def run(self, request: ModelRequest, effect: EffectContext) -> ModelTurn:
            """Fail."""
            raise ModelFailed("The provider is down.")

    async def main(ctx: Context) -> str:
        while True:
            try:
                await ctx.llm([{"role": "user", "content": "hello"}])
            except ModelFailed:
                continue

    world.models = Failing()
    world.tower = world.another()
    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(max_llm_calls=3, on_limit="fail"))
        mission = await world.ended(pid, 5)
        assert mission["outcome"] == "quota_exceeded"
        assert mission["usage"]["llm_calls"] == 3

    world.run(scenario)


def test_a_unit_refused_by_a_locked_database_is_handed_over_again() -> None:
    """The mission goes on once the lock is gone; whoever cancels it is answered then."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.sleep(1)
        await ctx.sleep(1)
        return "done"

    world.agent(main)

    async def scenario() -> None:
        pid, other = await world.submit(), await world.submit(on_busy="parallel")
        apply = world.store._core.apply

        def locked(units: Sequence[Unit]) -> list[Any]:
            return [StoreFailed("locked", outcome="rejected") for _ in units]

        world.store._core.apply = locked  # type: ignore[method-assign]
        await asyncio.sleep(5)
        cancel = asyncio.ensure_future(world.tower.cancel(ALICE, other))
        await asyncio.sleep(5)
        world.store._core.apply = apply  # type: ignore[method-assign]
        assert (await cancel)["outcome"] == "cancelled"
        assert (await world.ended(pid, 10))["result"] == "done"
        assert world.ledger.types(pid).count("step.completed") == 2

    world.run(scenario)


def test_a_unit_that_cannot_be_stored_holds_its_mission() -> None:
    """A person sees it paused; it does not hang, and is not tried for ever."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.emit("said", words="poison")
        return "done"

    world.agent(main)
    apply = world.store._core.apply

    def picky(units: Sequence[Unit]) -> list[Any]:
        outcomes: list[Any] = []
        for unit in units:
            if any(b"poison" in draft.tail for draft in unit.drafts):
                unfit = StoreFailed("unfit unit", outcome="rejected")
                unfit.__cause__ = ValueError("no row")
                outcomes.append(unfit)
            else:
                outcomes += apply([unit])
        return outcomes

    world.store._core.apply = picky  # type: ignore[method-assign]

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(5)
        mission = await world.tower.mission(ALICE, pid)
        assert (mission["state"], mission["error"]["code"]) == ("paused", "internal")
        assert (await world.tower.cancel(ALICE, pid))["outcome"] == "cancelled"

    world.run(scenario)


def test_a_call_cut_from_outside_may_leave_branches_behind() -> None:
    """Their ends find nobody waiting, and the mission fails for the cut alone."""
    world = World()

    async def quick(ctx: Context) -> None:
        await asyncio.sleep(0.1001)

    async def main(ctx: Context) -> str:
        async with asyncio.timeout(0.1):
            await ctx.parallel(quick, quick)
        return "?"

    world.agent(main)
    complaints: list[object] = []
    world.loop.set_exception_handler(lambda _, context: complaints.append(context))

    async def scenario() -> None:
        submit, pending = world.store.submit, list[Unit]()
        pid = await world.submit()
        world.store.submit = pending.append  # type: ignore[method-assign,assignment]
        await asyncio.sleep(1)
        world.store.submit = submit  # type: ignore[method-assign]
        for unit in pending:
            submit(unit)
        mission = await world.ended(pid, 5)
        assert mission["error"]["code"] == "foreign_cancellation"

    world.run(scenario)
    gc.collect()
    assert not complaints


def test_what_a_child_added_to_a_shared_quota_survives_a_crash() -> None:
    """The limits are its parent's; they are stored with the child until the parent says them."""
    world = World()

    async def look() -> str:
        return "seen"

    async def child(ctx: Context) -> str:
        await ctx.tool("look")
        await ctx.tool("look")
        await ctx.sleep(5)
        return "done"

    async def main(ctx: Context) -> str:
        born = await ctx.spawn("child", "go")
        return str(await born.result())

    world.tools.add(look)
    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(max_tool_calls=1))
        await asyncio.sleep(1)
        child_pid = (await world.tower.mission(ALICE, pid))["children"][0]
        question = await world.question(child_pid)
        more = DecisionAnswer(decision="extend", quota=QuotaIncrease(max_tool_calls=5))
        await world.tower.answer(ALICE, question["interrupt_id"], more)
        await asyncio.sleep(1)
        await world.restart()
        await asyncio.sleep(1)
        await world.tower.explain(ALICE, child_pid)
        await world.tower.set_priority(ALICE, child_pid, Priority.LOW)
        account = world.tower._a.budget.accounts[pid]
        assert (account.used.tool_calls, account.quota.max_tool_calls) == (2, 6)
        mission = await world.ended(pid)
        assert (mission["usage"]["tool_calls"], mission["quota"]["max_tool_calls"]) == (2, 6)

    world.run(scenario)


def test_a_cut_program_gets_no_more_outcomes() -> None:
    """One that comes while the mission's end is on its way finds its call cancelled."""
    world = World()

    async def slow() -> str:
        await asyncio.sleep(0.15)
        return "slow"

    async def main(ctx: Context) -> str:
        async def one(inner: Context) -> Any:
            async with asyncio.timeout(0.1):
                return await inner.step("slow", slow, idempotent=True)

        async def other(inner: Context) -> None:
            await asyncio.sleep(0.3)

        await ctx.parallel(one, other)
        return "?"

    world.agent(main)
    complaints: list[object] = []
    world.loop.set_exception_handler(lambda _, context: complaints.append(context))

    async def scenario() -> None:
        submit, pending = world.store.submit, list[Unit]()
        pid = await world.submit()
        process = world.tower._a.memory.processes[pid]
        await asyncio.sleep(0.05)
        world.store.submit = pending.append  # type: ignore[method-assign,assignment]
        await asyncio.sleep(0.06)
        (ending,) = pending
        journal, run = process.journal, process.run
        assert journal is not None
        assert run is not None
        record = journal.find("1.1.1")
        assert record is not None
        done = msgspec.structs.replace(record, status=StepStatus.COMPLETED, offset=99)
        journal.put(done)  # as when the outcome was committed just before the cut
        run.advance()
        await asyncio.sleep(0.3)
        world.store.submit = submit  # type: ignore[method-assign]
        submit(ending)
        mission = await world.ended(pid, 5)
        assert mission["error"]["code"] == "foreign_cancellation"

    world.run(scenario)
    gc.collect()
    assert not complaints


def test_a_child_asked_for_before_its_parent_knows_of_it_is_one_process() -> None:
    """Its row can be read between its commit and the completion that takes it in."""
    world = World()

    async def child(ctx: Context) -> str:
        await ctx.sleep(100)
        return "done"

    async def main(ctx: Context) -> str:
        await ctx.spawn("child", "go")
        await ctx.sleep(100)
        return "done"

    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        await world.submit()
        delivery, held = world.store._delivery, []
        deliver = delivery.deliver
        delivery.deliver = lambda *group: held.append(group)  # type: ignore[method-assign]
        while not (rows := await world.store.live_missions(None, 10))[1:]:
            await asyncio.sleep(0)
        child_pid = rows[1].pid
        memory = world.tower._a.memory
        steps = world.store.steps

        async def slow_steps(pid: str) -> list[StepRecord]:
            read = await steps(pid)
            if held:
                delivery.deliver = deliver  # type: ignore[method-assign]
                deliver(*held.pop())
                await asyncio.sleep(1)
            return read

        world.store.steps = slow_steps  # type: ignore[method-assign]
        loaded = await memory.load(child_pid)
        assert loaded is memory.processes[child_pid]
        assert (await world.tower.cancel(ALICE, child_pid))["outcome"] == "cancelled"

    world.run(scenario)


def test_a_familys_accounts_are_read_once_for_all_who_ask() -> None:
    """A second reading could end after the family has, and would bring its accounts back."""
    world = World()

    async def child(ctx: Context) -> str:
        await ctx.sleep(100)
        return "done"

    async def main(ctx: Context) -> str:
        await ctx.spawn("child", "go")
        return await ctx.clarify("Which?")

    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        child_pid = (await world.tower.mission(ALICE, pid))["children"][0]
        await world.restart()
        mission, delays = world.store.mission, iter([0, 0, 10])

        async def slow_mission(asked: str) -> Any:
            read = await mission(asked)
            await asyncio.sleep(next(delays, 0) if asked == pid else 0)
            return read

        world.store.mission = slow_mission  # type: ignore[method-assign,assignment]
        lower = asyncio.ensure_future(world.tower.set_priority(ALICE, child_pid, Priority.LOW))
        await asyncio.sleep(1)
        await world.tower.cancel(ALICE, pid)
        await asyncio.gather(lower, return_exceptions=True)
        await asyncio.sleep(20)
        assert not world.tower._a.budget.accounts

    world.run(scenario)


def test_a_question_put_in_the_moment_of_the_end_leaves_no_alarm() -> None:
    """Its alarm would be set at the commit, after the end had cancelled it."""
    world = World()

    async def emit(ctx: Context) -> None:
        await ctx.emit("first")

    async def ask(ctx: Context) -> None:
        await ctx.clarify("Which?")

    async def use(ctx: Context) -> None:
        await ctx.tool("look")

    async def main(ctx: Context) -> str:
        await ctx.parallel(emit, ask, use)
        return "?"

    async def look() -> None:
        """Never called."""

    world.tools.add(look)
    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(max_tool_calls=0, on_limit="fail"))
        assert (await world.ended(pid, 5))["outcome"] == "quota_exceeded"
        assert "interrupt.raised" in world.ledger.types(pid)
        assert len(world.tower._a.timers) == 0

    world.run(scenario)


def test_running_time_that_a_person_adds_counts_while_the_mission_runs() -> None:
    """The alarm was set for the old limit; it looks at the new one before it ends anything."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.step("work", asyncio.sleep, 15, idempotent=True)
        return "done"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(timeout_seconds=10))
        late = await world.submit(quota=ResourceQuota(timeout_seconds=10), on_busy="parallel")
        await asyncio.sleep(5)
        for mission, seconds in ((pid, 6), (late, 1)):
            await world.tower.extend_quota(ALICE, mission, QuotaIncrease(timeout_seconds=seconds))
        assert (await world.ended(late))["outcome"] == "timed_out"
        assert 11 <= world.loop.time() < 11.5
        assert (await world.ended(pid))["result"] == "done"

    world.run(scenario)


def test_running_time_added_to_a_child_is_the_childs_own() -> None:
    """Even when all its other limits are its parent's."""
    world = World()

    async def child(ctx: Context) -> str:
        await ctx.step("work", asyncio.sleep, 15, idempotent=True)
        return "done"

    async def main(ctx: Context) -> str:
        born = await ctx.spawn("child", "go")
        return str(await born.result())

    world.agent(main)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit(quota=ResourceQuota(timeout_seconds=10))
        await asyncio.sleep(1)
        child_pid = (await world.tower.mission(ALICE, pid))["children"][0]
        await world.tower.extend_quota(ALICE, child_pid, QuotaIncrease(timeout_seconds=10))
        mission = await world.ended(pid)
        assert (mission["result"], mission["quota"]["timeout_seconds"]) == ("done", 10)
        extended = world.ledger.last(child_pid, "quota.extended")["data"]
        assert (extended["resource"], extended["limit"]) == ("elapsed_seconds", 20)

    world.run(scenario)


def test_child_that_a_command_loads_before_its_parent_is_told() -> None:
    """There is one process of it: a pause in the moment after its creation is not lost."""
    world = World()

    async def parent(ctx: Context) -> object:
        return await (await ctx.spawn("child", "x")).result()

    async def child(ctx: Context) -> None:
        await ctx.sleep(1)

    world.agent(parent)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit()
        delivery = world.store._delivery
        deliver, held = delivery.deliver, []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(delivery, "deliver", lambda *told: held.append(told))
            await asyncio.sleep(0.1)
            row = await world.store.mission(pid)
            assert row is not None
            (born,) = row.children
            pausing = asyncio.ensure_future(world.tower.pause(OPERATOR, born))
            await asyncio.sleep(0.1)
        for told in held:
            deliver(*told)
        await pausing
        await asyncio.sleep(10)
        assert (await world.tower.mission(OPERATOR, born))["state"] == "paused"
        await world.tower.resume(OPERATOR, born)
        assert (await world.ended(pid))["outcome"] == "completed"
        assert world.ledger.types(born)[:4] == [
            "mission.submitted",
            "mission.paused",
            "mission.started",
            "step.started",
        ]

    world.run(scenario)
