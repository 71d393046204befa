"""The life of a mission: how its state changes, and the events that say so.

Every function edits a proposal. A mission ends by :meth:`Lifecycle.finish` and nothing else, so
there is exactly one terminal event, with everything that it releases beside it.
"""

import asyncio
from dataclasses import dataclass
from functools import partial

import msgspec
import structlog

from control_tower import interrupts
from control_tower.errors import AgentError, KernelBug, QuotaExceeded
from control_tower.execution.journal import Divergence
from control_tower.execution.outcomes import as_json, described, error_json, shown
from control_tower.execution.syscalls import WAKE
from control_tower.ports import Ids
from control_tower.process import Proposal
from control_tower.public import message_json, usage_json
from control_tower.questions import EXPIRY
from control_tower.quota.accounts import WARN_AT
from control_tower.quota.user_accounts import UserAccounts
from control_tower.records import InterruptStatus, MessageRecord, StepRecord, StepStatus
from control_tower.schedule.admission import AGENT_MISSING, Admission
from control_tower.states import Outcome, State
from control_tower.timers import Alarm, Timers
from control_tower.unit import Commit, InsertMessage, TouchSession
from events.payloads import (
    InterruptCancelled,
    JsonObject,
    MessageCreated,
    MissionBlocked,
    MissionCancelled,
    MissionCompleted,
    MissionFailed,
    MissionPaused,
    MissionPreempted,
    MissionQuotaExceeded,
    MissionRecovered,
    MissionResumed,
    MissionStarted,
    MissionTimedOut,
    MissionWaiting,
    QuotaWarned,
)
from events.types import Json

log = structlog.get_logger()

DEADLINE = "deadline"
RUNTIME = "runtime"
RUNTIME_WARNING = "runtime_warning"

SOON_S = 0.001
"""Less running time than that is none: alarms ring to the microsecond."""

PARK = "park"
LOOK = "look"

TIME = "elapsed_seconds"
"""The resource that a quota's ``timeout_seconds`` limits."""

BREAKER = "breaker"
"""Why a mission is blocked all of whose calls wait for a tool to be tried again."""

CHILD = "child"
"""Why a mission is blocked that waits for a child's end, or for room that its family holds."""

BROKEN = "internal"
"""Why a mission is paused that the kernel failed to carry on."""

PARENT_ENDED = "its parent ended"
"""Why a child is cancelled that outlived its parent."""

_ENDED = {
    Outcome.FAILED: MissionFailed,
    Outcome.CANCELLED: MissionCancelled,
    Outcome.TIMED_OUT: MissionTimedOut,
    Outcome.QUOTA_EXCEEDED: MissionQuotaExceeded,
}

_RESTING_KINDS = {"sleep": "sleep", "join": CHILD}


