"""A unit of work: events and the rows that go with them, committed together or not at all.

A unit handed to the store cannot be withdrawn. Exactly one of its two completions is called, on
the event loop, in commit order; memory changes there and nowhere else. Behind ``committed`` the
store publishes the unit's events, then its ``after``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from control_tower.records import (
    ApiKeyRecord,
    FileRecord,
    InterruptRecord,
    KeyRecord,
    MessageRecord,
    ProcessControlBlock,
    SessionRecord,
    StepRecord,
    UserDay,
)
from events.types import Committed, Draft, Ephemeral


@dataclass(slots=True, frozen=True)
class InsertSession:
    """A new session."""

    session: SessionRecord


@dataclass(slots=True, frozen=True)
class SaveSession:
    """Replace title, archived_at and deleted_at of a session (never its counters)."""

    session: SessionRecord


@dataclass(slots=True, frozen=True)
class TouchSession:
    """Move last_activity forward, add to message_count, and set the title if it has none."""

    session_id: str
    at: float
    messages: int = 0
    title: str | None = None


@dataclass(slots=True, frozen=True)
class InsertMission:
    """A new mission."""

    pcb: ProcessControlBlock


@dataclass(slots=True, frozen=True)
class SaveMission:
    """Replace the whole row of a mission. Goes with a :class:`Guard`."""

    pcb: ProcessControlBlock


@dataclass(slots=True, frozen=True)
class SaveStep:
    """Insert or replace a step, by (pid, step).

    ``outcome_event`` is the index in ``Unit.drafts`` of the event whose offset becomes the
    step's ``offset``; None leaves the record's own.
    """

    step: StepRecord
    outcome_event: int | None = None


@dataclass(slots=True, frozen=True)
class SaveInterrupt:
    """Insert or replace an interrupt."""

    interrupt: InterruptRecord


@dataclass(slots=True, frozen=True)
class InsertMessage:
    """A new message; also enters the full-text index."""

    message: MessageRecord


@dataclass(slots=True, frozen=True)
class SaveMessage:
    """Replace a message (edited or deleted); the full-text index follows."""

    message: MessageRecord


@dataclass(slots=True, frozen=True)
class SaveFile:
    """Insert or replace a file of a session's workspace."""

    file: FileRecord


@dataclass(slots=True, frozen=True)
class DeleteFile:
    """Delete a file of a session's workspace."""

    session_id: str
    name: str


@dataclass(slots=True, frozen=True)
class SaveArtifact:
    """Insert or replace a named result of a mission."""

    pid: str
    file: FileRecord


@dataclass(slots=True, frozen=True)
class InsertToolCall:
    """One call of a tool, for its health."""

    tool: str
    pid: str
    step: str
    status: str
    latency_ms: float
    at: float
    error: str | None = None


@dataclass(slots=True, frozen=True)
class ChargeUser:
    """Add to what a user spent on a day."""

    spent: UserDay


@dataclass(slots=True, frozen=True)
class RememberKey:
    """An idempotency key. Taken already: the unit is refused with :class:`KeyTaken`."""

    key: KeyRecord


@dataclass(slots=True, frozen=True)
class InsertApiKey:
    """A new API key."""

    key: ApiKeyRecord


@dataclass(slots=True, frozen=True)
class RevokeApiKey:
    """End an API key; one that was revoked before keeps that time."""

    key_sha256: str
    at: float


@dataclass(slots=True, frozen=True)
class TouchApiKey:
    """An API key was used."""

    key_sha256: str
    at: float


@dataclass(slots=True, frozen=True)
class MarkSession:
    """The erasure of a session begins: it is deleted, and can't be restored."""

    session_id: str
    at: float


@dataclass(slots=True, frozen=True)
class MarkUser:
    """The erasure of a user begins: their API keys open nothing any more.

    A user who has no row has nothing else to be marked.
    """

    user_id: str
    at: float


Statement: TypeAlias = Callable[[Any], None]
"""Something to do on the writer's connection, within its transaction."""


@dataclass(slots=True, frozen=True)
class Tend:
    """A piece of the store's own upkeep, drawn up by the store itself.

    Attributes:
        statements: run in order, behind all rows of the transaction.
        forgets: rows are among what they remove that the writer may remember.
    """

    statements: tuple[Statement, ...]
    forgets: bool = False


Write: TypeAlias = (
    InsertSession
    | SaveSession
    | TouchSession
    | InsertMission
    | SaveMission
    | SaveStep
    | SaveInterrupt
    | InsertMessage
    | SaveMessage
    | SaveFile
    | DeleteFile
    | SaveArtifact
    | InsertToolCall
    | ChargeUser
    | RememberKey
    | InsertApiKey
    | RevokeApiKey
    | TouchApiKey
    | MarkSession
    | MarkUser
    | Tend
)


@dataclass(slots=True, frozen=True)
class Guard:
    """The mission's row must still be live and ours: same attempt, same token, no outcome."""

    pid: str
    attempt: int
    token: int


@dataclass(slots=True, frozen=True)
class RequireSession:
    """The session must exist, belong to ``user_id`` (None: any) and not be deleted.

    With ``deleted`` it may be; but not erased, which nothing may be added to.
    """

    session_id: str
    user_id: str | None
    deleted: bool = False


@dataclass(slots=True, frozen=True)
class Commit:
    """What a committed unit got: one :class:`Committed` for each draft, in order."""

    events: tuple[Committed, ...]

    @property
    def offset(self) -> int:
        """The offset of the first event; 0 for a unit without events."""
        return self.events[0].offset if self.events else 0


class UnitRefused(Exception):
    """Base of the reasons for which a unit was not committed."""


class GuardFailed(UnitRefused):
    """The mission is not live, or is another node's now. Its later units are refused too."""


class SessionMissing(UnitRefused):
    """:class:`RequireSession` does not hold."""


class KeyTaken(UnitRefused):
    """The idempotency key exists. ``record`` is its row, the reply's ``offset`` included."""

    def __init__(self, record: KeyRecord) -> None:
        super().__init__("idempotency key taken")
        self.record = record


class ChangeFailed(UnitRefused):
    """It was never handed over: drawing it up failed, for a fault of the kernel."""


class StoreFailed(UnitRefused):
    """The database did not take it.

    Attributes:
        outcome: ``rejected`` (certainly not committed) or ``unknown`` (a commit failed).
        disk_full: for lack of room.
    """

    def __init__(self, message: str, *, outcome: str, disk_full: bool = False) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.disk_full = disk_full


def _ignore_commit(_: Commit) -> None:
    """The default completion: nothing in memory depends on the unit."""


def _ignore_refusal(_: UnitRefused) -> None:
    """The default completion of a refused unit."""


@dataclass(slots=True)
class Unit:
    """Events with their rows.

    Attributes:
        drafts: events, in the order in which they get their offsets.
        writes: rows, applied in order before the events are appended.
        guard: checked first; see :class:`Guard`.
        require: checked first; see :class:`RequireSession`.
        after: ephemeral events published right behind the unit's own; may be appended to until
            the unit's completion runs.
        committed, refused: exactly one is called, once, on the event loop, in commit order.
        critical: False lets the store refuse it when the disk is nearly full (a new submit);
            True makes it wait and be retried (results of running missions).
    """

    drafts: list[Draft] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    guard: Guard | None = None
    require: RequireSession | None = None
    after: list[Ephemeral] = field(default_factory=list)
    committed: Callable[[Commit], None] = _ignore_commit
    refused: Callable[[UnitRefused], None] = _ignore_refusal
    critical: bool = True
