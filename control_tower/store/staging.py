"""How each kind of write becomes a row: looked up in the ledger, staged there, gathered.

``STAGE`` is the one table from a write's type to its function.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import bindparam, select, update

from control_tower.store import api_keys, erasing, spending, text_index
from control_tower.store.ledger import Ledger, MissionEntry, SessionEntry
from control_tower.store.rows import Rows, Unfit, encode
from control_tower.store.statements import Query
from control_tower.store.tables import messages, meta
from control_tower.unit import (
    ChargeUser,
    DeleteFile,
    InsertApiKey,
    InsertMessage,
    InsertMission,
    InsertSession,
    InsertToolCall,
    MarkSession,
    MarkUser,
    RememberKey,
    RevokeApiKey,
    SaveArtifact,
    SaveFile,
    SaveInterrupt,
    SaveMessage,
    SaveMission,
    SaveSession,
    SaveStep,
    Tend,
    TouchApiKey,
    TouchSession,
)


@dataclass(slots=True)
class Staging:
    """Where the writes of a transaction go. Lookups raise :class:`Unfit` for what is not there."""

    ledger: Ledger
    rows: Rows = field(default_factory=Rows)

    def mission(self, pid: str) -> MissionEntry:
        """Return a mission's entry."""
        mission = self.ledger.mission(pid)
        if mission is None:
            raise Unfit(f"unknown mission {pid}")
        return mission

    def session(self, session_id: str) -> SessionEntry:
        """Return a session's entry, to be read only."""
        session = self.ledger.session(session_id)
        if session is None:
            raise Unfit(f"unknown session {session_id}")
        return session

    def changed_session(self, session_id: str) -> SessionEntry:
        """Return a session's entry, to be assigned to; it will be written."""
        session = self.ledger.own_session(session_id)
        if session is None:
            raise Unfit(f"unknown session {session_id}")
        self.rows.sessions[session.no] = session
        return session

    def user(self, user_id: str) -> int:
        """Return a user's number; a new user gets one."""
        number = self.ledger.user(user_id)
        if number is None:
            number = self.ledger.add_user(user_id)
            self.rows.users.append((number, user_id))
        return number


_REMOVED = Query(update(meta).values(removals=meta.c.removals + 1))
"""Tells the ledgers of other towers: see :meth:`Ledger.catch_up`."""

_KNOWN = Query(select(messages.c.no).where(messages.c.message_id == bindparam("message_id")))

Stage: TypeAlias = Callable[[Staging, Any, int], None]
"""Stages a write; the number is the offset of the unit's first event, if it has events."""


def _insert_session(staging: Staging, write: InsertSession, _: int) -> None:
    record = write.session
    entry = staging.ledger.add_session(record, staging.user(record.user_id))
    staging.rows.sessions[entry.no] = entry


def _save_session(staging: Staging, write: SaveSession, _: int) -> None:
    record = write.session
    entry = staging.changed_session(record.session_id)
    # A command may have read the session just before its first message gave it a title.
    if record.title is not None:
        entry.title = record.title
    entry.archived_at = record.archived_at
    if entry.erased_at is None:  # what is being erased is not restored
        entry.deleted_at = record.deleted_at


def _touch_session(staging: Staging, write: TouchSession, _: int) -> None:
    entry = staging.changed_session(write.session_id)
    entry.last_activity = max(entry.last_activity, write.at)
    entry.message_count += write.messages
    if entry.title is None:
        entry.title = write.title


def _insert_mission(staging: Staging, write: InsertMission, first_offset: int) -> None:
    pcb = write.pcb
    session = staging.session(pcb.session_id)
    no = staging.ledger.number("missions")
    root_no = no if len(pcb.lineage) == 1 else staging.mission(pcb.lineage[0]).no
    places = (no, session.no, session.user_no, root_no)
    entry = staging.ledger.stage_mission(pcb, places, first_offset)
    staging.rows.missions[no] = (entry, pcb)


def _save_mission(staging: Staging, write: SaveMission, _: int) -> None:
    pcb = write.pcb
    old = staging.mission(pcb.pid)
    if not old.live and pcb.outcome is None:
        raise Unfit(f"mission {pcb.pid} has ended and can't go on")
    places = (old.no, old.session_no, old.user_no, old.root_no)
    entry = staging.ledger.stage_mission(pcb, places, old.first_offset)
    staging.rows.missions[old.no] = (entry, pcb)


def _save_step(staging: Staging, write: SaveStep, first_offset: int) -> None:
    step = write.step
    offset = step.offset
    if write.outcome_event is not None:
        offset = first_offset + write.outcome_event
    staging.rows.steps[staging.mission(step.pid).no, step.step] = (offset, step)


def _save_interrupt(staging: Staging, write: SaveInterrupt, _: int) -> None:
    record = write.interrupt
    mission = staging.mission(record.mission_id)
    staging.rows.interrupts[record.interrupt_id] = (
        record.interrupt_id,
        mission.no,
        mission.session_no,
        mission.user_no,
        record.kind.value,
        record.status.value,
        encode(record),
    )


