"""The course of a world: a time of trouble, a time of calm, and the last judgement."""

import asyncio
from dataclasses import dataclass
from typing import Any

from control_tower.commands import (
    Answer,
    Caller,
    ClarificationAnswer,
    ConfirmationAnswer,
    DecisionAnswer,
    QuotaIncrease,
)
from control_tower.ports import InterruptQuery
from control_tower.states import State
from tests.simulation.chance import Chance
from tests.simulation.judgement import judge_durable, judge_memory, judge_replays
from tests.simulation.people import Ledger, Person
from tests.simulation.tooling import TOOLS
from tests.simulation.world import OPERATOR, ConnectionLost, World

CALM_S = 4 * 3600.0
"""In calm every mission must have ended after so long; a hanging effect takes an hour of it."""

SETTLING_S = 10.0
"""How long cancelled programs may take to leave memory."""

TROUBLES = {
    "crash": 4.0,
    "before": 2.0,
    "after": 4.0,
    "drain": 2.0,
    "broken_before": 1.0,
    "broken_after": 1.0,
    "full": 1.0,
    "tight": 1.0,
    "locked": 0.7,
    "slow": 2.0,
    "forget_agent": 0.5,
    "breaker": 1.5,
    "clock": 1.0,
}


@dataclass(slots=True, frozen=True)
class Report:
    """What a seed came to."""

    seed: int
    breaches: list[str]
    trace: list[bytes]
    history: list[str]
    lives: int
    missions: int
    events: int
    executions: int
    requests: int
    outcomes: dict[str, int]
    virtual_s: float


def live_through(seed: int) -> Report:
    """Run the world of a seed from its beginning to its judgement."""
    with World(seed) as world:
        course = Course(world)
        world.loop.run_until_complete(course.run())
        return course.report()


