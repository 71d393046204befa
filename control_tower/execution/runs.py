"""Runs: programs in memory, the calls they make, and the effects of those calls."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from control_tower.ending import Ending
from control_tower.execution.calls import Call, Spawn
from control_tower.execution.context import Context, Services
from control_tower.execution.journal import Divergence, Journal
from control_tower.execution.run import Run
from control_tower.execution.syscalls import EffectEnd, Syscalls
from control_tower.lifecycle import CHILD, Lifecycle
from control_tower.memory import Memory
from control_tower.ports import Catalog, Clock, Publisher
from control_tower.process import Change, Process, Proposal
from control_tower.quota.budget import Budget
from control_tower.quota.quotas import ResourceUsage
from control_tower.records import ProcessControlBlock, StepRecord, StepStatus
from control_tower.schedule.admission import Admission
from control_tower.states import State
from control_tower.unit import Commit
from events.payloads import LlmDelta
from events.types import Ephemeral, ephemeral


class Children(Protocol):
    """Spawning and joining; see :mod:`control_tower.execution.children`."""

    def spawn(self, p: Proposal, call: Call, request: Spawn) -> None:
        """Create a child and complete the call."""

    def look(self, pid: str, child_pid: str) -> None:
        """See to it that the mission learns of its child's end."""


class EffectRunner(Protocol):
    """Makes attempts of effects; see :mod:`control_tower.execution.effects`."""

    async def make(
        self,
        pcb: ProcessControlBlock,
        call: Call,
        record: StepRecord,
        delta: Callable[[str], None],
        wanted: Callable[[], bool],
    ) -> EffectEnd:
        """Make one attempt and return how it ended. Raises only CancelledError.

        ``wanted`` returns False once the attempt has been given up.
        """


