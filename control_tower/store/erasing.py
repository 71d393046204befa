"""What is left to erase of a session or a user, a bounded piece at a time.

Each function reads and returns one :class:`~control_tower.unit.Tend`: rows found now, to be removed
in the writer's next turn. Nothing else is remembered, so whoever asks again after a crash goes on
where it stopped. The marks (``erased_at``) are set before, and keep everybody else away from what
is being erased; the row that has the mark goes last.

An erased event keeps its offset and its instant, so that ``system`` has no gap and the log stays in
the order of time; who it was about, its type and its data are gone.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Delete, Select, bindparam, delete, exists, func, literal, select, update

from control_tower.store import numbers, text_index
from control_tower.store.numbers import TOWER_LINE
from control_tower.store.pieces import bounded
from control_tower.store.scrubbing import LEAVES_TRACES
from control_tower.store.statements import Connection, Query, one_of
from control_tower.store.tables import (
    api_keys,
    artifacts,
    events,
    files,
    idempotency_keys,
    interrupts,
    messages,
    missions,
    sessions,
    steps,
    tool_calls,
    user_usage,
    users,
)
from control_tower.unit import Statement, Tend
from events.payloads import EventErased
from events.times import instant_of
from events.types import Scope, draft

ROWS = 200
"""Rows a piece at most, fewer when they are large: a few milliseconds of the writer's time."""

_NOWHERE = Scope(None, None)


class _Params(msgspec.Struct):
    at: str


class _Message(msgspec.Struct):
    params: _Params


_decode = msgspec.json.Decoder(_Message).decode

_EVENTS = Query(
    select(events.c.offset, events.c.body)
    .where(events.c.session_no == bindparam("line"))
    .order_by(events.c.offset)
    .limit(ROWS)
)
_TOMBSTONE = Query(
    update(events)
    .where(events.c.offset == bindparam("of_offset"))
    .values(
        session_no=TOWER_LINE,
        mission_no=None,
        root_no=None,
        type=EventErased.TYPE,
        body=bindparam("new_body"),
    )
)
_MESSAGES = Query(
    select(messages.c.no, sessions.c.user_no, messages.c.content, messages.c.deleted_at)
    .join(sessions, sessions.c.no == messages.c.session_no)
    .where(messages.c.session_no == bindparam("session_no"))
    .limit(ROWS)
)
_PIDS = select(missions.c.pid).where(missions.c.session_no == bindparam("session_no"))
_MISSION_NOS = select(missions.c.no).where(missions.c.session_no == bindparam("session_no"))


def _found(statement: Select[Any]) -> Query:
    return Query(statement.limit(ROWS))


def _removing(statement: Delete, column: object) -> Query:
    return Query(statement.where(one_of(column, "nos")))  # type: ignore[arg-type]


_BY_NUMBER = (
    (
        _found(
            select(steps.c.no, func.length(steps.c.record)).where(
                steps.c.mission_no.in_(_MISSION_NOS)
            )
        ),
        _removing(delete(steps), steps.c.no),
    ),
    (
        _found(
            select(interrupts.c.no, func.length(interrupts.c.record)).where(
                interrupts.c.mission_no.in_(_MISSION_NOS)
            )
        ),
        _removing(delete(interrupts), interrupts.c.no),
    ),
)
"""Tables with numbered rows: how to find a session's, and how to remove them."""

_TOOL_CALLS = (
    _found(select(tool_calls.c.no, literal(0)).where(tool_calls.c.pid.in_(_PIDS))),
    _removing(delete(tool_calls), tool_calls.c.no),
)
"""Likewise; without an index by mission each look reads the whole table, so they come last."""

