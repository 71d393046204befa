"""Requests: a mission in one call, and the answers to the questions it asks."""

from dataclasses import replace
from typing import Any, Literal

from pydantic import AliasChoices, ConfigDict, Field, field_validator, model_validator
from starlette.responses import Response

from control_tower.commands import (
    Caller,
    ClarificationAnswer,
    ConfirmationAnswer,
)
from control_tower.errors import Conflict, NotFound
from control_tower.ports import InterruptQuery
from control_tower.records import InterruptKind
from events.payloads import JsonObject
from server.endpoints import Body, Call, Endpoint, Query, json_reply
from server.paging import PAGE
from server.rest.shapes import (
    FreeObject,
    Id,
    InterruptReply,
    MissionReply,
    Question,
    Reason,
    SubmissionBody,
    Text,
    WaitQuery,
    body_sha256,
    given,
)
from server.rest.standing import Standing, settled, standing, submitted
from server.services import Services


def _by_either_name(schema: dict[str, Any]) -> None:
    """Say in the document that the text has two names, of which one is used."""
    names = ("user_message", "mission")
    schema["properties"]["mission"] = schema["properties"]["user_message"] | {
        "title": "Mission",
        "description": "instead of user_message",
    }
    schema["required"].remove("user_message")
    schema["oneOf"] = [{"required": [name]} for name in names]


class RequestBody(SubmissionBody):
    """A mission in words."""

    model_config = ConfigDict(json_schema_extra=_by_either_name)

    user_message: Text = Field(validation_alias=AliasChoices("user_message", "mission"))


class RequestReply(Question):
    """Where a request stands, with the question it asks, if it asks one."""

    request_id: str
    pid: str
    session_id: str
    status: Literal["processing", "waiting", "completed", "failed"]
    response_text: str | None
    clarification_needed: bool
    clarification_question: str | None
    clarification_id: str | None
    confirmation_needed: bool
    confirmation_message: str | None
    confirmation_id: str | None
    error: dict[str, Any] | None


class StatusReply(MissionReply):
    """A process control block, with two of its fields under further names."""

    current_stage: str | None
    resource_usage: dict[str, Any]


class ConfirmationBody(Body):
    """Yes or no to one call. ``arguments`` replaces those that will run."""

    model_config = ConfigDict(json_schema_extra=given("oneOf", "approved", "user_response"))

    confirmation_id: Id
    approved: bool | None = None
    user_response: str | None = Field(
        None,
        description="yes or no, exactly; instead of approved",
        json_schema_extra={"enum": ["yes", "no", None]},
    )
    message: Reason | None = None
    arguments: FreeObject | None = None
    user_id: Id | None = None

    @field_validator("user_response")
    @classmethod
    def _exact_words_only(cls, words: str | None) -> str | None:
        if words not in {None, "yes", "no"}:
            raise ValueError("only the exact words yes and no decide")
        return words

    @model_validator(mode="after")
    def _exactly_one(self) -> "ConfirmationBody":
        if (self.approved is None) == (self.user_response is None):
            raise ValueError("give either approved or user_response")
        return self

    def answer(self) -> ConfirmationAnswer:
        """Return what the kernel takes."""
        approved = self.user_response == "yes" if self.approved is None else self.approved
        return ConfirmationAnswer(approved=approved, message=self.message, arguments=self.arguments)


class ClarificationBody(Body):
    """Words for an agent that asked. ``thread_id`` is the mission's id."""

    model_config = ConfigDict(json_schema_extra=given("anyOf", "clarification_id", "thread_id"))

    clarification_id: Id | None = None
    thread_id: Id | None = None
    clarification: str = Field(min_length=1, max_length=2_000)
    user_id: Id | None = None
    session_id: Id | None = None

    @model_validator(mode="after")
    def _names_one(self) -> "ClarificationBody":
        if self.clarification_id is None and self.thread_id is None:
            raise ValueError("give clarification_id or thread_id")
        return self


def request_json(at: Standing) -> JsonObject:
    """Return the answer of ``/requests`` for where a mission stands."""
    asks = at.first(InterruptKind.CLARIFICATION) or {}
    confirms = at.first(InterruptKind.CONFIRMATION) or {}
    return {
        "request_id": at.mission["pid"],
        "pid": at.mission["pid"],
        "session_id": at.mission["session_id"],
        "status": at.mission["status"],
        "response_text": at.text,
        "clarification_needed": bool(asks),
        "clarification_question": asks.get("message"),
        "clarification_id": asks.get("interrupt_id"),
        "confirmation_needed": bool(confirms),
        "confirmation_message": confirms.get("message"),
        "confirmation_id": confirms.get("interrupt_id"),
        **at.question,
        "error": at.mission["error"],
    }


