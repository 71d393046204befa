"""Questions raised by a call, and what an answer or its absence does to that call."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from control_tower import interrupts
from control_tower.commands import (
    Answer,
    ClarificationAnswer,
    ConfirmationAnswer,
    DecisionAnswer,
)
from control_tower.errors import (
    ClarificationExpired,
    InvalidParams,
    KernelBug,
    QuotaExceeded,
    StepFailed,
    ToolFailed,
    ToolInvalid,
    ToolRefused,
)
from control_tower.execution.calls import Call, Clarify, Confirm
from control_tower.execution.outcomes import complete, fail, new_record, say_started
from control_tower.limits import TowerLimits
from control_tower.ports import Ids, ToolPlan, Tools
from control_tower.process import Proposal
from control_tower.records import (
    InterruptKind,
    InterruptRecord,
    InterruptStatus,
    StepRecord,
    StepStatus,
)
from control_tower.timers import Alarm, Due, Timers
from control_tower.unit import InsertToolCall
from events.payloads import InterruptExpired, InterruptResolved, JsonObject


@dataclass(slots=True, frozen=True)
class Questions:
    """Puts questions and applies their answers. All of it edits a proposal."""

    ids: Ids
    limits: TowerLimits
    timers: Timers
    tools: Tools

    def approve_tool(self, p: Proposal, call: Call, plan: ToolPlan) -> None:
        """Ask before a risky tool is called; the call has not begun."""
        record = new_record(p, call, StepStatus.ASKED)
        self._raise(
            p,
            record,
            self._question(
                p,
                InterruptKind.CONFIRMATION,
                record,
                plan.message or f"Run {plan.name}?",
                tool=plan.name,
                arguments=plan.arguments,
                risk=plan.risk,
            ),
        )

    def confirm(self, p: Proposal, call: Call, request: Confirm) -> None:
        """Ask yes or no for the program."""
        record = new_record(p, call, StepStatus.ASKED)
        question = self._question(
            p, InterruptKind.CONFIRMATION, record, request.message, arguments=request.details
        )
        self._raise(p, record, question, started=True)

    def clarify(self, p: Proposal, call: Call, request: Clarify) -> None:
        """Ask for words for the program."""
        record = new_record(p, call, StepStatus.ASKED)
        question = self._question(
            p,
            InterruptKind.CLARIFICATION,
            record,
            request.question,
            options=request.options,
            strict=request.strict,
        )
        self._raise(p, record, question, started=True)

    def doubt(self, p: Proposal, record: StepRecord, cause: str) -> None:
        """Ask what became of an effect that may or may not have happened.

        ``cause`` completes the sentence "… was …", as in ``cut by a restart``.
        """
        question = self._question(
            p,
            InterruptKind.UNKNOWN_OUTCOME,
            record,
            f"{record.name} was {cause} and may or may not have taken effect. What is so?",
            tool=record.name if record.kind == "tool" else None,
            arguments=_arguments(record),
            options=("it_happened", "retry", "fail"),
        )
        self._raise(p, record, question)

    def exhausted(self, p: Proposal, call: Call, resource: str, used: float, limit: float) -> None:
        """Ask whether a mission at a limit of its quota may go on."""
        record = p.find_step(call.step) or new_record(p, call, StepStatus.ASKED)
        question = self._question(
            p,
            InterruptKind.RESOURCE_EXHAUSTED,
            record,
            f"The mission has used {used:g} of {limit:g} {resource} and needs more to go on.",
            options=("extend", "finish", "cancel"),
        )
        question = msgspec.structs.replace(question, resource=resource, used=used, limit=limit)
        self._raise(p, record, question)

    def _question(
        self,
        p: Proposal,
        kind: InterruptKind,
        record: StepRecord,
        message: str,
        **fields: object,
    ) -> InterruptRecord:
        arguments = fields.get("arguments")
        question = InterruptRecord(
            interrupt_id=self.ids.new("i_"),
            kind=kind,
            mission_id=p.pcb.pid,
            session_id=p.pcb.session_id,
            user_id=p.pcb.user_id,
            step=record.step,
            message=message,
            created_at=p.now,
            expires_at=self._expires_at(kind, p.now),
        )
        if kind is InterruptKind.CONFIRMATION and isinstance(arguments, dict):
            tool = str(fields.get("tool", "confirm"))
            fields["arguments_sha256"] = interrupts.binding_sha256(
                p.pcb.pid, record.step, tool, arguments
            )
        return msgspec.structs.replace(question, **fields)

    def _expires_at(self, kind: InterruptKind, now: float) -> float | None:
        match kind:
            case InterruptKind.CONFIRMATION:
                return now + self.limits.confirmation_ttl_s
            case InterruptKind.CLARIFICATION:
                return now + self.limits.clarification_ttl_s
            case InterruptKind.RESOURCE_EXHAUSTED:
                return now + self.limits.resource_exhausted_ttl_s
            case InterruptKind.UNKNOWN_OUTCOME:
                return None

    def _raise(
        self,
        p: Proposal,
        record: StepRecord,
        question: InterruptRecord,
        *,
        started: bool = False,
    ) -> None:
        record = msgspec.structs.replace(
            record, status=StepStatus.ASKED, interrupt_id=question.interrupt_id
        )
        p.save_step(record)
        p.save_interrupt(question)
        if started:
            say_started(p, record)
        p.edit(current_step=record.step)
        p.event(interrupts.raised(question))
        self._set_alarm(p, question)

    def wait_again(self, p: Proposal, interrupt_id: str) -> None:
        """A program that is run again has come to its question: it may still expire."""
        question = p.find_interrupt(interrupt_id)
        if question is not None and question.status is InterruptStatus.PENDING:
            self._set_alarm(p, question)

    def _set_alarm(self, p: Proposal, question: InterruptRecord) -> None:
        if question.expires_at is not None:
            alarm, when = Alarm(p.pcb.pid, Due.EXPIRY, question.interrupt_id), question.expires_at
            p.then.append(lambda _: self.timers.set(alarm, when))

    def answer(
        self,
        p: Proposal,
        question: InterruptRecord,
        answer: Answer,
        by: str,
        give_up: Callable[[Proposal], None],
    ) -> InterruptRecord:
        """Apply an answer that counts; return the question with it.

        ``give_up`` ends the mission when a person decides so at a limit.

        Raises:
            InvalidParams: if edited arguments do not fit the tool; the question stays pending.
        """
        edited = self._edited(question, answer)
        resolved = interrupts.resolved(question, answer, by, p.now)
        p.save_interrupt(resolved)
        said = dict(resolved.answer or {})
        said.pop("quota", None)
        said.pop("result", None)
        p.event(
            InterruptResolved(
                interrupt_id=question.interrupt_id, kind=question.kind.value, by=by, **said
            )
        )
        self._cancel_alarm(p, question)
        record = p.find_step(question.step)
        if record is None:
            raise KernelBug(f"interrupt {question.interrupt_id} has no step")
        self._apply(p, question, record, answer, edited, give_up)
        return resolved

    def _edited(self, question: InterruptRecord, answer: Answer) -> JsonObject | None:
        """Return the arguments that a person put in place of those asked for, validated."""
        if not isinstance(answer, ConfirmationAnswer) or answer.arguments is None:
            return None
        if question.tool is None:
            return answer.arguments
        if answer.arguments == question.arguments:
            return None
        try:
            shown = question.arguments or {}
            return self.tools.edit(question.tool, shown, answer.arguments).arguments
        except ToolInvalid as error:
            raise InvalidParams(error.message, field="arguments") from error

    def _apply(  # noqa: PLR0917  # one answer with all that it decides
        self,
        p: Proposal,
        question: InterruptRecord,
        record: StepRecord,
        answer: Answer,
        edited: JsonObject | None,
        give_up: Callable[[Proposal], None],
    ) -> None:
        match answer:
            case ConfirmationAnswer() if question.tool is None:
                complete(p, record, _decision(question, answer, edited))
            case ConfirmationAnswer(approved=True):
                arguments = record.arguments if edited is None else edited
                p.save_step(
                    msgspec.structs.replace(record, status=StepStatus.APPROVED, arguments=arguments)
                )
            case ConfirmationAnswer(message=message):
                said = f"{question.tool} was refused" + (f": {message}" if message else ".")
                self._refuse(p, record, said)
            case ClarificationAnswer(answer=words):
                complete(p, record, words)
            case DecisionAnswer():
                self._decide(p, record, answer, give_up)

    def _decide(
        self,
        p: Proposal,
        record: StepRecord,
        answer: DecisionAnswer,
        give_up: Callable[[Proposal], None],
    ) -> None:
        match answer.decision:
            case "it_happened":
                complete(p, record, answer.result)  # type: ignore[arg-type]  # decoded JSON
            case "retry":
                again = msgspec.structs.replace(
                    record, status=StepStatus.APPROVED, attempt=record.attempt + 1
                )
                p.save_step(again)
            case "extend":
                p.save_step(msgspec.structs.replace(record, status=StepStatus.APPROVED))
            case "fail":
                text = f"{record.name} was cut, and a person said that it failed."
                fail(p, record, ToolFailed(text) if record.kind == "tool" else StepFailed(text))
            case "finish":
                text = "A limit of the quota was met; return what there is."
                fail(p, record, QuotaExceeded(text))
            case "cancel":
                give_up(p)

    def expire(
        self, p: Proposal, question: InterruptRecord, give_up: Callable[[Proposal], None]
    ) -> None:
        """Close a question that nobody answered: never a yes. ``give_up``: see :meth:`answer`."""
        p.save_interrupt(interrupts.closed(question, InterruptStatus.EXPIRED, p.now))
        p.event(
            InterruptExpired(interrupt_id=question.interrupt_id, kind=question.kind.value, by=None)
        )
        record = p.find_step(question.step)
        if record is None:
            raise KernelBug(f"interrupt {question.interrupt_id} has no step")
        match question.kind:
            case InterruptKind.CLARIFICATION:
                fail(p, record, ClarificationExpired("Nobody answered in time."))
            case InterruptKind.CONFIRMATION if question.tool is None:
                complete(
                    p,
                    record,
                    {
                        "approved": False,
                        "message": "Nobody answered in time.",
                        "arguments": question.arguments or {},
                    },
                )
            case InterruptKind.CONFIRMATION:
                self._refuse(p, record, f"Nobody approved {question.tool} in time.")
            case InterruptKind.RESOURCE_EXHAUSTED:
                give_up(p)
            case InterruptKind.UNKNOWN_OUTCOME:
                raise KernelBug("the question of an unknown outcome never expires")

    def _refuse(self, p: Proposal, record: StepRecord, why: str) -> None:
        """End a call that was not approved, and let it be counted among the tool's."""
        fail(p, record, ToolRefused(why))
        p.writes.append(
            InsertToolCall(record.name, record.pid, record.step, "rejected", 0.0, p.now, why)
        )
        p.then.append(lambda _: self.tools.refused(record.name, why))

    def _cancel_alarm(self, p: Proposal, question: InterruptRecord) -> None:
        p.then.append(self.timers.cancelling(Alarm(p.pcb.pid, Due.EXPIRY, question.interrupt_id)))


def _arguments(record: StepRecord) -> JsonObject:
    if isinstance(record.arguments, dict):
        return record.arguments
    return {"arguments": record.arguments}


def _decision(
    question: InterruptRecord, answer: ConfirmationAnswer, edited: JsonObject | None
) -> JsonObject:
    return {
        "approved": answer.approved,
        "message": answer.message,
        "arguments": (question.arguments or {}) if edited is None else edited,
    }
