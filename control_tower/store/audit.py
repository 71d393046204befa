"""Reads for audits: what stands in the tables beside what stands in the log.

Each is bounded by a number of rows, the newest first, so that an audit costs the same however
long the history is; but :func:`figures` counts all of them (0.1 s for 100 000 missions).
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import bindparam, func, select

from control_tower.audit import (
    CallProof,
    FailedStep,
    MissionAudit,
    Outcomes,
    StoreFigures,
    ToolCallRecord,
)
from control_tower.records import (
    InterruptKind,
    InterruptRecord,
    InterruptStatus,
    ProcessControlBlock,
    StepRecord,
)
from control_tower.store import text_index
from control_tower.store.search import is_indexed
from control_tower.store.statements import Connection, Query, engine_of, one_of
from control_tower.store.tables import (
    events,
    interrupts,
    messages,
    meta,
    missions,
    sessions,
    steps,
    tool_calls,
    users,
)
from events.payloads import TERMINAL_TYPES, StepFailed
from events.types import Json


class _Data(msgspec.Struct):
    step: str = ""
    error: Json = None
    reason: str | None = None


class _Params(msgspec.Struct):
    mission_id: str
    user_id: str
    data: _Data


class _Message(msgspec.Struct):
    params: _Params


_decode_event = msgspec.json.Decoder(_Message).decode
_decode_mission = msgspec.json.Decoder(ProcessControlBlock).decode
_decode_step = msgspec.json.Decoder(StepRecord).decode
_decode_interrupt = msgspec.json.Decoder(InterruptRecord).decode

_TOLD = msgspec.json.encode([*sorted(TERMINAL_TYPES), StepFailed.TYPE]).decode()
_DECIDED = (InterruptKind.CONFIRMATION.value, InterruptStatus.RESOLVED.value)
_PROBED = 20
"""Newest messages among which one with a word is looked for."""

_TOOL_CALLS = Query(
    select(
        tool_calls.c.tool,
        tool_calls.c.pid,
        tool_calls.c.step,
        tool_calls.c.status,
        tool_calls.c.latency_ms,
        tool_calls.c.at,
        tool_calls.c.error,
        tool_calls.c.no,
    )
    .where(tool_calls.c.no > bindparam("after"))
    .order_by(tool_calls.c.no.desc())
    .limit(bindparam("most"))
)
_OWNER = Query(
    select(missions.c.no, users.c.user_id)
    .join(users, users.c.no == missions.c.user_no)
    .where(missions.c.pid == bindparam("of_pid"))
)
_STEP = Query(
    select(steps.c.record).where(
        steps.c.mission_no == bindparam("of_mission"), steps.c.step == bindparam("of_step")
    )
)
_ASKED = Query(
    select(interrupts.c.kind, interrupts.c.status, interrupts.c.record).where(
        interrupts.c.mission_no == bindparam("of_mission")
    )
)
"""Without more conditions: given a status, SQLite goes through all that ever had it."""
_MISSIONS = Query(
    select(missions.c.record, missions.c.first_offset)
    .order_by(missions.c.no.desc())
    .limit(bindparam("most"))
)
_TELLING = Query(
    select(events.c.type, events.c.body)
    .where(events.c.offset > bindparam("after"), one_of(events.c.type, "types"))
    .order_by(events.c.offset)
)
_META = Query(select(meta.c.head, meta.c.floor))
_NEWEST_MESSAGES = Query(
    select(messages.c.no, sessions.c.user_no, messages.c.content)
    .join(sessions, sessions.c.no == messages.c.session_no)
    .where(messages.c.deleted_at.is_(None))
    .order_by(messages.c.no.desc())
    .limit(bindparam("most"))
)
_SIZE_BYTES = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}

_root = missions.alias("root")
_FIGURES = Query(
    select(
        select(func.count()).select_from(sessions).scalar_subquery(),
        select(func.count()).select_from(messages).scalar_subquery(),
        select(func.count()).select_from(missions).scalar_subquery(),
        select(func.count())
        .select_from(missions)
        .where(missions.c.outcome.is_(None))
        .scalar_subquery(),
        select(func.count())
        .select_from(missions)
        .where(missions.c.root_no != missions.c.no)
        .scalar_subquery(),
        select(func.count())
        .select_from(missions.join(_root, _root.c.no == missions.c.root_no))
        .where(missions.c.outcome.is_(None), _root.c.outcome.is_not(None))
        .scalar_subquery(),
        select(func.count()).select_from(steps).scalar_subquery(),
        select(func.count()).select_from(tool_calls).scalar_subquery(),
    )
)


def newest_tool_calls(connection: Connection, most: int, after: int) -> list[ToolCallRecord]:
    """Return the newest ended attempts of tools with a number above ``after``, newest first."""
    return [
        ToolCallRecord(
            tool=tool,
            pid=pid,
            step=step,
            status=status,
            latency_ms=latency,
            at=at,
            error=error,
            no=no,
        )
        for tool, pid, step, status, latency, at, error, no in _TOOL_CALLS.all(
            connection, most=most, after=after
        )
    ]


def prove_calls(connection: Connection, calls: Sequence[tuple[str, str]]) -> list[CallProof]:
    """Return what the store holds of each call, given as (mission, step), in their order."""
    missions_of_calls = {pid: _called(connection, pid) for pid in {pid for pid, _ in calls}}
    return [_proof(connection, pid, step, missions_of_calls[pid]) for pid, step in calls]


class _Called(NamedTuple):
    """A mission that calls are of; ``approved`` are its steps that a person approved."""

    no: int
    user_id: str
    approved: frozenset[str]


def _called(connection: Connection, pid: str) -> _Called | None:
    owner = _OWNER.one(connection, of_pid=pid)
    if owner is None:
        return None
    number, user_id = owner
    asked = _ASKED.all(connection, of_mission=number)
    decided = [
        _decode_interrupt(record) for kind, status, record in asked if (kind, status) == _DECIDED
    ]
    approved = frozenset(
        each.step for each in decided if (each.answer or {}).get("approved") is True
    )
    return _Called(number, user_id, approved)


def _proof(connection: Connection, pid: str, step: str, of: _Called | None) -> CallProof:
    if of is None:
        return CallProof(pid=pid, step=step)
    row = _STEP.one(connection, of_mission=of.no, of_step=step)
    return CallProof(
        pid=pid,
        step=step,
        user_id=of.user_id,
        attempt=None if row is None else _decode_step(row[0]).attempt,
        approved=step in of.approved,
    )


def outcomes(connection: Connection, most_missions: int, most_events: int) -> Outcomes:
    """Return the newest missions, with what the newest events say of their ends."""
    head = (_META.one(connection) or (0, 0))[0]
    since = max(0, head - most_events)
    # Missions first: an end that is committed between the two reads is in the log, not missing.
    found = [
        (_decode_mission(record), first)
        for record, first in _MISSIONS.all(connection, most=most_missions)
    ]
    endings: Counter[str] = Counter()
    explained: set[str] = set()
    failed: list[FailedStep] = []
    for kind, body in _TELLING.cursor(connection, after=since, types=_TOLD):
        told = _decode_event(body).params
        if kind == StepFailed.TYPE:
            failed.append(_failed_step(told))
            continue
        endings[told.mission_id] += 1
        if told.data.error or told.data.reason:
            explained.add(told.mission_id)
    return Outcomes(
        missions=[
            MissionAudit(
                pid=pcb.pid,
                user_id=pcb.user_id,
                outcome=pcb.outcome,
                owns_account=pcb.account_pid in {None, pcb.pid},
                usage=pcb.usage,
                quota=pcb.quota,
                endings=endings[pcb.pid] if first > since else None,
                says_why=pcb.pid in explained,
            )
            for pcb, first in found
        ],
        failed_steps=failed,
    )


def _failed_step(told: _Params) -> FailedStep:
    error = told.data.error
    return FailedStep(
        pid=told.mission_id,
        user_id=told.user_id,
        step=told.data.step,
        says_why=isinstance(error, dict) and bool(error.get("code") and error.get("message")),
    )


def figures(connection: Connection) -> StoreFigures:
    """Return how much there is."""
    row = _FIGURES.one(connection) or (0,) * 8
    size_bytes = connection.execute(_SIZE_BYTES[engine_of(connection)]).fetchone()[0]
    return StoreFigures(
        size_bytes=size_bytes,
        floor=(_META.one(connection) or (0, 0))[1],
        sessions=row[0],
        messages=row[1],
        missions=row[2],
        live_missions=row[3],
        children=row[4],
        orphans=row[5],
        steps=row[6],
        tool_calls=row[7],
    )


def newest_message_is_indexed(connection: Connection) -> bool | None:
    """Return whether search finds the newest message by its words; None when none has words."""
    for number, user_no, content in _NEWEST_MESSAGES.all(connection, most=_PROBED):
        indexed = is_indexed(connection, text_index.place(user_no, number), content)
        if indexed is not None:
            return indexed
    return None
