"""Admission: when a mission may be ready, and when it may run.

Two doors, in this order: the session's gate (one ready or running mission a session, children
and ``parallel`` ones excepted) and the ready queue with its slots. What a process holds of them
is noted on it when a change is drawn up and given back when a committed state no longer has it,
so nothing is leaked by a change that is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass

from control_tower.process import Process, Proposal
from control_tower.records import ProcessControlBlock
from control_tower.schedule.ready_queue import Grant, ReadyQueue
from control_tower.schedule.session_gate import SessionGate
from control_tower.states import State
from events.payloads import MissionQueued

SESSION_BUSY = "session_busy"
START_AT = "start_at"
AGENT_MISSING = "agent_missing"

ADMISSION_CAUSES = frozenset({SESSION_BUSY, START_AT, AGENT_MISSING})
"""Causes of ``blocked`` that end by admission, not by a call's outcome."""


@dataclass(slots=True)
class Admission:
    """The gate and the queue, with what each process holds of them.

    ``displace`` gets the block of a mission that is queued for its session, and is to interrupt
    those who hold it.
    """

    gate: SessionGate
    queue: ReadyQueue
    displace: Callable[[ProcessControlBlock], None]
    closed: bool = False

    def admit(self, p: Proposal, *, resumed: bool) -> bool:
        """Move a mission that could run to ready and running, as far as the doors let it.

        Returns:
            Whether it got a slot at once; then it is RUNNING.
        """
        process = p.process
        if not self._through_gate(p, resumed=resumed):
            self._block(p, SESSION_BUSY)
            return False
        if p.pcb.state is not State.READY:
            p.move(State.READY)
        if not self._take_slot(process, p):
            return False
        p.move(State.RUNNING)
        return True

    def _through_gate(self, p: Proposal, *, resumed: bool) -> bool:
        process, pcb = p.process, p.pcb
        if process.in_gate or pcb.parent_pid is not None:
            return True
        if pcb.on_busy == "parallel":
            self.gate.share(pcb.session_id, pcb.pid)
            process.in_gate = True
            return True
        process.in_gate = self.gate.enter(pcb.session_id, pcb.pid)
        if not process.in_gate:
            interrupts = pcb.on_busy == "interrupt" and not resumed
            if interrupts:
                p.edit(displaces=self.gate.holders(pcb.session_id))
                p.then.append(lambda _: self.displace(p.pcb))
            self.gate.wait(pcb.session_id, pcb.pid, ahead=resumed or interrupts)
        return process.in_gate

    @staticmethod
    def _block(p: Proposal, cause: str) -> None:
        if p.pcb.state is State.BLOCKED:
            p.edit(state_reason=cause)
        else:
            p.move(State.BLOCKED, cause)

    def _take_slot(self, process: Process, p: Proposal) -> bool:
        if process.has_slot:
            return True
        if self.closed:
            return False
        grant = self.queue.take(p.pcb.pid, p.pcb.user_id, p.pcb.priority, p.now)
        if grant is not None:
            self.note_grant(process, grant)
        return process.has_slot

    @staticmethod
    def note_grant(process: Process, grant: Grant) -> None:
        """Note on a process that it got a slot."""
        process.queued = False
        process.has_slot = True
        process.effective = grant.effective

    def say_queued(self, p: Proposal) -> None:
        """Add ``mission.queued`` for a new mission that can't start at once."""
        pcb = p.pcb
        if pcb.state is State.READY:
            user_full = self.queue.free > 0
            cause = "user_limit" if user_full else "no_slot"
            p.event(MissionQueued(position=self.queue.arrival(pcb.priority), cause=cause))
        elif pcb.state_reason == SESSION_BUSY:
            position = self.gate.position(pcb.session_id, pcb.pid) or 1
            p.event(MissionQueued(position=position, cause=SESSION_BUSY))
        elif pcb.state_reason == START_AT:
            p.event(MissionQueued(position=1, cause=START_AT))

    def settle(self, process: Process, now: float) -> str | None:
        """Give back what the committed state no longer has; queue what became ready.

        Returns:
            The pid that now holds the session's gate, if it passed on.
        """
        state = process.pcb.state
        if state in (State.WAITING, State.BLOCKED):
            process.effective = None
        if process.has_slot and state not in (State.RUNNING, State.READY):
            self.give_slot_back(process, now)
        if process.queued and state is not State.READY:
            process.queued = False
            self.queue.remove(process.pid)
        if state is State.READY and not process.queued and not process.has_slot:
            process.queued = True
            pcb, effective = process.pcb, process.effective
            self.queue.push(pcb.pid, pcb.user_id, pcb.priority, now, effective=effective)
        return self._settle_gate(process)

    def give_slot_back(self, process: Process, now: float) -> None:
        """Free a process's slot; a ready process keeps one only until it has used the grant."""
        if process.has_slot:
            process.has_slot = False
            self.queue.release(process.pid, now)

    def _settle_gate(self, process: Process) -> str | None:
        pcb = process.pcb
        if pcb.state is State.BLOCKED and pcb.state_reason == SESSION_BUSY:
            return None  # it waits, or the session was passed on to it
        if not process.in_gate:
            self.gate.withdraw(pcb.session_id, pcb.pid)
        elif pcb.state not in (State.READY, State.RUNNING):
            process.in_gate = False
            return self.gate.leave(pcb.session_id, pcb.pid)
        return None

    def forget(self, process: Process, now: float) -> str | None:
        """Give everything back of a process that leaves memory without its change committed."""
        self.give_slot_back(process, now)
        if process.queued:
            process.queued = False
            self.queue.remove(process.pid)
        pcb = process.pcb
        self.gate.withdraw(pcb.session_id, pcb.pid)
        if process.in_gate:
            process.in_gate = False
            return self.gate.leave(pcb.session_id, pcb.pid)
        return None

    def should_yield(self, process: Process, now: float) -> bool:
        """Whether a running mission is to give its slot up at its call."""
        return self.queue.queued > 0 and self.queue.should_yield(process.pid, now)

    def grants(self, now: float) -> list[Grant]:
        """Take every grant that there is now."""
        granted: list[Grant] = []
        while not self.closed and (grant := self.queue.pop(now)) is not None:
            granted.append(grant)
        return granted
