"""Missions, interrupts, sessions and messages as the outside sees them, by WS and REST alike."""

from typing import Any

import msgspec

from control_tower.records import (
    InterruptRecord,
    MessageHit,
    MessageRecord,
    ProcessControlBlock,
    SessionRecord,
)
from control_tower.states import status_of
from events.payloads import JsonObject
from events.times import rfc3339, rfc3339_or_none


def quota_json(pcb: ProcessControlBlock) -> JsonObject:
    """Return the quota as a JSON object."""
    shown: JsonObject = msgspec.to_builtins(pcb.quota)
    return shown


def usage_json(pcb: ProcessControlBlock) -> JsonObject:
    """Return the usage as a JSON object."""
    shown: JsonObject = msgspec.to_builtins(pcb.usage)
    return shown


def mission_json(pcb: ProcessControlBlock) -> JsonObject:
    """Return the process control block as tower.md has it."""
    pending = pcb.pending_interrupts
    return {
        "mission_id": pcb.pid,
        "pid": pcb.pid,
        "session_id": pcb.session_id,
        "user_id": pcb.user_id,
        "agent": pcb.agent,
        "mission": pcb.mission,
        "inputs": pcb.inputs,
        "profile": pcb.profile,
        "state": pcb.state.value,
        "status": status_of(pcb.state, pcb.outcome).value,
        "outcome": None if pcb.outcome is None else pcb.outcome.value,
        "state_reason": pcb.state_reason,
        "priority": pcb.priority.value,
        "quota": quota_json(pcb),
        "usage": usage_json(pcb),
        "parent_pid": pcb.parent_pid,
        "children": list(pcb.children),
        "current_step": pcb.current_step,
        "pending_interrupts": list(pending),
        "pending_interrupt": pending[0] if pending else None,
        "attempt": pcb.attempt,
        "node": pcb.node,
        "token": pcb.token,
        "idempotency_key": pcb.idempotency_key,
        "created_at": rfc3339_or_none(pcb.created_at),
        "started_at": rfc3339_or_none(pcb.started_at),
        "completed_at": rfc3339_or_none(pcb.completed_at),
        "start_at": rfc3339_or_none(pcb.start_at),
        "deadline_at": rfc3339_or_none(pcb.deadline_at),
        "result": pcb.result,
        "error": pcb.error,
    }


def interrupt_json(record: InterruptRecord) -> JsonObject:
    """Return an interrupt as tower.md has it."""
    shown: dict[str, Any] = {
        "interrupt_id": record.interrupt_id,
        "kind": record.kind.value,
        "mission_id": record.mission_id,
        "session_id": record.session_id,
        "user_id": record.user_id,
        "step": record.step,
        "message": record.message,
        "tool": record.tool,
        "arguments": record.arguments,
        "arguments_sha256": record.arguments_sha256,
        "risk": record.risk,
        "options": None if record.options is None else list(record.options),
        "status": record.status.value,
        "created_at": rfc3339_or_none(record.created_at),
        "expires_at": rfc3339_or_none(record.expires_at),
        "answered_by": record.answered_by,
        "answered_at": rfc3339_or_none(record.answered_at),
        "answer": record.answer,
    }
    if record.resource is not None:
        shown |= {"resource": record.resource, "used": record.used, "limit": record.limit}
    return shown


def session_json(session: SessionRecord) -> JsonObject:
    """Return a session as ``SessionResponse`` of rest.md."""
    return {
        "session_id": session.session_id,
        "user_id": session.user_id,
        "title": session.title,
        "message_count": session.message_count,
        "created_at": rfc3339(session.created_at),
        "last_activity": rfc3339(session.last_activity),
        "archived_at": rfc3339_or_none(session.archived_at),
        "deleted_at": rfc3339_or_none(session.deleted_at),
    }


def message_json(message: MessageRecord) -> JsonObject:
    """Return a message as rest.md has it."""
    return {
        "message_id": message.message_id,
        "session_id": message.session_id,
        "role": message.role,
        "content": message.content,
        "mission_id": message.mission_id,
        "created_at": rfc3339(message.created_at),
        "edited_at": rfc3339_or_none(message.edited_at),
        "original_content": message.original_content,
        "deleted_at": rfc3339_or_none(message.deleted_at),
    }


def hit_json(hit: MessageHit) -> JsonObject:
    """Return a message that a search found as rest.md has it; ``snippet`` is escaped HTML."""
    return {
        "message_id": hit.message_id,
        "session_id": hit.session_id,
        "session_title": hit.session_title,
        "role": hit.role,
        "snippet": hit.snippet,
        "created_at": rfc3339(hit.created_at),
    }