async def submit(call: Call[RequestBody, WaitQuery]) -> Response:
    """Give a mission. With ``wait_s``, answer 200 as soon as it ends or needs a person."""
    caller, submission = await submitted(call, call.body, call.body.user_message)
    ack = await call.services.tower.submit(
        caller, submission, body_sha256=body_sha256("mission", submission)
    )
    at = await standing(call.services, caller, ack["mission_id"], call.query.wait_s)
    waited = call.query.wait_s > 0 and settled(at.mission)
    location = {"Location": f"/api/v1/missions/{ack['mission_id']}"}
    return json_reply(request_json(at), 200 if waited else 202, location)


async def status(call: Call[None, Query]) -> Response:
    """Return the process control block of a request."""
    mission = await call.services.tower.mission(call.caller, call.path["pid"])
    more = {"current_stage": mission["current_step"], "resource_usage": mission["usage"]}
    return json_reply(mission | more)


async def confirm(call: Call[ConfirmationBody, Query]) -> Response:
    """Approve or refuse one call of a tool. Only an explicit yes approves."""
    interrupt = await call.services.tower.answer(
        call.acting_as(call.body.user_id),
        call.body.confirmation_id,
        call.body.answer(),
        kinds=frozenset({InterruptKind.CONFIRMATION}),
    )
    return json_reply(interrupt)


async def clarify(call: Call[ClarificationBody, WaitQuery]) -> Response:
    """Answer an agent's question in words; the mission goes on."""
    caller = call.acting_as(call.body.user_id)
    question_id = call.body.clarification_id or await _question_of(
        call.services, caller, call.body.thread_id or ""
    )
    await _check_place(call, caller, question_id)
    interrupt = await call.services.tower.answer(
        caller,
        question_id,
        ClarificationAnswer(answer=call.body.clarification),
        kinds=frozenset({InterruptKind.CLARIFICATION}),
    )
    at = await standing(call.services, caller, interrupt["mission_id"], call.query.wait_s)
    waited = call.query.wait_s > 0 and settled(at.mission)
    return json_reply(request_json(at), 200 if waited else 202)


async def _question_of(services: Services, caller: Caller, pid: str) -> str:
    """Return the mission's oldest open question; without one, the last that was answered.

    So an answer that is sent again, its reply lost, meets the question that it answered.
    """
    await services.tower.mission(caller, pid)
    pending = InterruptQuery(mission_id=pid, kind=InterruptKind.CLARIFICATION.value)
    found = await services.tower.interrupts(caller, pending)
    if found:
        return str(found[0]["interrupt_id"])
    last = await _last_answered(services, caller, replace(pending, status="resolved", limit=PAGE))
    if last is None:
        raise Conflict("This mission asks nothing.")
    return str(last["interrupt_id"])


async def _last_answered(
    services: Services, caller: Caller, query: InterruptQuery
) -> JsonObject | None:
    last = None
    while found := await services.tower.interrupts(caller, query):
        last = max([*found, *([last] if last else [])], key=lambda each: each["answered_at"])
        query = replace(query, after=found[-1]["interrupt_id"])
    return last


async def _check_place(
    call: Call[ClarificationBody, WaitQuery], caller: Caller, question_id: str
) -> None:
    """Check that the question is where the caller believes it to be."""
    if call.body.session_id is None and call.body.thread_id is None:
        return
    interrupt = await call.services.tower.interrupt(caller, question_id)
    if call.body.session_id not in {None, interrupt["session_id"]} or call.body.thread_id not in {
        None,
        interrupt["mission_id"],
    }:
        raise NotFound("There is no such question there.")


ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v1/requests",
        submit,
        "Requests",
        RequestReply,
        202,
        RequestBody,
        query=WaitQuery,
        also={200: "It ended, or asks a person, within wait_s."},
        errors=("not_found", "conflict", "quota_exceeded", "rate_limited"),
        headers={"Idempotency-Key": "The same key gives the same answer, and one mission."},
        gives={"Location": "The mission."},
    ),
    Endpoint(
        "GET",
        "/api/v1/requests/{pid}/status",
        status,
        "Requests",
        StatusReply,
        errors=("not_found",),
    ),
    Endpoint(
        "POST",
        "/api/v1/confirmations",
        confirm,
        "Requests",
        InterruptReply,
        200,
        ConfirmationBody,
        errors=("not_found", "conflict", "expired"),
    ),
    Endpoint(
        "POST",
        "/api/v1/chat/clarifications",
        clarify,
        "Requests",
        RequestReply,
        202,
        ClarificationBody,
        query=WaitQuery,
        also={200: "It ended, or asks again, within wait_s."},
        errors=("not_found", "conflict", "expired"),
    ),
)
