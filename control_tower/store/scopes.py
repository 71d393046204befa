"""Scopes of committed events, rebuilt from the numbers that the log keeps.

An event's row says which line and which mission it belongs to; its :class:`Scope` is made from
those rows once and shared by all events of the mission. Used by the writer's and the readers'
threads at once: each step on the dicts is atomic under the interpreter's lock, and a scope lost
to a race is only read again.
"""

from collections.abc import Mapping
from itertools import islice

import msgspec
from sqlalchemy import bindparam, select

from control_tower.store.statements import Connection, Query
from control_tower.store.tables import missions, sessions, users
from events.types import Scope

_CAPACITY = 16_384
_TOWER = Scope(None, None)


class _Ancestry(msgspec.Struct):
    """The part of a mission's record that a scope needs."""

    session_id: str
    user_id: str
    lineage: tuple[str, ...]
    agent: str
    priority: str


_MISSION = Query(select(missions.c.record).where(missions.c.no == bindparam("no")))
_SESSION = Query(
    select(sessions.c.session_id, users.c.user_id)
    .join(users, users.c.no == sessions.c.user_no)
    .where(sessions.c.no == bindparam("no"))
)
_USER = Query(select(users.c.user_id).where(users.c.no == bindparam("no")))
_decode = msgspec.json.Decoder(_Ancestry).decode


class Scopes:
    """Scopes by mission number and by line number."""

    def __init__(self) -> None:
        self.by_mission: dict[int, Scope] = {}
        self.by_line: dict[int, Scope] = {0: _TOWER}

    def remember(self, newest: Mapping[int, Scope]) -> None:
        """Keep scopes of missions, as their newest events had them."""
        self.by_mission.update(newest)
        _trim(self.by_mission)

    def of_mission(self, connection: Connection, no: int) -> Scope:
        """Return a mission's scope, read if it is not here yet."""
        scope = self.by_mission.get(no)
        if scope is None:
            # The writer may have put a newer one there since the row was read.
            scope = self.by_mission.setdefault(no, _mission_scope(connection, no))
            _trim(self.by_mission)
        return scope

    def of_line(self, connection: Connection, no: int) -> Scope:
        """Return the scope of a line's events outside missions, read if it is not here yet."""
        scope = self.by_line.get(no)
        if scope is None:
            scope = self.by_line.setdefault(no, _line_scope(connection, no))
            _trim(self.by_line)
        return scope


def _line_scope(connection: Connection, no: int) -> Scope:
    if no < 0:
        row = _USER.one(connection, no=-no)
        return Scope(None, row[0]) if row else _TOWER
    row = _SESSION.one(connection, no=no)
    return Scope(row[0], row[1]) if row else _TOWER


def _mission_scope(connection: Connection, no: int) -> Scope:
    row = _MISSION.one(connection, no=no)
    if row is None:
        return _TOWER
    found = _decode(row[0])
    return Scope(found.session_id, found.user_id, found.lineage, found.agent, found.priority)


def _trim(scopes: dict[int, Scope]) -> None:
    # The oldest half goes at once: cheaper than an order of use, and a mission that is still
    # active comes back with its next commit.
    if len(scopes) > _CAPACITY:
        for no in list(islice(scopes, _CAPACITY // 2)):
            if no != 0:
                scopes.pop(no, None)
