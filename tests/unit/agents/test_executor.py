"""The executor: plans, runs, breakers, health, secrets."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agents.breaker import FAILURES, OPEN_S, BreakerState
from agents.errors import (
    BreakerOpen,
    Parked,
    QuotaExceeded,
    ToolDeclined,
    ToolFailed,
    ToolInvalid,
    ToolRefused,
)
from agents.executor import Executor
from agents.health import CallStatus
from agents.registry import Registry
from agents.tool_context import ToolContext
from control_tower.ports import EffectContext, ToolPlan
from events.types import EventData


@pytest.fixture
def effect(make_ctx: Callable[..., Any]) -> EffectContext:
    """Return what an attempt is given."""
    given: EffectContext = make_ctx("x").effect("3")
    return given


def add(registry: Registry, function: Any, risk: Any = "read_only", **options: Any) -> Any:
    """Register a tool and return its function."""
    return registry.tool(risk, **options)(function)


async def refund(order: str, amount: float = 12.5) -> str:
    """Refund an order.

    Args:
        order: Its number.
        amount: Euros.
    """
    return f"refunded {amount} on {order}"


async def test_a_call_is_planned_and_run(
    registry: Registry, executor: Executor, effect: EffectContext
) -> None:
    """The plan has what the kernel and the person need; the run returns the output."""
    add(registry, refund, "destructive", timeout_s=3, on_open="fail")
    plan = executor.plan(refund, {"order": "A-1"})
    assert plan == ToolPlan(
        name="refund",
        arguments={"order": "A-1", "amount": 12.5},
        identity={"order": "A-1"},
        risk="destructive",
        confirm=True,
        idempotent=False,
        staged=False,
        timeout_s=3,
        retries=0,
        on_open="fail",
        message='Refund an order. Run refund with order = "A-1", amount = 12.5?',
    )
    assert await executor.run(plan, effect) == "refunded 12.5 on A-1"


def test_long_arguments_are_cut_in_the_question_only(
    registry: Registry, executor: Executor
) -> None:
    """The person sees them whole beside it."""
    add(registry, refund)
    plan = executor.plan("refund", {"order": "x" * 1000})
    assert len(plan.message) < 400
    assert plan.arguments["order"] == "x" * 1000


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ("refnd", "no tool called refnd. Did you mean refund?"),
        ("nonsense", "no tool called nonsense."),
        (len, "len is not a registered tool"),
        (object(), "object is not a registered tool"),
    ],
)
def test_unknown_tools_are_refused(
    registry: Registry, executor: Executor, tool: object, said: str
) -> None:
    """With the nearest name, if one is near."""
    add(registry, refund)
    with pytest.raises(ToolInvalid) as raised:
        executor.plan(tool, {})
    assert said in raised.value.message


def test_arguments_nested_too_deep_are_refused(registry: Registry, executor: Executor) -> None:
    """Whatever the depth; the loop's stack is not theirs to fill."""

    async def take(thing: Any) -> None:
        """Take."""

    add(registry, take)
    nest: Any = 1
    for _ in range(100_000):
        nest = [nest]
    with pytest.raises(ToolInvalid):
        executor.plan("take", {"thing": nest})
    while isinstance(nest, list):
        # Taken apart by hand: freeing it whole would recurse, too.
        nest = nest.pop()


async def test_a_plain_tool_runs_in_a_thread(
    registry: Registry, executor: Executor, effect: EffectContext
) -> None:
    """So that it may block."""

    def where() -> bool:
        """Tell."""
        return threading.current_thread() is threading.main_thread()

    add(registry, where)
    assert await executor.run(executor.plan("where", {}), effect) is False


async def test_a_tool_is_told_who_calls(
    registry: Registry, executor: Executor, effect: EffectContext
) -> None:
    """The context has the effect's key, the step and the session."""

    async def who(ctx: ToolContext) -> list[Any]:
        """Tell."""
        ctx.delta("piece")
        return [ctx.effect_key, ctx.pid, ctx.step, ctx.attempt, ctx.session_id, ctx.user_id]

    add(registry, who)
    deltas: list[str] = []
    effect.delta = deltas.append
    output = await executor.run(executor.plan("who", {}), effect)
    assert output == [effect.effect_key, "m_1", "3", 1, "s_1", "local"]
    assert deltas == ["piece"]


