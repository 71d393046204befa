"""The rows of one transaction, gathered by table and written once each.

Saving a mission three times in a transaction writes it once: rows with a key are kept by it, the
last one wins. What they say is staged in the ledger at the same time, so that the next unit of
the same transaction sees it.
"""

from dataclasses import dataclass, field

import msgspec
from sqlalchemy import bindparam, select, update

from control_tower.records import KeyRecord, MessageRecord, ProcessControlBlock, StepRecord
from control_tower.store import spending, text_index
from control_tower.store.ledger import MissionEntry, SessionEntry
from control_tower.store.statements import Connection, Query, Row, insert, upsert
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
from control_tower.unit import Statement

encode = msgspec.json.Encoder().encode
"""Of JSON columns; ``record`` columns are whole records."""

_USERS = insert(users, without=["floor", "erased_at"])
_SESSIONS = upsert(
    sessions,
    ["no"],
    without=["floor", "erased_at"],
    fixed=["session_id", "user_no", "created_at"],
)
_MISSION_FIXED = ["pid", "session_no", "user_no", "root_no", "first_offset"]
# A live mission's outcome is null before and after: not to assign it spares the index of live
# missions a rewrite at every save.
_LIVE_MISSIONS = upsert(missions, ["no"], fixed=[*_MISSION_FIXED, "outcome"])
_ENDED_MISSIONS = upsert(missions, ["no"], fixed=_MISSION_FIXED)
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
    select(messages.c.no, sessions.c.user_no, messages.c.content, messages.c.deleted_at)
    .join(sessions, sessions.c.no == messages.c.session_no)
    .where(messages.c.message_id == bindparam("message_id"))
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


class Unfit(Exception):
    """A unit that cannot be written: a row it points at is not there. A bug of the kernel."""


@dataclass(slots=True)
class Rows:
    """What a transaction will write.

    Attributes:
        last: statements for what is rare, done in order behind all rows.
    """

    users: list[Row] = field(default_factory=list)
    sessions: dict[int, SessionEntry] = field(default_factory=dict)
    missions: dict[int, tuple[MissionEntry, ProcessControlBlock]] = field(default_factory=dict)
    steps: dict[tuple[int, str], tuple[int | None, StepRecord]] = field(default_factory=dict)
    interrupts: dict[str, Row] = field(default_factory=dict)
    new_messages: list[Row] = field(default_factory=list)
    new_texts: list[tuple[int, str]] = field(default_factory=list)
    saved_messages: list[MessageRecord] = field(default_factory=list)
    files: dict[tuple[int, str], Row | None] = field(default_factory=dict)
    artifacts: dict[tuple[int, str], Row] = field(default_factory=dict)
    tool_calls: list[Row] = field(default_factory=list)
    spent: dict[tuple[int, str], list[float]] = field(default_factory=dict)
    keys: dict[tuple[int, str], KeyRecord] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    last: list[Statement] = field(default_factory=list)

    def write(self, connection: Connection, head: int) -> None:
        """Write them all in the open transaction; ``head`` is the last offset given.

        Raises:
            Unfit: when a message to be replaced is not there.
            Exception: the driver's, as the engine finds.
        """
        _USERS.write(connection, self.users)
        _SESSIONS.write(connection, [_session_row(entry) for entry in self.sessions.values()])
        self._write_missions(connection)
        _STEPS.write(
            connection,
            [
                (mission_no, step, offset, encode(record))
                for (mission_no, step), (offset, record) in self.steps.items()
            ],
        )
        _INTERRUPTS.write(connection, list(self.interrupts.values()))
        self._write_messages(connection)
        self._write_files(connection)
        _ARTIFACTS.write(connection, list(self.artifacts.values()))
        _TOOL_CALLS.write(connection, self.tool_calls)
        spending.ADD.write(connection, [(*item, *spent) for item, spent in self.spent.items()])
        _KEYS.write(connection, [_key_row(*item) for item in self.keys.items()])
        if self.events:
            _EVENTS.write(connection, self.events)
            _HEAD.run(connection, new_head=head)
        for statement in self.last:
            statement(connection)

    def _write_missions(self, connection: Connection) -> None:
        live: list[Row] = []
        ended: list[Row] = []
        for entry, pcb in self.missions.values():
            (live if entry.live else ended).append(_mission_row(entry, pcb))
        _LIVE_MISSIONS.write(connection, live)
        _ENDED_MISSIONS.write(connection, ended)

    def _write_messages(self, connection: Connection) -> None:
        if self.new_messages:
            _MESSAGES.write(connection, self.new_messages)
            text_index.add(connection, self.new_texts)
        for message in self.saved_messages:
            old = _OLD_MESSAGE.one(connection, message_id=message.message_id)
            if old is None:
                raise Unfit(f"unknown message {message.message_id}")
            no, user_no, content, deleted_at = old
            placed = text_index.place(user_no, no)
            if deleted_at is None:
                text_index.remove(connection, placed, content)
            _NEW_MESSAGE.run(
                connection,
                of_no=no,
                new_content=message.content,
                new_edited_at=message.edited_at,
                new_original_content=message.original_content,
                new_deleted_at=message.deleted_at,
            )
            if message.deleted_at is None:
                text_index.add(connection, [(placed, message.content)])

    def _write_files(self, connection: Connection) -> None:
        _FILES.write(connection, [row for row in self.files.values() if row is not None])
        for (session_no, name), row in self.files.items():
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
        pcb.state.value,
        None if pcb.outcome is None else pcb.outcome.value,
        pcb.attempt,
        pcb.token,
        entry.first_offset,
        encode(pcb),
    )


def _key_row(place: tuple[int, str], key: KeyRecord) -> Row:
    return (
        *place,
        key.body_sha256,
        key.mission_id,
        key.created_at,
        encode(key.reply),
    )
