"""What the writer knows of sessions, missions and users, so that it need not ask.

This process is the only one that changes the rows of its users: of the whole database (SQLite: it
holds the folder's lock; PostgreSQL: each transaction checks that it still holds its seat), or,
where towers share one, of those at home with it (``homes.py``). So a row once read or written
stays true until the writer changes it. Guards and requirements are therefore checked against
memory, and a row is read at most once. Numbers of new rows, and removals, are everybody's: see
:meth:`Ledger.catch_up`. Changes are staged for the length of a transaction: :meth:`Ledger.keep`
after its commit, :meth:`Ledger.forget` after a rollback.
"""

import copy
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec
from sqlalchemy import bindparam, func, select

from control_tower.records import ProcessControlBlock, SessionRecord
from control_tower.store.statements import Connection, Query
from control_tower.store.tables import messages, missions, sessions, users

CAPACITY = 16_384
"""Entries of each kind that are remembered; the others are read again."""


@dataclass(slots=True, frozen=True)
class Elsewhere:
    """How far other writers of the same database have come.

    Attributes:
        head: the last offset committed by anybody.
        removals: how often rows were removed, or marked to be, that a ledger may remember.
        highest: the highest number of a row, by table.
    """

    head: int
    removals: int
    highest: dict[str, int]


class SessionEntry(msgspec.Struct, gc=False):
    """A session's row."""

    no: int
    session_id: str
    user_no: int
    user_id: str
    title: str | None
    message_count: int
    created_at: float
    last_activity: float
    archived_at: float | None
    deleted_at: float | None
    floor: int = 0
    erased_at: float | None = None


class MissionEntry(msgspec.Struct, frozen=True, gc=False):
    """What guards and events need of a mission's row."""

    no: int
    session_no: int
    user_no: int
    root_no: int
    attempt: int
    token: int
    live: bool | int
    first_offset: int


_SESSION = Query(
    select(
        sessions.c.no,
        sessions.c.session_id,
        sessions.c.user_no,
        users.c.user_id,
        sessions.c.title,
        sessions.c.message_count,
        sessions.c.created_at,
        sessions.c.last_activity,
        sessions.c.archived_at,
        sessions.c.deleted_at,
        sessions.c.floor,
        sessions.c.erased_at,
    )
    .join(users, users.c.no == sessions.c.user_no)
    .where(sessions.c.session_id == bindparam("session_id"))
)
_MISSION = Query(
    select(
        missions.c.no,
        missions.c.session_no,
        missions.c.user_no,
        missions.c.root_no,
        missions.c.attempt,
        missions.c.token,
        missions.c.outcome.is_(None),
        missions.c.first_offset,
    ).where(missions.c.pid == bindparam("pid"))
)
_USER = Query(select(users.c.no).where(users.c.user_id == bindparam("user_id")))
_HIGHEST = {
    table.name: Query(select(func.max(table.c.no)))
    for table in (users, sessions, missions, messages)
}

Entry = TypeVar("Entry")


