"""Questions to people: how they are put, and which answers count.

A confirmation is bound to one call with exactly its arguments (a SHA-256 of pid, step, tool and
the canonical arguments). An answer counts once: the same answer again gets the same reply, a
different one is a conflict, a late one has expired.
"""

import msgspec

from control_tower.commands import (
    Answer,
    ClarificationAnswer,
    ConfirmationAnswer,
    DecisionAnswer,
)
from control_tower.errors import Conflict, Expired, InvalidParams
from control_tower.execution.canonical import sha256_hex
from control_tower.records import InterruptKind, InterruptRecord, InterruptStatus
from events.payloads import InterruptRaised, JsonObject
from events.times import rfc3339_or_none

_DECISIONS = {
    InterruptKind.RESOURCE_EXHAUSTED: frozenset({"extend", "finish", "cancel"}),
    InterruptKind.UNKNOWN_OUTCOME: frozenset({"it_happened", "retry", "fail"}),
}


def binding_sha256(pid: str, step: str, tool: str, arguments: JsonObject) -> str:
    """Return what a confirmation is bound to."""
    return sha256_hex(pid, step, tool, arguments)


def raised(record: InterruptRecord) -> InterruptRaised:
    """Return the event that puts ``record`` to people."""
    return InterruptRaised(
        interrupt_id=record.interrupt_id,
        kind=record.kind.value,
        message=record.message,
        step=record.step,
        expires_at=rfc3339_or_none(record.expires_at),
        tool=record.tool,
        arguments=record.arguments,
        risk=record.risk,
        options=None if record.options is None else list(record.options),
        resource=record.resource,
        used=record.used,
        limit=record.limit,
    )


def answer_json(answer: Answer) -> JsonObject:
    """Return an answer as it is stored and compared; absent fields are left out."""
    shown: JsonObject = msgspec.to_builtins(answer)
    return {name: value for name, value in shown.items() if value is not None}


def is_repeat(record: InterruptRecord, answer: Answer) -> bool:
    """Say whether ``answer`` was given already; False means that it may be given now.

    Raises:
        InvalidParams: if it is not an answer to this kind of question.
        Conflict: if there is another answer, or the mission ended.
        Expired: if the time to answer is over.
    """
    _require_fitting(record, answer)
    if record.status is InterruptStatus.PENDING:
        return False
    if record.status is InterruptStatus.EXPIRED:
        raise Expired("The time to answer is over.")
    if record.status is InterruptStatus.CANCELLED:
        raise Conflict("The mission ended before this was answered.")
    if record.answer != answer_json(answer):
        raise Conflict("This was answered differently before.")
    return True


def _require_fitting(record: InterruptRecord, answer: Answer) -> None:
    match answer:
        case ConfirmationAnswer():
            if record.kind is not InterruptKind.CONFIRMATION:
                raise InvalidParams("This question is not answered by approved.", field="approved")
        case ClarificationAnswer(answer=words):
            _require_words(record, words)
        case DecisionAnswer(decision=decision):
            allowed = _DECISIONS.get(record.kind, frozenset())
            if decision not in allowed:
                options = ", ".join(sorted(allowed)) or "no decision"
                raise InvalidParams(f"This question takes {options}.", field="decision")


def _require_words(record: InterruptRecord, words: str) -> None:
    if record.kind is not InterruptKind.CLARIFICATION:
        raise InvalidParams("This question is not answered with words.", field="answer")
    if record.strict and record.options is not None and words not in record.options:
        options = ", ".join(record.options)
        raise InvalidParams(f"The answer must be one of: {options}.", field="answer")


def resolved(record: InterruptRecord, answer: Answer, by: str, now: float) -> InterruptRecord:
    """Return the question with its answer."""
    return msgspec.structs.replace(
        record,
        status=InterruptStatus.RESOLVED,
        answered_by=by,
        answered_at=now,
        answer=answer_json(answer),
    )


def closed(record: InterruptRecord, status: InterruptStatus, now: float) -> InterruptRecord:
    """Return the question, expired or cancelled."""
    return msgspec.structs.replace(record, status=status, answered_at=now)
