"""Homes: with which tower each user is at home, so that one memory has all that is theirs.

A row of ``homes`` names a tower by its token. It moves only when that tower has no seat any more:
seats end under the append lock, so who moves a home sees all that was ever written there.
"""

from collections.abc import Sequence

import msgspec

from control_tower.store.seat import transaction
from control_tower.store.statements import Connection

_HOME = "SELECT token FROM homes WHERE user_id = %s"
# Locks a row that is there. One statement: between two, an adoption could let the row go.
_LOCK = """
    INSERT INTO homes (user_id, token) VALUES (%s, 0)
    ON CONFLICT (user_id) DO UPDATE SET token = homes.token RETURNING token
"""
# Statements of their own behind the lock: they see the seats as they are by then.
_SEATED = "SELECT 1 FROM nodes WHERE token = %s"
_MOVE = "UPDATE homes SET token = %s WHERE user_id = %s"
_ORPHANS = """
    SELECT user_id FROM homes WHERE token NOT IN (SELECT token FROM nodes)
    LIMIT %s FOR UPDATE SKIP LOCKED
"""
_ADOPT = """
    UPDATE homes SET token = %s
    WHERE user_id IN (SELECT jsonb_array_elements_text(%s::jsonb))
        AND token NOT IN (SELECT token FROM nodes)
        AND EXISTS (
            SELECT 1 FROM users JOIN missions ON missions.user_no = users.no
            WHERE users.user_id = homes.user_id AND missions.outcome IS NULL
        )
    RETURNING user_id
"""
_AT_WORK = """
    SELECT user_id FROM homes
    WHERE token = %s AND user_id > %s AND EXISTS (
        SELECT 1 FROM users JOIN missions ON missions.user_no = users.no
        WHERE users.user_id = homes.user_id AND missions.outcome IS NULL
    )
    ORDER BY user_id LIMIT %s
"""
_LET_GO = """
    DELETE FROM homes
    WHERE user_id IN (SELECT jsonb_array_elements_text(%s::jsonb))
        AND token NOT IN (SELECT token FROM nodes)
"""


def home(connection: Connection, user_id: str) -> int | None:
    """Return the token of a user's home, which may be gone; None: they have none yet."""
    row = connection.execute(_HOME, (user_id,)).fetchone()
    return None if row is None else int(row[0])


def claim(connection: Connection, user_id: str, token: int) -> int:
    """Make ``token`` a user's home, unless theirs has a seat; return whose home it is then."""
    with transaction(connection):
        present = int(connection.execute(_LOCK, (user_id,)).fetchone()[0])
        if present == token or connection.execute(_SEATED, (present,)).fetchone() is not None:
            return present
        connection.execute(_MOVE, (token, user_id))
        return token


def adopt(connection: Connection, token: int, most: int) -> list[str]:
    """Move homes that are gone to ``token``, at most so many; return whose.

    Users without live missions are let go: their next command finds them a home. Towers that do
    this at once share the users among themselves. Those of a lost answer are in :func:`at_work`.
    """
    while True:
        with transaction(connection):
            orphans = [row[0] for row in connection.execute(_ORPHANS, (most,)).fetchall()]
            if not orphans:
                return []
            listed = _listed(orphans)
            adopted = connection.execute(_ADOPT, (token, listed)).fetchall()
            connection.execute(_LET_GO, (listed,))
        if adopted:
            return [row[0] for row in adopted]


def at_work(connection: Connection, token: int, after: str, most: int) -> list[str]:
    """Return a page of users at home with ``token`` who have live missions, by id."""
    return [row[0] for row in connection.execute(_AT_WORK, (token, after, most)).fetchall()]


def _listed(user_ids: Sequence[str]) -> str:
    return msgspec.json.encode(user_ids).decode()