async def test_a_plain_tool_streams_through_the_loop(
    registry: Registry, executor: Executor, effect: EffectContext
) -> None:
    """The kernel's delta is called in the loop's thread only."""
    threads: list[int] = []
    effect.delta = lambda _: threads.append(threading.get_ident())

    def stream(ctx: ToolContext) -> None:
        """Stream."""
        ctx.delta("piece")

    add(registry, stream)
    await executor.run(executor.plan("stream", {}), effect)
    await asyncio.sleep(0)
    assert threads == [threading.get_ident()]


@pytest.mark.parametrize(
    ("raised", "error", "said"),
    [
        (ValueError("bad"), ToolFailed, "ValueError: bad"),
        (SystemExit(2), ToolFailed, "SystemExit: 2"),
        (asyncio.CancelledError(), ToolFailed, "CancelledError: "),
        (TimeoutError("slow"), ToolFailed, "TimeoutError: slow"),
        (ToolFailed("mine"), ToolFailed, "mine"),
        (ToolDeclined("not this"), ToolDeclined, "not this"),
        (ToolRefused("no"), ToolRefused, "no"),
        (BreakerOpen("the printer's"), ToolFailed, "BreakerOpen: the printer's"),
        (QuotaExceeded("the bank's"), ToolFailed, "QuotaExceeded: the bank's"),
    ],
)
async def test_what_a_tool_raises_is_the_calls_outcome(
    *,
    registry: Registry,
    executor: Executor,
    effect: EffectContext,
    raised: BaseException,
    error: type[Exception],
    said: str,
) -> None:
    """A tool's errors as they are; anything else as ToolFailed with class and message."""

    async def fail() -> None:
        """Fail."""
        raise raised

    add(registry, fail)
    with pytest.raises(error) as caught:
        await executor.run(executor.plan("fail", {}), effect)
    assert str(caught.value) == said


async def test_an_error_class_of_the_tools_own_passes(
    registry: Registry, executor: Executor, effect: EffectContext
) -> None:
    """Whatever its constructor takes."""

    class Mine(ToolFailed):
        """An error with two attributes."""

        def __init__(self, first: int, second: int) -> None:
            super().__init__(f"{first} and {second}")

    async def fail() -> None:
        """Fail."""
        raise Mine(1, 2)

    add(registry, fail)
    with pytest.raises(Mine, match="1 and 2"):
        await executor.run(executor.plan("fail", {}), effect)


async def test_a_parked_attempt_says_nothing_about_the_tool(
    registry: Registry, executor: Executor, effect: EffectContext, clock: Any
) -> None:
    """What is no ordinary exception passes through, uncounted."""

    async def park() -> None:
        """Park."""
        raise Parked

    add(registry, park)
    with pytest.raises(Parked):
        await executor.run(executor.plan("park", {}), effect)
    assert executor.health.report("park", clock.now()).day.total == 0


async def test_an_output_that_is_not_json_fails(
    registry: Registry, executor: Executor, effect: EffectContext
) -> None:
    """It could not be journaled."""

    async def odd() -> object:
        """Return an object."""
        return object()

    add(registry, odd)
    with pytest.raises(ToolFailed, match="cannot be kept"):
        await executor.run(executor.plan("odd", {}), effect)


