"""The kernel: missions as actors.

The one loop of a mission: its inbox is drawn up as a proposal, the proposal is committed as a
unit, the process changes, the program goes on. Everything that happens to a mission, a call, an
effect's end, an answer, an alarm, a command, is a change in that inbox, so nothing needs a lock
and nothing overtakes.

The kernel is a shell. What a change means is decided in :mod:`control_tower.execution.syscalls`,
:mod:`control_tower.questions`, :mod:`control_tower.lifecycle`, :mod:`control_tower.ending` and
:mod:`control_tower.schedule.admission`; programs are :mod:`control_tower.execution.runs`', coming
into memory is :mod:`control_tower.memory`'s.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import structlog

from control_tower.acknowledgement import Acknowledgement
from control_tower.errors import Refusal, Unavailable
from control_tower.execution.calls import Kind
from control_tower.execution.runs import Runs
from control_tower.lifecycle import BROKEN, Lifecycle
from control_tower.memory import Memory
from control_tower.ports import Clock, Store
from control_tower.process import Change, Process, Proposal
from control_tower.quota.user_accounts import UserAccounts
from control_tower.records import StepRecord, StepStatus
from control_tower.schedule.admission import ADMISSION_CAUSES, Admission
from control_tower.states import State
from control_tower.timers import Alarm, Due, Timers
from control_tower.unit import ChangeFailed, Commit, KeyTaken, StoreFailed, UnitRefused

log = structlog.get_logger()

T = TypeVar("T")

RESUBMIT_S = 1.0
"""After how long a unit is handed over again that the store would not take."""

AT_REST = frozenset({State.WAITING, State.BLOCKED, State.PAUSED})


@dataclass(slots=True)
class Kernel:
    """The actors' loop. ``rested`` and ``buried`` are told of processes that leave memory."""

    store: Store
    clock: Clock
    timers: Timers
    memory: Memory
    admission: Admission
    users: UserAccounts
    lifecycle: Lifecycle
    runs: Runs
    park_after_s: float
    rested: Callable[[Process], None]
    buried: Callable[[Process], None]

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
        try:
            while process.inbox and _may_join(p, process.inbox[0]):
                process.inbox.popleft()(p)
        except Exception as bug:  # noqa: BLE001  # a bug holds one mission up, never hangs it
            self._hold(p, bug)
        else:
            self.send(p)

    def _hold(self, p: Proposal, bug: Exception) -> None:
        """A change failed for a fault of ours: nothing of the proposal happens, a person looks."""
        process = p.process
        log.error("kernel.bug", pid=process.pid, exc_info=bug)
        for act in p.otherwise:
            act(ChangeFailed("a change failed"))
        again = Proposal.of(process, self.clock.now())
        self.runs.drop(again)
        self.lifecycle.broke(again)
        self.send(again)

    def send(self, p: Proposal) -> None:
        """Bring the state up to date and hand the proposal to the store."""
        self._settle_state(p)
        process = p.process
        if process.run is not None and not p.keyed:  # what may be refused takes none along
            for made in process.run.take_instants():
                p.save_step(made)
        if p.empty:
            self._concluded(p, Commit(()))
            return
        unit = p.seal()
        self.runs.budget.count_events(p.pcb, p.own_events)
        unit.committed = partial(self._committed, p)
        unit.refused = partial(self._refused, p)
        process.unit = unit
        self.store.submit(unit)

    def _committed(self, p: Proposal, commit: Commit) -> None:
        unit = p.process.unit
        if unit is not None and p.pcb.state is State.TERMINATED:
            unit.after.clear()  # deltas streamed while the end was on its way: nothing follows it
        p.apply(commit)
        self._concluded(p, commit)

    def _concluded(self, p: Proposal, commit: Commit) -> None:
        process = p.process
        for act in p.then:
            act(commit)
        self.users.note(process.pcb)
        ended = process.pcb.state is State.TERMINATED
        (self._bury if ended else self._release)(process)
        # Only now: a change that is drawn up before that could take what is being given back.
        process.unit = None
        if not ended:
            self._go_on(process)
        if process.pcb.state in (State.WAITING, State.TERMINATED):
            _tell_watchers(process)
        self.pump(process)

    def _go_on(self, process: Process) -> None:
        if process.pcb.state is State.RUNNING:
            self.runs.go_on(process)
        else:
            self.touch(process)

    def _refused(self, p: Proposal, reason: UnitRefused) -> None:
        """A unit was not committed: it is handed over again, or cannot be stored, or all is lost.

        What is certain not to have been committed may be committed later: nothing has changed,
        as a mission has one unit in flight.
        """
        process = p.process
        rejected = isinstance(reason, StoreFailed) and reason.outcome == "rejected"
        if isinstance(reason, KeyTaken) and not (p.is_new or process.lost):
            self._take_back(p, reason)
        elif p.is_new or process.lost or not rejected:
            self._lose(p, reason)
        elif reason.__cause__ is None:  # the database is locked or has no room
            log.warning("mission.unit_refused", pid=process.pid, reason=repr(reason))
            asyncio.get_running_loop().call_later(RESUBMIT_S, self._resubmit, p, reason)
        elif p.pcb.state_reason == BROKEN:
            self._lose(p, reason)
        else:  # a row of it is no row
            process.unit = None
            self._hold(p, reason)

    def _take_back(self, p: Proposal, reason: KeyTaken) -> None:
        """A command came before under its key: it was alone in its unit, and changes nothing."""
        process, unit = p.process, p.process.unit
        process.unit = None
        self.runs.take_back(p, [] if unit is None else unit.after)
        for act in p.otherwise:
            act(reason)
        self._release(process)
        self.pump(process)

    def _resubmit(self, p: Proposal, reason: UnitRefused) -> None:
        process = p.process
        if process.lost or process.unit is None:
            self._lose(p, reason)
        else:
            self.store.submit(process.unit)

    def _lose(self, p: Proposal, reason: UnitRefused) -> None:
        """The mission is not ours any more, or the store is gone, or it was never accepted."""
        process = p.process
        process.unit = None
        process.lost = True
        if not p.is_new:
            log.warning("mission.lost", pid=process.pid, reason=repr(reason))
        self.forget(process)
        for act in p.otherwise:
            act(reason)
        for change in process.inbox:
            if isinstance(change, _Command):
                change.promise.refused(reason)
        process.inbox.clear()

    async def sent(
        self, p: Proposal, result: Callable[[Commit], T], ack: Callable[[T], None] | None
    ) -> T:
        """Send a proposal and return its result once it is committed.

        Raises:
            UnitRefused: if it was not.
        """
        promise = Acknowledgement(ack)
        p.then.append(partial(promise.committed, result))
        p.otherwise.append(promise.refused)
        self.send(p)
        return await promise.result()

    async def command(
        self,
        process: Process,
        change: Callable[[Proposal], Callable[[Commit], T]],
        ack: Callable[[T], None] | None = None,
        *,
        keyed: bool = False,
    ) -> T:
        """Carry a caller's command out and return its result once it is committed.

        ``change`` raises a Refusal before it edits anything, or edits the proposal and returns
        what makes the result; ``ack`` gets the result before the events are published.
        ``keyed``: it comes with an idempotency key.

        Raises:
            Refusal: when it is not carried out.
            KeyTaken: when its key was taken meanwhile.
        """
        promise = Acknowledgement(ack)
        if process.lost:
            raise Unavailable("The mission is not on this node any more.", outcome="rejected")
        self.post(process, _Command(change, promise, keyed))
        try:
            return await promise.result()
        except KeyTaken:
            raise
        except UnitRefused as reason:
            raise unavailable(reason) from reason

    # -- states ---------------------------------------------------------------------------

    def _settle_state(self, p: Proposal) -> None:
        state = p.pcb.state
        if state is State.RUNNING:
            if not self._may_go_on(p):
                self._come_to_rest(p)
        elif state in (State.WAITING, State.BLOCKED):
            if p.pcb.state_reason in ADMISSION_CAUSES or p.is_new:
                return
            if p.process.held or self._is_woken(p):
                self.lifecycle.wake(p)
            else:
                self._come_to_rest(p)

    def _come_to_rest(self, p: Proposal) -> None:
        self.lifecycle.come_to_rest(p, lacks_room=self.runs.lacks_room(p.process))

    def _may_go_on(self, p: Proposal) -> bool:
        """Whether any branch of a running mission can make progress by itself."""
        process, run = p.process, p.process.run
        if run is None or run.code_running > 0 or process.held:
            return True
        return self._is_woken(p)

    @staticmethod
    def _is_woken(p: Proposal) -> bool:
        run = p.process.run
        if p.has_outcome or (run is not None and run.journal.undelivered):
            return True
        return any(_progresses(record) for record in p.open_steps())

    def _release(self, process: Process) -> None:
        self._pass_gate(self.admission.settle(process, self.clock.now()))
        self.fill()

    def _pass_gate(self, pid: str | None) -> None:
        if pid is not None:
            self.memory.with_process(pid, self.gate_passed)

    def gate_passed(self, process: Process) -> None:
        """A mission that waited for its session now holds it."""
        process.in_gate = True
        self.post(process, self.lifecycle.admitted)

    def fill(self) -> None:
        """Give free slots to ready missions."""
        for grant in self.admission.grants(self.clock.now()):
            self.admission.note_grant(self.memory.processes[grant.pid], grant)
            self.memory.with_process(grant.pid, self._granted)

    def _granted(self, process: Process) -> None:
        self.post(process, self.lifecycle.granted)

    # -- leaving memory -------------------------------------------------------------------

    def enter(self, process: Process) -> None:
        """Take a new ready process in; a command may have loaded it from its row before."""
        self._release(self.memory.processes.setdefault(process.pid, process))

    def touch(self, process: Process) -> None:
        """A mission at rest was looked at or changed: it stays in memory for a while."""
        if process.pcb.state in AT_REST:
            when = self.clock.now() + self.park_after_s
            self.timers.set(Alarm(process.pid, Due.PARK, ""), when)

    def park(self, process: Process) -> None:
        """Let a mission that has long been at rest out of memory; its alarms stay."""
        busy = process.unit is not None or process.inbox or process.effects or process.watchers
        if process.pcb.state not in AT_REST:
            return
        if busy or self.runs.lacks_room(process):
            self.touch(process)
            return
        if process.run is not None:
            process.run.park()
            process.run = None
        self.rested(process)
        self.memory.leave(process)

    def _bury(self, process: Process) -> None:
        """A mission has ended: stop what still acts for it and let it go.

        Its children are told first, so that none of them gets the slot that it leaves.
        """
        if self.memory.processes.get(process.pid) is process:
            self.buried(process)
            self.forget(process)

    def forget(self, process: Process) -> None:
        """Let a process out of memory with all that it holds."""
        self.memory.leave(process)
        self.users.forget(process.pcb)
        self.runs.stop(process)
        _tell_watchers(process)
        self._pass_gate(self.admission.forget(process, self.clock.now()))
        self.fill()


