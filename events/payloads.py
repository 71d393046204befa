"""The payload of every event type, as wire.md lists them: the ``data`` of an event.

``EVENT_TYPES`` is the one table of types; documentation and filters read it. A field that may be
absent has the default None and is left out of the JSON; a field without a default is always
there, null included.
"""

from typing import Any, ClassVar

from events.types import EventData, Json

JsonObject = dict[str, Any]
"""A JSON object whose inside is the kernel's or a tool's business."""


class SessionCreated(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A session was made."""

    TYPE: ClassVar[str] = "session.created"
    session: JsonObject


class SessionUpdated(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A session's title or archive mark changed, or it was restored."""

    TYPE: ClassVar[str] = "session.updated"
    session: JsonObject


class SessionDeleted(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A session was deleted, softly."""

    TYPE: ClassVar[str] = "session.deleted"
    session: JsonObject


class MessageCreated(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A message joined a session."""

    TYPE: ClassVar[str] = "message.created"
    message: JsonObject


class MessageEdited(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A user changed one of their messages."""

    TYPE: ClassVar[str] = "message.edited"
    message: JsonObject


class MessageDeleted(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A user deleted one of their messages."""

    TYPE: ClassVar[str] = "message.deleted"
    message: JsonObject


class MissionSubmitted(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A mission was accepted."""

    TYPE: ClassVar[str] = "mission.submitted"
    mission: str
    agent: str
    priority: str
    quota: JsonObject
    inputs: JsonObject
    parent_id: str | None
    start_at: str | None
    deadline_at: str | None


class MissionQueued(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A mission can't start at once. ``position`` counts from 1 in what it waits for."""

    TYPE: ClassVar[str] = "mission.queued"
    position: int
    cause: str


class MissionStarted(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A mission got its first slot."""

    TYPE: ClassVar[str] = "mission.started"
    attempt: int
    node: str


class MissionWaiting(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A mission waits on a person."""

    TYPE: ClassVar[str] = "mission.waiting"
    cause: str
    interrupt_id: str | None = None


class MissionBlocked(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A mission waits on time, a child, its session, a breaker or a missing agent."""

    TYPE: ClassVar[str] = "mission.blocked"
    cause: str
    interrupt_id: str | None = None


class MissionPaused(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A mission was paused, by a person or by a nondeterministic program."""

    TYPE: ClassVar[str] = "mission.paused"
    cause: str
    by: str | None = None
    error: JsonObject | None = None


class MissionResumed(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A mission left waiting, blocked or paused, or got its slot back."""

    TYPE: ClassVar[str] = "mission.resumed"
    cause: str
    interrupt_id: str | None = None
    by: str | None = None


class MissionPreempted(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A mission yielded its slot to a more urgent one."""

    TYPE: ClassVar[str] = "mission.preempted"
    cause: str


class MissionRecovered(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A mission goes on from its journal after its process died."""

    TYPE: ClassVar[str] = "mission.recovered"
    attempt: int
    replayed_steps: int


class MissionUpdated(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A mission's priority or quota was changed."""

    TYPE: ClassVar[str] = "mission.updated"
    by: str
    priority: str | None = None
    quota: JsonObject | None = None


class MissionProgress(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """What a program said with ``ctx.emit``. ``fields`` stand beside ``name`` on the wire."""

    TYPE: ClassVar[str] = "mission.progress"
    name: str


class MissionCompleted(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """Terminal: the program returned."""

    TYPE: ClassVar[str] = "mission.completed"
    result: Json
    usage: JsonObject
    duration_ms: float
    truncated: bool | None = None
    size: int | None = None


class _Ended(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """Common to the four terminal events other than completed."""

    usage: JsonObject
    duration_ms: float
    error: JsonObject | None = None
    reason: str | None = None
    by: str | None = None
    unfinished: list[JsonObject] | None = None


class MissionFailed(_Ended, frozen=True, kw_only=True, omit_defaults=True):
    """Terminal: the program raised."""

    TYPE: ClassVar[str] = "mission.failed"


class MissionCancelled(_Ended, frozen=True, kw_only=True, omit_defaults=True):
    """Terminal: a person, a parent or a newer mission of the session stopped it."""

    TYPE: ClassVar[str] = "mission.cancelled"


class MissionTimedOut(_Ended, frozen=True, kw_only=True, omit_defaults=True):
    """Terminal: its deadline passed or its running time was used up."""

    TYPE: ClassVar[str] = "mission.timed_out"


class MissionQuotaExceeded(_Ended, frozen=True, kw_only=True, omit_defaults=True):
    """Terminal: it met a limit of its quota and nobody extended it."""

    TYPE: ClassVar[str] = "mission.quota_exceeded"


class StepStarted(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A system call began: the intent, committed before a side effect is made."""

    TYPE: ClassVar[str] = "step.started"
    step: str
    kind: str
    name: str
    input: Json
    attempt: int
    interrupt_id: str | None = None
    truncated: bool | None = None
    size: int | None = None


class StepCompleted(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A system call returned. A long output shows its first 4 KiB, ``truncated`` and ``size``."""

    TYPE: ClassVar[str] = "step.completed"
    step: str
    kind: str
    name: str
    output: Json
    duration_ms: float
    usage: JsonObject | None = None
    truncated: bool | None = None
    size: int | None = None


class StepFailed(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A system call raised into the program, or an attempt of it failed and will be repeated."""

    TYPE: ClassVar[str] = "step.failed"
    step: str
    kind: str
    name: str
    error: JsonObject
    will_retry: bool


class LlmDelta(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """Ephemeral: text as it streams. ``at`` counts characters (code points) before ``text``."""

    TYPE: ClassVar[str] = "llm.delta"
    step: str | None
    attempt: int
    at: int
    text: str


class ReplayDone(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """Ephemeral: the replay of these topics has ended; live events follow."""

    TYPE: ClassVar[str] = "replay.done"
    topics: list[str]
    offset: int


class InterruptRaised(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A question to a person."""

    TYPE: ClassVar[str] = "interrupt.raised"
    interrupt_id: str
    kind: str
    message: str
    step: str | None
    expires_at: str | None
    tool: str | None = None
    arguments: JsonObject | None = None
    risk: str | None = None
    options: list[str] | None = None
    resource: str | None = None
    used: float | None = None
    limit: float | None = None


class _InterruptClosed(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """Common to the three ends of an interrupt."""

    interrupt_id: str
    kind: str
    by: str | None
    approved: bool | None = None
    arguments: JsonObject | None = None
    message: str | None = None
    answer: Json = None
    decision: str | None = None


class InterruptResolved(_InterruptClosed, frozen=True, kw_only=True, omit_defaults=True):
    """A person answered."""

    TYPE: ClassVar[str] = "interrupt.resolved"


class InterruptExpired(_InterruptClosed, frozen=True, kw_only=True, omit_defaults=True):
    """Nobody answered in time."""

    TYPE: ClassVar[str] = "interrupt.expired"


class InterruptCancelled(_InterruptClosed, frozen=True, kw_only=True, omit_defaults=True):
    """Its mission ended."""

    TYPE: ClassVar[str] = "interrupt.cancelled"


class _QuotaSaid(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """Common to the three events about a quota."""

    resource: str
    used: float
    limit: float


class QuotaWarned(_QuotaSaid, frozen=True, kw_only=True, omit_defaults=True):
    """80 % of a limit is used."""

    TYPE: ClassVar[str] = "quota.warned"


class QuotaExceeded(_QuotaSaid, frozen=True, kw_only=True, omit_defaults=True):
    """A call would pass a limit and was not made."""

    TYPE: ClassVar[str] = "quota.exceeded"


class QuotaExtended(_QuotaSaid, frozen=True, kw_only=True, omit_defaults=True):
    """A person raised a limit."""

    TYPE: ClassVar[str] = "quota.extended"


class ArtifactCreated(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A named result that people can open."""

    TYPE: ClassVar[str] = "artifact.created"
    name: str
    media_type: str
    size: int
    url: str


class _BreakerChanged(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """Common to the three states of a tool's breaker."""

    tool: str
    failures: int
    retry_at: str | None


class BreakerOpened(_BreakerChanged, frozen=True, kw_only=True, omit_defaults=True):
    """Too many failures: calls are held back."""

    TYPE: ClassVar[str] = "breaker.opened"


class BreakerHalfOpened(_BreakerChanged, frozen=True, kw_only=True, omit_defaults=True):
    """One trial call is let through."""

    TYPE: ClassVar[str] = "breaker.half_opened"


class BreakerClosed(_BreakerChanged, frozen=True, kw_only=True, omit_defaults=True):
    """The tool answers again."""

    TYPE: ClassVar[str] = "breaker.closed"


class NodeJoined(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A server process began to take missions."""

    TYPE: ClassVar[str] = "node.joined"
    node: str


class NodeLeft(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """A server process left."""

    TYPE: ClassVar[str] = "node.left"
    node: str


class TowerDraining(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """Ephemeral, to every connection: this process is going down; reconnect after the hint."""

    TYPE: ClassVar[str] = "tower.draining"
    node: str
    retry_after_ms: int


class EventErased(EventData, frozen=True, kw_only=True, omit_defaults=True):
    """On ``system`` only: what stood at this offset was erased for good."""

    TYPE: ClassVar[str] = "event.erased"


def _leaves(base: type[EventData]) -> list[type[EventData]]:
    found = [base] if "TYPE" in base.__dict__ else []
    for child in base.__subclasses__():
        found += _leaves(child)
    return found


EVENT_TYPES: dict[str, type[EventData]] = {leaf.TYPE: leaf for leaf in _leaves(EventData)}
"""Every event type by its name on the wire."""

TERMINAL_TYPES = frozenset(
    leaf.TYPE
    for leaf in (
        MissionCompleted,
        MissionFailed,
        MissionCancelled,
        MissionTimedOut,
        MissionQuotaExceeded,
    )
)
"""A mission ends with exactly one of these."""

EPHEMERAL_TYPES = frozenset(leaf.TYPE for leaf in (LlmDelta, ReplayDone, TowerDraining))
"""Types that never have an offset."""
