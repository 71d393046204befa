"""The tower and the sessions as every node offers them: looked at here, changed at home.

Each is the local one, whose reads it has: any node may ask the database. Each command first finds
out whose thing it is about, as far as the caller may see it, and goes to where that user is at
home; there the local one carries it out, and checks everything once more.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

import msgspec

from control_tower.cluster import commands
from control_tower.cluster.commands import Command, plain
from control_tower.cluster.router import Router
from control_tower.commands import Ack, Answer, Caller, QuotaIncrease, Submission
from control_tower.erasure import Eraser, ErasingStore
from control_tower.errors import NotFound
from control_tower.public import mission_json
from control_tower.records import (
    InterruptKind,
    MessageRecord,
    Priority,
    ProcessControlBlock,
    SessionRecord,
)
from control_tower.sessions import Ack as RecordAck
from control_tower.sessions import Sessions
from control_tower.sight import require_writer
from control_tower.states import State
from control_tower.tower import Tower
from events.payloads import JsonObject

Record = TypeVar("Record", SessionRecord, MessageRecord)


class Roster(Protocol):
    """What is active on any node, as of the events that were published here."""

    def snapshot(self, topics: Sequence[str]) -> list[JsonObject]:
        """Return what is active in the topics."""

    async def settled(
        self,
        pid: str,
        timeout_s: float,
        row: Callable[[str], Awaitable[ProcessControlBlock | None]],
    ) -> ProcessControlBlock | None:
        """Return a mission's row once it has ended or asks a person, or after ``timeout_s``."""


class RoutedTower(Tower):
    """``Tower`` on a node of many, over the local one whose parts it shares."""

    def __init__(self, tower: Tower, router: Router, roster: Roster) -> None:
        self._a = tower.parts
        self._router = router
        self._roster = roster

    async def submit(
        self,
        caller: Caller,
        submission: Submission,
        *,
        body_sha256: str,
        ack: Ack | None = None,
    ) -> JsonObject:
        """Accept a mission; see :meth:`Tower.submit`."""
        require_writer(caller)
        command = commands.Submit(
            caller=plain(caller), submission=submission, body_sha256=body_sha256
        )
        return await self._router.carry_out(caller.user_id, command, ack)

    async def send_message(
        self,
        caller: Caller,
        message: str,
        submission: Submission,
        *,
        body_sha256: str,
        ack: Ack | None = None,
    ) -> JsonObject:
        """Say something in a session; see :meth:`Tower.send_message`."""
        require_writer(caller)
        command = commands.SendMessage(
            caller=plain(caller), message=message, submission=submission, body_sha256=body_sha256
        )
        return await self._router.carry_out(caller.user_id, command, ack)

    async def cancel(
        self, caller: Caller, pid: str, reason: str | None = None, *, ack: Ack | None = None
    ) -> JsonObject:
        """Stop a mission and all of its children."""
        command = commands.Cancel(caller=plain(caller), pid=pid, reason=reason)
        return await self._of_mission(caller, pid, command, ack)

    async def pause(
        self, caller: Caller, pid: str, reason: str | None = None, *, ack: Ack | None = None
    ) -> JsonObject:
        """Hold a mission until it is resumed."""
        command = commands.Pause(caller=plain(caller), pid=pid, reason=reason)
        return await self._of_mission(caller, pid, command, ack)

    async def resume(
        self, caller: Caller, pid: str, reason: str | None = None, *, ack: Ack | None = None
    ) -> JsonObject:
        """Let a paused mission go on."""
        command = commands.Resume(caller=plain(caller), pid=pid, reason=reason)
        return await self._of_mission(caller, pid, command, ack)

    async def set_priority(
        self, caller: Caller, pid: str, priority: Priority, *, ack: Ack | None = None
    ) -> JsonObject:
        """Change a mission's priority."""
        command = commands.SetPriority(caller=plain(caller), pid=pid, priority=priority)
        return await self._of_mission(caller, pid, command, ack)

    async def extend_quota(
        self, caller: Caller, pid: str, quota: QuotaIncrease, *, ack: Ack | None = None
    ) -> JsonObject:
        """Raise the limits of a mission's quota."""
        command = commands.ExtendQuota(caller=plain(caller), pid=pid, quota=quota)
        return await self._of_mission(caller, pid, command, ack)

    async def explain(self, caller: Caller, pid: str) -> JsonObject:
        """Say why a mission is where it is: its home knows its place in the queues."""
        pcb = await self._a.sight.mission(caller, pid)
        if pcb.state is State.TERMINATED:
            return await super().explain(caller, pid)
        command = commands.Explain(caller=plain(caller), pid=pid)
        return await self._router.carry_out(pcb.user_id, command)

    async def answer(
        self,
        caller: Caller,
        interrupt_id: str,
        answer: Answer,
        *,
        kinds: frozenset[InterruptKind] | None = None,
        ack: Ack | None = None,
    ) -> JsonObject:
        """Answer a question and let its mission go on."""
        record = await self._a.sight.interrupt(caller, interrupt_id)
        require_writer(caller)
        command = commands.AnswerInterrupt.of(plain(caller), interrupt_id, answer, kinds)
        return await self._router.carry_out(record.user_id, command, ack)

    async def _of_mission(
        self, caller: Caller, pid: str, command: Command, ack: Ack | None
    ) -> JsonObject:
        pcb = await self._a.sight.mission(caller, pid)
        require_writer(caller)
        return await self._router.carry_out(pcb.user_id, command, ack)

    async def settled(self, pid: str, timeout_s: float) -> JsonObject:
        """Return a mission once it has ended or asks a person, or after ``timeout_s``."""
        pcb = await self._roster.settled(pid, timeout_s, self._a.store.mission)
        if pcb is None:
            raise NotFound("No such mission.")
        return mission_json(pcb)

    def snapshot(self, topics: Sequence[str]) -> list[JsonObject]:
        """Return what is active in the topics on any node."""
        return self._roster.snapshot(topics)


