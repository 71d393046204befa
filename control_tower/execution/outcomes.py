"""How a call's outcome becomes a record and the event that says so.

Every final record is written together with exactly one event, whose offset orders it.
"""

import traceback

import msgspec
import structlog

from control_tower.errors import AgentError, ModelFailed, StepFailed, ToolFailed
from control_tower.execution.calls import SAID_LIMIT_BYTES, Call, Kind
from control_tower.execution.canonical import canonical_json
from control_tower.process import Proposal
from control_tower.quota.quotas import ResourceUsage
from control_tower.records import StepRecord, StepStatus
from events.payloads import JsonObject, StepCompleted, StepStarted
from events.payloads import StepFailed as StepFailedEvent
from events.types import Json

OUTPUT_LIMIT_BYTES = 9 * 1024 * 1024
"""The most that is kept of what a call or a program returned, as JSON: the 8 MiB of a tool, and
what adapters put around it. It is turned into JSON and back on the event loop."""

PREVIEW_CHARACTERS = 4096
"""What of a longer output an event shows (tower.md: 4 KiB)."""

MESSAGE_CHARACTERS = 4096
"""The most of an error's message that is kept."""

log = structlog.get_logger()


def shown(value: Json) -> tuple[Json, int | None]:
    """Return what an event shows of ``value``, and its whole size in bytes if that is less."""
    size = len(canonical_json(value))
    if size <= SAID_LIMIT_BYTES:
        return value, None
    text = value if isinstance(value, str) else canonical_json(value).decode()
    return text[:PREVIEW_CHARACTERS], size


def as_json(value: object) -> Json:
    """Return ``value``, which a call or a program returned, as plain JSON values.

    Raises:
        TypeError: if it is none.
        ValueError: if it is too long to be kept.
    """
    text = canonical_json(value)
    if len(text) > OUTPUT_LIMIT_BYTES:
        raise ValueError(f"{len(text)} bytes of JSON, and {OUTPUT_LIMIT_BYTES} are the most")
    plain: Json = msgspec.json.decode(text)
    return plain


def agent_error_of(raised: BaseException, kind: Kind) -> AgentError:
    """Return what the program gets for an exception of an effect.

    The traceback goes to the log; the program and clients get class and message.
    """
    if isinstance(raised, AgentError):
        return raised
    log.warning("effect.raised", kind=kind, error="".join(traceback.format_exception(raised)))
    text = described(raised)
    match kind:
        case Kind.STEP:
            return StepFailed(text)
        case Kind.LLM:
            return ModelFailed(text)
        case _:
            return ToolFailed(text)


def described(raised: BaseException) -> str:
    """Return class and message of whatever user land raised."""
    try:
        text = str(raised)
    except Exception:  # noqa: BLE001  # its own __str__ is broken; the class is all that can be told
        text = ""
    return type(raised).__name__ + (f": {text}" if text else "")


def error_json(code: str, message: object) -> JsonObject:
    """Return an error as the journal and events have it: whole characters, not too many."""
    said = str(message)[:MESSAGE_CHARACTERS]
    return {"code": code, "message": said.encode("utf-8", "replace").decode()}


def new_record(p: Proposal, call: Call, status: StepStatus, **fields: object) -> StepRecord:
    """Return the first record of a call."""
    record = StepRecord(
        pid=p.pcb.pid,
        step=call.step,
        kind=call.kind,
        name=call.name,
        call_sha256=call.sha256,
        arguments=call.arguments,
        status=status,
        idempotent=call.repeatable,
        started_at=p.now,
    )
    return msgspec.structs.replace(record, **fields)


def say_started(p: Proposal, record: StepRecord) -> None:
    """Add the event of an attempt's intent."""
    arguments, size = shown(record.arguments)
    p.event(
        StepStarted(
            step=record.step,
            kind=record.kind,
            name=record.name,
            input=arguments,
            attempt=record.attempt,
            interrupt_id=record.interrupt_id,
            truncated=None if size is None else True,
            size=size,
        )
    )
    p.edit(current_step=record.step)


def complete(
    p: Proposal,
    record: StepRecord,
    output: Json,
    usage: ResourceUsage | None = None,
    event: int | None = None,
) -> None:
    """End a call with ``output``. ``event``: one that says it already, else step.completed."""
    done = msgspec.structs.replace(
        record, status=StepStatus.COMPLETED, output=output, usage=usage, ended_at=p.now
    )
    if event is None:
        visible, size = shown(output)
        event = p.event(
            StepCompleted(
                step=record.step,
                kind=record.kind,
                name=record.name,
                output=visible,
                duration_ms=_duration_ms(record, p.now),
                usage=None if usage is None else msgspec.to_builtins(usage),
                truncated=None if size is None else True,
                size=size,
            )
        )
    p.save_step(done, event)
    p.edit(current_step=record.step)


def fail(p: Proposal, record: StepRecord, error: AgentError) -> None:
    """End a call with ``error``, which the program will be raised."""
    failed = msgspec.structs.replace(
        record,
        status=StepStatus.FAILED,
        error=error_json(error.code, error.message),
        ended_at=p.now,
    )
    event = p.event(_failed_event(record, error, will_retry=False))
    p.save_step(failed, event)
    p.edit(current_step=record.step)


def say_retry(p: Proposal, record: StepRecord, error: AgentError) -> None:
    """Add the event of an attempt that failed and will be made again."""
    p.event(_failed_event(record, error, will_retry=True))


def _failed_event(record: StepRecord, error: AgentError, *, will_retry: bool) -> StepFailedEvent:
    return StepFailedEvent(
        step=record.step,
        kind=record.kind,
        name=record.name,
        error=error_json(error.code, error.message),
        will_retry=will_retry,
    )


def _duration_ms(record: StepRecord, now: float) -> float:
    return round((now - record.started_at) * 1000, 3)
