"""What an audit of the running system looks at: rows that prove, or fail to prove, a promise.

Records only; ``store/audit.py`` reads them, and who judges them is up to the caller.
"""

import msgspec

from control_tower.quota.quotas import ResourceQuota, ResourceUsage
from control_tower.states import Outcome


class ToolCallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One ended attempt of a tool, as the unit of its outcome noted it.

    Attributes:
        no: larger than that of every call that was committed before, on whatever node.
    """

    tool: str
    pid: str
    step: str
    status: str
    latency_ms: float
    at: float
    error: str | None = None
    no: int = 0


class CallProof(msgspec.Struct, frozen=True, kw_only=True):
    """What the store holds of a tool's call.

    Attributes:
        user_id: whose mission made it; None when the mission is gone (erased).
        attempt: of its record in the journal; None without a record.
        approved: whether a person approved a call of this step.
    """

    pid: str
    step: str
    user_id: str | None = None
    attempt: int | None = None
    approved: bool = False


class MissionAudit(msgspec.Struct, frozen=True, kw_only=True):
    """A mission's row beside what the log says of its end.

    Attributes:
        owns_account: whether ``usage`` is bounded by ``quota``; a child without a quota of its
            own draws on its parent's.
        endings: terminal events in the log; None for a mission that began before what was read.
        says_why: whether its terminal event has an error or a reason.
    """

    pid: str
    user_id: str
    outcome: Outcome | None
    owns_account: bool
    usage: ResourceUsage
    quota: ResourceQuota
    endings: int | None
    says_why: bool


class FailedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A ``step.failed`` of the log. ``says_why``: its error has a code and a message."""

    pid: str
    user_id: str
    step: str
    says_why: bool


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """The newest missions, and the failed steps of the newest events."""

    missions: list[MissionAudit]
    failed_steps: list[FailedStep]


class StoreFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How much the store holds.

    Attributes:
        size_bytes: of the database, without its WAL.
        floor: the lowest offset from which nothing of the log is missing.
        children: missions that other missions started.
        orphans: children that are live although their root has ended.
    """

    size_bytes: int
    floor: int
    sessions: int
    messages: int
    missions: int
    live_missions: int
    children: int
    orphans: int
    steps: int
    tool_calls: int
