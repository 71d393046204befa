"""Commands that are passed on to a user's home, as they travel: each says what it asks there.

They are typed at both ends by these Structs, told apart by their tags, and carried out by whatever
:class:`Place` they have reached.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import msgspec

from control_tower.cluster.calls import TIMEOUT_S, Ack
from control_tower.commands import (
    Answer,
    Caller,
    ClarificationAnswer,
    ConfirmationAnswer,
    DecisionAnswer,
    QuotaIncrease,
    Submission,
)
from control_tower.erasure import Eraser
from control_tower.records import InterruptKind, MessageRecord, Priority, SessionRecord
from control_tower.sessions import Sessions
from control_tower.tower import Tower
from events.payloads import JsonObject

ERASING_S = 3600.0
"""How long an erasure may take; its caller waits for the end of it."""


@dataclass(slots=True, frozen=True)
class Place:
    """What a node carries commands out with, for users who are at home there."""

    tower: Tower
    sessions: Sessions
    eraser: Eraser


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """What all commands have in common.

    Attributes:
        timeout_s: how long its reply is waited for.
    """

    timeout_s: ClassVar[float] = TIMEOUT_S

    @property
    def repeatable(self) -> bool:
        """Whether it may be made again when nobody knows whether it was carried out."""
        return True

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Carry it out where its user is at home."""
        raise NotImplementedError


class Submit(Passed, frozen=True, kw_only=True, tag="mission.submit"):
    """``Tower.submit``."""

    caller: Caller
    submission: Submission
    body_sha256: str

    @property
    def repeatable(self) -> bool:
        """With an idempotency key the second is answered as the first was."""
        return self.submission.idempotency_key is not None

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Submit."""
        return await place.tower.submit(
            self.caller, self.submission, body_sha256=self.body_sha256, ack=ack
        )


class SendMessage(Submit, frozen=True, kw_only=True, tag="message.send"):
    """``Tower.send_message``."""

    message: str

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Send."""
        return await place.tower.send_message(
            self.caller, self.message, self.submission, body_sha256=self.body_sha256, ack=ack
        )


class Cancel(Passed, frozen=True, kw_only=True, tag="mission.cancel"):
    """``Tower.cancel``."""

    caller: Caller
    pid: str
    reason: str | None = None

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Cancel."""
        return await place.tower.cancel(self.caller, self.pid, self.reason, ack=ack)


class Pause(Cancel, frozen=True, kw_only=True, tag="mission.pause"):
    """``Tower.pause``. A second one is a conflict."""

    @property
    def repeatable(self) -> bool:
        """It would be told that the mission is paused already."""
        return False

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Pause."""
        return await place.tower.pause(self.caller, self.pid, self.reason, ack=ack)


class Resume(Pause, frozen=True, kw_only=True, tag="mission.resume"):
    """``Tower.resume``; likewise."""

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Resume."""
        return await place.tower.resume(self.caller, self.pid, self.reason, ack=ack)


class SetPriority(Passed, frozen=True, kw_only=True, tag="mission.set_priority"):
    """``Tower.set_priority``."""

    caller: Caller
    pid: str
    priority: Priority

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Set it."""
        return await place.tower.set_priority(self.caller, self.pid, self.priority, ack=ack)


class ExtendQuota(Passed, frozen=True, kw_only=True, tag="mission.extend_quota"):
    """``Tower.extend_quota``. A second one adds once more."""

    caller: Caller
    pid: str
    quota: QuotaIncrease

    @property
    def repeatable(self) -> bool:
        """It adds to what there is."""
        return False

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Extend it."""
        return await place.tower.extend_quota(self.caller, self.pid, self.quota, ack=ack)


class Explain(Passed, frozen=True, kw_only=True, tag="mission.explain"):
    """``Tower.explain``."""

    caller: Caller
    pid: str

    async def carry_out(self, place: Place, _: Ack | None, /) -> JsonObject:
        """Explain."""
        return await place.tower.explain(self.caller, self.pid)


class AnswerInterrupt(Passed, frozen=True, kw_only=True, tag="interrupt.answer"):
    """``Tower.answer``. One of the three answers is there; their shapes have no tags."""

    caller: Caller
    interrupt_id: str
    kinds: frozenset[InterruptKind] | None = None
    confirmation: ConfirmationAnswer | None = None
    clarification: ClarificationAnswer | None = None
    decision: DecisionAnswer | None = None

    @classmethod
    def of(
        cls,
        caller: Caller,
        interrupt_id: str,
        answer: Answer,
        kinds: frozenset[InterruptKind] | None,
    ) -> "AnswerInterrupt":
        """Return the command that gives ``answer``."""
        return cls(
            caller=caller,
            interrupt_id=interrupt_id,
            kinds=kinds,
            confirmation=answer if isinstance(answer, ConfirmationAnswer) else None,
            clarification=answer if isinstance(answer, ClarificationAnswer) else None,
            decision=answer if isinstance(answer, DecisionAnswer) else None,
        )

    @property
    def answer(self) -> Answer:
        """The answer."""
        answer = self.confirmation or self.clarification or self.decision
        if answer is None:
            raise ValueError("an answer without an answer")
        return answer

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Answer."""
        return await place.tower.answer(
            self.caller, self.interrupt_id, self.answer, kinds=self.kinds, ack=ack
        )


