"""Chat: sessions, their messages, and saying something in one."""

import asyncio
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator
from starlette.responses import Response

from control_tower.public import message_json, session_json
from control_tower.records import InterruptKind
from server.endpoints import Body, Call, Endpoint, Query, json_reply
from server.rest.shapes import (
    Id,
    Question,
    Reply,
    SubmissionBody,
    Text,
    WaitQuery,
    body_sha256,
    given,
)
from server.rest.standing import Standing, settled, standing, submitted

Title = Annotated[str, Field(max_length=500)]
Skip = Annotated[int, Field(ge=0, le=10_000_000)]

ARCHIVED = {"false": False, "true": True, "any": None}
"""The words of ``archived`` and what they ask the store for."""


class SessionListQuery(Query):
    """A filter over sessions, newest activity first."""

    user_id: Id | None = None
    filter: Literal["today", "week", "month", "all"] = "all"
    archived: Literal["false", "true", "any"] = "false"
    include_deleted: bool = False
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    offset: Skip = 0


class SessionCreateBody(Body):
    """A new session."""

    user_id: Id | None = None
    title: Title | None = None


class SessionQuery(Query):
    """Whether a deleted session is asked for."""

    include_deleted: bool = False


class SessionDeleteQuery(Query):
    """How thoroughly to delete."""

    soft: bool = Field(
        True, description="false erases messages, missions, files and events for good"
    )


class SessionUpdateBody(Body):
    """What to change; what is absent stays."""

    model_config = ConfigDict(json_schema_extra=given("anyOf", "title", "archived"))

    title: Title | None = None
    archived: bool | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> "SessionUpdateBody":
        if self.title is None and self.archived is None:
            raise ValueError("give title, archived, or both")
        return self


class MessageListQuery(Query):
    """A page of messages, oldest first."""

    limit: Annotated[int, Field(ge=1, le=500)] = 100
    offset: Skip = 0


class MessageBody(SubmissionBody):
    """Something to say. It answers the session's oldest open question, else it is a mission."""

    message: Text


class EditBody(Body):
    """The new text."""

    content: Text

    @field_validator("content")
    @classmethod
    def _says_something(cls, content: str) -> str:
        if not content.strip():
            raise ValueError("must say something")
        return content


class SessionReply(Reply):
    """A session."""

    session_id: str
    user_id: str
    title: str | None
    message_count: int
    created_at: str
    last_activity: str
    archived_at: str | None
    deleted_at: str | None


class MessageReply(Reply):
    """A message."""

    message_id: str
    session_id: str
    role: Literal["user", "assistant"]
    content: str
    mission_id: str | None
    created_at: str
    edited_at: str | None
    original_content: str | None
    deleted_at: str | None


class MessageSendReply(Question):
    """Where what was said stands."""

    request_id: str
    session_id: str
    message_id: str
    status: Literal["completed", "processing", "failed", "waiting"]
    response: str | None
    confirmation_needed: bool
    confirmation_message: str | None
    confirmation_id: str | None
    clarification_needed: bool
    clarification_question: str | None
    clarification_id: str | None


async def list_sessions(call: Call[None, SessionListQuery]) -> Response:
    """List sessions, newest activity first; of one user's, ``X-Total-Count`` says how many."""
    sessions, query = call.services.sessions, call.query
    which: dict[str, Any] = {
        "user_id": query.user_id,
        "period": query.filter,
        "archived": ARCHIVED[query.archived],
        "include_deleted": query.include_deleted,
    }
    found, total = await asyncio.gather(
        sessions.list(call.caller, **which, limit=query.limit, offset=query.offset),
        sessions.count(call.caller, **which),
    )
    headers = {} if total is None else {"X-Total-Count": str(total)}
    return json_reply([session_json(session) for session in found], headers=headers)


async def create_session(call: Call[SessionCreateBody, Query]) -> Response:
    """Make a session."""
    session = await call.services.sessions.create(
        call.caller, user_id=call.body.user_id, title=call.body.title
    )
    location = {"Location": f"/api/v1/chat/sessions/{session.session_id}"}
    return json_reply(session_json(session), 201, location)


async def get_session(call: Call[None, SessionQuery]) -> Response:
    """Return a session."""
    session = await call.services.sessions.get(
        call.caller, call.path["id"], include_deleted=call.query.include_deleted
    )
    return json_reply(session_json(session))


async def update_session(call: Call[SessionUpdateBody, Query]) -> Response:
    """Rename a session, or move it into the archive or out of it."""
    session = await call.services.sessions.update(
        call.caller, call.path["id"], title=call.body.title, archived=call.body.archived
    )
    return json_reply(session_json(session))


async def delete_session(call: Call[None, SessionDeleteQuery]) -> Response:
    """Delete a session; it can be restored. With ``soft=false`` it is erased, deleted or not."""
    sessions, session_id = call.services.sessions, call.path["id"]
    if call.query.soft:
        await sessions.delete(call.caller, session_id)
    else:
        await sessions.erase(call.caller, session_id, call.services.eraser)
    return Response(status_code=204)