def _insert_message(staging: Staging, write: InsertMessage, _: int) -> None:
    message = write.message
    session = staging.session(message.session_id)
    no = staging.ledger.number("messages")
    staging.rows.new_texts.append((text_index.place(session.user_no, no), message.content))
    staging.rows.new_messages.append(
        (
            no,
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


def _save_message(staging: Staging, write: SaveMessage, _: int) -> None:
    # Asked now and not when it is written: new messages of later units are written before it.
    message_id = write.message.message_id
    known = any(row[1] == message_id for row in staging.rows.new_messages)
    if not known and _KNOWN.one(staging.ledger.connection, message_id=message_id) is None:
        raise Unfit(f"unknown message {message_id}")
    staging.rows.saved_messages.append(write.message)


def _save_file(staging: Staging, write: SaveFile, _: int) -> None:
    file = write.file
    session = staging.session(file.session_id)
    staging.rows.files[session.no, file.name] = (
        session.no,
        file.name,
        file.media_type,
        file.size,
        file.content,
        file.updated_at,
    )


def _delete_file(staging: Staging, write: DeleteFile, _: int) -> None:
    staging.rows.files[staging.session(write.session_id).no, write.name] = None


def _save_artifact(staging: Staging, write: SaveArtifact, _: int) -> None:
    file = write.file
    mission = staging.mission(write.pid)
    staging.rows.artifacts[mission.no, file.name] = (
        mission.no,
        file.name,
        mission.session_no,
        file.media_type,
        file.size,
        file.content,
        file.updated_at,
    )


def _insert_tool_call(staging: Staging, write: InsertToolCall, _: int) -> None:
    call = (write.tool, write.pid, write.step, write.status, write.latency_ms, write.at)
    staging.rows.tool_calls.append((*call, write.error))


def _charge_user(staging: Staging, write: ChargeUser, _: int) -> None:
    day = write.spent
    usage = day.usage
    amounts = [day.missions, *(getattr(usage, name) for name in spending.AMOUNTS[1:])]
    place = staging.user(day.user_id), day.day
    before = staging.rows.spent.get(place)
    if before is not None:
        amounts = [old + new for old, new in zip(before, amounts, strict=True)]
    staging.rows.spent[place] = amounts


def _remember_key(staging: Staging, write: RememberKey, first_offset: int) -> None:
    key = write.key
    reply = {**key.reply, "offset": first_offset}
    staging.rows.keys[staging.user(key.user_id), key.key] = msgspec.structs.replace(
        key, reply=reply
    )


def _insert_api_key(staging: Staging, write: InsertApiKey, _: int) -> None:
    row = api_keys.row_of(write.key)
    staging.rows.last.append(partial(api_keys.INSERT.write, rows=[row]))


def _revoke_api_key(staging: Staging, write: RevokeApiKey, _: int) -> None:
    staging.rows.last.append(partial(api_keys.REVOKE.run, of_sha256=write.key_sha256, at=write.at))


def _touch_api_key(staging: Staging, write: TouchApiKey, _: int) -> None:
    staging.rows.last.append(partial(api_keys.TOUCH.run, of_sha256=write.key_sha256, at=write.at))


def _mark_session(staging: Staging, write: MarkSession, _: int) -> None:
    entry = staging.changed_session(write.session_id)
    entry.erased_at = write.at
    entry.deleted_at = entry.deleted_at or write.at
    staging.rows.last.append(partial(erasing.MARK_SESSION.run, of_no=entry.no, at=write.at))
    staging.rows.last.append(_REMOVED.run)


def _mark_user(staging: Staging, write: MarkUser, _: int) -> None:
    staging.rows.last.append(partial(erasing.DROP_API_KEYS.run, of_user=write.user_id))
    number = staging.ledger.user(write.user_id)
    if number is not None:
        staging.rows.last.append(partial(erasing.MARK_USER.run, of_no=number, at=write.at))


def _tend(staging: Staging, write: Tend, _: int) -> None:
    staging.rows.last.extend(write.statements)
    if write.forgets:
        staging.rows.last.append(_REMOVED.run)
        staging.ledger.expire()


STAGE: dict[type, Stage] = {
    InsertSession: _insert_session,
    SaveSession: _save_session,
    TouchSession: _touch_session,
    InsertMission: _insert_mission,
    SaveMission: _save_mission,
    SaveStep: _save_step,
    SaveInterrupt: _save_interrupt,
    InsertMessage: _insert_message,
    SaveMessage: _save_message,
    SaveFile: _save_file,
    DeleteFile: _delete_file,
    SaveArtifact: _save_artifact,
    InsertToolCall: _insert_tool_call,
    ChargeUser: _charge_user,
    RememberKey: _remember_key,
    InsertApiKey: _insert_api_key,
    RevokeApiKey: _revoke_api_key,
    TouchApiKey: _touch_api_key,
    MarkSession: _mark_session,
    MarkUser: _mark_user,
    Tend: _tend,
}
"""By the type of the write; a test holds it against ``unit.Write``."""
