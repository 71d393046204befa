"""Reads of sessions and messages, each a function of a reading connection."""

from functools import lru_cache
from typing import Any

from sqlalchemy import Select, bindparam, func, select

from control_tower.ports import SessionQuery
from control_tower.records import MessageRecord, SessionRecord
from control_tower.store import numbers
from control_tower.store.numbers import filtered, scoped
from control_tower.store.statements import Connection, Query, Row
from control_tower.store.tables import messages, sessions, users

_SESSION_COLUMNS = (
    sessions.c.session_id,
    users.c.user_id,
    sessions.c.title,
    sessions.c.message_count,
    sessions.c.created_at,
    sessions.c.last_activity,
    sessions.c.archived_at,
    sessions.c.deleted_at,
    sessions.c.erased_at,
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
        erased_at=row[8],
    )


def session(connection: Connection, session_id: str) -> SessionRecord | None:
    """Return a session, deleted ones too."""
    row = _SESSION.one(connection, session_id=session_id)
    return None if row is None else _session_record(row)


def _which(chosen: Select[Any], names: frozenset[str]) -> Select[Any]:
    conditions = {
        "user_no": sessions.c.user_no == bindparam("user_no"),
        "since": sessions.c.last_activity >= bindparam("since"),
        "archived": sessions.c.archived_at.is_not(None),
        "unarchived": sessions.c.archived_at.is_(None),
        "undeleted": sessions.c.deleted_at.is_(None),
    }
    return filtered(chosen.where(sessions.c.erased_at.is_(None)), conditions, names)


@lru_cache(maxsize=64)
def _sessions(names: frozenset[str]) -> Query:
    chosen = select(*_SESSION_COLUMNS).join(users, users.c.no == sessions.c.user_no)
    return Query(
        _which(chosen, names)
        .order_by(sessions.c.last_activity.desc(), sessions.c.no.desc())
        .limit(bindparam("most"))
        .offset(bindparam("skipped"))
    )


@lru_cache(maxsize=64)
def _how_many(names: frozenset[str]) -> Query:
    return Query(_which(select(func.count()).select_from(sessions), names))


def count_sessions(connection: Connection, query: SessionQuery) -> int:
    """Return how many sessions there are on all pages."""
    names, values = _conditions(connection, query)
    row = _how_many(names).one(connection, **values)
    return 0 if row is None else int(row[0])


def list_sessions(connection: Connection, query: SessionQuery) -> list[SessionRecord]:
    """Return a page of sessions, newest activity first."""
    names, values = _conditions(connection, query)
    rows = _sessions(names).all(connection, **values, most=query.limit, skipped=query.offset)
    return [_session_record(row) for row in rows]


def _conditions(
    connection: Connection, query: SessionQuery
) -> tuple[frozenset[str], dict[str, object]]:
    """Return which conditions a query has, and the values in them."""
    values = scoped(connection, query.user_id, None)
    names = set(values)
    if query.since is not None:
        values["since"] = query.since
        names.add("since")
    if query.archived is not None:
        names.add("archived" if query.archived else "unarchived")
    if not query.include_deleted:
        names.add("undeleted")
    return frozenset(names), values


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


def message(connection: Connection, message_id: str) -> MessageRecord | None:
    """Return a message, deleted ones too."""
    row = _MESSAGE.one(connection, message_id=message_id)
    return None if row is None else _message_record(row)


def list_messages(
    connection: Connection, session_id: str, limit: int, offset: int
) -> list[MessageRecord]:
    """Return a page of a session's messages, oldest first."""
    number = numbers.session_no(connection, session_id)
    rows = _MESSAGES.all(connection, session_no=number, most=limit, skipped=offset)
    return [_message_record(row) for row in rows]


def recent_messages(connection: Connection, session_id: str, limit: int) -> list[MessageRecord]:
    """Return a session's newest messages, oldest of them first."""
    number = numbers.session_no(connection, session_id)
    rows = _RECENT.all(connection, session_no=number, most=limit)
    return [_message_record(row) for row in reversed(rows)]