class TestBreaker:
    """Breakers are told how calls end, and are asked before each."""

    @pytest.fixture
    def said(self, executor: Executor) -> list[EventData]:
        """Return the events that breakers make."""
        said: list[EventData] = []
        executor.on_breaker = said.append
        return said

    async def call(self, executor: Executor, effect: EffectContext, works: bool) -> None:
        """Call the flaky tool."""
        plan = executor.plan("flaky", {"works": works})
        if works:
            await executor.run(plan, effect)
        else:
            with pytest.raises(ToolFailed):
                await executor.run(plan, effect)

    @pytest.fixture(autouse=True)
    def flaky(self, registry: Registry) -> None:
        """Register a tool that fails when told to."""

        async def flaky(works: bool) -> None:
            """Work or fail."""
            if not works:
                raise OSError("down")

        add(registry, flaky)

    async def test_it_opens_lets_a_trial_through_and_closes(
        self, executor: Executor, effect: EffectContext, clock: Any, said: list[Any]
    ) -> None:
        """With an event at each change."""
        for _ in range(FAILURES):
            assert executor.blocked_until("flaky", clock.now()) is None
            await self.call(executor, effect, works=False)
        assert executor.blocked_until("flaky", clock.now()) == clock.now() + OPEN_S
        with pytest.raises(BreakerOpen, match="flaky failed 5 times within 5 minutes"):
            await executor.run(executor.plan("flaky", {"works": True}), effect)
        clock.advance(OPEN_S)
        await self.call(executor, effect, works=False)
        clock.advance(OPEN_S)
        await self.call(executor, effect, works=True)
        assert [event.TYPE for event in said] == [
            "breaker.opened",
            "breaker.half_opened",
            "breaker.opened",
            "breaker.half_opened",
            "breaker.closed",
        ]
        assert said[0].tool == "flaky"
        assert said[0].failures == FAILURES
        assert said[0].retry_at == "2027-01-15T08:00:30.000Z"
        assert said[-1].retry_at is None

    async def test_an_operator_resets_it(
        self, executor: Executor, effect: EffectContext, said: list[Any]
    ) -> None:
        """Calls go through at once."""
        for _ in range(FAILURES):
            await self.call(executor, effect, works=False)
        assert executor.breaker_state("flaky") is BreakerState.OPEN
        assert executor.reset("flaky") is True
        assert executor.reset("flaky") is False
        await self.call(executor, effect, works=True)
        assert [event.TYPE for event in said] == ["breaker.opened", "breaker.closed"]

    async def test_what_cannot_be_done_does_not_open_it(
        self, executor: Executor, effect: EffectContext, clock: Any
    ) -> None:
        """A file that is missing says nothing about the tool that reads."""
        for _ in range(2 * FAILURES):
            with pytest.raises(ToolFailed):
                await executor.run(executor.plan("workspace.read", {"name": "x"}), effect)
        assert executor.blocked_until("workspace.read", clock.now()) is None
        report = executor.health.report("workspace.read", clock.now())
        assert report.hour.calls[CallStatus.REJECTED] == 2 * FAILURES

    async def test_a_timeout_counts_and_a_cancelled_mission_does_not(
        self, registry: Registry, executor: Executor, effect: EffectContext, clock: Any
    ) -> None:
        """The two look alike but for the time that passed."""

        async def hang() -> None:
            """Hang."""
            await asyncio.Event().wait()

        add(registry, hang, timeout_s=10)
        for seconds in (1.0, 10.0):
            task = asyncio.ensure_future(executor.run(executor.plan("hang", {}), effect))
            await asyncio.sleep(0)
            clock.advance(seconds)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        report = executor.health.report("hang", clock.now())
        assert report.hour.calls[CallStatus.TIMEOUT] == 1
        assert report.hour.total == 1
        assert report.hour.mean_latency_ms == pytest.approx(10_000)

    async def test_a_cancelled_trial_leaves_room_for_another(
        self, registry: Registry, executor: Executor, effect: EffectContext, clock: Any
    ) -> None:
        """The tool is not blocked for ever by a mission that was cancelled in the trial."""
        gate = asyncio.Event()

        async def moody() -> None:
            """Hang when the gate is set."""
            if gate.is_set():
                await asyncio.Event().wait()
            raise OSError("down")

        add(registry, moody)
        for _ in range(FAILURES):
            with pytest.raises(ToolFailed):
                await executor.run(executor.plan("moody", {}), effect)
        clock.advance(OPEN_S)
        gate.set()
        task = asyncio.ensure_future(executor.run(executor.plan("moody", {}), effect))
        await asyncio.sleep(0)
        assert executor.blocked_until("moody", clock.now()) is not None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert executor.blocked_until("moody", clock.now()) is None

    async def test_refusals_are_counted_and_say_nothing_of_the_tool(
        self, executor: Executor, clock: Any
    ) -> None:
        """It was never called."""
        executor.refused("flaky", "not today")
        hour = executor.health.report("flaky", clock.now()).hour
        assert (hour.calls[CallStatus.REJECTED], hour.success_rate) == (1, None)