_ARTIFACTS = Query(
    select(artifacts.c.mission_no, artifacts.c.name, artifacts.c.size)
    .where(artifacts.c.mission_no.in_(_MISSION_NOS))
    .limit(ROWS)
)
_DROP_ARTIFACT = Query(
    delete(artifacts).where(
        artifacts.c.mission_no == bindparam("of_mission"), artifacts.c.name == bindparam("of_name")
    )
)
_FILES = Query(
    select(files.c.session_no, files.c.name, files.c.size)
    .where(files.c.session_no == bindparam("session_no"))
    .limit(ROWS)
)
_DROP_FILE = Query(
    delete(files).where(
        files.c.session_no == bindparam("of_session"), files.c.name == bindparam("of_name")
    )
)
_KEYS = Query(
    select(idempotency_keys.c.user_no, idempotency_keys.c.key)
    .where(
        idempotency_keys.c.user_no
        == select(sessions.c.user_no)
        .where(sessions.c.no == bindparam("session_no"))
        .scalar_subquery(),
        idempotency_keys.c.mission_id.in_(_PIDS),
    )
    .limit(ROWS)
)
_OTHERS_KEYS = Query(
    select(idempotency_keys.c.user_no, idempotency_keys.c.key)
    .where(idempotency_keys.c.mission_id.in_(_PIDS))
    .limit(ROWS)
)
"""Of operators who said something in the session: they are found by reading the whole table."""

_USERS_KEYS = Query(
    select(idempotency_keys.c.user_no, idempotency_keys.c.key)
    .where(idempotency_keys.c.user_no == bindparam("user_no"))
    .limit(ROWS)
)
_DROP_KEY = Query(
    delete(idempotency_keys).where(
        idempotency_keys.c.user_no == bindparam("of_user"),
        idempotency_keys.c.key == bindparam("of_key"),
    )
)
_DROP_MESSAGE = Query(delete(messages).where(messages.c.no == bindparam("of_no")))
_DROP_MISSIONS = _removing(delete(missions), missions.c.no)
_MISSIONS = _found(_MISSION_NOS)
_DROP_SESSION = Query(delete(sessions).where(sessions.c.no == bindparam("of_no")))
_DROP_USAGE = Query(delete(user_usage).where(user_usage.c.user_no == bindparam("of_no")))
DROP_API_KEYS = Query(delete(api_keys).where(api_keys.c.user_id == bindparam("of_user")))
_HAS_API_KEYS = Query(select(api_keys.c.no).where(api_keys.c.user_id == bindparam("of_user")))
# A session that came in the same transaction keeps its user, who is then erased once more.
_DROP_USER = Query(
    delete(users).where(
        users.c.no == bindparam("of_no"),
        ~exists().where(sessions.c.user_no == bindparam("of_no")),
    )
)
MARK_SESSION = Query(
    update(sessions).where(sessions.c.no == bindparam("of_no")).values(erased_at=bindparam("at"))
)
MARK_USER = Query(
    update(users).where(users.c.no == bindparam("of_no")).values(erased_at=bindparam("at"))
)

_USERS_SESSIONS = Query(
    select(sessions.c.session_id)
    .join(users, users.c.no == sessions.c.user_no)
    .where(users.c.user_id == bindparam("of_user"))
    .limit(ROWS)
)
_MARKED_SESSIONS = Query(
    select(sessions.c.session_id).where(sessions.c.erased_at.is_not(None)).limit(ROWS)
)
_MARKED_USERS = Query(select(users.c.user_id).where(users.c.erased_at.is_not(None)).limit(ROWS))
_LIVE = Query(
    select(missions.c.pid)
    .join(sessions, sessions.c.no == missions.c.session_no)
    .where(sessions.c.session_id == bindparam("of_session"), missions.c.outcome.is_(None))
    .order_by(missions.c.no)
    .limit(ROWS)
)


def live_missions(connection: Connection, session_id: str) -> list[str]:
    """Return missions of a session that have not ended, parents before their children."""
    return [pid for (pid,) in _LIVE.all(connection, of_session=session_id)]


def marked_sessions(connection: Connection) -> list[str]:
    """Return sessions whose erasure has begun."""
    return [session_id for (session_id,) in _MARKED_SESSIONS.all(connection)]


def marked_users(connection: Connection) -> list[str]:
    """Return users whose erasure has begun."""
    return [user_id for (user_id,) in _MARKED_USERS.all(connection)]


def sessions_of(connection: Connection, user_id: str) -> list[str]:
    """Return sessions of a user, whatever became of them."""
    return [session_id for (session_id,) in _USERS_SESSIONS.all(connection, of_user=user_id)]


def is_known(connection: Connection, user_id: str) -> bool:
    """Return whether there is anything of a user."""
    known = numbers.user_no(connection, user_id) != numbers.NOBODY
    return known or _HAS_API_KEYS.one(connection, of_user=user_id) is not None


