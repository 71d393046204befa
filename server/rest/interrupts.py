"""Interrupts: what waits on a person, what was decided, and the door for any answer."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from starlette.responses import Response

from control_tower.commands import (
    Answer,
    ClarificationAnswer,
    ConfirmationAnswer,
    DecisionAnswer,
)
from control_tower.ports import InterruptQuery
from events.payloads import JsonObject
from server.endpoints import Body, Call, Endpoint, Query, json_reply
from server.paging import MAX_SKIPPED, check_cursor, skip
from server.rest.shapes import (
    ANY_JSON,
    FreeObject,
    Id,
    Increase,
    InterruptReply,
    Json,
    Reason,
    Text,
)

Kind = Literal["confirmation", "clarification", "resource_exhausted", "unknown_outcome"]


class InterruptListQuery(Query):
    """A filter over interrupts."""

    status: Literal["pending", "resolved", "expired", "cancelled", "any"] = "pending"
    kind: Kind | None = None
    session_id: Id | None = None
    mission_id: Id | None = None
    user_id: Id | None = None
    order: Literal["oldest", "newest"] = Field("oldest", description="which come first")
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    cursor: Id | None = Field(
        None,
        description="`interrupt_id` of the last one of the page before; unknown ones are refused",
    )
    offset: Annotated[int, Field(ge=0, le=MAX_SKIPPED)] = Field(
        0, description="how many to pass over; a cursor is cheaper, and steady while the list grows"
    )


FORMS = {
    "approved": ("approved", "message", "arguments"),
    "answer": ("answer",),
    "decision": ("decision", "quota", "result"),
}
"""The field that each kind of answer must have, and those that it may have."""


def _one_form(schema: dict[str, Any]) -> None:
    """Say in the document that an answer is of one kind."""
    schema["oneOf"] = [
        {
            "required": [name],
            "properties": {name: {"not": {"type": "null"}}},
            "propertyNames": {"enum": [*fields, "user_id"]},
        }
        for name, fields in FORMS.items()
    ]


class AnswerBody(Body):
    """An answer: ``approved``, ``answer`` or ``decision``, as the kind asks for."""

    model_config = ConfigDict(json_schema_extra=_one_form)

    approved: bool | None = None
    message: Reason | None = None
    arguments: FreeObject | None = None
    answer: Text | None = None
    decision: Literal["extend", "finish", "cancel", "it_happened", "retry", "fail"] | None = None
    quota: Increase | None = None
    result: Json = Field(None, json_schema_extra=ANY_JSON)
    user_id: Id | None = None

    @model_validator(mode="after")
    def _is_one_answer(self) -> "AnswerBody":
        forms = [name for name in FORMS if getattr(self, name) is not None]
        if len(forms) != 1:
            raise ValueError("give exactly one of approved, answer and decision")
        if not self.model_fields_set <= {*FORMS[forms[0]], "user_id"}:
            raise ValueError("these fields belong to different kinds of answers")
        return self

    def reply(self) -> Answer:
        """Return what the kernel takes."""
        if self.approved is not None:
            return ConfirmationAnswer(
                approved=self.approved, message=self.message, arguments=self.arguments
            )
        if self.answer is not None:
            return ClarificationAnswer(answer=self.answer)
        if self.decision is None:
            raise AssertionError("checked by the validator")
        return DecisionAnswer(
            decision=self.decision,
            quota=self.quota.increase() if self.quota else None,
            result=self.result,
        )


async def list_interrupts(call: Call[None, InterruptListQuery]) -> Response:
    """List interrupts: what is pending, or with ``status`` the history of decisions."""
    query, tower = call.query, call.services.tower
    await check_cursor(tower.interrupt, call.caller, query.cursor)

    async def fetch(limit: int, after: str | None) -> list[JsonObject]:
        wanted = InterruptQuery(
            user_id=query.user_id,
            session_id=query.session_id,
            mission_id=query.mission_id,
            kind=query.kind,
            status=None if query.status == "any" else query.status,
            limit=limit,
            after=after,
            newest_first=query.order == "newest",
        )
        return await tower.interrupts(call.caller, wanted)

    more, after = await skip(fetch, "interrupt_id", query.offset, query.cursor)
    return json_reply(await fetch(query.limit, after) if more else [])


async def get(call: Call[None, Query]) -> Response:
    """Return an interrupt."""
    return json_reply(await call.services.tower.interrupt(call.caller, call.path["id"]))


async def answer(call: Call[AnswerBody, Query]) -> Response:
    """Answer an interrupt of any kind."""
    caller = call.acting_as(call.body.user_id)
    found = await call.services.tower.answer(caller, call.path["id"], call.body.reply())
    return json_reply(found)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/interrupts",
        list_interrupts,
        "Interrupts",
        list[InterruptReply],
        query=InterruptListQuery,
    ),
    Endpoint(
        "GET",
        "/api/v1/interrupts/{id}",
        get,
        "Interrupts",
        InterruptReply,
        errors=("not_found",),
    ),
    Endpoint(
        "POST",
        "/api/v1/interrupts/{id}",
        answer,
        "Interrupts",
        InterruptReply,
        200,
        AnswerBody,
        errors=("not_found", "conflict", "expired"),
    ),
)