@dataclass(slots=True, frozen=True)
class Lifecycle:
    """State changes."""

    ids: Ids
    node: str
    timers: Timers
    admission: Admission
    users: UserAccounts

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
        self._start_clock(p)

    def _start_clock(self, p: Proposal) -> None:
        process, limit = p.process, p.pcb.quota.timeout_seconds
        process.running_since = p.now
        if limit is not None:
            left = max(0.0, limit - p.pcb.usage.elapsed_seconds)
            p.then.append(lambda _: self.timers.set(Alarm(p.pcb.pid, RUNTIME, ""), p.now + left))
            if TIME not in p.pcb.warned:
                warn_at = p.now + max(0.0, left - (1 - WARN_AT) * limit)
                warning = Alarm(p.pcb.pid, RUNTIME_WARNING, "")
                p.then.append(lambda _: self.timers.set(warning, warn_at))
        p.then.append(lambda _: self.timers.cancel(Alarm(p.pcb.pid, PARK, "")))

    def _stop_clock(self, p: Proposal) -> None:
        since = p.process.running_since
        if p.pcb.state is not State.RUNNING or since is None:
            return
        elapsed = p.pcb.usage.elapsed_seconds + max(0.0, p.now - since)
        p.edit(usage=msgspec.structs.replace(p.pcb.usage, elapsed_seconds=elapsed))
        for what in (RUNTIME, RUNTIME_WARNING):
            p.then.append(partial(self._cancel_alarm, Alarm(p.pcb.pid, what, "")))

    def _cancel_alarm(self, alarm: Alarm, _: Commit) -> None:
        self.timers.cancel(alarm)

    def may_run_on(self, p: Proposal) -> bool:
        """Whether there is running time left after all, because a person added some."""
        since, limit = p.process.running_since, p.pcb.quota.timeout_seconds
        if since is None or limit is None:
            return True
        left = limit - p.pcb.usage.elapsed_seconds - max(0.0, p.now - since)
        if left < SOON_S:
            return False
        p.then.append(lambda _: self.timers.set(Alarm(p.pcb.pid, RUNTIME, ""), p.now + left))
        return True

    def warn_of_time(self, p: Proposal) -> None:
        """80 % of the running time is used; said once."""
        since, limit = p.process.running_since, p.pcb.quota.timeout_seconds
        if p.pcb.state is State.RUNNING and since is not None and limit is not None:
            used = p.pcb.usage.elapsed_seconds + p.now - since
            p.event(QuotaWarned(resource=TIME, used=round(used, 3), limit=limit))
            p.edit(warned=(*p.pcb.warned, TIME))

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
        self._stop_clock(p)
        p.move(State.BLOCKED, cause)
        p.event(MissionBlocked(cause=cause))

    def _wait(self, p: Proposal, asked: list[StepRecord]) -> None:
        if p.pcb.state is State.WAITING:
            return
        oldest = asked[0].interrupt_id
        question = None if oldest is None else p.find_interrupt(oldest)
        cause = "interrupt" if question is None else question.kind.value
        self._stop_clock(p)
        p.move(State.WAITING, cause)
        p.event(MissionWaiting(cause=cause, interrupt_id=oldest))

    def agent_missing(self, p: Proposal) -> None:
        """The agent of a recovered mission is not registered."""
        if p.pcb.state is not State.RUNNING:
            return
        self._stop_clock(p)
        p.move(State.BLOCKED, AGENT_MISSING)
        p.event(MissionBlocked(cause=AGENT_MISSING))

    def preempted(self, p: Proposal, cause: str) -> None:
        """Give the slot up at a call."""
        process = p.process
        self._stop_clock(p)
        p.move(State.READY, "preempted")
        p.event(MissionPreempted(cause=cause))
        process.resumed_by = ("slot", None, None)
        p.then.append(lambda _: self.admission.give_slot_back(process, p.now))

    def pause(self, p: Proposal, by: str, reason: str | None) -> None:
        """Hold a mission; what is in flight still records its outcome."""
        self._stop_clock(p)
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
            self._stop_clock(p)
            p.move(State.PAUSED, cause)
            p.edit(error=error)
        p.event(MissionPaused(cause=cause, error=error))

    # -- the end --------------------------------------------------------------------------

    def ended(self, p: Proposal, result: object, error: BaseException | None) -> None:
        """The program returned or raised."""
        if error is None:
            self._returned(p, result)
        elif isinstance(error, asyncio.CancelledError):
            self.cut_from_outside("the program", p)
        elif isinstance(error, QuotaExceeded):
            self.finish(p, Outcome.QUOTA_EXCEEDED, error=error_json(error.code, error.message))
        elif isinstance(error, AgentError):
            self.finish(p, Outcome.FAILED, error=error_json(error.code, error.message))
        else:
            log.warning("agent.raised", pid=p.pcb.pid, agent=p.pcb.agent, exc_info=error)
            self.finish(p, Outcome.FAILED, error=error_json("agent_failed", described(error)))

    def _returned(self, p: Proposal, result: object) -> None:
        text, value = _text_and_value(result)
        try:
            plain = as_json(value)
        except (TypeError, ValueError, RecursionError) as raised:
            message = f"What the agent returned can't be kept: {raised}"
            self.finish(p, Outcome.FAILED, error=error_json("result_invalid", message))
            return
        if text and p.pcb.parent_pid is None:
            self._say_answer(p, text)
        p.edit(result=plain, error=None)
        self.finish(p, Outcome.COMPLETED)

    def _say_answer(self, p: Proposal, text: str) -> None:
        message = MessageRecord(
            message_id=self.ids.new("msg_"),
            session_id=p.pcb.session_id,
            role="assistant",
            content=text,
            mission_id=p.pcb.pid,
            created_at=p.now,
        )
        p.writes.append(InsertMessage(message))
        p.writes.append(TouchSession(p.pcb.session_id, p.now, messages=1))
        said, size = shown(text)
        short = {} if size is None else {"content": said, "truncated": True, "size": size}
        p.event(MessageCreated(message=message_json(message) | short))

    def cut_from_outside(self, step: str, p: Proposal) -> None:
        """Something other than the tower cancelled a call, at a moment that no journal knows."""
        if p.pcb.state is State.TERMINATED:
            return
        message = (
            f"A call (step {step}) was cancelled from outside the tower. Give calls their own "
            "timeout_s instead of asyncio.timeout, wait_for or a TaskGroup."
        )
        self.finish(p, Outcome.FAILED, error=error_json("foreign_cancellation", message))

    def over_quota(self, p: Proposal) -> None:
        """A limit was met, and nobody allowed more."""
        message = "A limit of the quota was met and not extended."
        self.finish(p, Outcome.QUOTA_EXCEEDED, error=error_json("quota_exceeded", message))

    def finish(
        self,
        p: Proposal,
        outcome: Outcome,
        *,
        error: JsonObject | None = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> None:
        """End the mission: questions cancelled, then the one terminal event."""
        if p.pcb.state is State.TERMINATED:
            raise KernelBug(f"{p.pcb.pid} would end twice")
        self._stop_clock(p)
        if (held := p.held) is not None:  # nobody will learn what its calls in flight used
            self.users.count(p, held)
        self._cancel_questions(p, by)
        p.move(State.TERMINATED, reason or (error["code"] if error else None))
        p.edit(outcome=outcome, completed_at=p.now)
        if error is not None:
            p.edit(error=error)
        events = p.pcb.usage.events + p.own_events + 1
        spent = msgspec.structs.replace(p.pcb.usage, events=events)
        usage = usage_json(msgspec.structs.replace(p.pcb, usage=spent))
        duration_ms = round((p.now - (p.pcb.started_at or p.pcb.created_at)) * 1000, 3)
        if outcome is Outcome.COMPLETED:
            result, size = shown(p.pcb.result)
            p.event(
                MissionCompleted(
                    result=result,
                    usage=usage,
                    duration_ms=duration_ms,
                    truncated=None if size is None else True,
                    size=size,
                )
            )
        else:
            p.event(
                _ENDED[outcome](
                    usage=usage,
                    duration_ms=duration_ms,
                    error=error,
                    reason=reason,
                    by=by,
                    unfinished=_unfinished(p),
                )
            )
        p.then.append(lambda _: self._cancel_alarms(p))

    def _cancel_questions(self, p: Proposal, by: str | None) -> None:
        for interrupt_id in p.pcb.pending_interrupts:
            question = p.find_interrupt(interrupt_id)
            if question is None:
                continue
            p.save_interrupt(interrupts.closed(question, InterruptStatus.CANCELLED, p.now))
            p.event(InterruptCancelled(interrupt_id=interrupt_id, kind=question.kind.value, by=by))
            alarm = Alarm(p.pcb.pid, EXPIRY, interrupt_id)
            p.then.append(partial(self._cancel_alarm, alarm))

    def _cancel_alarms(self, p: Proposal) -> None:
        for what in (DEADLINE, RUNTIME, RUNTIME_WARNING, PARK, LOOK):
            self.timers.cancel(Alarm(p.pcb.pid, what, ""))
        for record in p.open_steps():
            if record.wake_at is not None:
                self.timers.cancel(Alarm(p.pcb.pid, WAKE, record.step))


def _rests_on(record: StepRecord) -> str | None:
    """Return what an open call waits for, if that is time or a child."""
    if record.status is StepStatus.APPROVED:
        return None if record.wake_at is None else BREAKER
    return _RESTING_KINDS.get(record.kind)


def _unfinished(p: Proposal) -> list[JsonObject]:
    """Return the effects in flight: they may still act."""
    return [
        {"step": record.step, "tool": record.name}
        for record in p.open_steps()
        if record.status is StepStatus.STARTED and record.kind in ("tool", "step", "llm")
    ]


def _text_and_value(result: object) -> tuple[str | None, object]:
    """Return a result's text for people and its JSON value (``agents.Result`` has both)."""
    if isinstance(result, str):
        return result, result
    text = getattr(result, "text", None)
    if isinstance(text, str):
        data: Json = getattr(result, "data", None)
        return text, text if data is None else {"text": text, "data": data}
    return None, result