def of_session(connection: Connection, session_id: str) -> Tend | None:
    """Return the next piece of a session to erase; None when nothing is left."""
    no = numbers.session_no(connection, session_id)
    if no == numbers.NOBODY:
        return None
    for pieces in (
        _line(connection, no),
        _rows(connection, no, _BY_NUMBER),
        _named(connection, no),
        _rows(connection, no, [_TOOL_CALLS]),
        _others_keys(connection, no),
    ):
        for statements in pieces:
            return Tend(statements)
    if nos := [no for (no,) in _MISSIONS.all(connection, session_no=no)]:
        return Tend((partial(_DROP_MISSIONS.run, nos=_listed(nos)),), forgets=True)
    return Tend((partial(_DROP_SESSION.run, of_no=no), LEAVES_TRACES.run), forgets=True)


def of_user(connection: Connection, user_id: str) -> Tend | None:
    """Return the next piece to erase of a user who has no sessions; None when nothing is left."""
    no = numbers.user_no(connection, user_id)
    if no == numbers.NOBODY:
        if _HAS_API_KEYS.one(connection, of_user=user_id) is None:
            return None
        return Tend((partial(DROP_API_KEYS.run, of_user=user_id),))
    for statements in _line(connection, -no):
        return Tend(statements)
    if keys := _USERS_KEYS.all(connection, user_no=no):
        return Tend(tuple(partial(_DROP_KEY.run, of_user=no, of_key=key) for no, key in keys))
    return Tend(
        (
            partial(DROP_API_KEYS.run, of_user=user_id),
            partial(_DROP_USAGE.run, of_no=no),
            partial(_DROP_USER.run, of_no=no),
            LEAVES_TRACES.run,
        ),
        forgets=True,
    )


def _line(connection: Connection, line: int) -> Iterator[tuple[Statement, ...]]:
    """Yield what turns the oldest events of a line into tombstones."""
    if rows := bounded(_EVENTS.cursor(connection, line=line), lambda row: len(row[1])):
        yield tuple(
            partial(_TOMBSTONE.run, of_offset=offset, new_body=_tombstone(offset, body))
            for offset, body in rows
        )


def _tombstone(offset: int, body: bytes) -> bytes:
    # The middle of its millisecond: its beginning, as a float, could be cut to the one before.
    at = instant_of(_decode(body).params.at) + 0.0005
    return draft(EventErased(), _NOWHERE, at).body(offset)


def _rows(
    connection: Connection, no: int, tables: Sequence[tuple[Query, Query]]
) -> Iterator[tuple[Statement, ...]]:
    for find, remove in tables:
        if rows := bounded(find.cursor(connection, session_no=no), lambda row: int(row[1])):
            yield (partial(remove.run, nos=_listed([found for found, _ in rows])),)


def _named(connection: Connection, no: int) -> Iterator[tuple[Statement, ...]]:
    if rows := bounded(_ARTIFACTS.cursor(connection, session_no=no), lambda row: int(row[2])):
        yield tuple(
            partial(_DROP_ARTIFACT.run, of_mission=of, of_name=name) for of, name, _ in rows
        )
    if rows := bounded(_FILES.cursor(connection, session_no=no), lambda row: int(row[2])):
        yield tuple(partial(_DROP_FILE.run, of_session=of, of_name=name) for of, name, _ in rows)
    if rows := bounded(_MESSAGES.cursor(connection, session_no=no), lambda row: len(row[2])):
        yield tuple(statement for row in rows for statement in _message(*row))
    if rows := _KEYS.all(connection, session_no=no):
        yield tuple(partial(_DROP_KEY.run, of_user=of, of_key=key) for of, key in rows)


def _others_keys(connection: Connection, no: int) -> Iterator[tuple[Statement, ...]]:
    if rows := _OTHERS_KEYS.all(connection, session_no=no):
        yield tuple(partial(_DROP_KEY.run, of_user=of, of_key=key) for of, key in rows)


def _message(
    no: int, user_no: int, content: str, deleted_at: float | None
) -> Iterator[Callable[[Connection], None]]:
    if deleted_at is None:  # a deleted one has left the index
        placed = text_index.place(user_no, no)
        yield partial(text_index.remove, placed=placed, text=content)
    yield partial(_DROP_MESSAGE.run, of_no=no)


def _listed(nos: list[int]) -> str:
    return msgspec.json.encode(nos).decode()
