"""A mission in memory, and a change to it on its way to the store.

A :class:`Process` is an actor: its inbox is emptied into one :class:`Proposal` at a time, the
proposal becomes one unit of work, and the process changes when that unit is committed. So there
is never more than one state-changing unit of a mission in flight, and a change always sees the
one before it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from typing import TypeAlias

import msgspec

from control_tower.execution.journal import FINAL, Journal, with_offset
from control_tower.execution.run import Run
from control_tower.quota.quotas import ResourceUsage, eventless
from control_tower.records import (
    InterruptRecord,
    InterruptStatus,
    Priority,
    ProcessControlBlock,
    StepRecord,
)
from control_tower.states import State, transition
from control_tower.unit import (
    Commit,
    Guard,
    InsertMission,
    RequireSession,
    SaveInterrupt,
    SaveMission,
    SaveStep,
    Unit,
    UnitRefused,
    Write,
)
from events.types import Draft, EventData, Scope, draft

Change = Callable[["Proposal"], None]
"""One input of the actor: reads and edits the proposal, never the process."""

Resumption: TypeAlias = tuple[str, str | None, str | None]
"""Why a mission goes on: the cause, and the interrupt and the person, where there are any."""


def scope_of(pcb: ProcessControlBlock) -> Scope:
    """Return where a mission's events belong."""
    return Scope(pcb.session_id, pcb.user_id, pcb.lineage, pcb.agent, pcb.priority.value)


@dataclass(slots=True, eq=False)
class Process:
    """A mission that is in memory.

    Attributes:
        journal: None until the mission's records were read.
        interrupts: its pending questions.
        held: changes that wait until the mission runs again.
        recovering: its process died while it ran; the next start says so.
        run: its program in memory, None before the start and after a park.
        begun: steps whose effect was begun in this life of the process.
        has_slot, in_gate, queued: what it holds of the scheduler's, committed or not.
        effective: the priority with which its slot was granted, kept over a preemption.
        yielding: why it is to give its slot up at its next call, if it is.
        resumed_by: cause, interrupt and person of the next ``mission.resumed``.
    """

    pcb: ProcessControlBlock
    scope: Scope
    journal: Journal | None = None
    interrupts: dict[str, InterruptRecord] = field(default_factory=dict)
    inbox: deque[Change] = field(default_factory=deque)
    held: list[Change] = field(default_factory=list)
    unit: Unit | None = None
    run: Run | None = None
    effects: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    watchers: list["asyncio.Future[None]"] = field(default_factory=list)
    recovering: bool = False
    begun: set[str] = field(default_factory=set)
    has_slot: bool = False
    effective: Priority | None = None
    in_gate: bool = False
    queued: bool = False
    yielding: str | None = None
    lost: bool = False
    resumed_by: Resumption = ("resumed", None, None)
    running_since: float | None = None

    @property
    def pid(self) -> str:
        """The mission's id."""
        return self.pcb.pid

    def guard(self) -> Guard:
        """Return the fence for the next unit."""
        return Guard(self.pcb.pid, self.pcb.attempt, self.pcb.token)


