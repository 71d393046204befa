"""What must hold at every commit, delivery and touch of the world; outside of the tower.

The auditor believes only what the database was given and what clients were shown. It keeps a
model of its own of both and writes every breach down.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from control_tower.records import (
    InterruptRecord,
    InterruptStatus,
    ProcessControlBlock,
    StepRecord,
)
from control_tower.states import TRANSITIONS, State
from control_tower.unit import (
    Commit,
    InsertMission,
    RememberKey,
    SaveInterrupt,
    SaveMission,
    SaveStep,
    Unit,
)
from events.payloads import TERMINAL_TYPES
from events.types import Committed
from tests.simulation.lines import Lines
from tests.simulation.screen import Screen
from tests.simulation.touches import FINAL, Touches

if TYPE_CHECKING:
    from control_tower.tower import Tower
    from tests.simulation.world import World

GRACE_S = 60.0
"""How long a child's own cancellation may take on the slowest disk, restarts included."""

COUNTED = ("llm_calls", "tool_calls", "children")

SAID_BY: dict[str, frozenset[State]] = {
    "mission.started": frozenset({State.RUNNING}),
    "mission.recovered": frozenset({State.RUNNING}),
    "mission.resumed": frozenset({State.RUNNING, State.READY}),
    "mission.waiting": frozenset({State.WAITING}),
    "mission.blocked": frozenset({State.BLOCKED}),
    "mission.queued": frozenset({State.READY, State.BLOCKED}),
    "mission.paused": frozenset({State.PAUSED}),
    "mission.preempted": frozenset({State.READY}),
    **{terminal: frozenset({State.TERMINATED}) for terminal in TERMINAL_TYPES},
}
"""Where a mission may stand once an event was said of it."""


