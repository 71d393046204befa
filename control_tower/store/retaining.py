"""What the log need not keep any longer, a bounded piece at a time.

Each function reads and returns a :class:`~control_tower.unit.Tend` for the writer's next turn.

- *Events*: of each line a prefix. It ends before the first event that is too young, and before the
  first event of a mission that has not ended, or not long enough ago. ``floor`` says where it ends:
  of the line, and of the whole log (``meta.floor``, the highest).
- *Steps*: the journal of a mission goes when the mission is over that long; while it lives it is
  needed to run it again. Its row stays, and so do its messages, files, artifacts and questions.
- *Tool calls*: with the steps, which prove them.
- *Idempotency keys*: a while after their mission has ended.

Ages are told by offsets: events are in the order of time, so the youngest event that is too old is
found by bisection, and no table needs an index by time.
"""

from functools import partial

import msgspec
from sqlalchemy import ColumnElement, bindparam, case, delete, func, select, update

from control_tower.store.pieces import bounded
from control_tower.store.statements import Connection, Query, one_of
from control_tower.store.tables import (
    events,
    idempotency_keys,
    meta,
    missions,
    sessions,
    steps,
    tool_calls,
    users,
)
from control_tower.unit import Tend
from events.times import instant_of

ROWS = 500
"""Rows a piece at most, fewer when they are large: a few milliseconds of the writer's time."""


class _Params(msgspec.Struct):
    at: str


class _Message(msgspec.Struct):
    params: _Params


class _End(msgspec.Struct):
    """The part of a mission's record that says when it ended."""

    completed_at: float | None = None


class Place(msgspec.Struct, frozen=True):
    """Where a walk over a table has got to: the last row looked at, and what is to be removed.

    ``last`` is None at the table's end; ``piece`` is None when nothing is.
    """

    last: tuple[int, str] | None
    piece: Tend | None


_decode_event = msgspec.json.Decoder(_Message).decode
_decode_end = msgspec.json.Decoder(_End).decode

_FIRST_EVENT = Query(select(func.min(events.c.offset)))
_HEAD = Query(select(meta.c.head))
_NEXT_EVENT = Query(
    select(events.c.offset, events.c.body)
    .where(events.c.offset >= bindparam("least"))
    .order_by(events.c.offset)
    .limit(1)
)
_LINES = Query(
    select(events.c.offset, events.c.session_no)
    .where(events.c.offset > bindparam("after"), events.c.offset <= bindparam("upto"))
    .order_by(events.c.offset)
    .limit(ROWS * 10)
)
_OF_LINE = Query(
    select(missions.c.first_offset, missions.c.outcome, missions.c.record)
    .where(missions.c.session_no == bindparam("line"), missions.c.first_offset <= bindparam("upto"))
    .order_by(missions.c.first_offset)
)
_OLDEST = Query(
    select(events.c.offset, func.length(events.c.body))
    .where(events.c.session_no == bindparam("line"), events.c.offset <= bindparam("upto"))
    .order_by(events.c.offset)
    .limit(ROWS)
)
_DROP_EVENTS = Query(
    delete(events).where(
        events.c.session_no == bindparam("line"), events.c.offset <= bindparam("upto")
    )
)


def _raised(floor: ColumnElement[int]) -> ColumnElement[int]:
    return case((floor < bindparam("upto"), bindparam("upto")), else_=floor)


_SESSION_FLOOR = Query(
    update(sessions)
    .where(sessions.c.no == bindparam("line"))
    .values(floor=_raised(sessions.c.floor))
)
_USER_FLOOR = Query(
    update(users).where(users.c.no == bindparam("of_user")).values(floor=_raised(users.c.floor))
)
_FLOOR = Query(update(meta).values(floor=_raised(meta.c.floor)))

_STEPS = Query(
    select(steps.c.no, steps.c.mission_no, steps.c.offset, func.length(steps.c.record))
    .where(steps.c.no > bindparam("after"))
    .order_by(steps.c.no)
    .limit(ROWS)
)
_DROP_STEPS = Query(delete(steps).where(one_of(steps.c.no, "nos")))
_ENDS = Query(
    select(missions.c.no, missions.c.record).where(
        one_of(missions.c.no, "nos"), missions.c.outcome.is_not(None)
    )
)
_TOOL_CALLS = Query(select(tool_calls.c.no, tool_calls.c.at).order_by(tool_calls.c.no).limit(ROWS))
_DROP_TOOL_CALLS = Query(delete(tool_calls).where(one_of(tool_calls.c.no, "nos")))
_KEYS = Query(
    select(
        idempotency_keys.c.user_no,
        idempotency_keys.c.key,
        idempotency_keys.c.created_at,
        missions.c.pid,
        missions.c.outcome,
        missions.c.record,
    )
    .outerjoin(missions, missions.c.pid == idempotency_keys.c.mission_id)
    .where(
        (idempotency_keys.c.user_no > bindparam("of_user"))
        | (
            (idempotency_keys.c.user_no == bindparam("of_user"))
            & (idempotency_keys.c.key > bindparam("of_key"))
        )
    )
    .order_by(idempotency_keys.c.user_no, idempotency_keys.c.key)
    .limit(ROWS)
)
_DROP_KEY = Query(
    delete(idempotency_keys).where(
        idempotency_keys.c.user_no == bindparam("of_user"),
        idempotency_keys.c.key == bindparam("of_key"),
    )
)