@dataclass(slots=True, frozen=True)
class _Command(Generic[T]):
    """A caller's change in an inbox, with the promise made to the caller."""

    change: Callable[[Proposal], Callable[[Commit], T]]
    promise: Acknowledgement[T]
    keyed: bool

    def __call__(self, p: Proposal) -> None:
        p.otherwise.append(self.promise.refused)
        try:
            result = self.change(p)
        except Refusal as refusal:
            self.promise.failed(refusal)
        else:
            p.then.append(partial(self.promise.committed, result))


def _may_join(p: Proposal, change: Change) -> bool:
    """Whether a change shares a unit: a key that is taken refuses its command and nothing else."""
    if not p.then and p.empty:
        return True
    return not (p.keyed or (isinstance(change, _Command) and change.keyed))


def _tell_watchers(process: Process) -> None:
    for watcher in process.watchers:
        if not watcher.done():
            watcher.set_result(None)
    process.watchers.clear()


def _progresses(record: StepRecord) -> bool:
    """Whether an open call will end by itself: neither a person's turn nor a time to come."""
    if record.status is StepStatus.ASKED or record.wake_at is not None:
        return False
    return record.status is StepStatus.APPROVED or record.kind not in (Kind.SLEEP, Kind.JOIN)


def unavailable(reason: UnitRefused) -> Unavailable:
    """Return what a caller gets for a unit that was refused for no fault of theirs."""
    if isinstance(reason, ChangeFailed):
        return Unavailable("The tower could not carry this out.", outcome="rejected")
    if isinstance(reason, StoreFailed):
        return Unavailable(
            "The store can't take this now.", outcome=reason.outcome, disk_full=reason.disk_full
        )
    return Unavailable("The mission is not on this node any more.", outcome="rejected")