async def restore_session(call: Call[None, Query]) -> Response:
    """Bring a deleted session back."""
    session = await call.services.sessions.restore(call.caller, call.path["id"])
    return json_reply(session_json(session))


async def list_messages(call: Call[None, MessageListQuery]) -> Response:
    """List a session's messages, oldest first; ``X-Total-Count`` says how many there are."""
    sessions, session_id = call.services.sessions, call.path["id"]
    found = await sessions.messages(
        call.caller, session_id, limit=call.query.limit, offset=call.query.offset
    )
    total = (await sessions.get(call.caller, session_id)).message_count
    return json_reply(
        [message_json(message) for message in found], headers={"X-Total-Count": str(total)}
    )


async def send(call: Call[MessageBody, WaitQuery]) -> Response:
    """Say something. With ``wait_s``, answer 200 as soon as it ended or asks a person."""
    caller, submission = await submitted(call, call.body, call.body.message)
    ack = await call.services.tower.send_message(
        caller,
        call.body.message,
        submission,
        body_sha256=body_sha256("message", submission),
    )
    at = await standing(call.services, caller, ack["mission_id"], call.query.wait_s)
    waited = call.query.wait_s > 0 and settled(at.mission)
    return json_reply(_sent_json(at, ack["message_id"]), 200 if waited else 202)


def _sent_json(at: Standing, message_id: str) -> dict[str, object]:
    asks = at.first(InterruptKind.CLARIFICATION) or {}
    confirms = at.first(InterruptKind.CONFIRMATION) or {}
    return {
        "request_id": at.mission["pid"],
        "session_id": at.mission["session_id"],
        "message_id": message_id,
        "status": at.mission["status"],
        "response": at.text,
        "confirmation_needed": bool(confirms),
        "confirmation_message": confirms.get("message"),
        "confirmation_id": confirms.get("interrupt_id"),
        "clarification_needed": bool(asks),
        "clarification_question": asks.get("message"),
        "clarification_id": asks.get("interrupt_id"),
        **at.question,
        "error": at.mission["error"],
    }


async def edit_message(call: Call[EditBody, Query]) -> Response:
    """Change a message of one's own; the first text is kept."""
    message = await call.services.sessions.edit_message(
        call.caller, call.path["id"], call.body.content
    )
    return json_reply(message_json(message))


async def delete_message(call: Call[None, Query]) -> Response:
    """Delete a message of one's own."""
    await call.services.sessions.delete_message(call.caller, call.path["id"])
    return Response(status_code=204)


SESSIONS = "/api/v1/chat/sessions"
MESSAGES = "/api/v1/chat/messages"

ENDPOINTS = (
    Endpoint(
        "GET",
        SESSIONS,
        list_sessions,
        "Chat",
        list[SessionReply],
        query=SessionListQuery,
        errors=("forbidden",),
        gives={"X-Total-Count": "How many sessions there are on all pages, of one user's."},
    ),
    Endpoint(
        "POST",
        SESSIONS,
        create_session,
        "Chat",
        SessionReply,
        201,
        SessionCreateBody,
        errors=("forbidden",),
        gives={"Location": "The session."},
    ),
    Endpoint(
        "GET",
        SESSIONS + "/{id}",
        get_session,
        "Chat",
        SessionReply,
        query=SessionQuery,
        errors=("not_found",),
    ),
    Endpoint(
        "PATCH",
        SESSIONS + "/{id}",
        update_session,
        "Chat",
        SessionReply,
        200,
        SessionUpdateBody,
        errors=("not_found", "forbidden"),
    ),
    Endpoint(
        "DELETE",
        SESSIONS + "/{id}",
        delete_session,
        "Chat",
        None,
        204,
        query=SessionDeleteQuery,
        errors=("not_found", "forbidden"),
    ),
    Endpoint(
        "POST",
        SESSIONS + "/{id}/restore",
        restore_session,
        "Chat",
        SessionReply,
        errors=("not_found", "forbidden"),
    ),
    Endpoint(
        "GET",
        SESSIONS + "/{id}/messages",
        list_messages,
        "Chat",
        list[MessageReply],
        query=MessageListQuery,
        errors=("not_found",),
        gives={"X-Total-Count": "How many messages the session has."},
    ),
    Endpoint(
        "POST",
        MESSAGES,
        send,
        "Chat",
        MessageSendReply,
        202,
        MessageBody,
        query=WaitQuery,
        also={200: "It ended, or asks a person, within wait_s."},
        errors=("not_found", "conflict", "quota_exceeded", "rate_limited"),
        headers={"Idempotency-Key": "The same key gives the same answer, and is said once."},
    ),
    Endpoint(
        "PATCH",
        MESSAGES + "/{id}",
        edit_message,
        "Chat",
        MessageReply,
        200,
        EditBody,
        errors=("not_found", "forbidden"),
    ),
    Endpoint(
        "DELETE",
        MESSAGES + "/{id}",
        delete_message,
        "Chat",
        None,
        204,
        errors=("not_found", "forbidden"),
    ),
)
