"""Programs and tools on the real kernel: parked, replayed, cancelled, approved, and kept secret."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

import pytest

from agents.blocking import BlockingContext
from agents.catalog import AgentCatalog
from agents.errors import BreakerOpen
from agents.executor import Executor
from agents.llm.mock import MockProvider
from agents.llm.table import ModelTable
from agents.registry import Registry
from agents.secret import Secret
from control_tower.commands import ClarificationAnswer, ConfirmationAnswer, Submission
from control_tower.execution.context import Context
from control_tower.limits import TowerLimits
from control_tower.store import InlineStore
from control_tower.tower import Tower
from server.clock import SystemClock
from tests.rig.tower import ALICE, OPERATOR, CountedIds, Ledger

PARK_S = 0.05


class Island:
    """A tower with real agents over an in-memory store; :meth:`crash` restarts it in mid-call."""

    def __init__(
        self, registry: Registry, prices: dict[str, tuple[float, float]] | None = None
    ) -> None:
        self.registry, self.prices = registry, prices
        self.ledger = Ledger()
        self.store = InlineStore.open(publish=self.ledger)
        self.clock, self.ids = SystemClock(), CountedIds()
        self.secrets = {"API_KEY": "canary-value-123"}
        self.tower = self._tower()

    def _tower(self) -> Tower:
        return Tower(
            store=self.store,
            catalog=AgentCatalog(self.registry, {}, "demo"),
            tools=Executor(self.registry, self.store, self.clock, secrets=self.secrets),
            models=ModelTable([MockProvider()], "mock:tools", self.registry, self.prices),
            publisher=self.ledger,
            clock=self.clock,
            ids=self.ids,
            node="node-1",
            limits=TowerLimits(park_after_s=PARK_S),
        )

    async def submit(self, mission: str, agent: str | None = None, **fields: Any) -> str:
        """Submit a mission; return its pid."""
        submission = Submission(mission=mission, agent=agent, **fields)
        reply = await self.tower.submit(ALICE, submission, body_sha256=mission)
        return str(reply["mission_id"])

    async def until(self, pid: str, seen: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the mission once ``seen`` holds."""
        async with asyncio.timeout(10):
            while not seen(mission := await self.tower.mission(OPERATOR, pid)):
                await asyncio.sleep(0.005)
        return mission

    async def ended(self, pid: str) -> dict[str, Any]:
        """Return the mission once it has ended."""
        return await self.until(pid, lambda mission: bool(mission["outcome"]))

    async def question(self, pid: str, but: Collection[str] = ()) -> str:
        """Return the id of the mission's question, once it has one that is not in ``but``."""
        mission = await self.until(
            pid, lambda mission: bool(set(mission["pending_interrupts"]) - set(but))
        )
        return str(next(each for each in mission["pending_interrupts"] if each not in but))

    def parked(self, pid: str) -> bool:
        """Whether the mission's program is out of memory."""
        process = self.tower._a.memory.processes.get(pid)
        return process is None or process.run is None

    async def crash(self) -> None:
        """Forget everything but the store, as if killed, and start again."""
        await self.tower.stop(0)
        self.tower = self._tower()
        await self.tower.start()

    async def until_parked(self, pid: str) -> None:
        """Wait until the program is out of memory."""
        async with asyncio.timeout(10):
            while not self.parked(pid):
                await asyncio.sleep(0.005)


@pytest.fixture
async def island(registry: Registry) -> AsyncIterator[Island]:
    """Return a started tower."""
    island = Island(registry)
    await island.tower.start()
    yield island
    await island.tower.stop(0)


async def test_a_plain_agent_is_parked_and_replayed(island: Island, registry: Registry) -> None:
    """Its thread ends when it is parked; answered, it goes on from its journal."""
    ended: list[str] = []
    threads: list[threading.Thread] = []
    left = threading.Event()

    @registry.tool("write")
    def note(text: str) -> str:
        """Note."""
        ended.append(text)
        return text

    @registry.agent("plain")
    def plain(ctx: BlockingContext) -> str:
        threads.append(threading.current_thread())
        first = ctx.tool(note, text="once")
        try:
            name = ctx.clarify("Who?")
        finally:
            ended.append("left")
            left.set()
        both = ctx.parallel(
            lambda one: one.tool(note, text="left hand"), lambda two: two.clarify("And?")
        )
        return f"{first} {name} {both}"

    pid = await island.submit("go", "plain")
    question = await island.question(pid)
    await island.until_parked(pid)
    assert await asyncio.to_thread(left.wait, 5)
    assert ended == ["once", "left"]
    await island.tower.answer(ALICE, question, ClarificationAnswer(answer="Ada"))
    question = await island.question(pid)
    await island.tower.answer(ALICE, question, ClarificationAnswer(answer="so"))
    mission = await island.ended(pid)
    assert mission["result"] == "once Ada ['left hand', 'so']"
    assert ended.count("once") == ended.count("left hand") == 1
    assert len(threads) == 2


async def test_a_stream_is_parked_and_replayed(island: Island, registry: Registry) -> None:
    """What was streamed before is not streamed again, and the result is whole."""

    @registry.agent("stream")
    async def stream(ctx: Context) -> AsyncIterator[str]:
        yield "hello "
        yield await ctx.clarify("Who?")

    pid = await island.submit("go", "stream")
    question = await island.question(pid)
    await island.until_parked(pid)
    await island.tower.answer(ALICE, question, ClarificationAnswer(answer="Ada"))
    assert (await island.ended(pid))["result"] == "hello Ada"
    deltas = [event["data"] for event in island.ledger.deltas if event["type"] == "llm.delta"]
    assert [(delta["at"], delta["text"]) for delta in deltas] == [(0, "hello "), (6, "Ada")]


