"""What the tower does for each kind of call: the table of system calls.

A call goes through here twice at most: when the program makes it (:meth:`Syscalls.made`) and
when its effect ends (:meth:`Syscalls.effect_ended`). All of it edits a proposal; effects
themselves are started by the kernel once their intent is committed.
"""

from dataclasses import dataclass
from typing import Protocol, assert_never
from urllib.parse import quote

import msgspec

from control_tower.errors import AgentError, BreakerOpen, ToolFailed, ToolTimeout, agent_error
from control_tower.execution.calls import (
    Artifact,
    Call,
    Clarify,
    Confirm,
    Emit,
    FunctionCall,
    History,
    Join,
    Kind,
    Rejected,
    Sleep,
    Spawn,
)
from control_tower.execution.journal import FINAL
from control_tower.execution.outcomes import (
    complete,
    error_json,
    fail,
    new_record,
    say_retry,
    say_started,
)
from control_tower.ports import ModelRequest, ToolPlan, Tools
from control_tower.process import Process, Proposal
from control_tower.questions import Questions
from control_tower.quota.accounts import NOTHING
from control_tower.quota.quotas import ResourceUsage
from control_tower.records import FileRecord, StepRecord, StepStatus
from control_tower.timers import Alarm, Due, Timers
from control_tower.unit import Commit, InsertToolCall, SaveArtifact, Write
from events.payloads import ArtifactCreated
from events.types import Json, draft_fields

RETRY_DELAYS_S = (0.2, 1.0, 5.0)
"""Pauses before the second, third and each further attempt of an idempotent tool or a model."""


EFFECTS = (ToolPlan, ModelRequest, FunctionCall, History)
"""Requests whose call is made in a task of its own, after it has reserved what it may use."""


@dataclass(slots=True, frozen=True)
class EffectEnd:
    """How an attempt of an effect ended: ``error`` None is success.

    ``unknown`` says that it was cut and may still act.
    """

    output: Json = None
    usage: ResourceUsage = NOTHING
    error: AgentError | None = None
    unknown: bool = False
    writes: tuple[Write, ...] = ()
    latency_ms: float = 0.0


class Effects(Protocol):
    """The kernel's part: effects and children."""

    def start_effect(
        self, process: Process, call: Call, record: StepRecord, delay_s: float
    ) -> None:
        """Make an attempt in a task of its own."""

    def spawn_child(self, p: Proposal, call: Call, request: Spawn) -> None:
        """Create a child mission as part of the proposal and complete the call."""

    def look_at_child(self, pid: str, child_pid: str) -> None:
        """See to it that a join learns of its child's end, past or future."""

    def may_draw(self, p: Proposal, call: Call) -> ResourceUsage | None:
        """Reserve what the call will use; None when it can't be made now (it was seen to)."""

    def may_speak(self, p: Proposal, call: Call) -> bool:
        """Whether the quota has room for the events of a call that reserves nothing else."""

    def settle(self, p: Proposal, reserved: ResourceUsage, used: ResourceUsage) -> None:
        """Charge what was used and free what was reserved."""

    def settle_cut(self, p: Proposal, reserved: ResourceUsage) -> None:
        """Charge an attempt in full of which nobody will learn the outcome."""


