"""The parameters of every method of `/ws`, as wire.md names them.

Every text, number and list is bounded, unknown fields are refused. What the kernel already
defines (a submission, answers, quotas) is taken from there, so that the two wires agree.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec

from control_tower.commands import (
    ClarificationAnswer,
    ConfirmationAnswer,
    DecisionAnswer,
    MissionText,
    Name,
    QuotaIncrease,
    Reason,
    Submission,
)
from control_tower.quota.quotas import ResourceQuota
from control_tower.records import InterruptKind, Priority
from control_tower.states import State
from events.payloads import JsonObject

Topic = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
Topics = Annotated[list[Topic], msgspec.Meta(min_length=1, max_length=100)]
Globs = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=100)]], msgspec.Meta(max_length=100)
]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=500)]
Skip = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
Title = Annotated[str, msgspec.Meta(max_length=500)]
Instant = Annotated[str, msgspec.Meta(max_length=40)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=31_536_000)]
OnBusy = Literal["enqueue", "reject", "interrupt", "parallel"]
Token = Annotated[str, msgspec.Meta(min_length=1, max_length=8_192)]
Period = Literal["today", "week", "month", "all"]
Archived: TypeAlias = bool | Literal["false", "true", "any"]

ARCHIVED: dict[bool | str, bool | None] = {
    False: False,
    True: True,
    "false": False,
    "true": True,
    "any": None,
}
"""What each word of ``archived`` asks the store for."""


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parameters."""


class NoParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For methods that take none."""


class HelloParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``hello``: who connects. ``client`` names the program, for the operators."""

    token: Token | None = None
    client: Annotated[str, msgspec.Meta(max_length=200)] | JsonObject | None = None
    user_id: Name | None = None


class Where(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further filter on topic ``system``."""

    user_id: Name | None = None
    agent: Name | None = None
    priority: Priority | None = None

    def given(self) -> dict[str, str]:
        """Return the conditions that were given."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: str(value) for name, value in fields.items() if value is not None}


class SubscribeParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``subscribe``. ``types`` are globs as ``mission.*``."""

    topics: Topics
    since: Offset | Literal["now", "start"] = "now"
    epoch: Name | None = None
    types: Globs | None = None
    deltas: bool = True
    where: Where | None = None


class UnsubscribeParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``unsubscribe``."""

    topics: Topics


class SubmitParams(Submission, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``mission.submit``. ``subscribe``: also send this connection the mission's events."""

    subscribe: bool = True

    def submission(self) -> Submission:
        """Return what the kernel takes."""
        return Submission(**{name: getattr(self, name) for name in Submission.__struct_fields__})


class SendParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``message.send``: as ``mission.submit``, with ``message`` for ``mission``."""

    message: MissionText
    agent: Name | None = None
    profile: Name | None = None
    session_id: Name | None = None
    inputs: JsonObject = {}
    priority: Priority = Priority.NORMAL
    quota: ResourceQuota | None = None
    deadline_s: Seconds | None = None
    start_at: Instant | None = None
    on_busy: OnBusy = "enqueue"
    idempotency_key: Name | None = None
    subscribe: bool = True

    def submission(self) -> Submission:
        """Return what the kernel takes."""
        fields = {name: getattr(self, name) for name in Submission.__struct_fields__[1:]}
        return Submission(mission=self.message, **fields)


class MissionParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``mission.get``, ``mission.explain``."""

    mission_id: Name


class MissionReasonParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``mission.cancel``, ``mission.pause``, ``mission.resume``."""

    mission_id: Name
    reason: Reason | None = None


class MissionListParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``mission.list``, newest first. ``cursor`` is the ``next_cursor`` of the page before."""

    session_id: Name | None = None
    state: State | None = None
    user_id: Name | None = None
    limit: Limit = 100
    cursor: Name | None = None


class PriorityParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``mission.set_priority``."""

    mission_id: Name
    priority: Priority


class QuotaParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``mission.extend_quota``: amounts to add."""

    mission_id: Name
    quota: QuotaIncrease


class ConfirmParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``confirm``."""

    confirmation_id: Name
    approved: bool
    message: Reason | None = None
    arguments: JsonObject | None = None

    def answer(self) -> ConfirmationAnswer:
        """Return what the kernel takes."""
        return ConfirmationAnswer(
            approved=self.approved, message=self.message, arguments=self.arguments
        )


class ClarifyParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``clarify``."""

    clarification_id: Name
    answer: MissionText

    def words(self) -> ClarificationAnswer:
        """Return what the kernel takes."""
        return ClarificationAnswer(answer=self.answer)


class DecideParams(DecisionAnswer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``interrupt.answer``, for the kinds that take a decision."""

    interrupt_id: Name

    def answer(self) -> DecisionAnswer:
        """Return what the kernel takes."""
        return DecisionAnswer(decision=self.decision, quota=self.quota, result=self.result)


class InterruptListParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``interrupt.list``, oldest first. ``status`` is ``any`` for all of them."""

    session_id: Name | None = None
    mission_id: Name | None = None
    kind: InterruptKind | None = None
    status: Literal["pending", "resolved", "expired", "cancelled", "any"] = "pending"
    limit: Limit = 100
    cursor: Name | None = None


class SessionCreateParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``session.create``."""

    user_id: Name | None = None
    title: Title | None = None


class SessionParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``session.get``."""

    session_id: Name


class SessionDeleteParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``session.delete``; ``soft`` false erases the session with all that is in it."""

    session_id: Name
    soft: bool = True


class SessionListParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``session.list``, newest activity first."""

    user_id: Name | None = None
    filter: Period = "all"
    archived: Archived = False
    include_deleted: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    offset: Skip = 0


class SessionUpdateParams(Params, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``session.update``."""

    session_id: Name
    title: Title | None = None
    archived: bool | None = None
