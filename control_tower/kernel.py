"""The kernel: missions as actors, their runs, and their effects.

The one loop of a mission: its inbox is drawn up as a proposal, the proposal is committed as a
unit, the process changes, the program goes on. Everything that happens to a mission, a call, an
effect's end, an answer, an alarm, a command, is a change in that inbox, so nothing needs a lock
and nothing overtakes.

The kernel is a shell: it owns tasks and memory. What a change means is decided in
:mod:`control_tower.syscalls`, :mod:`control_tower.questions`, :mod:`control_tower.lifecycle` and
:mod:`control_tower.admission`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog

from control_tower.admission import ADMISSION_CAUSES, Admission
from control_tower.budget import Budget
from control_tower.calls import Call, Kind, Spawn
from control_tower.context import Context, Services
from control_tower.errors import Refusal, Unavailable
from control_tower.journal import Divergence, Journal
from control_tower.lifecycle import PARK, Lifecycle
from control_tower.ports import Catalog, Clock, InterruptQuery, Publisher, Store
from control_tower.process import Change, Process, Proposal, scope_of
from control_tower.quotas import ResourceUsage
from control_tower.records import ProcessControlBlock, StepRecord, StepStatus
from control_tower.run import Run
from control_tower.states import State
from control_tower.syscalls import EffectEnd, Syscalls
from control_tower.timers import Alarm, Timers
from control_tower.unit import Commit, StoreFailed, UnitRefused
from events.payloads import LlmDelta
from events.types import ephemeral

log = structlog.get_logger()

T = TypeVar("T")


class Children(Protocol):
    """Spawning and joining; see :mod:`control_tower.children`."""

    def spawn(self, p: Proposal, call: Call, request: Spawn) -> None:
        """Create a child and complete the call."""

    def look(self, process: Process, child_pid: str) -> None:
        """See to it that the process learns of its child's end."""


class EffectRunner(Protocol):
    """Makes attempts of effects; see :mod:`control_tower.effects`."""

    async def make(
        self, pcb: ProcessControlBlock, call: Call, record: StepRecord, delta: Callable[[str], None]
    ) -> EffectEnd:
        """Make one attempt and return how it ended. Raises only CancelledError."""