@dataclass(slots=True, eq=False)
class Proposal:
    """A change being drawn up: the mission as it will be, with the events that say so.

    ``then`` runs once it is committed, before its events are published. ``keyed``: it is one
    command with an idempotency key, and refused if that is taken.
    """

    process: Process
    now: float
    pcb: ProcessControlBlock
    drafts: list[Draft] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    steps: dict[str, tuple[StepRecord, int | None]] = field(default_factory=dict)
    interrupts: dict[str, InterruptRecord] = field(default_factory=dict)
    require: RequireSession | None = None
    then: list[Callable[[Commit], None]] = field(default_factory=list)
    otherwise: list[Callable[[UnitRefused], None]] = field(default_factory=list)
    is_new: bool = False
    keyed: bool = False
    critical: bool = True

    @classmethod
    def of(cls, process: Process, now: float) -> "Proposal":
        """Return an empty proposal for ``process``."""
        return cls(process, now, process.pcb)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        edited = self.pcb is not self.process.pcb
        return not (edited or self.drafts or self.writes or self.steps or self.interrupts)

    def event(self, payload: EventData, scope: Scope | None = None) -> int:
        """Add an event; return its place among the unit's."""
        return self.add(draft(payload, scope or self.process.scope, self.now))

    def add(self, drafted: Draft) -> int:
        """Add a drafted event; return its place among the unit's."""
        self.drafts.append(drafted)
        return len(self.drafts) - 1

    def edit(self, **changes: object) -> None:
        """Change fields of the process control block (never ``state``: see :meth:`move`)."""
        self.pcb = msgspec.structs.replace(self.pcb, **changes)

    def move(self, target: State, reason: str | None = None) -> None:
        """Change the state, as the table allows."""
        state = transition(self.pcb.state, target)
        self.pcb = msgspec.structs.replace(self.pcb, state=state, state_reason=reason)

    def save_step(self, record: StepRecord, event: int | None = None) -> None:
        """Write a record; ``event`` is the place of the event that carries its outcome."""
        self.steps[record.step] = (record, event)

    def save_interrupt(self, record: InterruptRecord) -> None:
        """Write a question; the block's list of pending ones follows."""
        self.interrupts[record.interrupt_id] = record
        pending = [i for i in self.pcb.pending_interrupts if i != record.interrupt_id]
        if record.status is InterruptStatus.PENDING:
            pending.append(record.interrupt_id)
        self.edit(pending_interrupts=tuple(pending))

    def find_step(self, step: str) -> StepRecord | None:
        """Return a record as it will be."""
        if step in self.steps:
            return self.steps[step][0]
        journal = self.process.journal
        return None if journal is None else journal.find(step)

    def find_interrupt(self, interrupt_id: str) -> InterruptRecord | None:
        """Return one of the mission's pending questions as it will be."""
        return self.interrupts.get(interrupt_id) or self.process.interrupts.get(interrupt_id)

    def open_steps(self) -> Iterator[StepRecord]:
        """Yield the records that will have no outcome yet."""
        journal = self.process.journal
        for step, record in {} if journal is None else journal.open.items():
            if step not in self.steps:
                yield record
        for record, _ in self.steps.values():
            if record.status not in FINAL:
                yield record

    @property
    def has_outcome(self) -> bool:
        """Whether a call gets its outcome by this proposal."""
        return any(record.status in FINAL for record, _ in self.steps.values())

    def seal(self) -> Unit:
        """Return the unit of work; its completions are the kernel's to set."""
        self.edit(
            usage=msgspec.structs.replace(self.pcb.usage, events=self._events_used()),
            alarm_at=self._alarm_at(),
            held=self.held,
        )
        writes = list(self.writes)
        writes += [SaveStep(record, event) for record, event in self.steps.values()]
        writes += [SaveInterrupt(record) for record in self.interrupts.values()]
        unit = Unit(drafts=self.drafts, require=self.require, critical=self.critical)
        if self.is_new:
            writes.append(InsertMission(self.pcb))
        else:
            unit.guard = self.process.guard()
            writes.append(SaveMission(self.pcb))
        unit.writes = writes
        return unit

    def _events_used(self) -> int:
        return self.pcb.usage.events + self.own_events

    @property
    def held(self) -> ResourceUsage | None:
        """What its calls without an outcome will have reserved, but events."""
        if self.process.journal is None:
            return self.pcb.held
        reserved = [record.reserved for record in self.open_steps() if record.reserved is not None]
        return eventless(reduce(ResourceUsage.plus, reserved)) if reserved else None

    @property
    def own_events(self) -> int:
        """How many of its events are the mission's own."""
        scope = self.process.scope
        return sum([event.scope is scope for event in self.drafts])

    def _alarm_at(self) -> float | None:
        """Return the next time at which a mission at rest needs looking at."""
        if self.pcb.state not in (State.WAITING, State.BLOCKED, State.PAUSED):
            return None
        times = [record.wake_at for record in self.open_steps() if record.wake_at is not None]
        for interrupt_id in self.pcb.pending_interrupts:
            interrupt = self.find_interrupt(interrupt_id)
            if interrupt is not None and interrupt.expires_at is not None:
                times.append(interrupt.expires_at)
        if self.pcb.started_at is None and self.pcb.start_at is not None:
            times.append(self.pcb.start_at)
        return min(times, default=None)

    def apply(self, commit: Commit) -> None:
        """Change the process: the unit is committed."""
        process = self.process
        process.pcb = self.pcb
        outcomes = []
        for record, event in self.steps.values():
            offset = None if event is None else commit.events[event].offset
            outcomes.append(record if offset is None else with_offset(record, offset))
        outcomes.sort(key=lambda record: record.offset or 0)
        if process.journal is not None:
            for record in outcomes:
                process.journal.put(record)
        for interrupt in self.interrupts.values():
            if interrupt.status is InterruptStatus.PENDING:
                process.interrupts[interrupt.interrupt_id] = interrupt
            else:
                process.interrupts.pop(interrupt.interrupt_id, None)
