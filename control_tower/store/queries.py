"""The reads of ``control_tower.ports.Store``, each a function of a reading connection."""

import sqlite3
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Select, bindparam, literal, select

from control_tower.ports import InterruptQuery, MissionQuery, SessionQuery
from control_tower.records import (
    FileRecord,
    InterruptRecord,
    KeyRecord,
    MessageRecord,
    ProcessControlBlock,
    SessionRecord,
    StepRecord,
)
from control_tower.store.batch import find_key
from control_tower.store.statements import Query, Row
from control_tower.store.tables import (
    artifacts,
    files,
    interrupts,
    messages,
    missions,
    sessions,
    steps,
    users,
)

_decode_mission = msgspec.json.Decoder(ProcessControlBlock).decode
_decode_step = msgspec.json.Decoder(StepRecord).decode
_decode_interrupt = msgspec.json.Decoder(InterruptRecord).decode

_NO_USER = -1
"""A user's number that nobody has."""

_USER = Query(select(users.c.no).where(users.c.user_id == bindparam("user_id")))
_SESSION_NO = Query(select(sessions.c.no).where(sessions.c.session_id == bindparam("session_id")))
_MISSION_NO = Query(select(missions.c.no).where(missions.c.pid == bindparam("pid")))
_INTERRUPT_NO = Query(
    select(interrupts.c.no).where(interrupts.c.interrupt_id == bindparam("interrupt_id"))
)

_MISSION = Query(select(missions.c.record).where(missions.c.pid == bindparam("pid")))
_LIVE = Query(
    select(missions.c.record)
    .where(missions.c.outcome.is_(None), missions.c.pid > bindparam("after"))
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
_SESSION_COLUMNS = (
    sessions.c.session_id,
    users.c.user_id,
    sessions.c.title,
    sessions.c.message_count,
    sessions.c.created_at,
    sessions.c.last_activity,
    sessions.c.archived_at,
    sessions.c.deleted_at,
)
_SESSION = Query(
    select(*_SESSION_COLUMNS)
    .join(users, users.c.no == sessions.c.user_no)
    .where(sessions.c.session_id == bindparam("session_id"))
)
_MESSAGE_COLUMNS = (
    messages.c.message_id,
    sessions.c.session_id,
    messages.c.role,
    messages.c.content,
    messages.c.mission_id,
    messages.c.created_at,
    messages.c.edited_at,
    messages.c.original_content,
    messages.c.deleted_at,
)
_MESSAGE = Query(
    select(*_MESSAGE_COLUMNS)
    .join(sessions, sessions.c.no == messages.c.session_no)
    .where(messages.c.message_id == bindparam("message_id"))
)
_OF_SESSION = (
    select(*_MESSAGE_COLUMNS)
    .join(sessions, sessions.c.no == messages.c.session_no)
    .where(messages.c.session_no == bindparam("session_no"), messages.c.deleted_at.is_(None))
    .limit(bindparam("most"))
)
_MESSAGES = Query(_OF_SESSION.order_by(messages.c.no).offset(bindparam("skipped")))
_RECENT = Query(_OF_SESSION.order_by(messages.c.no.desc()))
_FILES = Query(
    select(files.c.name, files.c.media_type, files.c.size, literal(b""), files.c.updated_at)
    .where(files.c.session_no == bindparam("session_no"))
    .order_by(files.c.name)
)
_FILE = Query(
    select(
        files.c.name, files.c.media_type, files.c.size, files.c.content, files.c.updated_at
    ).where(files.c.session_no == bindparam("session_no"), files.c.name == bindparam("name"))
)
_OF_MISSION = (
    select(
        artifacts.c.name,
        artifacts.c.media_type,
        artifacts.c.size,
        literal(b""),
        artifacts.c.updated_at,
        sessions.c.session_id,
    )
    .join(sessions, sessions.c.no == artifacts.c.session_no)
    .where(artifacts.c.mission_no == bindparam("mission_no"))
)
_ARTIFACTS = Query(_OF_MISSION.order_by(artifacts.c.name))
_ARTIFACT = Query(
    _OF_MISSION.with_only_columns(
        artifacts.c.name,
        artifacts.c.media_type,
        artifacts.c.size,
        artifacts.c.content,
        artifacts.c.updated_at,
        sessions.c.session_id,
    ).where(artifacts.c.name == bindparam("name"))
)


def _number(query: Query, connection: sqlite3.Connection, **key: str) -> int | None:
    row = query.one(connection, **key)
    return None if row is None else int(row[0])


def mission(connection: sqlite3.Connection, pid: str) -> ProcessControlBlock | None:
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
        _filtered(select(missions.c.record), conditions, names)
        .order_by(missions.c.no.desc())
        .limit(bindparam("most"))
    )


