"""Pages of the log: any union of topics, in offset order, without duplicates.

The log has one index, ``(session_no, offset)``. A line (a session, or what a user has outside
sessions) is read along it; a mission is a part of its session's line, picked out by its root and,
for a descendant, by its ancestry; a user is a merge of lines; ``system`` is the log itself.

A merge looks at a window of offsets that is likely to fill one page, and at a larger one only if
that was too empty. The first window is walked, which is cheapest where most of the log is wanted;
in a larger one each line is looked up, as what is wanted is a small part of it. When there are more
lines than the window has offsets, walking is the cheaper way again.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import ColumnElement, Select, and_, bindparam, func, literal_column, select

from control_tower.store.scopes import Scopes
from control_tower.store.statements import Connection, Query, Row, one_of
from control_tower.store.tables import events, meta, missions, sessions, users
from events.log import Page
from events.types import Committed, Scope

_PAGE_BYTES = 1 << 20
_WINDOW_PER_EVENT = 8
_WINDOW_GROWTH = 8

_SPAN = and_(events.c.offset > bindparam("after"), events.c.offset <= bindparam("upto"))


def _rows(condition: ColumnElement[bool]) -> Select[tuple[int, int, int, str, bytes]]:
    return (
        select(
            events.c.offset,
            events.c.session_no,
            events.c.mission_no,
            events.c.type,
            events.c.body,
        )
        .where(condition)
        .order_by(events.c.offset)
    )


_EVERYTHING = Query(_rows(_SPAN))
_ONE_LINE = Query(_rows(and_(events.c.session_no == bindparam("line"), _SPAN)))
# The unary plus keeps SQLite from using the index: the walk goes along the offsets.
_UNINDEXED: ColumnElement[int] = literal_column("+events.session_no")


def _merged(line: ColumnElement[int]) -> Query:
    # The innermost select sorts offsets alone; bodies are fetched in order after it.
    wanted = (
        select(events.c.offset)
        .where(one_of(line, "lines"), _SPAN)
        .order_by(events.c.offset)
        .limit(bindparam("most"))
    )
    return Query(_rows(events.c.offset.in_(wanted)))


_MERGED_WALKING = _merged(_UNINDEXED)
_MERGED_BY_LINE = _merged(events.c.session_no)
_WALKED = Query(_rows(and_(_SPAN, one_of(_UNINDEXED, "lines"))))

_SESSION = Query(
    select(sessions.c.no, sessions.c.floor).where(sessions.c.session_id == bindparam("session_id"))
)
_USER = Query(select(users.c.no, users.c.floor).where(users.c.user_id == bindparam("user_id")))
_USER_LINES = Query(select(sessions.c.no).where(sessions.c.user_no == bindparam("user_no")))
_USER_FLOOR = Query(
    select(func.max(sessions.c.floor)).where(sessions.c.user_no == bindparam("user_no"))
)
_MISSION = Query(
    select(missions.c.session_no, missions.c.first_offset, sessions.c.floor)
    .join(sessions, sessions.c.no == missions.c.session_no)
    .where(missions.c.pid == bindparam("pid"))
)
_FLOOR = Query(select(meta.c.floor))


@dataclass(slots=True)
class Selection:
    """What topics mean in the log.

    Attributes:
        everything: all of it (``system``).
        lines: lines of which every event is wanted.
        missions: by line, missions of which every event is wanted, with their descendants.
        start: no event wanted has an offset up to this.
    """

    everything: bool = False
    lines: set[int] = field(default_factory=set)
    missions: dict[int, set[str]] = field(default_factory=dict)
    start: int = 0

    def wants(self, line: int, scope: Scope) -> bool:
        """Return whether an event of a selected line is wanted."""
        return (
            self.everything
            or line in self.lines
            or not self.missions[line].isdisjoint(scope.lineage)
        )


def select_topics(connection: Connection, topics: Sequence[str]) -> Selection:
    """Look the topics up. One that does not exist selects nothing."""
    selection = Selection()
    starts: list[int] = []
    for topic in topics:
        kind, _, name = topic.partition(":")
        if kind == "system":
            return Selection(everything=True)
        if kind == "mission":
            row = _MISSION.one(connection, pid=name)
            if row is not None:
                selection.missions.setdefault(row[0], set()).add(name)
                starts.append(row[1] - 1)
        else:
            selection.lines.update(_lines(connection, kind, name))
    if starts and not selection.lines:
        selection.start = min(starts)
    return selection


def _lines(connection: Connection, kind: str, name: str) -> Iterator[int]:
    if kind == "session":
        row = _SESSION.one(connection, session_id=name)
        if row is not None:
            yield row[0]
    elif kind == "user":
        row = _USER.one(connection, user_id=name)
        if row is not None:
            yield -row[0]
            yield from (no for (no,) in _USER_LINES.all(connection, user_no=row[0]))


def read_page(
    connection: Connection,
    scopes: Scopes,
    topics: Sequence[str],
    span: tuple[int, int],
    limit: int,
) -> Page:
    """Return a page of the log; see ``events.log.LogReader.read``. ``span``: after, upto."""
    after, upto = span
    selection = select_topics(connection, topics)
    lines = selection.lines.union(selection.missions)
    after = max(after, selection.start)
    if after >= upto or not (selection.everything or lines):
        return Page((), upto)
    reading = _Reading(connection, scopes, selection, limit)
    if selection.everything:
        reading.take(_EVERYTHING.along(connection, after, upto=upto))
    elif len(lines) == 1:
        line = next(iter(lines))
        reading.take(_ONE_LINE.along(connection, after, line=line, upto=upto))
    else:
        reading.merge(lines, after, upto)
    return Page(tuple(reading.found), upto if reading.reached is None else reading.reached)


@dataclass(slots=True)
class _Reading:
    """A page in the making. ``reached`` is set when it is full: how far it is complete."""

    connection: Connection
    scopes: Scopes
    selection: Selection
    limit: int
    found: list[Committed] = field(default_factory=list)
    size_bytes: int = 0
    reached: int | None = None

    def merge(self, lines: set[int], after: int, upto: int) -> None:
        """Take the events of several lines, window by window."""
        listed = msgspec.json.encode(list(lines)).decode()
        width = self.limit * _WINDOW_PER_EVENT
        # A mission's line holds others' events too, so more than a page of offsets is looked at.
        most = self.limit * (_WINDOW_PER_EVENT if self.selection.missions else 1)
        merged = _MERGED_WALKING
        while after < upto and self.reached is None:
            end = min(upto, after + width)
            if len(lines) > width:
                self.take(_WALKED.along(self.connection, after, lines=listed, upto=end))
                after = end
            else:
                seen, last = self.take(
                    merged.cursor(self.connection, lines=listed, after=after, upto=end, most=most)
                )
                after = last if seen == most else end
            width *= _WINDOW_GROWTH
            merged = _MERGED_BY_LINE

    def take(self, rows: Iterable[Row]) -> tuple[int, int]:
        """Take rows until the page is full; return how many were seen, and the last offset."""
        by_mission, by_line = self.scopes.by_mission, self.scopes.by_line
        found, selection = self.found, self.selection
        filtered = bool(selection.missions)
        seen = offset = 0
        for offset, line, mission_no, event_type, body in rows:
            seen += 1
            if mission_no is None:
                scope = by_line.get(line) or self.scopes.of_line(self.connection, line)
            else:
                scope = by_mission.get(mission_no) or self.scopes.of_mission(
                    self.connection, mission_no
                )
            if filtered and not selection.wants(line, scope):
                continue
            found.append(Committed(offset, event_type, scope, body))
            self.size_bytes += len(body)
            if len(found) >= self.limit or self.size_bytes >= _PAGE_BYTES:
                self.reached = offset
                break
        return seen, offset


def read_floor(connection: Connection, topics: Sequence[str]) -> int:
    """Return the lowest ``since`` from which nothing of the topics is missing."""
    floor = 0
    for topic in topics:
        kind, _, name = topic.partition(":")
        if kind == "system":
            row = _FLOOR.one(connection)
            floor = max(floor, row[0] if row else 0)
        elif kind == "session":
            row = _SESSION.one(connection, session_id=name)
            floor = max(floor, row[1] if row else 0)
        elif kind == "mission":
            row = _MISSION.one(connection, pid=name)
            # Of a mission that began above its session's floor nothing is missing.
            floor = max(floor, row[2] if row and row[1] <= row[2] else 0)
        else:
            floor = max(floor, _user_floor(connection, name))
    return floor


def _user_floor(connection: Connection, user_id: str) -> int:
    user = _USER.one(connection, user_id=user_id)
    if user is None:
        return 0
    row = _USER_FLOOR.one(connection, user_no=user[0])
    of_sessions: int | None = row[0] if row else None
    of_user: int = user[1]
    return max(of_user, of_sessions or 0)
