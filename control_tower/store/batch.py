"""Units of work turned into the rows of one transaction.

A :class:`Batch` checks each unit against the ledger, stages what it changes there, gives its
events their offsets, and gathers rows by table. Nothing reaches the database before
:meth:`Batch.write`, which writes each table once: a mission saved by three units of the batch is
one row written. A refused unit leaves no trace; a unit that turns out to be unfit half-way leaves
the batch unusable, and the core begins again with one batch a unit.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import bindparam, select, update

from control_tower.records import KeyRecord, MessageRecord, ProcessControlBlock, SessionRecord
from control_tower.store import text_index
from control_tower.store.ledger import Ledger, MissionEntry, SessionEntry
from control_tower.store.statements import Query, Row, insert, upsert
from control_tower.store.tables import (
    artifacts,
    events,
    files,
    idempotency_keys,
    interrupts,
    messages,
    meta,
    missions,
    sessions,
    steps,
    tool_calls,
    users,
)
from control_tower.unit import (
    Commit,
    DeleteFile,
    GuardFailed,
    InsertMessage,
    InsertMission,
    InsertSession,
    InsertToolCall,
    KeyTaken,
    RememberKey,
    SaveArtifact,
    SaveFile,
    SaveInterrupt,
    SaveMessage,
    SaveMission,
    SaveSession,
    SaveStep,
    SessionMissing,
    TouchSession,
    Unit,
    UnitRefused,
)
from events.types import Committed, Scope

encode = msgspec.json.Encoder().encode

_USERS = insert(users, without=["floor"])
_SESSIONS = upsert(
    sessions, ["no"], without=["floor"], fixed=["session_id", "user_no", "created_at"]
)
_MISSIONS = upsert(
    missions, ["no"], fixed=["pid", "session_no", "user_no", "root_no", "first_offset"]
)
_STEPS = upsert(steps, ["mission_no", "step"], without=["no"])
_INTERRUPTS = upsert(
    interrupts,
    ["interrupt_id"],
    without=["no"],
    fixed=["mission_no", "session_no", "user_no", "kind"],
)
_MESSAGES = insert(messages)
_FILES = upsert(files, ["session_no", "name"])
_ARTIFACTS = upsert(artifacts, ["mission_no", "name"], fixed=["session_no"])
_TOOL_CALLS = insert(tool_calls, without=["no"])
_KEYS = insert(idempotency_keys)
_EVENTS = insert(events)

_HEAD = Query(update(meta).values(head=bindparam("new_head")))
_DELETE_FILE = Query(
    files.delete().where(
        files.c.session_no == bindparam("of_session"), files.c.name == bindparam("of_name")
    )
)
_OLD_MESSAGE = Query(
    select(messages.c.no, messages.c.content, messages.c.deleted_at).where(
        messages.c.message_id == bindparam("message_id")
    )
)
_NEW_MESSAGE = Query(
    update(messages)
    .where(messages.c.no == bindparam("of_no"))
    .values(
        content=bindparam("new_content"),
        edited_at=bindparam("new_edited_at"),
        original_content=bindparam("new_original_content"),
        deleted_at=bindparam("new_deleted_at"),
    )
)
_KEY = Query(
    select(
        idempotency_keys.c.body_sha256,
        idempotency_keys.c.offset,
        idempotency_keys.c.mission_id,
        idempotency_keys.c.created_at,
        idempotency_keys.c.reply,
    ).where(
        idempotency_keys.c.user_no == bindparam("user_no"),
        idempotency_keys.c.key == bindparam("key"),
    )
)

TOWER_LINE = 0
"""``events.session_no`` of what belongs to no session and no user."""


class Unfit(Exception):
    """A unit that cannot be written: a row it points at is not there. A bug of the kernel."""


def key_record(user_id: str, key: str, row: Row) -> KeyRecord:
    """Return an idempotency key's record from its row."""
    body_sha256, offset, mission_id, created_at, reply = row
    return KeyRecord(
        user_id=user_id,
        key=key,
        body_sha256=body_sha256,
        reply={**msgspec.json.decode(reply), "offset": offset},
        mission_id=mission_id,
        created_at=created_at,
    )


