"""Agents that carry a plan out and return all that they saw of the world.

Because the result says what every call returned or raised, and in which order branches learned of
it, a replay that differs in anything returns something else.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from control_tower.errors import AgentError, QuotaExceeded
from control_tower.execution.context import Child, Context
from tests.simulation.plans import (
    Approve,
    Ask,
    Bear,
    Cut,
    Draw,
    Fork,
    Guarded,
    Idle,
    Keep,
    Nap,
    Op,
    Ops,
    Plan,
    Recall,
    Say,
    Tell,
    Think,
    Throw,
    Use,
    Waver,
    Work,
)

if TYPE_CHECKING:
    from tests.simulation.tooling import Hands

Seen = list[Any]


class Odd(BaseException):
    """What a program should not raise."""


class Mute(Exception):
    """An error that can't even be shown."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("no words")


THROWN: dict[str, Callable[[], BaseException]] = {
    "value": lambda: ValueError("of no value"),
    "key": lambda: KeyError("lost"),
    "agent": lambda: AgentError("by choice"),
    "quota": lambda: QuotaExceeded("by choice"),
    "surrogate": lambda: ValueError("half a \ud83d character"),
    "mute": Mute,
    "base": lambda: Odd("beyond exceptions"),
    "exit": lambda: SystemExit(3),
    "timeout": TimeoutError,
}

CAUGHT: dict[str, type[BaseException]] = {
    "agent": AgentError,
    "exception": Exception,
    "everything": BaseException,
}


@dataclass(slots=True)
class Telling:
    """One run of a program: what it streamed, what its branches learned in which order."""

    said: int = 0
    order: list[str] = field(default_factory=list)
    late: list[Child] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Scripted:
    """``ports.Program``."""

    plan: Plan
    hands: "Hands"

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.plan.name

    async def __call__(self, ctx: Context) -> object:
        """Do all of it and tell."""
        telling = Telling()
        seen = await self._all(ctx, self.plan.ops, telling)
        for child in telling.late:
            seen.append(await _tried(child.result))
        return _returned(self.plan.returns, seen, telling)

    async def _all(self, ctx: Context, ops: Ops, telling: Telling) -> Seen:
        seen: Seen = []
        for op in ops:
            saw = await self._one(ctx, op, telling)
            seen.append([type(op).__name__, saw])
        return seen

    async def _one(self, ctx: Context, op: Op, telling: Telling) -> Any:
        match op:
            case Say(text=text):
                self.hands.says(ctx, telling.said, text)
                telling.said += len(text)
                ctx.delta(text)
                return None
            case Idle(seconds=seconds):
                return await asyncio.sleep(seconds)
            case Throw(kind=kind):
                thrown = THROWN[kind]
                raise thrown()
            case Guarded(ops=ops, catch=catch):
                return await self._guarded(ctx, ops, CAUGHT[catch], telling)
            case Draw(low=low, high=high):
                drawn = [ctx.now(), ctx.random(), ctx.uuid()]
                chosen = low if ctx.random() < 0.5 else high
                return [drawn, await self._all(ctx, chosen, telling)]
            case Cut(after_s=after_s, ops=ops):
                async with asyncio.timeout(after_s):
                    return await self._all(ctx, ops, telling)
            case Fork(branches=branches):
                return await ctx.parallel(*(self._branch(ops, telling) for ops in branches))
            case _:
                step = step_of(ctx)
                saw = await self._called(ctx, op, telling)
                telling.order.append(step)
                return saw

    def _branch(self, ops: Ops, telling: Telling) -> Callable[[Context], Awaitable[Seen]]:
        return lambda ctx: self._all(ctx, ops, telling)

    async def _guarded(
        self, ctx: Context, ops: Ops, caught: type[BaseException], telling: Telling
    ) -> Any:
        try:
            return await self._all(ctx, ops, telling)
        except GeneratorExit:  # only the interpreter's own end is let through by all
            raise
        except caught as error:
            return f"caught {type(error).__name__} {getattr(error, 'message', '')}"

    async def _called(  # noqa: C901  # one case a call
        self, ctx: Context, op: Op, telling: Telling
    ) -> Any:
        match op:
            case Work(name=name, idempotent=idempotent, threaded=threaded):
                function = self.hands.work(ctx, idempotent=idempotent, threaded=threaded)
                return await ctx.step(name, function, name, idempotent=idempotent)
            case Use(tool=tool, n=n, bad=bad):
                return await ctx.tool(tool, n=n, **({"bad": 1} if bad else {}))
            case Think(words=words, model=model):
                said = " ".join(f"w{number}" for number in range(words))
                reply = await ctx.llm([{"role": "user", "content": said}], model=model)
                return reply.text
            case Ask(options=options, strict=strict):
                return await ctx.clarify("Which?", options, strict)
            case Approve(n=n):
                decision = await ctx.confirm("May I?", n=n)
                return [decision.approved, decision.message, decision.arguments]
            case Nap(seconds=seconds):
                return await ctx.sleep(seconds)
            case Tell(n=n):
                return await ctx.emit("told", n=n)
            case Waver():
                return await ctx.emit("wavered", n=self.hands.wavers(ctx, step_of(ctx)))
            case Keep(n=n):
                return await ctx.artifact(f"kept{n}", f"text {n}")
            case Recall(limit=limit):
                return [[m.role, m.content] for m in await ctx.history(limit)]
            case Bear():
                return await self._bear(ctx, op, telling)
        raise AssertionError(op)

    async def _bear(self, ctx: Context, op: Bear, telling: Telling) -> Any:
        child = await ctx.spawn(op.agent, f"a child of {self.plan.name}", op.quota)
        if op.join == "now":
            return [child.pid, await child.result()]
        if op.join == "late" and not ctx._prefix:
            telling.late.append(child)
        return child.pid


def step_of(ctx: Context) -> str:
    """Return the number of the call that the program makes next."""
    return f"{ctx._prefix}{ctx._count + 1}"


async def _tried(call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await call()
    except AgentError as error:
        return f"failed {error.message}"


@dataclass(slots=True, frozen=True)
class Pair:
    """A result with words and data, as ``agents.Result`` is one."""

    text: str
    data: Any


def _returned(kind: str, seen: Seen, telling: Telling) -> object:
    told = {"seen": seen, "order": telling.order, "said": telling.said}
    match kind:
        case "text":
            return repr(told)
        case "pair":
            return Pair("all done", told)
        case "odd":
            return {"a set": {1}}
        case _:
            return told
