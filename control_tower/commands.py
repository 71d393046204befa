"""What a caller may ask of the tower. The bounds are the wire's; WS and REST share them."""

from collections.abc import Callable
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from control_tower.quota.quotas import Amount, Count, ResourceQuota
from control_tower.records import Priority
from events.payloads import JsonObject

NAME_CHARACTERS: Final = 200
MISSION_CHARACTERS: Final = 10_000
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARACTERS)]
MissionText = Annotated[str, msgspec.Meta(min_length=1, max_length=MISSION_CHARACTERS)]
Reason = Annotated[str, msgspec.Meta(max_length=2_000)]

Ack: TypeAlias = Callable[[JsonObject], None]
"""Called with a command's result at its commit, before its events are published."""


class Caller(msgspec.Struct, frozen=True):
    """Who asks. ``role`` is ``viewer``, ``user`` or ``operator``."""

    user_id: str
    role: Literal["viewer", "user", "operator"]

    @property
    def reads_all(self) -> bool:
        """Whether other users' things are visible."""
        return self.role != "user"


class Submission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mission to run. ``start_at`` is RFC 3339."""

    mission: MissionText
    agent: Name | None = None
    profile: Name | None = None
    session_id: Name | None = None
    inputs: JsonObject = {}
    priority: Priority = Priority.NORMAL
    quota: ResourceQuota | None = None
    deadline_s: Annotated[float, msgspec.Meta(gt=0, le=31_536_000)] | None = None
    start_at: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    on_busy: Literal["enqueue", "reject", "interrupt", "parallel"] = "enqueue"
    idempotency_key: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None


class QuotaIncrease(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Amounts to add to a quota's limits."""

    max_llm_calls: Count = 0
    max_tool_calls: Count = 0
    max_input_tokens: Count = 0
    max_output_tokens: Count = 0
    max_cost_usd: Amount = 0
    max_children: Count = 0
    max_events: Count = 0
    timeout_seconds: Amount = 0


class ConfirmationAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Yes or no to one call; ``arguments`` replaces what will run."""

    approved: bool
    message: Reason | None = None
    arguments: JsonObject | None = None


class ClarificationAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words."""

    answer: Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]


class DecisionAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For ``resource_exhausted`` and ``unknown_outcome``."""

    decision: Literal["extend", "finish", "cancel", "it_happened", "retry", "fail"]
    quota: QuotaIncrease | None = None
    result: object = None


Answer = ConfirmationAnswer | ClarificationAnswer | DecisionAnswer
