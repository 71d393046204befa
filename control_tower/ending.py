"""The end of a mission: one terminal event, with everything that it releases beside it.

A mission ends by :meth:`Ending.finish` and nothing else.
"""

import asyncio
from dataclasses import dataclass

import msgspec
import structlog

from control_tower import interrupts
from control_tower.errors import AgentError, KernelBug, QuotaExceeded
from control_tower.execution.outcomes import as_json, described, error_json, shown
from control_tower.ports import Ids
from control_tower.process import Proposal
from control_tower.public import message_json, usage_json
from control_tower.quota.user_accounts import UserAccounts
from control_tower.records import InterruptStatus, MessageRecord, StepStatus
from control_tower.running_time import RunningTime
from control_tower.states import Outcome, State
from control_tower.timers import Alarm, Due, Timers
from control_tower.unit import InsertMessage, TouchSession
from events.payloads import (
    InterruptCancelled,
    JsonObject,
    MessageCreated,
    MissionCancelled,
    MissionCompleted,
    MissionFailed,
    MissionQuotaExceeded,
    MissionTimedOut,
)
from events.types import Json

log = structlog.get_logger()

PARENT_ENDED = "its parent ended"
"""Why a child is cancelled that outlived its parent."""

_ENDED = {
    Outcome.FAILED: MissionFailed,
    Outcome.CANCELLED: MissionCancelled,
    Outcome.TIMED_OUT: MissionTimedOut,
    Outcome.QUOTA_EXCEEDED: MissionQuotaExceeded,
}


@dataclass(slots=True, frozen=True)
class Ending:
    """Ends missions."""

    ids: Ids
    timers: Timers
    users: UserAccounts
    running_time: RunningTime

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
        self.running_time.stop(p)
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
            p.then.append(self.timers.cancelling(Alarm(p.pcb.pid, Due.EXPIRY, interrupt_id)))

    def _cancel_alarms(self, p: Proposal) -> None:
        for what in (Due.DEADLINE, Due.RUNTIME, Due.RUNTIME_WARNING, Due.PARK, Due.LOOK):
            self.timers.cancel(Alarm(p.pcb.pid, what, ""))
        for record in p.open_steps():
            if record.wake_at is not None:
                self.timers.cancel(Alarm(p.pcb.pid, Due.WAKE, record.step))


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