async def test_a_plain_agent_is_cancelled_at_its_call(island: Island, registry: Registry) -> None:
    """The thread leaves its call and ends."""
    left = threading.Event()

    @registry.agent("sleeper")
    def sleeper(ctx: BlockingContext) -> None:
        try:
            ctx.sleep(3600)
        finally:
            left.set()

    pid = await island.submit("go", "sleeper")
    await island.until(pid, lambda mission: mission["state"] == "blocked")
    await island.tower.cancel(ALICE, pid)
    assert (await island.ended(pid))["outcome"] == "cancelled"
    assert await asyncio.to_thread(left.wait, 5)


@pytest.mark.parametrize("approved", [True, False])
async def test_the_demo_asks_before_it_deletes(island: Island, approved: bool) -> None:
    """Parked at the question, answered, and honest about what became of the file."""
    pid = await island.submit("write a.txt: x; delete a.txt; list files")
    question = await island.question(pid)
    raised = island.ledger.last(pid, "interrupt.raised")["data"]
    assert raised["tool"] == "workspace.delete"
    assert raised["arguments"] == {"name": "a.txt"}
    assert raised["risk"] == "destructive"
    await island.until_parked(pid)
    answer = ConfirmationAnswer(approved=approved, message=None if approved else "keep it")
    await island.tower.answer(ALICE, question, answer)
    result = (await island.ended(pid))["result"]
    if approved:
        assert result.endswith("I deleted a.txt.\nThere are no files yet.")
    else:
        assert "I kept a.txt: workspace.delete was refused: keep it" in result
        assert result.endswith("1 file: a.txt (1 byte)")


async def test_an_edited_call_is_reported_as_it_ran(island: Island) -> None:
    """The person chose another file, and the answer says which."""
    pid = await island.submit("write a.txt: x; write b.txt: y; delete a.txt; list files")
    question = await island.question(pid)
    answer = ConfirmationAnswer(approved=True, arguments={"name": "b.txt"})
    await island.tower.answer(ALICE, question, answer)
    result = (await island.ended(pid))["result"]
    assert result.endswith("I deleted b.txt.\n1 file: a.txt (1 byte)")


async def test_secrets_are_in_no_event_and_no_record(island: Island, registry: Registry) -> None:
    """Neither where it was passed, nor where the tool said it back."""
    seen: list[str] = []

    @registry.tool("destructive")
    async def pay(key: str) -> str:
        """Pay."""
        seen.append(key)
        raise RuntimeError(f"bad key {key}")

    @registry.agent("payer")
    async def payer(ctx: Context) -> str:
        return str(await ctx.tool(pay, key=Secret("API_KEY")))

    pid = await island.submit("go", "payer")
    question = await island.question(pid)
    await island.until_parked(pid)
    await island.tower.answer(ALICE, question, ConfirmationAnswer(approved=True))
    mission = await island.ended(pid)
    assert mission["outcome"] == "failed"
    assert seen == ["canary-value-123"]
    told = repr([island.ledger.events, island.ledger.deltas, mission])
    kept = repr([await island.store.steps(pid), await island.store.interrupt(question)])
    assert "canary" not in told + kept
    assert "API_KEY" in told


@pytest.mark.parametrize(
    ("mission", "agent", "result"),
    [
        ("work 5 steps; calculate 6*7; count to 3; what is 2+2", "demo", "2+2 = 4"),
        ("What is 6*7?", "react", "[mock model] I observed: 42"),
        ("one two three", "echo", "one two three"),
    ],
)
async def test_built_in_agents_replay_to_the_same_result(
    island: Island, mission: str, agent: str, result: str
) -> None:
    """Run again over its own journal, each makes the same calls and returns the same."""
    pid = await island.submit(mission, agent)
    first = (await island.ended(pid))["result"]
    assert first.endswith(result)
    calls = [(step.kind, step.name, step.call_sha256) for step in await island.store.steps(pid)]
    again = await island.submit(mission, agent)
    assert (await island.ended(again))["result"] == first
    repeated = [(s.kind, s.name, s.call_sha256) for s in await island.store.steps(again)]
    assert repeated == calls


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_tool_that_acts_and_says_that_a_breaker_is_open_is_called_once(
    island: Island, registry: Registry, *, idempotent: bool
) -> None:
    """Only the tower's own breaker has turned a call away."""
    acts: list[str] = []

    @registry.tool("write", idempotent=idempotent)
    async def pay(label: str) -> None:
        """Pay, and print a receipt."""
        acts.append(label)
        raise BreakerOpen("the printer's breaker is open")

    @registry.agent("payer")
    async def payer(ctx: Context) -> object:
        return await ctx.tool(pay, label="invoice 7")

    mission = await island.ended(await island.submit("go", "payer"))
    assert mission["error"]["code"] == "tool_failed"
    assert "the printer's breaker is open" in mission["error"]["message"]
    assert acts == ["invoice 7"]


async def test_a_result_with_text_and_data(island: Island, registry: Registry) -> None:
    """The text is the answer; the data goes with it."""
    from agents import Result

    @registry.agent("both")
    async def both(ctx: Context) -> Result:
        return Result("forty-two", {"value": 42})

    mission = await island.ended(await island.submit("go", "both"))
    assert mission["outcome"] == "completed"
    assert "forty-two" in repr(mission["result"])
    assert "42" in repr(mission["result"])