class Auditor:
    """Breaches so far, and the model they are judged by."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.breaches: list[str] = []
        self.head = 0
        self.history: list[str] = []
        self.missions: dict[str, ProcessControlBlock] = {}
        self.steps: dict[tuple[str, str], StepRecord] = {}
        self.interrupts: dict[str, InterruptRecord] = {}
        self.keys: dict[tuple[str, str], dict[str, Any]] = {}
        self.terminal: dict[str, int] = {}
        self.extended: set[str] = set()
        self.first_quotas: dict[str, int | None] = {}
        self.retries: dict[tuple[str, str], int] = {}
        self.screen = Screen(self)
        self.lines = Lines(self)
        self.touches = Touches(self)
        self._ended: dict[str, float] = {}

    def breach(self, what: str) -> None:
        """Write a breach down."""
        self.breaches.append(f"[{self.world.loop.time():.4f}] {what}")

    def note(self, what: str) -> None:
        """Write down what happened, for whoever looks at a breach."""
        self.history.append(f"[{self.world.loop.time():.4f}] {what}")

    # -- commits --------------------------------------------------------------------------

    def applied(self, unit: Unit, commit: Commit) -> None:
        """Judge a committed unit."""
        for event in commit.events:
            if event.offset != self.head + 1:
                self.breach(f"offset {event.offset} after {self.head}")
            self.head = event.offset
        blocks = [w.pcb for w in unit.writes if isinstance(w, InsertMission | SaveMission)]
        for event in commit.events:
            self._event(event, blocks)
        for write in unit.writes:
            match write:
                case InsertMission(pcb) | SaveMission(pcb):
                    self._block(pcb, commit, new=isinstance(write, InsertMission))
                case SaveStep(step):
                    self._step(step)
                case SaveInterrupt(interrupt):
                    self._interrupt(interrupt)
                case RememberKey(key):
                    self.keys[key.user_id, key.key] = key.reply
        self.lines.judge_rivals(blocks)

    def _event(self, event: Committed, blocks: list[ProcessControlBlock]) -> None:
        pid = event.scope.mission_id
        if pid is None:
            return
        if pid in self.terminal:
            self.breach(f"{pid}: {event.type} after its terminal event")
        if event.type == "quota.extended":
            self.extended.add(pid)
        if event.type in TERMINAL_TYPES:
            self.terminal[pid] = event.offset
            ended = next((pcb for pcb in blocks if pcb.pid == pid), None)
            said = None if ended is None or ended.outcome is None else ended.outcome.value
            if event.type != f"mission.{said}":
                self.breach(f"{pid}: {event.type} with outcome {said}")

    def _block(self, pcb: ProcessControlBlock, commit: Commit, *, new: bool) -> None:
        pid, before = pcb.pid, self.missions.get(pcb.pid)
        said = [event.type for event in commit.events if event.scope.mission_id == pid]
        if new:
            self.first_quotas[pid] = pcb.quota.max_llm_calls
            if before is not None:
                self.breach(f"{pid}: inserted twice")
            source = pcb.state if pcb.parent_pid else State.NEW
        else:
            source = State.NEW if before is None else before.state
        if not _is_path(source, said, pcb.state):
            self.breach(f"{pid}: from {source} by {said} to {pcb.state}")
        if before is not None and (pcb.attempt < before.attempt or pcb.token < before.token):
            self.breach(f"{pid}: attempt or token went back")
        self._end(pcb)
        self._usage(pcb)
        self._family(pcb)
        self.lines.judge(pcb, before)
        self.lines.judge_displaced(pcb)
        self.missions[pid] = pcb
        told = " ".join(f"{e.type}{_step(e)}" for e in commit.events if e.scope.mission_id == pid)
        ended = "" if pcb.outcome is None else pcb.outcome.value
        self.note(
            f"life {self.world.life.number} {pid} {pcb.agent} in {pcb.session_id} {pcb.on_busy} "
            f"{pcb.state} {pcb.state_reason or ''} {ended} by {told}"
        )

    def _end(self, pcb: ProcessControlBlock) -> None:
        ended = pcb.state is State.TERMINATED
        if ended:
            self._ended[pcb.pid] = self.world.loop.time()
        if ended != (pcb.outcome is not None):
            self.breach(f"{pcb.pid}: {pcb.state} with outcome {pcb.outcome}")
        if ended and pcb.pid not in self.terminal:
            self.breach(f"{pcb.pid}: terminated without a terminal event")
        if ended and pcb.pending_interrupts:
            self.breach(f"{pcb.pid}: ended with questions pending {pcb.pending_interrupts}")

    def _usage(self, pcb: ProcessControlBlock) -> None:
        for resource in COUNTED:
            limit = getattr(pcb.quota, f"max_{resource}")
            used = getattr(pcb.usage, resource)
            if pcb.account_pid is None and limit is not None and used > limit:
                self.breach(f"{pcb.pid}: {used} {resource} of {limit}")

    def _step(self, step: StepRecord) -> None:
        key = (step.pid, step.step)
        before = self.steps.get(key)
        if before is not None:
            if before.status in FINAL:
                self.breach(f"{key}: an outcome was replaced")
            if (before.kind, before.name, before.call_sha256) != (
                step.kind,
                step.name,
                step.call_sha256,
            ):
                self.breach(f"{key}: became another call")
            if step.attempt < before.attempt:
                self.breach(f"{key}: attempt went back")
        if step.pid in self.terminal and step.status in FINAL and before is None:
            owner = self.missions.get(step.pid)
            if owner is not None and owner.state is State.TERMINATED:
                self.breach(f"{key}: an outcome after the end")
        self.steps[key] = step

    def _interrupt(self, record: InterruptRecord) -> None:
        before = self.interrupts.get(record.interrupt_id)
        closed = record.status is not InterruptStatus.PENDING
        if before is None and closed and record.mission_id not in self.terminal:
            self.breach(f"{record.interrupt_id}: closed before it was put")
        if before is not None and before.status is not InterruptStatus.PENDING:
            self.breach(f"{record.interrupt_id}: {before.status} became {record.status}")
        if record.status is InterruptStatus.RESOLVED and record.answered_by not in (
            record.user_id,
            *self.world.operators,
        ):
            self.breach(f"{record.interrupt_id}: answered by {record.answered_by}")
        if (record.answer or {}).get("decision") == "retry":
            key = (record.mission_id, record.step)
            self.retries[key] = self.retries.get(key, 0) + 1
        self.interrupts[record.interrupt_id] = record

    def delivered(self, tower: "Tower | None") -> None:
        """Judge what the tower has in memory, after each unit of which it has learned."""
        if tower is None:
            return
        a = tower._a
        queue, processes = a.admission.queue, a.memory.processes
        running = [p.pid for p in processes.values() if p.pcb.state is State.RUNNING]
        slotless = [pid for pid in running if not processes[pid].has_slot]
        if len(running) > queue.slots or queue.running > queue.slots or slotless:
            self.breach(f"{queue.slots} slots, running {running}, without a slot {slotless}")
        for pid, account in a.budget.accounts.items():
            for resource in COUNTED:
                limit = getattr(account.quota, f"max_{resource}")
                used, held = getattr(account.used, resource), getattr(account.reserved, resource)
                if limit is not None and used + held > limit:
                    self.breach(f"{pid}: {used} + {held} {resource} of {limit}")

    def _family(self, pcb: ProcessControlBlock) -> None:
        """A child that outlives its parent has only the time that its cancellation takes."""
        parent = None if pcb.parent_pid is None else self.missions.get(pcb.parent_pid)
        ended = None if parent is None else self._ended.get(parent.pid)
        if ended is not None and self.world.loop.time() - ended > GRACE_S:
            self.breach(f"{pcb.pid} goes on {self.world.loop.time() - ended} s after its parent")

    def trace(self) -> list[bytes]:
        """Return all that was shown and done, to compare two worlds of one seed."""
        encode = msgspec.json.Encoder(order="sorted").encode
        touched = [
            encode([d.life, d.at, d.pid, d.step, d.what.name]) for d in self.world.hands.executions
        ]
        return [encode(event) for event in self.screen.events + self.screen.deltas] + touched


def _step(event: Committed) -> str:
    data = json.loads(event.body)["params"]["data"]
    return f"({data['step']})" if "step" in data else ""


def _is_path(source: State, said: Sequence[str], target: State) -> bool:
    """Say whether the table has a way from ``source`` over what was said to ``target``."""
    standing = {source}
    for event in said:
        if event in SAID_BY:
            standing = {to for to in SAID_BY[event] for at in standing if _follows(at, to)}
    return any(at is target or (target is State.READY and _arrow(at, target)) for at in standing)


def _follows(at: State, to: State) -> bool:
    return at is to or _arrow(at, to) or (_arrow(at, State.READY) and _arrow(State.READY, to))


def _arrow(at: State, to: State) -> bool:
    return to in TRANSITIONS[at]
