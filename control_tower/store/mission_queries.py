"""Reads of missions, their journals and interrupts, each a function of a reading connection."""

from collections.abc import Sequence
from functools import lru_cache

import msgspec
from sqlalchemy import bindparam, select

from control_tower.ports import InterruptQuery, MissionQuery
from control_tower.records import InterruptRecord, ProcessControlBlock, StepRecord
from control_tower.store import numbers
from control_tower.store.numbers import filtered, scoped
from control_tower.store.statements import Connection, Query, one_of
from control_tower.store.tables import interrupts, missions, sessions, steps, users

_decode_mission = msgspec.json.Decoder(ProcessControlBlock).decode
_decode_step = msgspec.json.Decoder(StepRecord).decode
_decode_interrupt = msgspec.json.Decoder(InterruptRecord).decode
_INTERRUPT_NO = Query(select(interrupts.c.no).where(interrupts.c.interrupt_id == bindparam("id")))
_MISSION = Query(select(missions.c.record).where(missions.c.pid == bindparam("pid")))
_LIVE = Query(
    select(missions.c.record)
    .where(missions.c.outcome.is_(None), missions.c.pid > bindparam("after"))
    .order_by(missions.c.pid)
    .limit(bindparam("most"))
)
_LIVE_OF_USERS = Query(
    select(missions.c.record)
    .join(users, users.c.no == missions.c.user_no)
    .join(sessions, sessions.c.no == missions.c.session_no)
    .where(
        one_of(users.c.user_id, "user_ids"),
        users.c.erased_at.is_(None),
        sessions.c.erased_at.is_(None),
        missions.c.outcome.is_(None),
        missions.c.pid > bindparam("after"),
    )
    .order_by(missions.c.pid)
    .limit(bindparam("most"))
)
_STEPS = Query(
    select(steps.c.record, steps.c.offset)
    .where(steps.c.mission_no == bindparam("mission_no"))
    .order_by(steps.c.no)
)
_INTERRUPT = Query(
    select(interrupts.c.record).where(interrupts.c.interrupt_id == bindparam("interrupt_id"))
)


def mission(connection: Connection, pid: str) -> ProcessControlBlock | None:
    """Return a mission."""
    row = _MISSION.one(connection, pid=pid)
    return None if row is None else _decode_mission(row[0])


@lru_cache(maxsize=32)
def _missions(names: frozenset[str]) -> Query:
    conditions = {
        "user_no": missions.c.user_no == bindparam("user_no"),
        "session_no": missions.c.session_no == bindparam("session_no"),
        "state": missions.c.state == bindparam("state"),
        "before": missions.c.no < bindparam("before"),
    }
    return Query(
        filtered(select(missions.c.record), conditions, names)
        .order_by(missions.c.no.desc())
        .limit(bindparam("most"))
    )


def list_missions(connection: Connection, query: MissionQuery) -> list[ProcessControlBlock]:
    """Return a page of missions, newest first."""
    values = scoped(connection, query.user_id, query.session_id)
    if query.state is not None:
        values["state"] = query.state
    if query.after is not None:
        values["before"] = numbers.mission_no(connection, query.after)
    rows = _missions(frozenset(values)).all(connection, **values, most=query.limit)
    return [_decode_mission(record) for (record,) in rows]


def live_missions(
    connection: Connection, after: str | None, limit: int
) -> list[ProcessControlBlock]:
    """Return a page of missions without an outcome, by pid."""
    rows = _LIVE.all(connection, after=after or "", most=limit)
    return [_decode_mission(record) for (record,) in rows]


def live_missions_of_users(
    connection: Connection, user_ids: Sequence[str], after: str | None, limit: int
) -> list[ProcessControlBlock]:
    """Return a page of some users' missions without an outcome, by pid; not what is erased."""
    listed = msgspec.json.encode(user_ids).decode()
    rows = _LIVE_OF_USERS.all(connection, user_ids=listed, after=after or "", most=limit)
    return [_decode_mission(record) for (record,) in rows]


def list_steps(connection: Connection, pid: str) -> list[StepRecord]:
    """Return a mission's journal."""
    number = numbers.mission_no(connection, pid)
    journal = []
    for record, offset in _STEPS.all(connection, mission_no=number):
        step = _decode_step(record)
        if step.offset != offset:
            step = msgspec.structs.replace(step, offset=offset)
        journal.append(step)
    return journal


def interrupt(connection: Connection, interrupt_id: str) -> InterruptRecord | None:
    """Return an interrupt."""
    row = _INTERRUPT.one(connection, interrupt_id=interrupt_id)
    return None if row is None else _decode_interrupt(row[0])


@lru_cache(maxsize=128)
def _interrupts(names: frozenset[str], newest_first: bool) -> Query:
    no = interrupts.c.no
    conditions = {
        "user_no": interrupts.c.user_no == bindparam("user_no"),
        "session_no": interrupts.c.session_no == bindparam("session_no"),
        "mission_no": interrupts.c.mission_no == bindparam("mission_no"),
        "kind": interrupts.c.kind == bindparam("kind"),
        "status": interrupts.c.status == bindparam("status"),
        "beyond": no < bindparam("beyond") if newest_first else no > bindparam("beyond"),
    }
    return Query(
        filtered(select(interrupts.c.record), conditions, names)
        .order_by(no.desc() if newest_first else no)
        .limit(bindparam("most"))
    )


def list_interrupts(connection: Connection, query: InterruptQuery) -> list[InterruptRecord]:
    """Return a page of interrupts in the query's order."""
    values = scoped(connection, query.user_id, query.session_id)
    if query.mission_id is not None:
        values["mission_no"] = numbers.mission_no(connection, query.mission_id)
    if query.kind is not None:
        values["kind"] = query.kind
    if query.status is not None:
        values["status"] = query.status
    if query.after is not None:
        values["beyond"] = numbers.number_of(_INTERRUPT_NO, connection, query.after)
    statement = _interrupts(frozenset(values), query.newest_first)
    rows = statement.all(connection, **values, most=query.limit)
    return [_decode_interrupt(record) for (record,) in rows]
