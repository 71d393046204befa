"""The world that effects act upon: tools, models and functions that fail in every way.

What an attempt does is drawn from its mission, step and number, so it does not depend on what
else happens. Every attempt is written down at the moment in which it touches the world.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from control_tower.errors import (
    AgentError,
    BreakerOpen,
    ModelFailed,
    Parked,
    ToolFailed,
    ToolInvalid,
)
from control_tower.execution.context import Context
from control_tower.ports import EffectContext, ModelRequest, ModelTurn, ToolPlan
from control_tower.quota.quotas import ResourceUsage
from control_tower.records import FileRecord
from control_tower.unit import SaveFile
from tests.simulation.chance import Chance
from tests.simulation.programs import Mute, Odd, step_of

if TYPE_CHECKING:
    from tests.simulation.world import World

TOOLS: dict[str, dict[str, Any]] = {
    "lookup": {"idempotent": True, "retries": 2, "timeout_s": 2.0},
    "charge": {"idempotent": False, "timeout_s": 2.0},
    "wipe": {"idempotent": False, "confirm": True, "risk": "destructive", "timeout_s": 2.0},
    "publish": {"idempotent": True, "confirm": True, "risk": "high", "retries": 1},
    "ask": {"idempotent": True, "on_open": "fail"},
    "note": {"idempotent": False, "staged": True},
}

TROUBLE = {
    "fail": 3.0,
    "invalid": 0.5,
    "value": 1.0,
    "timeout": 1.0,
    "cancelled": 0.5,
    "parked": 0.3,
    "base": 0.5,
    "exit": 0.3,
    "mute": 0.3,
    "surrogate": 0.3,
    "group": 0.3,
    "not_json": 0.5,
    "big": 0.2,
    "hang": 2.0,
    "deaf": 1.0,
}

RAISED: dict[str, Callable[[], BaseException]] = {
    "fail": lambda: ToolFailed("not today"),
    "invalid": lambda: ToolInvalid("late refusal"),
    "value": lambda: ValueError("of no value"),
    "timeout": TimeoutError,
    "cancelled": asyncio.CancelledError,
    "parked": Parked,
    "base": lambda: Odd("beyond exceptions"),
    "exit": lambda: SystemExit(2),
    "mute": Mute,
    "surrogate": lambda: ValueError("half a \ud83d character"),
    "group": lambda: ExceptionGroup("many", [ValueError("a"), KeyError("b")]),
}


@dataclass(slots=True, frozen=True)
class Touch:
    """What is done to the world. ``attempt`` is None for a function of ``ctx.step``."""

    kind: str
    name: str
    idempotent: bool
    attempt: int | None
    arguments: Any


@dataclass(slots=True, frozen=True)
class Execution:
    """An attempt that touched the world."""

    life: int
    at: float
    pid: str
    step: str
    what: Touch


@dataclass(slots=True)
class Hands:
    """``ports.Tools`` and ``ports.Models``, and the functions of steps."""

    world: "World"
    chance: Chance
    trouble: float
    executions: list[Execution] = field(default_factory=list)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    open_until: dict[str, float] = field(default_factory=dict)
    wavered: int = 0

    # -- what programs say and do ---------------------------------------------------------

    def says(self, ctx: Context, at: int, text: str) -> None:
        """Note what a program is about to stream."""
        if not ctx._run.closed:
            self.world.auditor.screen.says(ctx.pid, at, text)

    def wavers(self, ctx: Context, step: str) -> int:
        """Return something else at each run; once mended, what the journal has."""
        self.wavered += 1
        record = self.world.auditor.steps.get((ctx.pid, step))
        if self.world.calm and record is not None and isinstance(record.arguments, dict):
            return int(record.arguments["fields"]["n"])
        return self.wavered

    def work(self, ctx: Context, *, idempotent: bool, threaded: bool) -> Callable[[str], Any]:
        """Return the function of a step."""
        pid, step = ctx.pid, step_of(ctx)

        async def act(name: str) -> Any:
            n = self._touch(pid, step, Touch("step", name, idempotent, None, [name]))
            chance = self.chance.of("work", pid, step, n)
            return await self._fate(chance, {"name": name, "n": n})

        def act_at_once(name: str) -> Any:
            n = self._touch(pid, step, Touch("step", name, idempotent, None, [name]))
            chance = self.chance.of("work", pid, step, n)
            kind = self._trouble(chance)
            if kind in RAISED and kind != "cancelled":
                raise _raised(kind)
            return {"name": name, "n": n}

        return act_at_once if threaded else act

    def _touch(self, pid: str, step: str, what: "Touch") -> int:
        """Write an attempt down; return how many there were of this step."""
        n = self.counts[pid, step] = self.counts.get((pid, step), 0) + 1
        world = self.world
        done = Execution(world.life.number, world.loop.time(), pid, step, what)
        self.executions.append(done)
        world.auditor.touches.judge(done)
        return n

    def _trouble(self, chance: Chance) -> str | None:
        if self.world.calm or not chance.happens(self.trouble):
            return None
        return chance.weighed(TROUBLE)

    async def _fate(self, chance: Chance, result: Any) -> Any:
        kind = self._trouble(chance)
        await asyncio.sleep(0.001 if self.world.calm else chance.delay(0.1))
        if kind in RAISED:
            raise _raised(kind)
        match kind:
            case "hang":
                await asyncio.sleep(1e9)
            case "deaf":
                await _deaf(chance.between(0.5, 4.0))
            case "not_json":
                return {"a": object()}
            case "big":
                return {**result, "big": "x" * 300_000}
        return result

    # -- tools ----------------------------------------------------------------------------

    def plan(self, tool: object, arguments: Mapping[str, object]) -> ToolPlan:
        """See ``ports.Tools``."""
        name = str(tool)
        if name not in TOOLS:
            raise ToolInvalid(f"There is no tool {name}.")
        if set(arguments) != {"n"} or not isinstance(arguments["n"], int):
            raise ToolInvalid(f"{name} takes n, an integer.")
        options: dict[str, Any] = {"risk": "write", "confirm": False, **TOOLS[name]}
        chosen = dict(arguments)
        return ToolPlan(name=name, arguments=chosen, identity=chosen, **options)

    def asked(self, arguments: Mapping[str, object]) -> Any:
        """See ``ports.Tools``."""
        return dict(arguments)

    def edit(
        self, tool: str, proposed: Mapping[str, object], arguments: Mapping[str, object]
    ) -> ToolPlan:
        """See ``ports.Tools``."""
        return self.plan(tool, arguments)

    def blocked_until(self, tool: str, now: float) -> float | None:
        """See ``ports.Tools``."""
        until = self.open_until.get(tool, 0.0)
        return until if until > now else None

    def refused(self, tool: str, why: str) -> None:
        """See ``ports.Tools``."""

    async def run(self, plan: Any, effect: EffectContext) -> Any:
        """See ``ports.Tools`` and ``ports.Models``."""
        if isinstance(plan, ModelRequest):
            return await self._turn(plan, effect)
        if self.blocked_until(plan.name, self.world.loop.wall.now()):
            raise BreakerOpen(f"{plan.name} is not called for now.")
        repeatable = plan.idempotent or plan.staged
        touch = Touch("tool", plan.name, repeatable, effect.attempt, plan.arguments)
        n = self._touch(effect.pid, effect.step, touch)
        chance = self.chance.of("tool", effect.pid, effect.step, n)
        if chance.happens(0.2):
            effect.delta("working")
        if plan.staged:
            effect.writes.append(SaveFile(self._file(effect, plan.arguments)))
        return await self._fate(chance, {"tool": plan.name, "n": n, "given": plan.arguments})

    def _file(self, effect: EffectContext, arguments: dict[str, Any]) -> FileRecord:
        content = f"{effect.pid} {effect.step}".encode()
        return FileRecord(
            session_id=effect.session_id,
            name=f"note{arguments['n']}",
            media_type="text/plain",
            size=len(content),
            content=content,
            updated_at=self.world.loop.wall.now(),
        )

    # -- models ---------------------------------------------------------------------------

    async def _turn(self, request: ModelRequest, effect: EffectContext) -> ModelTurn:
        touch = Touch("llm", request.model, idempotent=True, attempt=effect.attempt, arguments=None)
        n = self._touch(effect.pid, effect.step, touch)
        chance = self.chance.of("llm", effect.pid, effect.step, n)
        text = str(request.messages[-1]["content"])
        for word in text.split(" "):
            effect.delta(word + " ")
            await asyncio.sleep(chance.delay(0.01))
        answer = await self._fate(chance, {"text": f"{text} {n}", "model": request.model})
        used = ResourceUsage(
            llm_calls=1,
            input_tokens=chance.number(0, 20),
            output_tokens=chance.number(0, 30),
            cost_usd=0.01,
        )
        return ModelTurn(answer, used)


@dataclass(slots=True, frozen=True)
class Minds:
    """``ports.Models``."""

    hands: Hands

    def plan(
        self,
        messages: Sequence[dict[str, Any]],
        model: str | None,
        tools: Sequence[object],
        settings: Mapping[str, object],
    ) -> ModelRequest:
        """See ``ports.Models``."""
        if model == "missing":
            raise ModelFailed("There is no model missing.")
        return ModelRequest(model or "parrot", list(messages), (), dict(settings))

    def priced(self, model: str) -> bool:
        """See ``ports.Models``."""
        return True

    def turn_usage(self, model: str, input_tokens: int, output_tokens: int) -> ResourceUsage:
        """See ``ports.Models``."""
        raise NotImplementedError

    def estimate(self, request: ModelRequest) -> ResourceUsage:
        """See ``ports.Models``."""
        return ResourceUsage(input_tokens=10, output_tokens=20, cost_usd=0.02)

    async def run(self, request: ModelRequest, effect: EffectContext) -> ModelTurn:
        """See ``ports.Models``."""
        turn = await self.hands.run(request, effect)
        if not isinstance(turn, ModelTurn):
            raise AgentError("a model answers with a turn")
        return turn


async def _deaf(seconds: float) -> None:
    """Go on for a while whatever is cancelled."""
    until = asyncio.get_running_loop().time() + seconds
    while (left := until - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue


def _raised(kind: str) -> BaseException:
    return RAISED[kind]()