class UpdateSession(Passed, frozen=True, kw_only=True, tag="session.update"):
    """``Sessions.update``."""

    caller: Caller
    session_id: str
    title: str | None = None
    archived: bool | None = None

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Update."""
        return record_json(
            await place.sessions.update(
                self.caller,
                self.session_id,
                title=self.title,
                archived=self.archived,
                ack=_of_record(ack),
            )
        )


class DeleteSession(Passed, frozen=True, kw_only=True, tag="session.delete"):
    """``Sessions.delete``. A second one finds no session."""

    caller: Caller
    session_id: str

    @property
    def repeatable(self) -> bool:
        """It is not found any more."""
        return False

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Delete."""
        session = await place.sessions.delete(self.caller, self.session_id, ack=_of_record(ack))
        return record_json(session)


class RestoreSession(Passed, frozen=True, kw_only=True, tag="session.restore"):
    """``Sessions.restore``."""

    caller: Caller
    session_id: str

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Restore."""
        session = await place.sessions.restore(self.caller, self.session_id, ack=_of_record(ack))
        return record_json(session)


class EraseSession(DeleteSession, frozen=True, kw_only=True, tag="session.erase"):
    """``Sessions.erase``."""

    timeout_s: ClassVar[float] = ERASING_S

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Erase."""
        session = await place.sessions.erase(
            self.caller, self.session_id, place.eraser, ack=_of_record(ack)
        )
        return record_json(session)


class EditMessage(Passed, frozen=True, kw_only=True, tag="message.edit"):
    """``Sessions.edit_message``."""

    caller: Caller
    message_id: str
    content: str

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Edit."""
        message = await place.sessions.edit_message(
            self.caller, self.message_id, self.content, ack=_of_record(ack)
        )
        return record_json(message)


class DeleteMessage(Passed, frozen=True, kw_only=True, tag="message.delete"):
    """``Sessions.delete_message``. A second one finds no message."""

    caller: Caller
    message_id: str

    @property
    def repeatable(self) -> bool:
        """It is not found any more."""
        return False

    async def carry_out(self, place: Place, ack: Ack | None, /) -> JsonObject:
        """Delete."""
        message = await place.sessions.delete_message(
            self.caller, self.message_id, ack=_of_record(ack)
        )
        return record_json(message)


class EraseUser(Passed, frozen=True, kw_only=True, tag="user.erase"):
    """``Eraser.erase_user``; whoever asks has seen to it that there is such a user."""

    timeout_s: ClassVar[float] = ERASING_S
    user_id: str

    async def carry_out(self, place: Place, _: Ack | None, /) -> JsonObject:
        """Erase."""
        await place.eraser.erase_user(self.user_id)
        return {}


class FinishErasing(Passed, frozen=True, kw_only=True, tag="session.finish_erasing"):
    """``Eraser.session_erased`` for a session whose erasure a kill has interrupted."""

    timeout_s: ClassVar[float] = ERASING_S
    session_id: str

    async def carry_out(self, place: Place, _: Ack | None, /) -> JsonObject:
        """Go on with it."""
        await place.eraser.session_erased(self.session_id)
        return {}


Command: TypeAlias = (
    Submit
    | SendMessage
    | Cancel
    | Pause
    | Resume
    | SetPriority
    | ExtendQuota
    | Explain
    | AnswerInterrupt
    | UpdateSession
    | DeleteSession
    | RestoreSession
    | EraseSession
    | EditMessage
    | DeleteMessage
    | EraseUser
    | FinishErasing
)


class PassedOn(msgspec.Struct, frozen=True):
    """A command on its way to where its user is at home."""

    user_id: str
    command: Command


def plain(caller: Caller) -> Caller:
    """Return a caller without the credentials that it came with: those stay where they are."""
    return Caller(caller.user_id, caller.role)


def record_json(record: SessionRecord | MessageRecord) -> JsonObject:
    """Return a row as it travels."""
    shown: JsonObject = msgspec.to_builtins(record)
    return shown


def _of_record(ack: Ack | None) -> Callable[[SessionRecord | MessageRecord], None] | None:
    return None if ack is None else lambda record: ack(record_json(record))