def find_key(
    connection: sqlite3.Connection, user_no: int, user_id: str, key: str
) -> KeyRecord | None:
    """Return an idempotency key's record."""
    row = _KEY.one(connection, user_no=user_no, key=key)
    return None if row is None else key_record(user_id, key, row)


@dataclass(slots=True)
class Batch:
    """The rows of one transaction. ``head`` is the last offset given so far."""

    ledger: Ledger
    head: int
    _users: list[Row] = field(default_factory=list)
    _sessions: dict[int, SessionEntry] = field(default_factory=dict)
    _missions: dict[int, tuple[MissionEntry, ProcessControlBlock]] = field(default_factory=dict)
    _steps: dict[tuple[int, str], tuple[int | None, Any]] = field(default_factory=dict)
    _interrupts: dict[str, Row] = field(default_factory=dict)
    _new_messages: list[Row] = field(default_factory=list)
    _saved_messages: list[MessageRecord] = field(default_factory=list)
    _files: dict[tuple[int, str], Row | None] = field(default_factory=dict)
    _artifacts: dict[tuple[int, str], Row] = field(default_factory=dict)
    _tool_calls: list[Row] = field(default_factory=list)
    _keys: dict[tuple[int, str], KeyRecord] = field(default_factory=dict)
    _events: list[Row] = field(default_factory=list)
    scopes: dict[int, Scope] = field(default_factory=dict)
    """The newest scope seen of each mission, by its number."""

    def add(self, unit: Unit) -> Commit:
        """Stage a unit.

        Raises:
            UnitRefused: when a condition of the unit does not hold; the batch is unchanged.
            Unfit: when it cannot be written; the batch must be thrown away.
        """
        self._check(unit)
        first_offset = self.head + 1
        for write in unit.writes:
            _STAGE[type(write)](self, write, first_offset)
        return Commit(self._append(unit))

    def _check(self, unit: Unit) -> None:
        guard = unit.guard
        if guard is not None:
            mission = self.ledger.mission(guard.pid)
            if (
                mission is None
                or not mission.live
                or mission.attempt != guard.attempt
                or mission.token != guard.token
            ):
                raise GuardFailed(f"mission {guard.pid} is not live and ours")
        require = unit.require
        if require is not None:
            session = self.ledger.session(require.session_id)
            if (
                session is None
                or session.deleted_at is not None
                or require.user_id not in {None, session.user_id}
            ):
                raise SessionMissing(f"no session {require.session_id}")
        for write in unit.writes:
            if type(write) is RememberKey:
                self._check_key(write.key)

    def _check_key(self, key: KeyRecord) -> None:
        user_no = self.ledger.user(key.user_id)
        if user_no is None:
            return
        taken = self._keys.get((user_no, key.key)) or find_key(
            self.ledger.connection, user_no, key.user_id, key.key
        )
        if taken is not None:
            raise KeyTaken(taken)

    def _append(self, unit: Unit) -> tuple[Committed, ...]:
        committed = []
        scope: Scope | None = None
        place: tuple[int, int | None, int | None] = (TOWER_LINE, None, None)
        offset = self.head
        for draft in unit.drafts:
            offset += 1
            if draft.scope is not scope:
                scope = draft.scope
                place = self._place(scope)
            body = draft.body(offset)
            self._events.append((offset, *place, draft.type, body))
            committed.append(Committed(offset, draft.type, scope, body))
        self.head = offset
        return tuple(committed)

    def _place(self, scope: Scope) -> tuple[int, int | None, int | None]:
        if scope.lineage:
            mission = self._mission(scope.lineage[-1])
            self.scopes[mission.no] = scope
            return mission.session_no, mission.no, mission.root_no
        if scope.session_id is not None:
            return self._session(scope.session_id).no, None, None
        if scope.user_id is not None:
            return -self._user(scope.user_id), None, None
        return TOWER_LINE, None, None

    def _mission(self, pid: str) -> MissionEntry:
        mission = self.ledger.mission(pid)
        if mission is None:
            raise Unfit(f"unknown mission {pid}")
        return mission

    def _session(self, session_id: str) -> SessionEntry:
        session = self.ledger.session(session_id)
        if session is None:
            raise Unfit(f"unknown session {session_id}")
        return session

    def _own_session(self, session_id: str) -> SessionEntry:
        session = self.ledger.own_session(session_id)
        if session is None:
            raise Unfit(f"unknown session {session_id}")
        self._sessions[session.no] = session
        return session

    def _user(self, user_id: str) -> int:
        number = self.ledger.user(user_id)
        if number is None:
            number = self.ledger.add_user(user_id)
            self._users.append((number, user_id))
        return number

    def _insert_session(self, write: InsertSession, _: int) -> None:
        record: SessionRecord = write.session
        entry = self.ledger.add_session(record, self._user(record.user_id))
        self._sessions[entry.no] = entry

    def _save_session(self, write: SaveSession, _: int) -> None:
        entry = self._own_session(write.session.session_id)
        entry.title = write.session.title
        entry.archived_at = write.session.archived_at
        entry.deleted_at = write.session.deleted_at

    def _touch_session(self, write: TouchSession, _: int) -> None:
        entry = self._own_session(write.session_id)
        entry.last_activity = max(entry.last_activity, write.at)
        entry.message_count += write.messages
        if entry.title is None:
            entry.title = write.title

    def _insert_mission(self, write: InsertMission, first_offset: int) -> None:
        pcb = write.pcb
        session = self._session(pcb.session_id)
        no = self.ledger.number("missions")
        root_no = no if len(pcb.lineage) == 1 else self._mission(pcb.lineage[0]).no
        places = (no, session.no, session.user_no, root_no)
        self._missions[no] = (self.ledger.stage_mission(pcb, places, first_offset), pcb)

    def _save_mission(self, write: SaveMission, _: int) -> None:
        pcb = write.pcb
        old = self._mission(pcb.pid)
        places = (old.no, old.session_no, old.user_no, old.root_no)
        self._missions[old.no] = (self.ledger.stage_mission(pcb, places, old.first_offset), pcb)

    def _save_step(self, write: SaveStep, first_offset: int) -> None:
        step = write.step
        offset = step.offset
        if write.outcome_event is not None:
            offset = first_offset + write.outcome_event
        self._steps[self._mission(step.pid).no, step.step] = (offset, step)

    def _save_interrupt(self, write: SaveInterrupt, _: int) -> None:
        record = write.interrupt
        mission = self._mission(record.mission_id)
        self._interrupts[record.interrupt_id] = (
            record.interrupt_id,
            mission.no,
            mission.session_no,
            mission.user_no,
            record.kind,
            record.status,
            encode(record),
        )

    def _insert_message(self, write: InsertMessage, _: int) -> None:
        message = write.message
        session = self._session(message.session_id)
        self._new_messages.append(
            (
                self.ledger.number("messages"),
                message.message_id,
                session.no,
                message.role,
                message.content,
                message.mission_id,
                message.created_at,
                message.edited_at,
                message.original_content,
                message.deleted_at,
            )
        )

    def _save_message(self, write: SaveMessage, _: int) -> None:
        self._saved_messages.append(write.message)

    def _save_file(self, write: SaveFile, _: int) -> None:
        file = write.file
        session = self._session(file.session_id)
        self._files[session.no, file.name] = (
            session.no,
            file.name,
            file.media_type,
            file.size,
            file.content,
            file.updated_at,
        )

    def _delete_file(self, write: DeleteFile, _: int) -> None:
        self._files[self._session(write.session_id).no, write.name] = None

    def _save_artifact(self, write: SaveArtifact, _: int) -> None:
        file = write.file
        mission = self._mission(write.pid)
        self._artifacts[mission.no, file.name] = (
            mission.no,
            file.name,
            mission.session_no,
            file.media_type,
            file.size,
            file.content,
            file.updated_at,
        )

    def _insert_tool_call(self, write: InsertToolCall, _: int) -> None:
        self._tool_calls.append(
            (
                write.tool,
                write.pid,
                write.step,
                write.status,
                write.latency_ms,
                write.at,
                write.error,
            )
        )

    def _remember_key(self, write: RememberKey, first_offset: int) -> None:
        key = write.key
        reply = {**key.reply, "offset": first_offset}
        self._keys[self._user(key.user_id), key.key] = msgspec.structs.replace(key, reply=reply)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write every row gathered, in the open transaction."""
        _USERS.write(connection, self._users)
        _SESSIONS.write(connection, [_session_row(entry) for entry in self._sessions.values()])
        _MISSIONS.write(connection, [_mission_row(*pair) for pair in self._missions.values()])
        _STEPS.write(
            connection,
            [
                (mission_no, step, offset, encode(record))
                for (mission_no, step), (offset, record) in self._steps.items()
            ],
        )
        _INTERRUPTS.write(connection, list(self._interrupts.values()))
        self._write_messages(connection)
        self._write_files(connection)
        _ARTIFACTS.write(connection, list(self._artifacts.values()))
        _TOOL_CALLS.write(connection, self._tool_calls)
        _KEYS.write(connection, [_key_row(*item) for item in self._keys.items()])
        if self._events:
            _EVENTS.write(connection, self._events)
            _HEAD.run(connection, new_head=self.head)

    def _write_messages(self, connection: sqlite3.Connection) -> None:
        if self._new_messages:
            _MESSAGES.write(connection, self._new_messages)
            text_index.add(connection, [(row[0], row[4]) for row in self._new_messages])
        for message in self._saved_messages:
            old = _OLD_MESSAGE.one(connection, message_id=message.message_id)
            if old is None:
                raise Unfit(f"unknown message {message.message_id}")
            no, content, deleted_at = old
            if deleted_at is None:
                text_index.remove(connection, no, content)
            _NEW_MESSAGE.run(
                connection,
                of_no=no,
                new_content=message.content,
                new_edited_at=message.edited_at,
                new_original_content=message.original_content,
                new_deleted_at=message.deleted_at,
            )
            if message.deleted_at is None:
                text_index.add(connection, [(no, message.content)])

    def _write_files(self, connection: sqlite3.Connection) -> None:
        _FILES.write(connection, [row for row in self._files.values() if row is not None])
        for (session_no, name), row in self._files.items():
            if row is None:
                _DELETE_FILE.run(connection, of_session=session_no, of_name=name)


def _session_row(entry: SessionEntry) -> Row:
    return (
        entry.no,
        entry.session_id,
        entry.user_no,
        entry.title,
        entry.message_count,
        entry.created_at,
        entry.last_activity,
        entry.archived_at,
        entry.deleted_at,
    )


def _mission_row(entry: MissionEntry, pcb: ProcessControlBlock) -> Row:
    return (
        entry.no,
        pcb.pid,
        entry.session_no,
        entry.user_no,
        entry.root_no,
        pcb.state,
        pcb.outcome,
        pcb.attempt,
        pcb.token,
        entry.first_offset,
        encode(pcb),
    )


def _key_row(place: tuple[int, str], key: KeyRecord) -> Row:
    return (
        *place,
        key.body_sha256,
        key.reply["offset"],
        key.mission_id,
        key.created_at,
        encode(key.reply),
    )


_STAGE: dict[type, Callable[[Batch, Any, int], None]] = {
    InsertSession: Batch._insert_session,
    SaveSession: Batch._save_session,
    TouchSession: Batch._touch_session,
    InsertMission: Batch._insert_mission,
    SaveMission: Batch._save_mission,
    SaveStep: Batch._save_step,
    SaveInterrupt: Batch._save_interrupt,
    InsertMessage: Batch._insert_message,
    SaveMessage: Batch._save_message,
    SaveFile: Batch._save_file,
    DeleteFile: Batch._delete_file,
    SaveArtifact: Batch._save_artifact,
    InsertToolCall: Batch._insert_tool_call,
    RememberKey: Batch._remember_key,
}

__all__ = ["TOWER_LINE", "Batch", "Unfit", "UnitRefused", "find_key"]
