"""A tower over an inline store, with agents and tools that are plain functions of the test."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from control_tower.commands import Caller, Submission
from control_tower.errors import ModelFailed, ToolInvalid
from control_tower.execution.context import Context
from control_tower.execution.run import CLOSE_GRACE_S
from control_tower.limits import TowerLimits
from control_tower.ports import (
    EffectContext,
    ModelRequest,
    ModelTurn,
    Profile,
    Store,
    ToolPlan,
)
from control_tower.quota.quotas import ResourceUsage
from control_tower.store import InlineStore
from control_tower.tower import Tower
from events.types import Committed, Ephemeral
from tests.rig.virtual_loop import VirtualClock, VirtualLoop

ALICE = Caller("alice", "user")
BOB = Caller("bob", "user")
OPERATOR = Caller("root", "operator")

Function = Callable[..., Any]


@dataclass(slots=True)
class Ledger:
    """Every event as published, in order; offsets must be gapless."""

    events: list[dict[str, Any]] = field(default_factory=list)
    deltas: list[dict[str, Any]] = field(default_factory=list)

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """``events.log.Publish``."""
        for event in events:
            params = json.loads(event.body)["params"]
            assert params["offset"] == len(self.events) + 1, "offsets have a gap"
            self.events.append(params)
        for delta in after:
            self.publish_ephemeral(delta)

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """``ports.Publisher``."""
        params = json.loads(event.body)["params"]
        params["after"] = len(self.events)
        self.deltas.append(params)

    def of(self, pid: str) -> list[dict[str, Any]]:
        """Return a mission's own events."""
        return [event for event in self.events if event["mission_id"] == pid]

    def types(self, pid: str) -> list[str]:
        """Return the types of a mission's own events."""
        return [event["type"] for event in self.of(pid)]

    def last(self, pid: str, event_type: str) -> dict[str, Any]:
        """Return the newest event of a type; fails if there is none."""
        return [event for event in self.of(pid) if event["type"] == event_type][-1]


@dataclass(slots=True)
class Tooling:
    """``ports.Tools`` over plain functions; ``calls`` lists every attempt."""

    functions: dict[str, Function] = field(default_factory=dict)
    plans: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    open_until: dict[str, float] = field(default_factory=dict)

    def add(self, function: Function, **plan: Any) -> None:
        """Register a function as a tool under its own name."""
        self.functions[function.__name__] = function
        self.plans[function.__name__] = plan

    def plan(self, tool: object, arguments: Mapping[str, object]) -> ToolPlan:
        """See ``ports.Tools``."""
        name = tool if isinstance(tool, str) else getattr(tool, "__name__", "")
        if name not in self.functions:
            raise ToolInvalid(f"There is no tool {name}.")
        if "bad" in arguments:
            raise ToolInvalid("bad: unexpected argument")
        options: dict[str, Any] = {
            "risk": "write",
            "confirm": False,
            "idempotent": False,
            **self.plans[name],
        }
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
        until = self.open_until.get(tool)
        return until if until is not None and until > now else None

    def refused(self, tool: str, why: str) -> None:
        """See ``ports.Tools``."""

    async def run(self, plan: ToolPlan, effect: EffectContext) -> Any:
        """See ``ports.Tools``."""
        self.calls.append((plan.name, dict(plan.arguments)))
        result = self.functions[plan.name](**plan.arguments)
        return await result if asyncio.iscoroutine(result) else result


TURN = ResourceUsage(llm_calls=1, input_tokens=10, output_tokens=5)


@dataclass(slots=True)
class Modelling:
    """``ports.Models`` that answers the last message's words back, one delta a word."""

    usage: ResourceUsage = TURN
    turns: int = 0

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
        return ResourceUsage(llm_calls=1, input_tokens=input_tokens, output_tokens=output_tokens)

    def estimate(self, request: ModelRequest) -> ResourceUsage:
        """See ``ports.Models``."""
        return msgspec.structs.replace(self.usage, llm_calls=0)

    async def run(self, request: ModelRequest, effect: EffectContext) -> ModelTurn:
        """See ``ports.Models``."""
        self.turns += 1
        text = str(request.messages[-1]["content"])
        for word in text.split(" "):
            effect.delta(word + " ")
            await asyncio.sleep(0.001)
        return ModelTurn({"text": text, "model": "parrot"}, self.usage)