class Course:
    """One world's time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = world.chance.of("course")
        self.ledger = Ledger()
        self.people = [
            Person(world, self.ledger, caller, world.chance.of("person", caller.user_id))
            for caller in (
                *(Caller(f"u{number}", "user") for number in range(self.chance.number(1, 3))),
                OPERATOR,
                Caller("eye", "viewer"),
            )
        ]

    async def run(self) -> None:
        """Trouble, calm, judgement; ends at the first breach."""
        await self.world.boot()
        await self._trouble(self.chance.between(10, 120))
        if self._fine and not await self._calm():
            self._accuse()
        if self._fine:
            await asyncio.sleep(SETTLING_S)
            judge_memory(self.world)
        if self._fine:
            await self.world.drain(1.0)
            await judge_durable(self.world, self.ledger)
        if self._fine:
            await judge_replays(self.world)

        self.world.auditor.breaches += [
            unheard for life in self.world.lives for unheard in life.unheard
        ]

    @property
    def _fine(self) -> bool:
        self.world.auditor.breaches += self.world.loop.complaints
        self.world.loop.complaints.clear()
        return not self.world.auditor.breaches

    # -- trouble --------------------------------------------------------------------------

    async def _trouble(self, seconds: float) -> None:
        until = self.world.loop.time() + seconds
        mean_s = self.chance.pick((0.3, 1.0, 3.0))
        lives = [asyncio.ensure_future(person.live(mean_s)) for person in self.people]
        lives.append(asyncio.ensure_future(self._weather(self.chance.pick((3.0, 10.0, 40.0)))))
        while self.world.loop.time() < until and self._fine:
            await asyncio.sleep(0.5)
            for one in lives:
                if one.done():
                    one.result()
        for one in lives:
            one.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        self._clear_sky()
        tower = self.world.tower
        if not self.world.up or (tower is not None and tower.draining):
            self.world.crash()
            await self._boot_again()

    async def _weather(self, mean_s: float) -> None:
        while True:
            await asyncio.sleep(self.chance.delay(mean_s))
            trouble = self.chance.weighed(TROUBLES)
            if self.chance.happens(0.3):
                self._clear_sky()
            await self._strike(trouble)
            if not self.world.life.alive:
                await asyncio.sleep(self.chance.delay(1.0))
                await self._boot_again()

    async def _strike(self, trouble: str) -> None:
        world, weather = self.world, self.world.weather
        match trouble:
            case "crash":
                world.crash()
            case "drain":
                await world.drain(self.chance.pick((0.0, 0.1, 3.0)))
            case "before" | "after" | "broken_before" | "broken_after":
                weather.trap = trouble
                await _sprung(world, 30.0)
            case "full" | "tight":
                setattr(weather, trouble, True)
                await asyncio.sleep(self.chance.delay(3.0))
                weather.full = weather.tight = False
            case "locked":
                weather.locked = 0.3
                await asyncio.sleep(self.chance.delay(0.5))
                weather.locked = 0.0
            case "slow":
                weather.commit_mean_s = self.chance.pick((0.0, 0.01, 0.2))
                weather.delivery_mean_s = self.chance.pick((0.0, 0.01, 0.2))
                weather.read_mean_s = self.chance.pick((0.0, 0.01, 0.2))
            case "breaker":
                open_until = world.loop.wall.now() + self.chance.between(0, 30)
                world.hands.open_until[self.chance.pick(tuple(TOOLS))] = open_until
            case "clock":
                world.loop.wall.skew_s += self.chance.pick((-300.0, -2.0, 2.0, 60.0))
            case "forget_agent":
                world.shelf.programs.pop(self.chance.pick(tuple(world.programs)), None)

    async def _boot_again(self) -> None:
        while True:
            try:
                await self.world.boot()
            except ConnectionLost:
                await asyncio.sleep(0.1)
            else:
                return

    def _clear_sky(self) -> None:
        weather = self.world.weather
        weather.full = weather.tight = False
        weather.locked = 0.0
        weather.trap = None
        weather.commit_mean_s = weather.delivery_mean_s = 0.0005
        weather.read_mean_s = 0.001

    # -- calm -----------------------------------------------------------------------------

    async def _calm(self) -> bool:
        """Answer everything and wait; say whether every mission ended."""
        world = self.world
        world.calm = True
        if len(world.shelf.programs) < len(world.programs) or self.chance.happens(0.3):
            world.shelf.programs.update(world.programs)
            world.crash()
            await self._boot_again()
        until, pause_s = world.loop.time() + CALM_S, 0.5
        while world.loop.time() < until and self._fine:
            if not await self._settle_everything():
                pause_s = min(pause_s * 1.3, 60.0)
            if not self._live():
                return True
            await asyncio.sleep(pause_s)
        return not self._fine

    def _live(self) -> list[str]:
        known = self.world.auditor.missions.values()
        return [pcb.pid for pcb in known if pcb.state is not State.TERMINATED]

    async def _settle_everything(self) -> bool:
        """Answer what is asked and resume what is paused; say whether there was anything."""
        person = next(each for each in self.people if each.caller == OPERATOR)
        pending: list[dict[str, Any]] = await self.world.request(
            lambda tower: tower.interrupts(OPERATOR, InterruptQuery(limit=1000))
        )
        for question in pending:
            await person.answer(question["interrupt_id"], a_good_answer(self.chance, question))
        paused = [
            pcb.pid for pcb in self.world.auditor.missions.values() if pcb.state is State.PAUSED
        ]
        for pid in paused:
            await person.resume(pid)
        for pid in self._live():
            await person.look(pid)
        return bool(pending or paused)

    def _accuse(self) -> None:
        tower = self.world.tower
        assert tower is not None
        queue = tower._a.admission.queue
        held = [entry.pid for entry in queue._entries.values() if not entry.queued]
        self.world.auditor.breach(f"slots {queue.slots}, held by {held}")
        for pid in self._live():
            pcb = self.world.auditor.missions[pid]
            process = tower._a.memory.processes.get(pid)
            steps = [
                f"{s.step} {s.kind} {s.name} {s.status} {s.attempt}"
                for s in self.world.auditor.steps.values()
                if s.pid == pid
            ]
            told = tower._a.residence.explain(pcb)
            memory = None
            if process is not None:
                memory = {
                    name: getattr(process, name)
                    for name in ("unit", "held", "inbox", "run", "effects", "has_slot", "in_gate")
                }
                memory["code"] = process.run and process.run.code_running
                memory["pending"] = process.run and list(process.run.pending)
            self.world.auditor.breach(
                f"{pid} {pcb.agent} never ended: {told} {pcb.error} {steps} in memory: {memory}"
            )

    def report(self) -> Report:
        """Return what came of it."""
        auditor = self.world.auditor
        outcomes: dict[str, int] = {}
        for pcb in auditor.missions.values():
            name = "none" if pcb.outcome is None else pcb.outcome.value
            outcomes[name] = outcomes.get(name, 0) + 1
        return Report(
            seed=self.world.seed,
            breaches=auditor.breaches + self.world.loop.complaints,
            trace=auditor.trace(),
            history=auditor.history,
            lives=len(self.world.lives),
            missions=len(auditor.missions),
            events=auditor.head,
            executions=len(self.world.hands.executions),
            requests=self.ledger.requests,
            outcomes=outcomes,
            virtual_s=self.world.loop.time(),
        )


async def _sprung(world: World, patience_s: float) -> None:
    """Wait until a commit has met the trap, or take it away."""
    until = world.loop.time() + patience_s
    while world.life.alive and world.weather.trap is not None and world.loop.time() < until:
        await asyncio.sleep(0.05)
    world.weather.trap = None


def a_good_answer(chance: Chance, question: dict[str, Any]) -> Answer:
    """Return an answer that lets the mission get on."""
    match question["kind"]:
        case "confirmation":
            return ConfirmationAnswer(approved=chance.happens(0.7))
        case "clarification":
            return ClarificationAnswer(answer="red")
        case "resource_exhausted":
            many = QuotaIncrease(
                max_llm_calls=50,
                max_tool_calls=50,
                max_input_tokens=10_000,
                max_output_tokens=10_000,
                max_children=50,
                max_events=1000,
            )
            decision = chance.weighed({"extend": 5, "finish": 1, "cancel": 1})
            quota = many if decision == "extend" else None
            return DecisionAnswer(decision=decision, quota=quota)  # type: ignore[arg-type]
        case _:
            decision = chance.pick(("it_happened", "retry", "fail"))
            return DecisionAnswer(decision=decision)  # type: ignore[arg-type]