@dataclass(slots=True, frozen=True)
class Syscalls:
    """The system calls."""

    tools: Tools
    questions: Questions
    timers: Timers
    effects: Effects

    def made(self, p: Proposal, call: Call) -> None:
        """The program made ``call``: begin it, or go on from its record."""
        record = p.find_step(call.step)
        if record is None:
            self._begin(p, call)
        elif isinstance(call.request, Rejected) and record.status is not StepStatus.ASKED:
            self._can_not_go_on(p, call, record, call.request)
        elif record.status is StepStatus.APPROVED and isinstance(call.request, EFFECTS):
            self._attempt(p, call, record)
        elif record.status is StepStatus.APPROVED:
            self._begin(p, call)
        elif record.status is StepStatus.STARTED:
            self._go_on(p, call, record)
        elif record.interrupt_id is not None:
            self.questions.wait_again(p, record.interrupt_id)

    def _begin(self, p: Proposal, call: Call) -> None:  # noqa: C901  # the table of calls
        if not isinstance(call.request, EFFECTS) and not self.effects.may_speak(p, call):
            return
        match call.request:
            case Rejected(code=code, message=message):
                fail(p, new_record(p, call, StepStatus.STARTED), agent_error(code, message))
            case ToolPlan() as plan if plan.confirm:
                self.questions.approve_tool(p, call, plan)
            case ToolPlan() | ModelRequest() | FunctionCall() | History():
                self._attempt(p, call, new_record(p, call, StepStatus.STARTED))
            case Sleep() as request:
                self._sleep(p, call, request)
            case Confirm() as request:
                self.questions.confirm(p, call, request)
            case Clarify() as request:
                self.questions.clarify(p, call, request)
            case Spawn() as request:
                self.effects.spawn_child(p, call, request)
            case Join() as request:
                self._join(p, call, request)
            case Emit() as request:
                self._emit(p, call, request)
            case Artifact() as request:
                self._artifact(p, call, request)
            case never:
                assert_never(never)

    def _go_on(self, p: Proposal, call: Call, record: StepRecord) -> None:
        """A call whose intent is recorded, made by a program that is run again."""
        if record.kind == Kind.SLEEP and record.wake_at is not None:
            self._wake_at(p, record.step, record.wake_at)
            return
        if isinstance(call.request, Join):
            self._look(p, call.request.child_pid)
            return
        if call.step in p.process.begun:
            return
        if record.reserved is not None:
            self.effects.settle_cut(p, record.reserved)
        if call.repeatable:
            self._attempt(p, call, _next_attempt(p, record))
        else:
            cut = msgspec.structs.replace(record, reserved=None)
            self.questions.doubt(p, cut, "cut by a restart")

    def _can_not_go_on(self, p: Proposal, call: Call, record: StepRecord, why: Rejected) -> None:
        """A call that was begun, and can't be made any more: its tool has gone meanwhile."""
        started = record.status is StepStatus.STARTED
        if started and call.step in p.process.begun:
            return
        if record.reserved is not None:
            self.effects.settle_cut(p, record.reserved)
            record = msgspec.structs.replace(record, reserved=None)
        if started and not record.idempotent:
            self.questions.doubt(p, record, "cut by a restart")
        else:
            fail(
                p, msgspec.structs.replace(record, wake_at=None), agent_error(why.code, why.message)
            )

    def _attempt(self, p: Proposal, call: Call, record: StepRecord, delay_s: float = 0.0) -> None:
        """Commit the intent of an attempt; the effect starts behind it.

        What may be made again starts at once, which is harmless if the intent is refused.
        """
        if self._held_by_breaker(p, call, record):
            return
        reserved = self.effects.may_draw(p, call)
        if reserved is None:
            return
        at_once = call.repeatable and _rests_on_what_is_committed(p, call)
        record = msgspec.structs.replace(
            record, status=StepStatus.STARTED, reserved=reserved, started_at=p.now
        )
        p.save_step(record)
        if call.kind is not Kind.HISTORY:
            say_started(p, record)
        process = p.process
        process.begun.add(call.step)
        if at_once:
            self.effects.start_effect(process, call, record, delay_s)
        else:
            p.then.append(lambda _: self.effects.start_effect(process, call, record, delay_s))

    def _held_by_breaker(self, p: Proposal, call: Call, record: StepRecord) -> bool:
        """Let a call wait while its tool's breaker is open; nothing has been begun."""
        plan = call.request
        if not isinstance(plan, ToolPlan) or plan.on_open != "wait":
            return False
        until = self.tools.blocked_until(plan.name, p.now)
        if until is None or until <= p.now:
            return False
        self._wait_for_breaker(p, record, until)
        return True

    def _wait_for_breaker(self, p: Proposal, record: StepRecord, until: float) -> None:
        held = msgspec.structs.replace(
            record, status=StepStatus.APPROVED, wake_at=until, reserved=None
        )
        p.save_step(held)
        p.edit(current_step=record.step)
        alarm = Alarm(p.pcb.pid, Due.WAKE, record.step)

        def wait(_: Commit) -> None:
            now = self.timers.clock.now()
            # It may have closed while this was being committed.
            self.timers.set(alarm, self.tools.blocked_until(record.name, now) or now)

        p.then.append(wait)

    @staticmethod
    def held_by_breaker(process: Process, tool: str) -> list[str]:
        """Return the steps at which a mission waits for the breaker of ``tool``."""
        return [
            record.step
            for record in (process.journal.open.values() if process.journal else ())
            if record.status is StepStatus.APPROVED
            and record.wake_at is not None
            and record.name == tool
        ]

    def effect_ended(self, p: Proposal, call: Call, end: EffectEnd) -> None:
        """An attempt ended: record its outcome, make the next attempt, or ask."""
        record = p.find_step(call.step)
        if record is None or record.status in FINAL:
            return
        if call.kind is Kind.HISTORY:
            say_started(p, record)
        turned_away = _breaker_was_open(call, end)
        used = NOTHING if turned_away else end.usage
        self.effects.settle(p, record.reserved or ResourceUsage(), used)
        record = msgspec.structs.replace(record, reserved=None)
        if turned_away:
            say_retry(p, record, end.error or AgentError("breaker open"))
            until = self.tools.blocked_until(call.name, p.now) or p.now + RETRY_DELAYS_S[0]
            self._wait_for_breaker(p, record, until)
            return
        p.writes += end.writes
        if call.kind is Kind.TOOL:
            p.writes.append(_tool_call(p, record, end))
        if end.unknown and not call.repeatable:
            self.questions.doubt(p, record, "cut by its time-out")
        elif end.error is None:
            shown = None if call.kind is Kind.TOOL or end.usage == NOTHING else end.usage
            complete(p, record, end.output, usage=shown)
        elif self._may_retry(call, record, end.error):
            self._retry(p, call, record, end.error)
        else:
            fail(p, record, end.error)

    @staticmethod
    def _may_retry(call: Call, record: StepRecord, error: AgentError) -> bool:
        match call.request:
            case ToolPlan(idempotent=True, retries=retries) | ModelRequest(retries=retries):
                return record.attempt <= retries and error.transient
            case _:
                return False

    def _retry(self, p: Proposal, call: Call, record: StepRecord, error: AgentError) -> None:
        say_retry(p, record, error)
        delay_s = error.retry_after_s
        if delay_s is None:
            delay_s = RETRY_DELAYS_S[min(record.attempt, len(RETRY_DELAYS_S)) - 1]
        self._attempt(p, call, _next_attempt(p, record), delay_s)

    def _sleep(self, p: Proposal, call: Call, request: Sleep) -> None:
        wake_at = p.now + max(0.0, request.seconds)
        record = new_record(p, call, StepStatus.STARTED, wake_at=wake_at)
        p.save_step(record)
        say_started(p, record)
        self._wake_at(p, call.step, wake_at)

    def _wake_at(self, p: Proposal, step: str, wake_at: float) -> None:
        alarm = Alarm(p.pcb.pid, Due.WAKE, step)
        p.then.append(lambda _: self.timers.set(alarm, wake_at))

    def woke(self, p: Proposal, step: str) -> None:
        """A sleep is over, or a breaker lets a trial through."""
        record = p.find_step(step)
        if record is None or record.wake_at is None:
            return
        if record.status is StepStatus.STARTED and record.kind == Kind.SLEEP:
            complete(p, record, None)
        elif record.status is StepStatus.APPROVED:
            p.save_step(msgspec.structs.replace(record, wake_at=None))

    def _join(self, p: Proposal, call: Call, request: Join) -> None:
        record = new_record(p, call, StepStatus.STARTED, child_pid=request.child_pid)
        p.save_step(record)
        say_started(p, record)
        self._look(p, request.child_pid)

    def _look(self, p: Proposal, child_pid: str) -> None:
        pid = p.pcb.pid
        p.then.append(lambda _: self.effects.look_at_child(pid, child_pid))

    def _emit(self, p: Proposal, call: Call, request: Emit) -> None:
        fields = {**request.fields, "name": request.name}
        event = p.add(draft_fields("mission.progress", fields, p.process.scope, p.now))
        complete(p, new_record(p, call, StepStatus.STARTED), None, event=event)

    def _artifact(self, p: Proposal, call: Call, request: Artifact) -> None:
        size = len(request.content)
        file = FileRecord(
            session_id=p.pcb.session_id,
            name=request.name,
            media_type=request.media_type,
            size=size,
            content=request.content,
            updated_at=p.now,
        )
        p.writes.append(SaveArtifact(p.pcb.pid, file))
        event = p.event(
            ArtifactCreated(
                name=request.name,
                media_type=request.media_type,
                size=size,
                url=f"/api/v1/missions/{p.pcb.pid}/artifacts/{quote(request.name, safe='')}",
            )
        )
        complete(p, new_record(p, call, StepStatus.STARTED), None, event=event)