@dataclass(slots=True)
class Shelf:
    """``ports.Catalog`` over functions."""

    programs: dict[str, Callable[[Context], Awaitable[object]]] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    default_agent: str = "main"

    @property
    def agents(self) -> Collection[str]:
        """See ``ports.Catalog``."""
        return self.programs.keys()

    def program(self, name: str) -> Any:
        """See ``ports.Catalog``."""
        return self.programs.get(name)

    def profile(self, name: str) -> Profile | None:
        """See ``ports.Catalog``."""
        return self.profiles.get(name)


class CountedIds:
    """``ports.Ids`` that counts, so that a run can be repeated exactly."""

    def __init__(self) -> None:
        self._count = 0

    def new(self, prefix: str) -> str:
        """Return the next id."""
        self._count += 1
        return f"{prefix}{self._count:08d}"


def kill(tower: Tower) -> None:
    """Let a tower do nothing any more, as after kill -9; what its store has is the store's."""
    tower._a.timers.stop()
    for process in tuple(tower._a.memory.processes.values()):
        process.lost = True
        if process.run is not None:
            process.run.abandon()
        for effect in process.effects.values():
            effect.cancel()
    tower._a.memory.processes.clear()


class World:
    """A tower with everything around it, in virtual time. ``crash`` and ``start`` at will."""

    def __init__(self, limits: TowerLimits | None = None, seed: int = 0) -> None:
        self.loop = VirtualLoop()
        self.clock: VirtualClock = self.loop.clock
        self.ledger = Ledger()
        self.tools = Tooling()
        self.models = Modelling()
        self.shelf = Shelf()
        self.ids = CountedIds()
        self.random = random.Random(seed)
        self.limits = limits or TowerLimits()
        self.store = InlineStore.open(publish=self.ledger)
        self.tower = self.another()

    def another(self, node: str = "node-1", store: Store | None = None) -> Tower:
        """Return one more tower over the store, or one's own way to it; it is not started."""
        return Tower(
            store=store or self.store,
            catalog=self.shelf,
            tools=self.tools,
            models=self.models,
            publisher=self.ledger,
            clock=self.clock,
            ids=self.ids,
            node=node,
            limits=self.limits,
        )

    def agent(self, program: Callable[[Context], Awaitable[object]], name: str = "main") -> None:
        """Register a program."""
        self.shelf.programs[name] = program

    async def submit(self, text: str = "go", caller: Caller = ALICE, **fields: Any) -> str:
        """Submit a mission and return its pid."""
        submission = Submission(mission=text, **fields)
        reply = await self.tower.submit(caller, submission, body_sha256=text)
        return str(reply["mission_id"])

    async def settled(self, pid: str, timeout_s: float = 3600.0) -> dict[str, Any]:
        """Return a mission once it has ended or asks."""
        return await self.tower.settled(pid, timeout_s)

    async def ended(self, pid: str, timeout_s: float = 3600.0) -> dict[str, Any]:
        """Return a mission once it has ended; fails if it does not."""
        deadline = self.loop.time() + timeout_s
        while self.loop.time() < deadline:
            mission = await self.tower.mission(OPERATOR, pid)
            if mission["state"] == "terminated":
                return mission
            await asyncio.sleep(0.01)
        raise AssertionError(f"{pid} has not ended: {await self.tower.explain(OPERATOR, pid)}")

    async def question(self, pid: str) -> dict[str, Any]:
        """Return a mission's oldest pending question, waiting for it."""
        mission = await self.settled(pid)
        assert mission["pending_interrupt"], mission
        return await self.tower.interrupt(OPERATOR, mission["pending_interrupt"])

    async def held_back(
        self, *commands: Coroutine[Any, Any, dict[str, Any]]
    ) -> list["asyncio.Task[dict[str, Any]]"]:
        """Begin commands one after another; what the store gets of them waits for its next step."""
        self.store._auto = False
        begun = []
        for command in commands:
            begun.append(asyncio.create_task(command))
            await asyncio.sleep(0.01)
        self.store._auto = True
        return begun

    async def restart(self) -> None:
        """Die as by kill -9, and start again: what was not committed is lost."""
        kill(self.tower)
        self.store = self.store.crash(self.ledger)
        self.tower = self.another()
        await asyncio.sleep(0)
        await self.tower.start()

    def run(self, scenario: Callable[[], Awaitable[None]]) -> None:
        """Run a scenario in this world, the tower started."""

        async def main() -> None:
            await self.tower.start()
            try:
                await scenario()
            finally:
                await self.tower.stop(0)
                await asyncio.sleep(2 * CLOSE_GRACE_S)

        try:
            self.loop.run_until_complete(main())
        finally:
            pending = asyncio.all_tasks(self.loop)
            for task in pending:
                task.cancel()
            if pending:
                self.loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            self.loop.close()
