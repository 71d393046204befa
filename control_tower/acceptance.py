"""Acceptance: a mission is taken in, once for each idempotency key, in the unit that starts it.

What a new mission is, is drawn up by :mod:`control_tower.submission`; here it is decided whether
one is taken, and what whoever sent it is told.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from control_tower.commands import Ack, Caller, Submission
from control_tower.errors import Busy, Conflict, NotFound, Unavailable
from control_tower.kernel import Kernel, unavailable
from control_tower.memory import Memory
from control_tower.ports import Store
from control_tower.process import Proposal
from control_tower.records import KeyRecord, ProcessControlBlock
from control_tower.residence import Residence
from control_tower.schedule.admission import Admission
from control_tower.sight import require_writer
from control_tower.states import State
from control_tower.submission import Submissions
from control_tower.timers import Alarm, Due, Timers
from control_tower.unit import (
    Commit,
    KeyTaken,
    RememberKey,
    RequireSession,
    SessionMissing,
    UnitRefused,
)
from events.payloads import JsonObject

ReplyOf = Callable[[ProcessControlBlock, str], JsonObject]
"""Makes a reply of an accepted mission and the id of the message that it came with."""


@dataclass(slots=True, frozen=True)
class Acceptance:
    """Takes missions in."""

    store: Store
    timers: Timers
    memory: Memory
    admission: Admission
    submissions: Submissions
    kernel: Kernel
    residence: Residence

    async def accept(
        self,
        caller: Caller,
        submission: Submission,
        body_sha256: str,
        ack: Ack | None,
        reply_of: ReplyOf,
    ) -> JsonObject:
        """Accept a mission, or return what was replied when it came first.

        Raises:
            Refusal: when it is not taken.
        """
        require_writer(caller)
        if self.residence.draining:
            raise Unavailable("The server is going down.", outcome="rejected")
        earlier = await self.earlier_reply(caller, submission, body_sha256)
        if earlier is not None:
            return earlier
        pcb = self.submissions.block(caller, submission)
        await self.submissions.check_account(caller)
        self._check_session(pcb)
        p, message_id = self._propose(caller, submission, pcb)
        reply = reply_of(p.pcb, message_id)
        remember(p, caller, submission.idempotency_key, body_sha256, reply)
        self._set_alarms(p)
        try:
            return await self.kernel.sent(p, partial(with_offset, reply), ack)
        except UnitRefused as reason:
            return _refused_reply(reason, body_sha256)

    async def earlier_reply(
        self, caller: Caller, submission: Submission, body_sha256: str
    ) -> JsonObject | None:
        """Return what a submission with this key was replied; None if it is the first.

        Raises:
            Conflict: when the key came with something else.
        """
        if submission.idempotency_key is None:
            return None
        record = await self.store.key(caller.user_id, submission.idempotency_key)
        return None if record is None else duplicate(record, body_sha256)

    def _propose(
        self, caller: Caller, submission: Submission, pcb: ProcessControlBlock
    ) -> tuple[Proposal, str]:
        process = self.memory.processes[pcb.pid] = self.submissions.process(pcb)
        new_session = submission.session_id is None
        p, message_id = self.submissions.propose(process, new_session=new_session)
        if submission.session_id is not None:
            p.require = RequireSession(submission.session_id, caller.user_id)
        return p, message_id

    def _check_session(self, pcb: ProcessControlBlock) -> None:
        """Refuse a mission that does not want a busy session."""
        if pcb.on_busy != "reject":
            return
        for pid in self.admission.gate.holders(pcb.session_id):
            process = self.memory.processes.get(pid)
            if process is None or _keeps_out(process.pcb, pcb):
                raise Busy("The session is busy with another mission.")

    def _set_alarms(self, p: Proposal) -> None:
        pcb, timers = p.pcb, self.timers
        if pcb.deadline_at is not None:
            deadline_at = pcb.deadline_at
            p.then.append(lambda _: timers.set(Alarm(pcb.pid, Due.DEADLINE, ""), deadline_at))
        if pcb.start_at is not None and pcb.state is State.BLOCKED:
            start_at = pcb.start_at
            p.then.append(lambda _: timers.set(Alarm(pcb.pid, Due.LOOK, ""), start_at))


def remember(
    p: Proposal, caller: Caller, key: str | None, body_sha256: str, reply: JsonObject
) -> None:
    """Keep with a proposal what is replied to it, for whoever sends it again under its key."""
    if key is not None:
        record = KeyRecord(
            user_id=caller.user_id,
            key=key,
            body_sha256=body_sha256,
            reply=reply,
            mission_id=reply.get("mission_id"),
            created_at=p.now,
        )
        p.writes.append(RememberKey(record))
        p.keyed = True


def submit_reply(pcb: ProcessControlBlock, _message_id: str) -> JsonObject:
    """Return what is replied to ``submit``, without the offset."""
    return {
        "mission_id": pcb.pid,
        "session_id": pcb.session_id,
        "state": pcb.state.value,
        "duplicate": False,
    }


def message_reply(pcb: ProcessControlBlock, message_id: str) -> JsonObject:
    """Return what is replied to ``send_message``, without the offset."""
    return {
        "message_id": message_id,
        "session_id": pcb.session_id,
        "mission_id": pcb.pid,
    }


def with_offset(reply: JsonObject, commit: Commit) -> JsonObject:
    """Return a reply with the offset of its commit."""
    return {**reply, "offset": commit.offset}


def _keeps_out(holder: ProcessControlBlock, newer: ProcessControlBlock) -> bool:
    """Whether a mission that holds a session is a reason to refuse another one.

    Not if the session is another user's, of which nothing is said, or if this is the same submit
    on its way to the store: of both the store says what they are.
    """
    key = newer.idempotency_key
    return holder.user_id == newer.user_id and (key is None or holder.idempotency_key != key)


def _refused_reply(reason: UnitRefused, body_sha256: str) -> JsonObject:
    if isinstance(reason, KeyTaken):
        return duplicate(reason.record, body_sha256)
    if isinstance(reason, SessionMissing):
        raise NotFound("No such session.") from reason
    raise unavailable(reason) from reason


def duplicate(record: KeyRecord, body_sha256: str) -> JsonObject:
    """Return what is replied to a command that came before.

    Raises:
        Conflict: when its key came with something else.
    """
    if record.body_sha256 != body_sha256:
        raise Conflict("This idempotency key was used for something else.")
    reply: dict[str, Any] = {**record.reply, "duplicate": True}
    return reply
