"""Shapes that several resources share: fields of submissions, quotas, missions, interrupts."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from control_tower.commands import QuotaIncrease, Submission
from control_tower.errors import InvalidParams
from control_tower.execution.canonical import sha256_hex
from control_tower.quota.quotas import ResourceQuota
from control_tower.records import Priority
from server.endpoints import WHOLE, Body, Query
from server.json_text import check_free

NO_NUL = r"^[^\u0000]*$"
"""In the document: what every text from outside must match."""

ANY_JSON: dict[str, JsonValue] = {"x-json": True}
"""In the document, where the schema of any JSON value will stand."""

WORDS = {"pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}
"""In the document: a text that is not all spaces. The refusal is the field's own."""

Id = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(min_length=1, max_length=10_000, json_schema_extra=WORDS)]
Reason = Annotated[str, Field(max_length=2_000)]
Count = Annotated[int, Field(ge=0, le=2**53), WHOLE]
Amount = Annotated[float, Field(ge=0, le=1e15)]
Json = Any


def _free(value: dict[str, Any]) -> dict[str, Any]:
    try:
        check_free(value, "value")
    except InvalidParams as error:
        raise ValueError(error.message) from None
    return value


FreeObject = Annotated[
    dict[str, Any],
    AfterValidator(_free),
    Field(
        json_schema_extra={
            "propertyNames": {"pattern": NO_NUL},
            "additionalProperties": ANY_JSON,
        }
    ),
]
"""A JSON object of the caller's own choice, bounded in depth and in its integers."""


def given(keyword: Literal["anyOf", "oneOf"], *names: str) -> Callable[[dict[str, Any]], None]:
    """Return what adds to a body's schema that some (``anyOf``) or one of the fields is given."""

    def add(schema: dict[str, Any]) -> None:
        schema[keyword] = [
            {"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names
        ]

    return add


class Reply(BaseModel):
    """Base of answers, for the document and the contract tests; more fields may come."""

    model_config = ConfigDict(extra="allow")


class Quota(Body):
    """Limits of a mission; what is absent has its default, null is no limit."""

    max_llm_calls: Count | None = 50
    max_tool_calls: Count | None = 100
    max_input_tokens: Count | None = 500_000
    max_output_tokens: Count | None = 100_000
    max_cost_usd: Amount | None = None
    max_children: Count | None = 32
    max_events: Count | None = 20_000
    timeout_seconds: Amount | None = 3600
    on_limit: Literal["ask", "fail"] = "ask"

    def quota(self) -> ResourceQuota:
        """Return what the kernel takes."""
        return ResourceQuota(**self.model_dump())


class Increase(Body):
    """Amounts to add to a quota's limits."""

    max_llm_calls: Count = 0
    max_tool_calls: Count = 0
    max_input_tokens: Count = 0
    max_output_tokens: Count = 0
    max_cost_usd: Amount = 0
    max_children: Count = 0
    max_events: Count = 0
    timeout_seconds: Amount = 0

    def increase(self) -> QuotaIncrease:
        """Return what the kernel takes."""
        return QuotaIncrease(**self.model_dump())


def _raises_something(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [
        {"required": [name], "properties": {name: {"exclusiveMinimum": 0}}}
        for name in Increase.model_fields
    ]


class Raise(Increase):
    """Amounts to add to a quota's limits, at least one of them more than nothing."""

    model_config = ConfigDict(json_schema_extra=_raises_something)

    @model_validator(mode="after")
    def _is_something(self) -> "Raise":
        if not any(self.model_dump().values()):
            raise ValueError("say by how much to raise which limit of the quota")
        return self


def _as_time(schema: dict[str, Any]) -> None:
    schema["anyOf"][0]["format"] = "date-time"


class SubmissionBody(Body):
    """What any way of giving a mission takes beside its text."""

    user_id: Id | None = None
    session_id: Id | None = None
    agent: Id | None = None
    profile: Id | None = None
    inputs: FreeObject = {}
    priority: Priority = Priority.NORMAL
    quota: Quota | None = None
    deadline_s: Annotated[float, Field(gt=0, le=31_536_000)] | None = None
    start_at: Annotated[str, Field(max_length=40)] | None = Field(
        None,
        description="RFC 3339",
        examples=["2026-11-21T20:12:03Z"],
        json_schema_extra=_as_time,
    )
    on_busy: Literal["enqueue", "reject", "interrupt", "parallel"] = "enqueue"

    def submission(self, mission: str, key: str | None) -> Submission:
        """Return what the kernel takes."""
        return Submission(
            mission=mission,
            agent=self.agent,
            profile=self.profile,
            session_id=self.session_id,
            inputs=self.inputs,
            priority=self.priority,
            quota=self.quota.quota() if self.quota else None,
            deadline_s=self.deadline_s,
            start_at=self.start_at,
            on_busy=self.on_busy,
            idempotency_key=key,
        )


def body_sha256(kind: str, submission: Submission) -> str:
    """Return the hash by which two uses of one idempotency key are the same request."""
    fields = msgspec.to_builtins(submission)
    del fields["idempotency_key"]
    return sha256_hex(kind, fields)


class WaitQuery(Query):
    """How long to wait for the end, or for a question."""

    wait_s: float = Field(0, ge=0, le=60, description="answer as soon as it ends or asks a person")


class Question(Reply):
    """What the mission asks a person, whatever its kind: ``POST /api/v1/interrupts/{id}``."""

    interrupt_id: str | None = Field(
        description="the oldest pending question of any kind; null when nothing is asked"
    )
    interrupt_kind: (
        Literal["confirmation", "clarification", "resource_exhausted", "unknown_outcome"] | None
    ) = Field(
        description="a confirmation or a clarification stands in its own fields, too; the other "
        "kinds are answered with a decision"
    )
    interrupt_message: str | None = Field(description="the question, in words")


class InterruptReply(Reply):
    """A question to a person."""

    interrupt_id: str
    kind: Literal["confirmation", "clarification", "resource_exhausted", "unknown_outcome"]
    mission_id: str
    session_id: str
    user_id: str
    step: str
    message: str
    tool: str | None
    arguments: dict[str, Any] | None
    arguments_sha256: str | None
    risk: str | None
    options: list[str] | None
    status: Literal["pending", "resolved", "expired", "cancelled"]
    created_at: str
    expires_at: str | None
    answered_by: str | None
    answered_at: str | None
    answer: dict[str, Any] | None


class MissionReply(Reply):
    """A process control block."""

    mission_id: str
    pid: str
    session_id: str
    user_id: str
    agent: str
    mission: str
    inputs: dict[str, Any]
    state: Literal["new", "ready", "running", "waiting", "blocked", "paused", "terminated"]
    status: Literal["processing", "waiting", "completed", "failed"]
    outcome: Literal["completed", "failed", "cancelled", "timed_out", "quota_exceeded"] | None
    state_reason: str | None
    priority: Priority
    quota: dict[str, Any]
    usage: dict[str, Any]
    parent_pid: str | None
    children: list[str]
    current_step: str | None
    pending_interrupts: list[str]
    pending_interrupt: str | None
    attempt: int
    node: str | None
    token: int
    idempotency_key: str | None
    created_at: str
    started_at: str | None
    completed_at: str | None
    start_at: str | None
    deadline_at: str | None
    result: Json
    error: dict[str, Any] | None
