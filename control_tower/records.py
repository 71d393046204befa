"""The rows of the store as the kernel sees them: immutable snapshots.

All instants are Unix seconds (float). JSON-valued fields hold JSON values, not text.
"""

from enum import StrEnum

import msgspec

from control_tower.quota.quotas import ResourceQuota, ResourceUsage
from control_tower.states import Outcome, State
from events.payloads import JsonObject
from events.types import Json


class Priority(StrEnum):
    """Urgency, most urgent first."""

    REALTIME = "realtime"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"
    IDLE = "idle"


class ProcessControlBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A mission as it stands; replaced whole at each committed change.

    ``lineage`` is the ancestry, root first, itself last. ``token`` fences the node that runs it.
    ``account_pid`` owns the quota that it draws on. ``alarm_at`` is the next time at which it
    needs looking at while it waits (a sleep's end, a question's expiry, its delayed start).
    ``usage`` is its own and that of its children that ended, who are in ``counted``; ``held`` is
    what its calls in flight have reserved. ``displaces`` are the missions that held its session
    when it came to interrupt them.
    """

    pid: str
    session_id: str
    user_id: str
    agent: str
    mission: str
    inputs: JsonObject
    state: State
    outcome: Outcome | None = None
    state_reason: str | None = None
    priority: Priority = Priority.NORMAL
    quota: ResourceQuota = ResourceQuota()
    usage: ResourceUsage = ResourceUsage()
    parent_pid: str | None = None
    lineage: tuple[str, ...]
    children: tuple[str, ...] = ()
    current_step: str | None = None
    pending_interrupts: tuple[str, ...] = ()
    attempt: int = 0
    node: str | None = None
    token: int = 0
    idempotency_key: str | None = None
    on_busy: str = "enqueue"
    displaces: tuple[str, ...] = ()
    profile: str | None = None
    created_at: float
    started_at: float | None = None
    completed_at: float | None = None
    start_at: float | None = None
    deadline_at: float | None = None
    result: Json = None
    error: JsonObject | None = None
    warned: tuple[str, ...] = ()
    account_pid: str | None = None
    counted: tuple[str, ...] = ()
    held: ResourceUsage | None = None
    alarm_at: float | None = None


class StepStatus(StrEnum):
    """Where a system call stands in the journal.

    ``asked``: not begun, or in doubt; a person is asked (``interrupt_id``). ``approved``: a
    person allowed its next attempt, which has not begun. ``started``: the intent is committed.
    """

    ASKED = "asked"
    APPROVED = "approved"
    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One system call in the journal, keyed by (pid, step).

    ``offset`` orders outcomes: that of the event that carried it, None until there is one (and
    for ``now, random, uuid``, which make no events). ``call_sha256`` is over what the program
    asked; ``arguments`` is what ran. ``ordinal`` is the order in which the calls were recorded.
    """

    pid: str
    step: str
    kind: str
    name: str
    call_sha256: str
    arguments: Json
    status: StepStatus
    idempotent: bool
    attempt: int = 1
    offset: int | None = None
    output: Json = None
    error: JsonObject | None = None
    usage: ResourceUsage | None = None
    reserved: ResourceUsage | None = None
    interrupt_id: str | None = None
    wake_at: float | None = None
    child_pid: str | None = None
    started_at: float
    ended_at: float | None = None


class InterruptKind(StrEnum):
    """What a person is asked for."""

    CONFIRMATION = "confirmation"
    CLARIFICATION = "clarification"
    RESOURCE_EXHAUSTED = "resource_exhausted"
    UNKNOWN_OUTCOME = "unknown_outcome"


class InterruptStatus(StrEnum):
    """Where a question stands."""

    PENDING = "pending"
    RESOLVED = "resolved"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class InterruptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A question to a person, and its answer once there is one.

    ``answer`` is the object of the answer as given: ``{"approved": …, "message"?, "arguments"?}``,
    ``{"answer": …}`` or ``{"decision": …, "quota"?, "result"?}``.
    """

    interrupt_id: str
    kind: InterruptKind
    mission_id: str
    session_id: str
    user_id: str
    step: str
    message: str
    tool: str | None = None
    arguments: JsonObject | None = None
    arguments_sha256: str | None = None
    risk: str | None = None
    options: tuple[str, ...] | None = None
    strict: bool = False
    status: InterruptStatus = InterruptStatus.PENDING
    created_at: float
    expires_at: float | None = None
    answered_by: str | None = None
    answered_at: float | None = None
    answer: JsonObject | None = None
    resource: str | None = None
    used: float | None = None
    limit: float | None = None


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation; groups missions.

    ``erased_at``: its erasure has begun. To everybody it is gone for good.
    """

    session_id: str
    user_id: str
    title: str | None = None
    message_count: int = 0
    created_at: float
    last_activity: float
    archived_at: float | None = None
    deleted_at: float | None = None
    erased_at: float | None = None


class MessageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a session. ``role`` is ``user`` or ``assistant``."""

    message_id: str
    session_id: str
    role: str
    content: str
    mission_id: str | None = None
    created_at: float
    edited_at: float | None = None
    original_content: str | None = None
    deleted_at: float | None = None


class MessageHit(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a search found. ``snippet`` is HTML: escaped text, words in ``<mark>``."""

    message_id: str
    session_id: str
    session_title: str | None
    role: str
    snippet: str
    created_at: float


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a session's workspace, or an artifact of a mission."""

    session_id: str
    name: str
    media_type: str
    size: int
    content: bytes
    updated_at: float


class UserDay(msgspec.Struct, frozen=True, kw_only=True):
    """What a user spent on a UTC day (``2026-11-21``)."""

    user_id: str
    day: str
    missions: int = 0
    usage: ResourceUsage = ResourceUsage()


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An idempotency key: what was asked, and what was answered.

    ``reply`` is the acknowledged reply as a JSON object.
    """

    user_id: str
    key: str
    body_sha256: str
    reply: JsonObject
    mission_id: str | None
    created_at: float


KEY_ID_PREFIX = "k_"
KEY_ID_DIGITS = 16


class ApiKeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, known by the hash of it only. ``role`` is ``viewer``, ``user``, ``operator``.

    ``last_used_at`` is about when: it is written at most once a minute.
    """

    key_sha256: str
    name: str
    user_id: str
    role: str
    created_at: float
    expires_at: float | None = None
    last_used_at: float | None = None
    revoked_at: float | None = None

    @property
    def key_id(self) -> str:
        """What people call it by; nothing of the key can be learnt from it."""
        return KEY_ID_PREFIX + self.key_sha256[:KEY_ID_DIGITS]

    def ended(self, now: float) -> bool:
        """Return whether it opens nothing any more."""
        expired = self.expires_at is not None and self.expires_at <= now
        return self.revoked_at is not None or expired