def newest_before(connection: Connection, instant: float) -> int:
    """Return the last offset whose event is older than ``instant``; 0 if none is.

    Where all that is older was removed before, the offset before the first event.
    """
    first, head = _FIRST_EVENT.one(connection), _HEAD.one(connection)
    if first is None or first[0] is None or head is None:
        return 0
    low, high = int(first[0]) - 1, int(head[0])
    while low < high:
        found = _NEXT_EVENT.one(connection, least=(low + high + 1) // 2)
        if found is None or instant_of(_decode_event(found[1]).params.at) >= instant:
            high = (low + high + 1) // 2 - 1
        else:
            low = int(found[0])
    return low


def lines(connection: Connection, after: int, upto: int) -> tuple[list[int], int | None]:
    """Return lines with events behind ``after``, and where to go on; None when that was all."""
    rows = _LINES.all(connection, after=after, upto=upto)
    found = list(dict.fromkeys(line for _, line in rows))
    return found, rows[-1][0] if len(rows) == ROWS * 10 else None


def limit_of(connection: Connection, line: int, upto: int, instant: float) -> int:
    """Return how far a line may be cut: before any mission not over at ``instant``."""
    if line <= 0:
        return upto
    for first_offset, outcome, record in _OF_LINE.cursor(connection, line=line, upto=upto):
        if outcome is None or not _ended_before(record, instant):
            return int(first_offset) - 1
    return upto


def cut(connection: Connection, line: int, upto: int) -> Tend | None:
    """Return the removal of a line's oldest events up to an offset; None if there are none."""
    found = _OLDEST.cursor(connection, line=line, upto=upto)
    oldest = bounded(found, lambda row: int(row[1]))
    if not oldest:
        return None
    last = oldest[-1][0]
    statements = [partial(_DROP_EVENTS.run, line=line, upto=last)]
    if line > 0:
        statements.append(partial(_SESSION_FLOOR.run, line=line, upto=last))
    elif line < 0:
        statements.append(partial(_USER_FLOOR.run, of_user=-line, upto=last))
    return Tend((*statements, partial(_FLOOR.run, upto=last)))


def old_tool_calls(connection: Connection, instant: float) -> Tend | None:
    """Return the removal of the oldest tool calls from before ``instant``; None: there are none."""
    nos = [no for no, at in _TOOL_CALLS.all(connection) if at < instant]
    return Tend((partial(_DROP_TOOL_CALLS.run, nos=_listed(nos)),)) if nos else None


def old_steps(connection: Connection, after: int, upto: int, instant: float) -> Place:
    """Return the removal of steps behind ``after`` whose missions were over at ``instant``."""
    all_rows = _STEPS.all(connection, after=after)
    rows = bounded(all_rows, lambda row: int(row[3]))
    owners = _listed(list({row[1] for row in rows}))
    ends = _ENDS.all(connection, nos=owners)
    over = {no for no, record in ends if _ended_before(record, instant)}
    nos = [row[0] for row in rows if row[1] in over]
    # Steps are in the order of time, too: behind the first one that is young, nothing is over.
    was_last = len(rows) == len(all_rows) < ROWS
    is_end = was_last or any((offset or 0) > upto for _, _, offset, _ in rows)
    piece = Tend((partial(_DROP_STEPS.run, nos=_listed(nos)),)) if nos else None
    return Place(None if is_end else (rows[-1][0], ""), piece)


def old_keys(connection: Connection, after: tuple[int, str], instant: float) -> Place:
    """Return the removal of idempotency keys behind ``after`` that need not be kept."""
    of_user, of_key = after
    rows = _KEYS.all(connection, of_user=of_user, of_key=of_key)
    old = [
        (user_no, key)
        for user_no, key, created_at, pid, outcome, record in rows
        if created_at < instant
        and (pid is None or (outcome is not None and _ended_before(record, instant)))
    ]
    piece = Tend(tuple(partial(_DROP_KEY.run, of_user=no, of_key=key) for no, key in old))
    last = (rows[-1][0], rows[-1][1]) if len(rows) == ROWS else None
    return Place(last, piece if old else None)


def _ended_before(record: bytes, instant: float) -> bool:
    ended_at = _decode_end(record).completed_at
    return ended_at is not None and ended_at < instant


def _listed(nos: list[int]) -> str:
    return msgspec.json.encode(nos).decode()
