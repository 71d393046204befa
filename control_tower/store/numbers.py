"""From ids as the outside knows them to the numbers that rows point at each other with."""

from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, select

from control_tower.store.statements import Connection, Query
from control_tower.store.tables import missions, sessions, users

NOBODY = -1
"""A number that no row has."""

TOWER_LINE = 0
"""``events.session_no`` of what belongs to no session and no user."""

_USER = Query(select(users.c.no).where(users.c.user_id == bindparam("id")))
_SESSION = Query(select(sessions.c.no).where(sessions.c.session_id == bindparam("id")))
_MISSION = Query(select(missions.c.no).where(missions.c.pid == bindparam("id")))


def number_of(query: Query, connection: Connection, identity: str) -> int:
    """Return the number that ``query`` finds for the id, else :data:`NOBODY`."""
    row = query.one(connection, id=identity)
    return NOBODY if row is None else int(row[0])


def user_no(connection: Connection, user_id: str) -> int:
    """Return a user's number."""
    return number_of(_USER, connection, user_id)


def session_no(connection: Connection, session_id: str) -> int:
    """Return a session's number."""
    return number_of(_SESSION, connection, session_id)


def mission_no(connection: Connection, pid: str) -> int:
    """Return a mission's number."""
    return number_of(_MISSION, connection, pid)


def scoped(
    connection: Connection, user_id: str | None, session_id: str | None
) -> dict[str, object]:
    """Return the parameters of a filter by user and session; None is no filter."""
    values: dict[str, object] = {}
    if user_id is not None:
        values["user_no"] = user_no(connection, user_id)
    if session_id is not None:
        values["session_no"] = session_no(connection, session_id)
    return values


def filtered(
    statement: Select[Any], conditions: dict[str, ColumnElement[bool]], names: frozenset[str]
) -> Select[Any]:
    """Return the statement under those of the conditions that are named."""
    return statement.where(*(conditions[name] for name in sorted(names)))