def _filtered(
    statement: Select[Any], conditions: dict[str, Any], names: frozenset[str]
) -> Select[Any]:
    return statement.where(*(conditions[name] for name in sorted(names)))


def _scoped(
    connection: sqlite3.Connection, user_id: str | None, session_id: str | None
) -> dict[str, object]:
    values: dict[str, object] = {}
    if user_id is not None:
        values["user_no"] = _number(_USER, connection, user_id=user_id) or _NO_USER
    if session_id is not None:
        values["session_no"] = _number(_SESSION_NO, connection, session_id=session_id) or 0
    return values


def list_missions(connection: sqlite3.Connection, query: MissionQuery) -> list[ProcessControlBlock]:
    """Return a page of missions, newest first."""
    values = _scoped(connection, query.user_id, query.session_id)
    if query.state is not None:
        values["state"] = query.state
    if query.after is not None:
        values["before"] = _number(_MISSION_NO, connection, pid=query.after) or 0
    rows = _missions(frozenset(values)).all(connection, **values, most=query.limit)
    return [_decode_mission(record) for (record,) in rows]


def live_missions(
    connection: sqlite3.Connection, after: str | None, limit: int
) -> list[ProcessControlBlock]:
    """Return a page of missions without an outcome, by pid."""
    rows = _LIVE.all(connection, after=after or "", most=limit)
    return [_decode_mission(record) for (record,) in rows]


def list_steps(connection: sqlite3.Connection, pid: str) -> list[StepRecord]:
    """Return a mission's journal."""
    mission_no = _number(_MISSION_NO, connection, pid=pid)
    if mission_no is None:
        return []
    journal = []
    for record, offset in _STEPS.all(connection, mission_no=mission_no):
        step = _decode_step(record)
        if step.offset != offset:
            step = msgspec.structs.replace(step, offset=offset)
        journal.append(step)
    return journal


def interrupt(connection: sqlite3.Connection, interrupt_id: str) -> InterruptRecord | None:
    """Return an interrupt."""
    row = _INTERRUPT.one(connection, interrupt_id=interrupt_id)
    return None if row is None else _decode_interrupt(row[0])


@lru_cache(maxsize=64)
def _interrupts(names: frozenset[str]) -> Query:
    conditions = {
        "user_no": interrupts.c.user_no == bindparam("user_no"),
        "session_no": interrupts.c.session_no == bindparam("session_no"),
        "mission_no": interrupts.c.mission_no == bindparam("mission_no"),
        "kind": interrupts.c.kind == bindparam("kind"),
        "status": interrupts.c.status == bindparam("status"),
        "beyond": interrupts.c.no > bindparam("beyond"),
    }
    return Query(
        _filtered(select(interrupts.c.record), conditions, names)
        .order_by(interrupts.c.no)
        .limit(bindparam("most"))
    )


def list_interrupts(connection: sqlite3.Connection, query: InterruptQuery) -> list[InterruptRecord]:
    """Return a page of interrupts, oldest first."""
    values = _scoped(connection, query.user_id, query.session_id)
    if query.mission_id is not None:
        values["mission_no"] = _number(_MISSION_NO, connection, pid=query.mission_id) or 0
    if query.kind is not None:
        values["kind"] = query.kind
    if query.status is not None:
        values["status"] = query.status
    if query.after is not None:
        values["beyond"] = _number(_INTERRUPT_NO, connection, interrupt_id=query.after) or 0
    rows = _interrupts(frozenset(values)).all(connection, **values, most=query.limit)
    return [_decode_interrupt(record) for (record,) in rows]


def _session_record(row: Row) -> SessionRecord:
    return SessionRecord(
        session_id=row[0],
        user_id=row[1],
        title=row[2],
        message_count=row[3],
        created_at=row[4],
        last_activity=row[5],
        archived_at=row[6],
        deleted_at=row[7],
    )


def session(connection: sqlite3.Connection, session_id: str) -> SessionRecord | None:
    """Return a session, deleted ones too."""
    row = _SESSION.one(connection, session_id=session_id)
    return None if row is None else _session_record(row)