class RoutedSessions(Sessions):
    """``Sessions`` on a node of many. New sessions are made anywhere: nobody knows them yet."""

    def __init__(self, sessions: Sessions, router: Router) -> None:
        super().__init__(*sessions.parts)
        self._router = router

    async def update(
        self,
        caller: Caller,
        session_id: str,
        *,
        title: str | None = None,
        archived: bool | None = None,
        ack: RecordAck[SessionRecord] | None = None,
    ) -> SessionRecord:
        """Rename a session, move it into the archive or out of it."""
        command = commands.UpdateSession(
            caller=plain(caller), session_id=session_id, title=title, archived=archived
        )
        return await self._of_session(caller, session_id, command, ack)

    async def delete(
        self, caller: Caller, session_id: str, *, ack: RecordAck[SessionRecord] | None = None
    ) -> SessionRecord:
        """Delete a session softly."""
        command = commands.DeleteSession(caller=plain(caller), session_id=session_id)
        return await self._of_session(caller, session_id, command, ack)

    async def restore(
        self, caller: Caller, session_id: str, *, ack: RecordAck[SessionRecord] | None = None
    ) -> SessionRecord:
        """Bring a deleted session back."""
        command = commands.RestoreSession(caller=plain(caller), session_id=session_id)
        return await self._of_session(caller, session_id, command, ack)

    async def erase(
        self,
        caller: Caller,
        session_id: str,
        eraser: Eraser,  # noqa: ARG002 - the home has its own
        *,
        ack: RecordAck[SessionRecord] | None = None,
    ) -> SessionRecord:
        """Erase a session for good, by its home's eraser, whichever is given."""
        command = commands.EraseSession(caller=plain(caller), session_id=session_id)
        return await self._of_session(caller, session_id, command, ack)

    async def edit_message(
        self,
        caller: Caller,
        message_id: str,
        content: str,
        *,
        ack: RecordAck[MessageRecord] | None = None,
    ) -> MessageRecord:
        """Change a user message's text."""
        command = commands.EditMessage(caller=plain(caller), message_id=message_id, content=content)
        return await self._of_message(caller, message_id, command, ack)

    async def delete_message(
        self, caller: Caller, message_id: str, *, ack: RecordAck[MessageRecord] | None = None
    ) -> MessageRecord:
        """Delete a user message."""
        command = commands.DeleteMessage(caller=plain(caller), message_id=message_id)
        return await self._of_message(caller, message_id, command, ack)

    async def _of_session(
        self,
        caller: Caller,
        session_id: str,
        command: Command,
        ack: RecordAck[SessionRecord] | None,
    ) -> SessionRecord:
        require_writer(caller)
        session = await self.get(caller, session_id, include_deleted=True)
        return await self._at_home(session.user_id, command, SessionRecord, ack)

    async def _of_message(
        self,
        caller: Caller,
        message_id: str,
        command: Command,
        ack: RecordAck[MessageRecord] | None,
    ) -> MessageRecord:
        require_writer(caller)
        session = await self._session_of(caller, message_id)
        return await self._at_home(session.user_id, command, MessageRecord, ack)

    async def _at_home(
        self, user_id: str, command: Command, kind: type[Record], ack: RecordAck[Record] | None
    ) -> Record:
        shown = None if ack is None else partial(_show, ack, kind)
        return msgspec.convert(await self._router.carry_out(user_id, command, shown), kind)


def _show(ack: Callable[[Record], None], kind: type[Record], record: JsonObject) -> None:
    ack(msgspec.convert(record, kind))


async def erase_user(router: Router, store: ErasingStore, user_id: str) -> None:
    """Erase a user where they are at home; see :meth:`Eraser.erase_user`.

    Raises:
        NotFound: if there is nothing of them.
    """
    if not await store.knows_user(user_id):
        raise NotFound("No such user.")
    await router.carry_out(user_id, commands.EraseUser(user_id=user_id))
