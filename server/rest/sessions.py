"""Sessions in short: each with its latest mission, for integrations that think in one call."""

import asyncio
from typing import Any

from pydantic import Field
from starlette.responses import Response

from control_tower.ports import MissionQuery
from control_tower.public import mission_json, session_json
from control_tower.records import SessionRecord
from events.payloads import JsonObject
from events.times import rfc3339
from server.endpoints import Body, Call, Endpoint, Query, json_reply
from server.rest.execute import STATUSES
from server.rest.shapes import Id, Reply
from server.services import Services

NO_MISSION = "new"
LISTED = 50


class ProfileQuery(Query):
    """``profile`` is taken for the sake of older clients."""

    profile: Id | None = Field(
        None, description="accepted and ignored: a mission has a profile, a session has none"
    )


class NewSessionBody(Body):
    """A new session."""

    user_id: Id | None = None
    profile: Id | None = Field(None, description="accepted and ignored, as in the query")


class SessionSummary(Reply):
    """A session with its latest mission; ``status`` as that of ``/execute``, or ``new``."""

    session_id: str
    mission: str | None
    status: str
    created_at: str


class SessionDetails(SessionSummary):
    """The session, and the control block of its latest mission."""

    state: str | None
    latest: dict[str, Any] | None


async def _summary(services: Services, session: SessionRecord) -> JsonObject:
    found = await services.store.missions(MissionQuery(session_id=session.session_id, limit=1))
    latest = mission_json(found[0]) if found else None
    return {
        "session_id": session.session_id,
        "mission": latest["mission"] if latest else None,
        "status": STATUSES[latest["status"]] if latest else NO_MISSION,
        "created_at": rfc3339(session.created_at),
        "state": latest["state"] if latest else None,
        "latest": latest,
    }


async def list_sessions(call: Call[None, ProfileQuery]) -> Response:
    """List the sessions with the newest activity."""
    found = await call.services.sessions.list(call.caller, limit=LISTED)
    summaries = await asyncio.gather(*(_summary(call.services, each) for each in found))
    return json_reply(
        [{name: each[name] for name in SessionSummary.model_fields} for each in summaries]
    )


async def create(call: Call[NewSessionBody | None, ProfileQuery]) -> Response:
    """Make a session."""
    user_id = call.body.user_id if call.body else None
    session = await call.services.sessions.create(call.caller, user_id=user_id)
    location = {"Location": f"/api/v1/sessions/{session.session_id}"}
    return json_reply(await _summary(call.services, session), 201, location)


async def get(call: Call[None, ProfileQuery]) -> Response:
    """Return a session, its latest mission and where that stands."""
    session = await call.services.sessions.get(call.caller, call.path["id"])
    return json_reply(session_json(session) | await _summary(call.services, session))


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/sessions",
        list_sessions,
        "Sessions",
        list[SessionSummary],
        query=ProfileQuery,
    ),
    Endpoint(
        "POST",
        "/api/v1/sessions",
        create,
        "Sessions",
        SessionDetails,
        201,
        NewSessionBody,
        body_required=False,
        query=ProfileQuery,
        errors=("forbidden",),
        gives={"Location": "The session."},
    ),
    Endpoint(
        "GET",
        "/api/v1/sessions/{id}",
        get,
        "Sessions",
        SessionDetails,
        query=ProfileQuery,
        errors=("not_found",),
    ),
)
