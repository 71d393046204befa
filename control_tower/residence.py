"""Residence: which missions are in memory, which rest outside it, and what brings them back.

A mission at rest costs one small :class:`Rested` and its alarm. An answer, an alarm or a command
loads it; a start of the server restores all of them.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from control_tower.ending import Ending
from control_tower.errors import NotFound
from control_tower.execution.calls import Kind
from control_tower.execution.children import Family
from control_tower.execution.syscalls import Syscalls
from control_tower.giving_way import GivingWay
from control_tower.kernel import Kernel
from control_tower.lifecycle import BREAKER, CHILD, Lifecycle
from control_tower.memory import Memory
from control_tower.ports import Catalog, Clock, Store
from control_tower.process import Process, Proposal, scope_of
from control_tower.questions import Questions
from control_tower.quota.budget import Budget
from control_tower.quota.user_accounts import UserAccounts
from control_tower.records import InterruptStatus, ProcessControlBlock
from control_tower.recovery import Recovery
from control_tower.running_time import RunningTime
from control_tower.schedule.admission import SESSION_BUSY, START_AT
from control_tower.states import Outcome, State
from control_tower.timers import Alarm, Due, Timers
from control_tower.watchdog import Watchdog
from events.payloads import JsonObject

CUT_GRACE_S = 0.2
"""At the end of a drain, how long cut effects have to note it."""


class Rested(msgspec.Struct, frozen=True, gc=False):
    """What memory keeps of a mission at rest."""

    state: str
    reason: str | None
    session_id: str
    user_id: str
    lineage: tuple[str, ...] | None
    current_step: str | None
    pending_interrupts: tuple[str, ...]


@dataclass(slots=True)
class Residence:
    """Missions coming into memory and leaving it."""

    store: Store
    catalog: Catalog
    clock: Clock
    timers: Timers
    memory: Memory
    kernel: Kernel
    lifecycle: Lifecycle
    ending: Ending
    running_time: RunningTime
    questions: Questions
    syscalls: Syscalls
    family: Family
    giving_way: GivingWay
    budget: Budget
    users: UserAccounts
    watchdog: Watchdog
    resting: dict[str, Rested] = field(default_factory=dict)
    draining: bool = False
    ended: Counter[str] = field(default_factory=Counter)

    # -- start and stop -------------------------------------------------------------------

    async def start(self, *, watch: bool, restore: bool = True) -> None:
        """Restore every live mission, then fill the slots; ``watch`` the loop from a thread.

        Without ``restore`` it begins with none: users bring theirs when they are adopted.
        """
        if watch:
            self.watchdog.start()
        if restore:
            self.kernel.admission.closed = True
            await self._recovery().recover(self.store.live_missions)
            self.kernel.admission.closed = False
            self.kernel.fill()

    async def adopt(self, user_ids: Sequence[str]) -> None:
        """Restore the live missions of users whose tower is gone, as a start would.

        What runs here goes on meanwhile. Nothing may be asked for these users before it returns.
        What is being erased stays in the database: it is only loaded to be cancelled.
        """
        await self._recovery().recover(partial(self.store.live_missions_of_users, user_ids))
        self.kernel.fill()

    def _recovery(self) -> Recovery:
        return Recovery(
            self.kernel, self.catalog, self.lifecycle, self.family, self.giving_way, self
        )

    def rests(self, pid: str) -> bool:
        """Return whether a mission rests here."""
        return pid in self.resting

    async def stop(self, drain_s: float) -> None:
        """Let running missions reach a call within ``drain_s``; leave all for the next start."""
        self.draining = True
        self.kernel.admission.closed = True
        running = [p for p in self.memory.processes.values() if p.pcb.state is State.RUNNING]
        for process in running:
            process.yielding = "draining"
        deadline = asyncio.get_running_loop().time() + drain_s
        # Polled: a mission comes to rest in many ways, and a drain is once in a process's life.
        while (  # noqa: ASYNC110
            asyncio.get_running_loop().time() < deadline and any(map(_acts, running))
        ):
            await asyncio.sleep(0.02)
        self.timers.stop()
        self.watchdog.stop()
        self.kernel.runs.closed = True
        for process in tuple(self.memory.processes.values()):
            process.lost = True
            self.kernel.runs.stop(process)
        for task in tuple(self.memory.tasks):
            task.cancel()
        await asyncio.sleep(CUT_GRACE_S if running else 0)

    # -- leaving and coming back ----------------------------------------------------------

    def rested(self, process: Process) -> None:
        """A mission leaves memory at rest; one alarm stands for all of its own."""
        pcb = process.pcb
        self.rested_as(pcb)
        self.budget.rested(pcb)
        for record in process.journal.open.values() if process.journal else ():
            if record.wake_at is not None:
                self.timers.cancel(Alarm(pcb.pid, Due.WAKE, record.step))
        for interrupt_id in process.interrupts:
            self.timers.cancel(Alarm(pcb.pid, Due.EXPIRY, interrupt_id))
        if pcb.alarm_at is not None:
            self.timers.set(Alarm(pcb.pid, Due.LOOK, ""), pcb.alarm_at)

    def rested_as(self, pcb: ProcessControlBlock) -> None:
        """Keep what memory keeps of a mission at rest."""
        self.resting[pcb.pid] = Rested(
            state=pcb.state.value,
            reason=pcb.state_reason,
            session_id=pcb.session_id,
            user_id=pcb.user_id,
            lineage=pcb.lineage if len(pcb.lineage) > 1 else None,
            current_step=pcb.current_step,
            pending_interrupts=pcb.pending_interrupts,
        )

    def forget(self, pid: str) -> None:
        """Keep nothing of a mission at rest: it is not known here any more."""
        self.resting.pop(pid, None)

    def buried(self, process: Process) -> None:
        """A mission has ended."""
        pcb = process.pcb
        self.resting.pop(pcb.pid, None)
        if pcb.outcome is not None:
            self.ended[pcb.outcome.value] += 1
        self._close_account(process)
        self.family.ended(pcb)

    def _close_account(self, process: Process) -> None:
        in_flight = [
            record.reserved
            for record in (process.journal.open.values() if process.journal else ())
            if record.reserved is not None and record.step in process.begun
        ]
        self.budget.close(process.pcb, in_flight)

    def ring(self, alarm: Alarm) -> None:
        """An alarm rang: see to its mission."""
        if alarm.what == Due.PARK:
            process = self.memory.processes.get(alarm.pid)
            if process is not None:
                self.kernel.park(process)
            return
        self.memory.with_process(alarm.pid, lambda process: self._rung(process, alarm))

    def _rung(self, process: Process, alarm: Alarm) -> None:
        if alarm.what == Due.LOOK:
            self._look(process)
            return

        def change(p: Proposal) -> None:
            if p.pcb.state is not State.TERMINATED:
                self._see_to(p, alarm)

        self.kernel.post(process, change)

    def try_again(self, tool: str) -> None:
        """Wake the calls that wait for a tool's breaker, which has closed."""

        def hurry(process: Process) -> None:
            for step in self.syscalls.held_by_breaker(process, tool):
                self.timers.set(Alarm(process.pid, Due.WAKE, step), self.clock.now())

        for process in self.memory.processes.values():
            hurry(process)
        for pid, rested in self.resting.items():
            if rested.reason == BREAKER:
                self.memory.with_process(pid, hurry)

    def _see_to(self, p: Proposal, alarm: Alarm) -> None:
        match alarm.what:
            case Due.WAKE:
                p.process.resumed_by = ("slept", None, None)
                self.syscalls.woke(p, alarm.subject)
            case Due.EXPIRY:
                self._expire(p, alarm.subject)
            case Due.DEADLINE:
                self._time_out(p, "The deadline has passed.")
            case Due.RUNTIME_WARNING:
                self.running_time.warn(p)
            case Due.RUNTIME if p.pcb.state is State.RUNNING:
                if not self.running_time.may_go_on(p):
                    self._time_out(p, "Its running time is used up.")

    def _expire(self, p: Proposal, interrupt_id: str) -> None:
        question = p.find_interrupt(interrupt_id)
        if question is None or question.status is not InterruptStatus.PENDING:
            return
        p.process.resumed_by = ("expired", interrupt_id, None)
        self.questions.expire(p, question, self.ending.over_quota)

    def _time_out(self, p: Proposal, message: str) -> None:
        error = {"code": "timed_out", "message": message}
        self.ending.finish(p, Outcome.TIMED_OUT, error=error)

    def _look(self, process: Process) -> None:
        """Set a loaded mission's own alarms again; those that are due ring at once."""
        pid, now = process.pid, self.clock.now()
        pcb = process.pcb
        if pcb.started_at is None and pcb.state_reason == START_AT:
            if pcb.start_at is not None and pcb.start_at > now:
                self.timers.set(Alarm(pid, Due.LOOK, ""), pcb.start_at)
            else:
                self.kernel.post(process, self.lifecycle.admitted)
            return
        if pcb.state is State.BLOCKED and pcb.state_reason == CHILD and process.run is None:
            self.kernel.post(process, self._seek_room)
        for record in process.journal.open.values() if process.journal else ():
            if record.wake_at is not None:
                self.timers.set(Alarm(pid, Due.WAKE, record.step), record.wake_at)
            if record.child_pid is not None and record.kind == Kind.JOIN:
                self.family.look(pid, record.child_pid)
        for question in process.interrupts.values():
            if question.expires_at is not None:
                self.timers.set(Alarm(pid, Due.EXPIRY, question.interrupt_id), question.expires_at)

    def _seek_room(self, p: Proposal) -> None:
        """Let a program that waited for no child's end make the call again that lacked room."""
        if not any(record.kind == Kind.JOIN for record in p.open_steps()):
            self.lifecycle.admitted(p)

    # -- looking --------------------------------------------------------------------------

    def reprioritise(self, process: Process) -> None:
        """The priority was changed: the queue and later events follow."""
        process.scope = scope_of(process.pcb)
        process.effective = process.pcb.priority
        if process.queued or process.has_slot:
            queue = self.kernel.admission.queue
            queue.reprioritise(process.pid, process.pcb.priority, self.clock.now())

    async def settled(self, pid: str, timeout_s: float) -> ProcessControlBlock:
        """Return a mission once it has ended or asks a person, or after ``timeout_s``."""
        process = self.memory.processes.get(pid)
        if process is not None and process.pcb.state is not State.WAITING:
            watcher = asyncio.get_running_loop().create_future()
            process.watchers.append(watcher)
            await asyncio.wait([watcher], timeout=timeout_s)
            if watcher in process.watchers:
                process.watchers.remove(watcher)
            return process.pcb
        pcb = process.pcb if process is not None else await self.store.mission(pid)
        if pcb is None:
            raise NotFound("No such mission.")
        return pcb

    def explain(self, pcb: ProcessControlBlock) -> JsonObject:
        """Say why a mission is where it is."""
        admission, now = self.kernel.admission, self.clock.now()
        shown: JsonObject = {
            "mission_id": pcb.pid,
            "state": pcb.state.value,
            "cause": pcb.state_reason,
            "position": None,
            "waiting_for": None,
        }
        if pcb.state is State.READY:
            shown["position"] = admission.queue.position(pcb.pid, now)
            shown["cause"] = "no_slot" if admission.queue.free == 0 else "user_limit"
            shown["waiting_for"] = "a free slot"
        elif pcb.state_reason == SESSION_BUSY:
            shown["position"] = admission.gate.position(pcb.session_id, pcb.pid)
            holders = admission.gate.holders(pcb.session_id)
            shown["waiting_for"] = {"missions": list(holders)}
        elif pcb.state is State.WAITING:
            shown["waiting_for"] = {"interrupts": list(pcb.pending_interrupts)}
        elif pcb.state is State.BLOCKED and pcb.alarm_at is not None:
            shown["eta_s"] = round(max(0.0, pcb.alarm_at - now), 3)
            shown["waiting_for"] = "a time"
        elif pcb.state is State.BLOCKED:
            shown["waiting_for"] = {"children": list(pcb.children)} if pcb.children else None
        return shown

    def snapshot(self, topics: Sequence[str]) -> list[JsonObject]:
        """Return what is active in the topics, in memory and at rest."""
        wanted = frozenset(topics)
        shown = [
            {
                "mission_id": process.pid,
                "session_id": process.pcb.session_id,
                "state": process.pcb.state.value,
                "current_step": process.pcb.current_step,
                "pending_interrupts": list(process.pcb.pending_interrupts),
            }
            for process in self.memory.processes.values()
            if process.pcb.state is not State.NEW and not wanted.isdisjoint(process.scope.topics)
        ]
        shown += [
            {
                "mission_id": pid,
                "session_id": rested.session_id,
                "state": rested.state,
                "current_step": rested.current_step,
                "pending_interrupts": list(rested.pending_interrupts),
            }
            for pid, rested in self.resting.items()
            if pid not in self.memory.processes and _matches(pid, rested, wanted)
        ]
        return shown

    def status(self) -> JsonObject:
        """Return processes by state, queue and slots."""
        states: Counter[str] = Counter(
            process.pcb.state.value for process in self.memory.processes.values()
        )
        states.update(
            rested.state for pid, rested in self.resting.items() if pid not in self.memory.processes
        )
        queue = self.kernel.admission.queue
        return {
            "processes": dict(states),
            "ended": dict(self.ended),
            "queues": {"ready": queue.queued},
            "slots": {"running": queue.running, "free": queue.free},
            "loop_blocked": [
                {"task": each.task, "where": each.where, "seconds": each.seconds}
                for each in self.watchdog.seen
            ],
            "draining": self.draining,
            "node": self.lifecycle.node,
        }


def _matches(pid: str, rested: Rested, wanted: frozenset[str]) -> bool:
    if "system" in wanted or f"session:{rested.session_id}" in wanted:
        return True
    if f"user:{rested.user_id}" in wanted:
        return True
    lineage = rested.lineage or (pid,)
    return any(f"mission:{each}" in wanted for each in lineage)


def _acts(process: Process) -> bool:
    """Whether a mission still has something to bring to its next call or record."""
    if process.pcb.state is State.TERMINATED:
        return False
    if process.unit is not None or process.inbox or process.effects:
        return True
    return process.pcb.state is State.RUNNING