@dataclass(slots=True)
class Kernel:
    """Processes in memory and what moves them. Made and wired by the tower."""

    store: Store
    catalog: Catalog
    services: Services
    publisher: Publisher
    clock: Clock
    node: str
    admission: Admission
    runner: EffectRunner
    park_after_s: float
    timers: Timers
    lifecycle: Lifecycle
    budget: Budget
    rested: Callable[[Process], None]
    buried: Callable[[Process], None]
    syscalls: Syscalls = field(init=False)
    children: Children = field(init=False)
    processes: dict[str, Process] = field(default_factory=dict)
    tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    # -- the actor ------------------------------------------------------------------------

    def post(self, process: Process, change: Change) -> None:
        """Put a change into a mission's inbox."""
        process.inbox.append(change)
        self.pump(process)

    def pump(self, process: Process) -> None:
        """Draw the inbox up as one proposal, unless one is in flight."""
        if process.unit is not None or process.lost or not process.inbox:
            return
        p = Proposal.of(process, self.clock.now())
        while process.inbox:
            process.inbox.popleft()(p)
        self.send(p)

    def send(self, p: Proposal) -> None:
        """Bring the state up to date and hand the proposal to the store."""
        self._settle_state(p)
        process = p.process
        if process.run is not None:
            for made in process.run.take_instants():
                p.save_step(made)
        if p.empty:
            self._concluded(p, Commit(()))
            return
        unit = p.seal()
        unit.committed = partial(self._committed, p)
        unit.refused = partial(self._refused, p)
        process.unit = unit
        self.store.submit(unit)

    def _committed(self, p: Proposal, commit: Commit) -> None:
        p.process.unit = None
        p.apply(commit)
        self._concluded(p, commit)

    def _concluded(self, p: Proposal, commit: Commit) -> None:
        process = p.process
        for act in p.then:
            act(commit)
        self._release(process)
        if process.pcb.state is State.TERMINATED:
            self._bury(process)
        elif process.pcb.state is State.RUNNING:
            self._go_on(process)
        elif process.unit is None and not process.inbox:
            self._rest(process)
        if process.pcb.state in (State.WAITING, State.TERMINATED):
            self._tell_watchers(process)
        self.pump(process)

    @staticmethod
    def _tell_watchers(process: Process) -> None:
        for watcher in process.watchers:
            if not watcher.done():
                watcher.set_result(None)
        process.watchers.clear()

    def _refused(self, p: Proposal, reason: UnitRefused) -> None:
        """A unit that was not committed: the mission is not ours, or the store is gone."""
        process = p.process
        process.unit = None
        process.lost = True
        if not p.is_new:
            log.warning("mission.lost", pid=process.pid, reason=repr(reason))
        self.forget(process)
        for act in p.otherwise:
            act(reason)
        while process.inbox:
            late = Proposal.of(process, self.clock.now())
            process.inbox.popleft()(late)
            for act in late.otherwise:
                act(reason)

    async def sent(
        self, p: Proposal, result: Callable[[Commit], T], ack: Callable[[T], None] | None
    ) -> T:
        """Send a proposal and return its result once it is committed.

        Raises:
            UnitRefused: if it was not.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def settle(commit: Commit) -> None:
            value = result(commit)
            if ack is not None:
                ack(value)
            if not done.done():
                done.set_result(value)

        def refuse(reason: UnitRefused) -> None:
            if not done.done():
                done.set_exception(reason)

        p.then.append(settle)
        p.otherwise.append(refuse)
        self.send(p)
        return await done

    async def command(
        self,
        process: Process,
        change: Callable[[Proposal], Callable[[Commit], T]],
        ack: Callable[[T], None] | None = None,
    ) -> T:
        """Carry a caller's command out and return its result once it is committed.

        ``change`` raises a Refusal before it edits anything, or edits the proposal and returns
        what makes the result; ``ack`` gets the result before the events are published.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def settle(result: Callable[[Commit], T], commit: Commit) -> None:
            value = result(commit)
            if ack is not None:
                ack(value)
            if not done.done():
                done.set_result(value)

        def refuse(reason: UnitRefused) -> None:
            if not done.done():
                done.set_exception(unavailable(reason))

        def apply(p: Proposal) -> None:
            p.otherwise.append(refuse)
            try:
                result = change(p)
            except Refusal as refusal:
                if not done.done():
                    done.set_exception(refusal)
            else:
                p.then.append(partial(settle, result))

        if process.lost:
            raise Unavailable("The mission is not on this node any more.", outcome="rejected")
        self.post(process, apply)
        return await done

    # -- states ---------------------------------------------------------------------------

    def _settle_state(self, p: Proposal) -> None:
        state = p.pcb.state
        if state is State.RUNNING:
            if not self._may_go_on(p):
                self.lifecycle.come_to_rest(p)
        elif state in (State.WAITING, State.BLOCKED):
            if p.pcb.state_reason in ADMISSION_CAUSES or p.is_new:
                return
            if self._is_woken(p):
                self.lifecycle.wake(p)
            else:
                self.lifecycle.come_to_rest(p)

    def _may_go_on(self, p: Proposal) -> bool:
        """Whether any branch of a running mission can make progress by itself."""
        process, run = p.process, p.process.run
        if run is None or run.code_running > 0 or process.held:
            return True
        return self._is_woken(p)

    def _is_woken(self, p: Proposal) -> bool:
        run = p.process.run
        if p.has_outcome or (run is not None and run.journal.undelivered):
            return True
        return any(_progresses(record) for record in p.open_steps())

    def _release(self, process: Process) -> None:
        passed_on = self.admission.settle(process, self.clock.now())
        if passed_on is not None:
            self._pass_gate(passed_on)
        self.fill()

    def _pass_gate(self, pid: str) -> None:
        self.with_process(pid, self._gate_passed)

    def _gate_passed(self, process: Process) -> None:
        process.in_gate = True
        self.post(process, self.lifecycle.admitted)

    def fill(self) -> None:
        """Give free slots to ready missions."""
        for grant in self.admission.grants(self.clock.now()):
            process = self.processes[grant.pid]
            self.admission.note_grant(process, grant)
            self._begin(process)

    def _begin(self, process: Process) -> None:
        if process.journal is not None:
            self.post(process, self.lifecycle.granted)
        else:
            self.with_journal(process, lambda: self.post(process, self.lifecycle.granted))

    # -- runs -----------------------------------------------------------------------------

    def _go_on(self, process: Process) -> None:
        """A mission that is running: launch its program, or let it have what came for it."""
        if process.journal is None:
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
                if record is not None and _may_begin(record):
                    process.inbox.append(partial(self._made, call))
        run.advance()

    def _launch(self, process: Process, journal: Journal) -> None:
        pcb = process.pcb
        program = self.catalog.program(pcb.agent)
        if program is None:
            self.post(process, self.lifecycle.agent_missing)
            return
        profile = None if pcb.profile is None else self.catalog.profile(pcb.profile)
        process.begun.clear()
        process.held.clear()
        run = process.run = Run(pcb.pid, journal, self)
        ctx = Context(pcb, run, self.services, profile)
        run.launch(partial(program, ctx))

    def may_deliver(self, run: Run) -> bool:
        """See :class:`control_tower.run.Host`."""
        process = self.processes.get(run.pid)
        return process is not None and process.run is run and process.pcb.state is State.RUNNING

    def call_made(self, run: Run, call: Call) -> None:
        """See :class:`control_tower.run.Host`."""
        self._from_run(run, partial(self._made, call))

    def run_ended(self, run: Run, result: object, error: BaseException | None) -> None:
        """See :class:`control_tower.run.Host`."""
        self._from_run(run, partial(self._ended, result, error))

    def run_cut(self, run: Run, step: str) -> None:
        """See :class:`control_tower.run.Host`."""
        self._from_run(run, partial(self.lifecycle.cut_from_outside, step))

    def run_diverged(self, run: Run, divergence: Divergence) -> None:
        """See :class:`control_tower.run.Host`."""
        self._from_run(run, partial(self._diverged, run, divergence))

    def _from_run(self, run: Run, change: Change) -> None:
        process = self.processes.get(run.pid)
        if process is not None and process.run is run:
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
        self.lifecycle.ended(p, result, error)

    def _diverged(self, run: Run, divergence: Divergence, p: Proposal) -> None:
        process = p.process
        if p.pcb.state is State.TERMINATED or process.run is not run:
            return

        def drop(_: Commit) -> None:
            process.run = None
            run.abandon()

        p.then.append(drop)
        self.lifecycle.diverged(p, divergence)

    def text_streamed(self, run: Run, at: int, text: str) -> None:
        """See :class:`control_tower.run.Host`."""
        process = self.processes.get(run.pid)
        if process is not None and process.run is run:
            self.publish_delta(process, None, process.pcb.attempt, at, text)

    def publish_delta(
        self, process: Process, step: str | None, attempt: int, at: int, text: str
    ) -> None:
        """Stream text, never before the durable events that precede it in its mission."""
        delta = LlmDelta(step=step, attempt=attempt, at=at, text=text)
        event = ephemeral(delta, process.scope, self.clock.now())
        if process.unit is not None:
            process.unit.after.append(event)
        elif process.pcb.state is not State.TERMINATED:
            self.publisher.publish_ephemeral(event)

    # -- effects --------------------------------------------------------------------------

    def start_effect(
        self, process: Process, call: Call, record: StepRecord, delay_s: float
    ) -> None:
        """See :class:`control_tower.syscalls.Effects`."""
        process.begun.add(call.step)
        work = self._effect(process, call, record, delay_s)
        name = f"effect {process.pid} {call.step}"
        task = asyncio.get_running_loop().create_task(work, name=name)
        process.effects[call.step] = task

    async def _effect(
        self, process: Process, call: Call, record: StepRecord, delay_s: float
    ) -> None:
        at = 0

        def delta(text: str) -> None:
            nonlocal at
            here, at = at, at + len(text)
            if text and process.effects.get(call.step) is task:
                self.publish_delta(process, call.step, record.attempt, here, text)

        task = asyncio.current_task()
        if delay_s:
            await asyncio.sleep(delay_s)
        end = await self.runner.make(process.pcb, call, record, delta)
        if process.effects.get(call.step) is task:
            del process.effects[call.step]
        if process.pcb.state is not State.TERMINATED:
            self.post(process, partial(self._effect_ended, call, end))

    def _effect_ended(self, call: Call, end: EffectEnd, p: Proposal) -> None:
        if p.pcb.state is not State.TERMINATED:
            self.syscalls.effect_ended(p, call, end)

    def may_draw(self, p: Proposal, call: Call) -> ResourceUsage | None:
        """See :class:`control_tower.syscalls.Effects`."""
        return self.budget.draw(p, call)

    def settle(self, p: Proposal, reserved: ResourceUsage, used: ResourceUsage) -> None:
        """See :class:`control_tower.syscalls.Effects`."""
        self.budget.settle(p, reserved, used)

    def draw_again(self, process: Process, call: Call) -> None:
        """Let a call try again that had waited for others' settlements."""
        if process.run is not None and call.step in process.run.pending:
            self.post(process, partial(self._made, call))

    def spawn_child(self, p: Proposal, call: Call, request: Spawn) -> None:
        """See :class:`control_tower.syscalls.Effects`."""
        self.children.spawn(p, call, request)

    def look_at_child(self, process: Process, step: str, child_pid: str) -> None:
        """See :class:`control_tower.syscalls.Effects`."""
        self.children.look(process, child_pid)

    # -- memory ---------------------------------------------------------------------------

    def _rest(self, process: Process) -> None:
        if process.pcb.state is not State.READY:
            when = self.clock.now() + self.park_after_s
            self.timers.set(Alarm(process.pid, PARK, ""), when)

    def park(self, process: Process) -> None:
        """Let a mission that has long waited out of memory; its alarms stay."""
        idle = process.pcb.state in (State.WAITING, State.BLOCKED, State.PAUSED)
        busy = process.unit is not None or process.inbox or process.effects or process.watchers
        if not idle or busy:
            return
        if process.run is not None:
            process.run.park()
            process.run = None
        self.rested(process)
        del self.processes[process.pid]

    def _bury(self, process: Process) -> None:
        """A mission has ended: stop what still acts for it and let it go."""
        if self.processes.get(process.pid) is process:
            self.forget(process)
            self.buried(process)

    def forget(self, process: Process) -> None:
        """Let a process out of memory with all that it holds."""
        if self.processes.get(process.pid) is process:
            del self.processes[process.pid]
        for task in process.effects.values():
            task.cancel()
        process.effects.clear()
        if process.run is not None:
            process.run.abandon()
            process.run = None
        self._tell_watchers(process)
        passed_on = self.admission.forget(process, self.clock.now())
        if passed_on is not None:
            self._pass_gate(passed_on)
        self.fill()

    async def load(self, pid: str) -> Process | None:
        """Return the process of a live mission, from memory or the store; None if it ended."""
        process = self.processes.get(pid)
        if process is None:
            pcb = await self.store.mission(pid)
            if pcb is None or pcb.state is State.TERMINATED:
                return None
            process = self.processes.get(pid)
            if process is None:
                process = self.processes[pid] = Process(pcb, scope_of(pcb))
        await self._load_journal(process)
        return process

    async def _load_journal(self, process: Process) -> None:
        if process.journal is not None:
            return
        records = await self.store.steps(process.pid)
        query = InterruptQuery(mission_id=process.pid, limit=10_000)
        pending = await self.store.interrupts(query)
        await self._load_family(process.pcb)
        if process.journal is None:
            process.journal = Journal(records)
            process.interrupts = {record.interrupt_id: record for record in pending}

    async def _load_family(self, pcb: ProcessControlBlock) -> None:
        """Open the accounts of a mission with relatives, root first."""
        root_pid = pcb.lineage[0]
        related = pcb.parent_pid is not None or pcb.children
        if not related or root_pid in self.budget.accounts:
            return
        family: list[ProcessControlBlock] = []
        left = [root_pid]
        while left:
            pid = left.pop(0)
            process = self.processes.get(pid)
            member = process.pcb if process is not None else await self.store.mission(pid)
            if member is not None and member.state is not State.TERMINATED:
                family.append(member)
                left += member.children
        if root_pid not in self.budget.accounts:
            self.budget.restore(family)

    def with_journal(self, process: Process, act: Callable[[], None]) -> None:
        """Call ``act`` once the process's records are read."""

        async def later() -> None:
            await self._load_journal(process)
            act()

        self.background(later())

    def with_process(
        self,
        pid: str,
        act: Callable[[Process], None],
        ended: Callable[[], None] | None = None,
    ) -> None:
        """Call ``act`` with a live mission's process, loading it; ``ended`` if there is none."""
        process = self.processes.get(pid)
        if process is not None and process.journal is not None:
            act(process)
            return

        async def later() -> None:
            loaded = await self.load(pid)
            if loaded is not None:
                act(loaded)
            elif ended is not None:
                ended()

        self.background(later())

    def enter(self, process: Process) -> None:
        """Take a new ready process in."""
        self.processes[process.pid] = process
        self._release(process)

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work in a task that the kernel owns."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._background_done)

    def _background_done(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("kernel.task_failed", exc_info=error)


def _progresses(record: StepRecord) -> bool:
    """Whether an open call will end by itself: neither a person's turn nor a time to come."""
    if record.status is StepStatus.ASKED or record.wake_at is not None:
        return False
    return record.kind not in (Kind.SLEEP, Kind.JOIN)


def _may_begin(record: StepRecord) -> bool:
    """Whether a call was approved, or let through, and has not begun."""
    return record.status is StepStatus.APPROVED and record.wake_at is None


def unavailable(reason: UnitRefused) -> Unavailable:
    """Return what a caller gets for a unit that was refused for no fault of theirs."""
    if isinstance(reason, StoreFailed):
        return Unavailable(
            "The store can't take this now.", outcome=reason.outcome, disk_full=reason.disk_full
        )
    return Unavailable("The mission is not on this node any more.", outcome="rejected")