class _Shelf(Generic[Entry]):
    """Entries by id, the least recently used dropped beyond ``capacity``, and a staged layer."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: dict[str, Entry] = {}
        self.staged: dict[str, Entry] = {}

    def get(self, key: str) -> Entry | None:
        staged = self.staged.get(key)
        if staged is not None:
            return staged
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._kept[key] = kept  # the dict's order is that of use
        return kept

    def learn(self, key: str, entry: Entry) -> None:
        """Keep what the database already says."""
        self._kept[key] = entry
        while len(self._kept) > self._capacity:
            del self._kept[next(iter(self._kept))]

    def keep(self) -> None:
        for key, entry in self.staged.items():
            self._kept.pop(key, None)
            self.learn(key, entry)
        self.staged.clear()

    def clear(self) -> None:
        self.staged.clear()
        self._kept.clear()


@dataclass(slots=True)
class Ledger:
    """The writer's memory over its own connection."""

    connection: Connection
    _sessions: _Shelf[SessionEntry] = field(init=False)
    _missions: _Shelf[MissionEntry] = field(init=False)
    _users: _Shelf[int] = field(init=False)
    _numbers: dict[str, int] = field(init=False)
    _removals: int = field(init=False, default=0)
    _expired: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._sessions = _Shelf(CAPACITY)
        self._missions = _Shelf(CAPACITY)
        self._users = _Shelf(CAPACITY)
        self._numbers = {}
        for name, highest in _HIGHEST.items():
            row = highest.one(self.connection)
            self._numbers[name] = (row[0] if row else None) or 0

    def catch_up(self, elsewhere: Elsewhere) -> None:
        """Go on from what other writers have committed meanwhile."""
        self._numbers.update(elsewhere.highest)
        if elsewhere.removals != self._removals:
            self._removals = elsewhere.removals
            self.clear()

    def number(self, table: str) -> int:
        """Return a number for a new row; one that a rollback frees is not used again."""
        self._numbers[table] += 1
        return self._numbers[table]

    def session(self, session_id: str) -> SessionEntry | None:
        """Return a session's row as the open transaction sees it."""
        entry = self._sessions.get(session_id)
        if entry is None:
            row = _SESSION.one(self.connection, session_id=session_id)
            if row is not None:
                entry = SessionEntry(*row)
                self._sessions.learn(session_id, entry)
        return entry

    def add_session(self, record: SessionRecord, user_no: int) -> SessionEntry:
        """Stage a new session."""
        entry = SessionEntry(
            self.number("sessions"),
            record.session_id,
            user_no,
            record.user_id,
            record.title,
            record.message_count,
            record.created_at,
            record.last_activity,
            record.archived_at,
            record.deleted_at,
        )
        self._sessions.staged[record.session_id] = entry
        return entry

    def own_session(self, session_id: str) -> SessionEntry | None:
        """Return a session's row staged for change; the caller may assign to it."""
        entry = self.session(session_id)
        if entry is not None and session_id not in self._sessions.staged:
            entry = self._sessions.staged[session_id] = copy.copy(entry)
        return entry

    def mission(self, pid: str) -> MissionEntry | None:
        """Return a mission's fence as the open transaction sees it."""
        entry = self._missions.get(pid)
        if entry is None:
            row = _MISSION.one(self.connection, pid=pid)
            if row is not None:
                entry = MissionEntry(*row)
                self._missions.learn(pid, entry)
        return entry

    def stage_mission(
        self, pcb: ProcessControlBlock, places: tuple[int, int, int, int], first_offset: int
    ) -> MissionEntry:
        """Stage a mission's row; ``places`` are its number and its session's, user's and root's."""
        no, session_no, user_no, root_no = places
        live = pcb.outcome is None
        entry = MissionEntry(
            no, session_no, user_no, root_no, pcb.attempt, pcb.token, live, first_offset
        )
        self._missions.staged[pcb.pid] = entry
        return entry

    def user(self, user_id: str) -> int | None:
        """Return a user's number, or None for one never seen."""
        number = self._users.get(user_id)
        if number is None:
            row = _USER.one(self.connection, user_id=user_id)
            if row is not None:
                number = row[0]
                self._users.learn(user_id, number)
        return number

    def add_user(self, user_id: str) -> int:
        """Stage a new user."""
        number = self._users.staged[user_id] = self.number("users")
        return number

    def expire(self) -> None:
        """The transaction removes rows: after its commit, everything is read again."""
        self._expired = True

    def keep(self) -> None:
        """The transaction is committed: what was staged is true."""
        if self._expired:
            self.clear()
            return
        self._sessions.keep()
        self._missions.keep()
        self._users.keep()

    def forget(self) -> None:
        """The transaction, or the part of it staged since the last keep, is rolled back."""
        self._expired = False
        self._sessions.staged.clear()
        self._missions.staged.clear()
        self._users.staged.clear()

    def clear(self) -> None:
        """Nothing remembered can be relied on: rows were removed, or a part rolled back."""
        self._expired = False
        self._sessions.clear()
        self._missions.clear()
        self._users.clear()
