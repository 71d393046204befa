"""The life of a mission: how its state changes, and the events that say so.

Every function edits a proposal. How a mission ends is in :mod:`control_tower.ending`.
"""

from dataclasses import dataclass

import structlog

from control_tower.execution.journal import Divergence
from control_tower.execution.outcomes import error_json
from control_tower.process import Proposal
from control_tower.records import StepRecord, StepStatus
from control_tower.running_time import RunningTime
from control_tower.schedule.admission import AGENT_MISSING, Admission
from control_tower.states import State
from events.payloads import (
    JsonObject,
    MissionBlocked,
    MissionPaused,
    MissionPreempted,
    MissionRecovered,
    MissionResumed,
    MissionStarted,
    MissionWaiting,
)

log = structlog.get_logger()

BREAKER = "breaker"
"""Why a mission is blocked all of whose calls wait for a tool to be tried again."""

CHILD = "child"
"""Why a mission is blocked that waits for a child's end, or for room that its family holds."""

BROKEN = "internal"
"""Why a mission is paused that the kernel failed to carry on."""

_RESTING_KINDS = {"sleep": "sleep", "join": CHILD}


@dataclass(slots=True, frozen=True)
class Lifecycle:
    """State changes."""

    node: str
    admission: Admission
    running_time: RunningTime

    # -- towards running ------------------------------------------------------------------

    def admitted(self, p: Proposal) -> None:
        """A mission that was kept from starting or going on may now be ready."""
        if p.pcb.state is not State.BLOCKED:
            return
        first = p.pcb.started_at is None
        if self.admission.admit(p, resumed=not first):
            self.say_running(p)
        elif first:
            self.admission.say_queued(p)

    def wake(self, p: Proposal) -> None:
        """Something came for a mission at rest."""
        if self.admission.admit(p, resumed=True):
            self.say_running(p)
        elif p.pcb.state is State.BLOCKED:
            p.event(MissionBlocked(cause=p.pcb.state_reason or "session_busy"))

    def granted(self, p: Proposal) -> None:
        """A ready mission got a slot."""
        if p.pcb.state is not State.READY or not p.process.has_slot:
            return
        p.move(State.RUNNING)
        self.say_running(p)

    def say_running(self, p: Proposal) -> None:
        """Say how a mission came to run: started, recovered or resumed."""
        process, pcb = p.process, p.pcb
        attempt = pcb.attempt
        if pcb.started_at is None:
            p.edit(attempt=attempt + 1, started_at=p.now, node=self.node)
            p.event(MissionStarted(attempt=attempt + 1, node=self.node))
        elif process.recovering:
            process.recovering = False
            p.edit(attempt=attempt + 1, node=self.node)
            replayed = 0 if process.journal is None else process.journal.replayed_steps
            p.event(MissionRecovered(attempt=attempt + 1, replayed_steps=replayed))
        else:
            cause, interrupt_id, by = process.resumed_by
            p.event(MissionResumed(cause=cause, interrupt_id=interrupt_id, by=by))
        process.resumed_by = ("resumed", None, None)
        self.running_time.start(p)

    # -- away from running ----------------------------------------------------------------

    def come_to_rest(self, p: Proposal, *, lacks_room: bool) -> None:
        """No branch can make progress: wait on a person, or on time, a child or a breaker.

        ``lacks_room``: a call waits for what others hold of the quota, which is a child's share,
        or a call of one of its family that will soon have ended.
        """
        asked = [r for r in p.open_steps() if r.status is StepStatus.ASKED]
        if asked:
            self._wait(p, asked)
            return
        causes = (cause for r in p.open_steps() if (cause := _rests_on(r)))
        cause = CHILD if lacks_room else next(causes, None)
        if cause is None or p.pcb.state is State.BLOCKED:
            return
        self.running_time.stop(p)
        p.move(State.BLOCKED, cause)
        p.event(MissionBlocked(cause=cause))

    def _wait(self, p: Proposal, asked: list[StepRecord]) -> None:
        if p.pcb.state is State.WAITING:
            return
        oldest = asked[0].interrupt_id
        question = None if oldest is None else p.find_interrupt(oldest)
        cause = "interrupt" if question is None else question.kind.value
        self.running_time.stop(p)
        p.move(State.WAITING, cause)
        p.event(MissionWaiting(cause=cause, interrupt_id=oldest))

    def agent_missing(self, p: Proposal) -> None:
        """The agent of a recovered mission is not registered."""
        if p.pcb.state is not State.RUNNING:
            return
        self.running_time.stop(p)
        p.move(State.BLOCKED, AGENT_MISSING)
        p.event(MissionBlocked(cause=AGENT_MISSING))

    def preempted(self, p: Proposal, cause: str) -> None:
        """Give the slot up at a call."""
        process = p.process
        self.running_time.stop(p)
        p.move(State.READY, "preempted")
        p.event(MissionPreempted(cause=cause))
        process.resumed_by = ("slot", None, None)
        p.then.append(lambda _: self.admission.give_slot_back(process, p.now))

    def pause(self, p: Proposal, by: str, reason: str | None) -> None:
        """Hold a mission; what is in flight still records its outcome."""
        self.running_time.stop(p)
        p.move(State.PAUSED, reason or "paused")
        p.event(MissionPaused(cause=reason or "paused", by=by))

    def resume(self, p: Proposal, by: str, reason: str | None) -> None:
        """Let a paused mission go on; it finds out by itself what it waits for."""
        cause = reason or "resumed"
        p.process.resumed_by = (cause, None, by)
        if self.admission.admit(p, resumed=True):
            self.say_running(p)
        elif p.pcb.state is State.BLOCKED:
            p.event(MissionBlocked(cause=p.pcb.state_reason or "session_busy"))
        else:
            p.event(MissionResumed(cause=cause, by=by))
            p.process.resumed_by = ("slot", None, None)

    def diverged(self, p: Proposal, divergence: Divergence) -> None:
        """The program does not fit its journal: hold it until it is mended."""
        error: JsonObject = {
            "code": "nondeterminism",
            "message": str(divergence),
            "step": divergence.step,
            "expected": divergence.expected,
            "got": divergence.got,
        }
        self._hold(p, "nondeterminism", error)

    def broke(self, p: Proposal) -> None:
        """The kernel failed to carry a change out: hold the mission until somebody looks."""
        if p.pcb.state is not State.TERMINATED:
            message = "The tower failed to carry the mission on; the log says why."
            self._hold(p, BROKEN, error_json(BROKEN, message))

    def _hold(self, p: Proposal, cause: str, error: JsonObject) -> None:
        if p.pcb.state is State.PAUSED:
            p.edit(state_reason=cause, error=error)
        else:
            self.running_time.stop(p)
            p.move(State.PAUSED, cause)
            p.edit(error=error)
        p.event(MissionPaused(cause=cause, error=error))


def _rests_on(record: StepRecord) -> str | None:
    """Return what an open call waits for, if that is time or a child."""
    if record.status is StepStatus.APPROVED:
        return None if record.wake_at is None else BREAKER
    return _RESTING_KINDS.get(record.kind)