@lru_cache(maxsize=64)
def _sessions(names: frozenset[str]) -> Query:
    conditions = {
        "user_no": sessions.c.user_no == bindparam("user_no"),
        "since": sessions.c.last_activity >= bindparam("since"),
        "archived": sessions.c.archived_at.is_not(None),
        "unarchived": sessions.c.archived_at.is_(None),
        "undeleted": sessions.c.deleted_at.is_(None),
    }
    chosen = select(*_SESSION_COLUMNS).join(users, users.c.no == sessions.c.user_no)
    return Query(
        _filtered(chosen, conditions, names)
        .order_by(sessions.c.last_activity.desc(), sessions.c.no.desc())
        .limit(bindparam("most"))
        .offset(bindparam("skipped"))
    )


def list_sessions(connection: sqlite3.Connection, query: SessionQuery) -> list[SessionRecord]:
    """Return a page of sessions, newest activity first."""
    values = _scoped(connection, query.user_id, None)
    names = set(values)
    if query.since is not None:
        values["since"] = query.since
        names.add("since")
    if query.archived is not None:
        names.add("archived" if query.archived else "unarchived")
    if not query.include_deleted:
        names.add("undeleted")
    rows = _sessions(frozenset(names)).all(
        connection, **values, most=query.limit, skipped=query.offset
    )
    return [_session_record(row) for row in rows]


def _message_record(row: Row) -> MessageRecord:
    return MessageRecord(
        message_id=row[0],
        session_id=row[1],
        role=row[2],
        content=row[3],
        mission_id=row[4],
        created_at=row[5],
        edited_at=row[6],
        original_content=row[7],
        deleted_at=row[8],
    )


def message(connection: sqlite3.Connection, message_id: str) -> MessageRecord | None:
    """Return a message, deleted ones too."""
    row = _MESSAGE.one(connection, message_id=message_id)
    return None if row is None else _message_record(row)


def list_messages(
    connection: sqlite3.Connection, session_id: str, limit: int, offset: int
) -> list[MessageRecord]:
    """Return a page of a session's messages, oldest first."""
    session_no = _number(_SESSION_NO, connection, session_id=session_id)
    rows = _MESSAGES.all(connection, session_no=session_no, most=limit, skipped=offset)
    return [_message_record(row) for row in rows]


def recent_messages(
    connection: sqlite3.Connection, session_id: str, limit: int
) -> list[MessageRecord]:
    """Return a session's newest messages, oldest of them first."""
    session_no = _number(_SESSION_NO, connection, session_id=session_id)
    rows = _RECENT.all(connection, session_no=session_no, most=limit)
    return [_message_record(row) for row in reversed(rows)]


def _file_record(session_id: str, row: Row) -> FileRecord:
    name, media_type, size, content, updated_at = row[:5]
    return FileRecord(
        session_id=session_id,
        name=name,
        media_type=media_type,
        size=size,
        content=content,
        updated_at=updated_at,
    )


def list_files(connection: sqlite3.Connection, session_id: str) -> list[FileRecord]:
    """Return a session's files by name, without their content."""
    session_no = _number(_SESSION_NO, connection, session_id=session_id)
    return [_file_record(session_id, row) for row in _FILES.all(connection, session_no=session_no)]


def file(connection: sqlite3.Connection, session_id: str, name: str) -> FileRecord | None:
    """Return a file with its content."""
    session_no = _number(_SESSION_NO, connection, session_id=session_id)
    row = _FILE.one(connection, session_no=session_no, name=name)
    return None if row is None else _file_record(session_id, row)


def list_artifacts(connection: sqlite3.Connection, pid: str) -> list[FileRecord]:
    """Return a mission's named results by name, without their content."""
    mission_no = _number(_MISSION_NO, connection, pid=pid)
    return [_file_record(row[5], row) for row in _ARTIFACTS.all(connection, mission_no=mission_no)]


def artifact(connection: sqlite3.Connection, pid: str, name: str) -> FileRecord | None:
    """Return a mission's named result with its content."""
    mission_no = _number(_MISSION_NO, connection, pid=pid)
    row = _ARTIFACT.one(connection, mission_no=mission_no, name=name)
    return None if row is None else _file_record(row[5], row)


def key(connection: sqlite3.Connection, user_id: str, name: str) -> KeyRecord | None:
    """Return an idempotency key's record."""
    user_no = _number(_USER, connection, user_id=user_id)
    return None if user_no is None else find_key(connection, user_no, user_id, name)