def _rests_on_what_is_committed(p: Proposal, call: Call) -> bool:
    """Whether a call would be the same, and allowed, if what is proposed beside it were lost.

    Its arguments may hold a time or an id that no journal has yet; and an approval of it, or the
    failure behind which it is tried again, may be part of the same unit.
    """
    run = p.process.run
    return call.step not in p.steps and not (run is not None and run.instants)


def _breaker_was_open(call: Call, end: EffectEnd) -> bool:
    """Whether an attempt was turned away by a breaker that opened meanwhile."""
    waits = isinstance(call.request, ToolPlan) and call.request.on_open == "wait"
    return waits and isinstance(end.error, BreakerOpen)


def _next_attempt(p: Proposal, record: StepRecord) -> StepRecord:
    """Note that an attempt is to follow, which may have to wait for room or for a person."""
    again = msgspec.structs.replace(
        record, status=StepStatus.APPROVED, attempt=record.attempt + 1, reserved=None
    )
    p.save_step(again)
    return again


def _tool_call(p: Proposal, record: StepRecord, end: EffectEnd) -> InsertToolCall:
    status = "success"
    if end.unknown:
        status = "unknown"
    elif isinstance(end.error, ToolTimeout):
        status = "timeout"
    elif isinstance(end.error, ToolFailed) and not end.error.transient:
        status = "rejected"  # the tool is well; what it was asked for cannot be done
    elif end.error is not None:
        status = "error"
    error = None if end.error is None else error_json(end.error.code, end.error.message)["message"]
    return InsertToolCall(record.name, p.pcb.pid, record.step, status, end.latency_ms, p.now, error)