@dataclass(slots=True)
class Runs:
    """Launches programs and carries out their calls; ``run.Host`` and ``syscalls.Effects``.

    ``streamed``: live missions that have streamed text in this life of the server.
    ``closed``: nothing begins any more, whatever is committed yet.
    """

    catalog: Catalog
    services: Services
    publisher: Publisher
    clock: Clock
    memory: Memory
    admission: Admission
    lifecycle: Lifecycle
    ending: Ending
    budget: Budget
    runner: EffectRunner
    post: Callable[[Process, Change], None]
    syscalls: Syscalls = field(init=False)
    children: Children = field(init=False)
    streamed: set[str] = field(default_factory=set)
    closed: bool = False

    def go_on(self, process: Process) -> None:
        """A mission that is running: launch its program, or let it have what came for it."""
        if process.journal is None or self._over(process):
            return
        if process.run is None:
            self._launch(process, process.journal)
            return
        held, process.held = process.held, []
        process.inbox.extend(held)
        run = process.run
        if not run.journal.replaying:
            for call in tuple(run.pending.values()):
                record = run.journal.find(call.step)
                if record is None or self.budget.waits(process, call):
                    continue
                if _may_begin(record):
                    process.inbox.append(partial(self._made, call))
        run.advance()

    def _launch(self, process: Process, journal: Journal) -> None:
        pcb = process.pcb
        program = self.catalog.program(pcb.agent)
        if program is None:
            self.post(process, self.lifecycle.agent_missing)
            return
        profile = None if pcb.profile is None else self.catalog.profile(pcb.profile)
        process.begun.intersection_update(process.effects)  # those are still at it
        process.held.clear()
        first_here = pcb.pid not in self.streamed
        run = process.run = Run(pcb.pid, journal, self, first_here=first_here)
        ctx = Context(pcb, run, self.services, profile)
        run.launch(partial(program, ctx))

    def _over(self, process: Process) -> bool:
        """Whether a mission is not ours any more: after the drain it is the next start's."""
        return self.closed or process.lost

    def stop(self, process: Process) -> None:
        """End what still acts for a mission."""
        for task in process.effects.values():
            task.cancel()
        process.effects.clear()
        self.streamed.discard(process.pid)
        if process.run is not None:
            process.run.abandon()
            process.run = None

    # -- what a run says (run.Host) -------------------------------------------------------

    def may_deliver(self, run: Run) -> bool:
        """Whether the mission is running, so that its program may go on."""
        process = self._process_of(run)
        return process is not None and process.pcb.state is State.RUNNING

    def call_made(self, run: Run, call: Call) -> None:
        """The program made a call."""
        self._from_run(run, partial(self._made, call))

    def run_ended(self, run: Run, result: object, error: BaseException | None) -> None:
        """The program returned or raised."""
        self._from_run(run, partial(self._ended, result, error))

    def run_cut(self, run: Run, step: str) -> None:
        """A call was cancelled by something other than the tower."""
        self._from_run(run, partial(self.ending.cut_from_outside, step))

    def went_quiet(self, run: Run) -> None:
        """A branch has ended, and all others wait: an empty change looks at the state."""
        self._from_run(run, lambda _: None)

    def run_diverged(self, run: Run, divergence: Divergence) -> None:
        """The program does not fit its journal."""
        self._from_run(run, partial(self._diverged, run, divergence))

    def text_streamed(self, run: Run, at: int, text: str) -> None:
        """The program streamed text outside a step."""
        process = self._process_of(run)
        if process is not None:
            self.streamed.add(run.pid)
            self.publish_delta(process, None, process.pcb.attempt, at, text)

    def _process_of(self, run: Run) -> Process | None:
        process = self.memory.processes.get(run.pid)
        return process if process is not None and process.run is run else None

    def _from_run(self, run: Run, change: Change) -> None:
        process = self._process_of(run)
        if process is not None:
            self.post(process, change)

    def _made(self, call: Call, p: Proposal) -> None:
        """A call: carried out if the mission runs, else held until it does."""
        process = p.process
        if p.pcb.state is State.RUNNING:
            self._yield_slot(p)
        if p.pcb.state is not State.RUNNING:
            process.held.append(partial(self._made, call))
            return
        self.syscalls.made(p, call)

    def _yield_slot(self, p: Proposal) -> None:
        """At a call: give the slot up if the tower drains or something more urgent is ready."""
        process = p.process
        if process.yielding is not None:
            self.lifecycle.preempted(p, process.yielding)
            process.yielding = None
        elif self.admission.should_yield(process, p.now):
            self.lifecycle.preempted(p, "priority")

    def _ended(self, result: object, error: BaseException | None, p: Proposal) -> None:
        if p.pcb.state is not State.RUNNING:
            p.process.held.append(partial(self._ended, result, error))
            return
        self.ending.ended(p, result, error)

    def _diverged(self, run: Run, divergence: Divergence, p: Proposal) -> None:
        process = p.process
        if p.pcb.state is State.TERMINATED or process.run is not run:
            return
        self.drop(p)
        self.lifecycle.diverged(p, divergence)

    @staticmethod
    def drop(p: Proposal) -> None:
        """Let the program out of memory with the proposal; it is run again at a resume."""
        process, run = p.process, p.process.run

        def drop(_: Commit) -> None:
            if run is not None and process.run is run:
                process.run = None
                run.abandon()

        p.then.append(drop)

    def take_back(self, p: Proposal, streamed: Iterable[Ephemeral]) -> None:
        """A unit was refused, and its mission goes on: its events do not count.

        ``streamed`` was to be published behind them.
        """
        self.budget.count_events(p.pcb, -p.own_events)
        for delta in streamed:
            self.publisher.publish_ephemeral(delta)

    def publish_delta(
        self, process: Process, step: str | None, attempt: int, at: int, text: str
    ) -> None:
        """Stream text, never before the durable events that precede it in its mission."""
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode()  # half a character is no text
        delta = LlmDelta(step=step, attempt=attempt, at=at, text=text)
        event = ephemeral(delta, process.scope, self.clock.now())
        if process.unit is not None:
            process.unit.after.append(event)
        elif process.pcb.state is not State.TERMINATED:
            self.publisher.publish_ephemeral(event)

    # -- effects (syscalls.Effects) -------------------------------------------------------

    def start_effect(
        self, process: Process, call: Call, record: StepRecord, delay_s: float
    ) -> None:
        """Make an attempt in a task of its own.

        Not of an intent that is committed after the drain: the next start asks, or makes it.
        """
        if self._over(process):
            return
        work = self._effect(process, call, record, delay_s)
        name = f"effect {process.pid} {call.step}"
        process.effects[call.step] = asyncio.get_running_loop().create_task(work, name=name)

    async def _effect(
        self, process: Process, call: Call, record: StepRecord, delay_s: float
    ) -> None:
        task, at = asyncio.current_task(), 0

        def wanted() -> bool:
            return process.effects.get(call.step) is task

        def delta(text: str) -> None:
            nonlocal at
            here, at = at, at + len(text)
            if text and wanted():
                self.publish_delta(process, call.step, record.attempt, here, text)

        if delay_s:
            await asyncio.sleep(delay_s)
        end = await self.runner.make(process.pcb, call, record, delta, wanted)
        if wanted():
            del process.effects[call.step]
            self.post(process, partial(self._effect_ended, call, end))

    def _effect_ended(self, call: Call, end: EffectEnd, p: Proposal) -> None:
        if p.pcb.state is not State.TERMINATED:
            self.syscalls.effect_ended(p, call, end)

    def may_draw(self, p: Proposal, call: Call) -> ResourceUsage | None:
        """Reserve what the call will use; None when it can't be made now (it was seen to)."""
        return self.budget.draw(p, call)

    def may_speak(self, p: Proposal, call: Call) -> bool:
        """Whether the quota has room for the events of a call that reserves nothing else."""
        return self.budget.may_speak(p, call)

    def settle(self, p: Proposal, reserved: ResourceUsage, used: ResourceUsage) -> None:
        """Charge what was used and free what was reserved."""
        self.budget.settle(p, reserved, used)

    def settle_cut(self, p: Proposal, reserved: ResourceUsage) -> None:
        """Charge an attempt in full of which nobody will learn the outcome."""
        self.budget.settle_cut(p, reserved)

    def draw_again(self, process: Process, call: Call) -> None:
        """Let a call try again that had waited for others' settlements."""
        if process.run is not None and process.run.pending.get(call.step) is call:
            process.resumed_by = (CHILD, None, None)
            self.post(process, partial(self._made, call))

    def lacks_room(self, process: Process) -> bool:
        """Whether a call waits for what others hold of the quota."""
        run = process.run
        return run is not None and any(
            self.budget.waits(process, call) for call in run.pending.values()
        )

    def spawn_child(self, p: Proposal, call: Call, request: Spawn) -> None:
        """Create a child mission as part of the proposal and complete the call."""
        self.children.spawn(p, call, request)

    def look_at_child(self, pid: str, child_pid: str) -> None:
        """See to it that a join learns of its child's end, past or future."""
        self.children.look(pid, child_pid)


def _may_begin(record: StepRecord) -> bool:
    """Whether a call was approved, or let through, and has not begun."""
    return record.status is StepStatus.APPROVED and record.wake_at is None
