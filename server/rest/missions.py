"""Missions: the process table over HTTP."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from starlette.responses import Response

from control_tower.ports import MissionQuery
from control_tower.records import Priority
from events.payloads import JsonObject
from server.endpoints import Body, Call, Endpoint, Query, json_reply
from server.paging import MAX_SKIPPED, check_cursor, skip
from server.rest.shapes import Id, MissionReply, Raise, Reason, Reply, given


class MissionListQuery(Query):
    """A filter over missions, newest first."""

    session_id: Id | None = None
    user_id: Id | None = None
    state: (
        Literal["new", "ready", "running", "waiting", "blocked", "paused", "terminated"] | None
    ) = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    cursor: Id | None = Field(
        None, description="`pid` of the last one of the page before; unknown ones are refused"
    )
    offset: Annotated[int, Field(ge=0, le=MAX_SKIPPED)] = Field(
        0, description="how many to pass over; a cursor is cheaper, and steady while the list grows"
    )


class ReasonBody(Body):
    """Why."""

    reason: Reason | None = None


class ChangeBody(Body):
    """What to change: the priority, or the quota by amounts to add."""

    model_config = ConfigDict(json_schema_extra=given("anyOf", "priority", "quota"))

    priority: Priority | None = None
    quota: Raise | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> "ChangeBody":
        if self.priority is None and self.quota is None:
            raise ValueError("give priority, quota, or both")
        return self


class ExplainReply(Reply):
    """Why a mission is where it is."""

    state: str
    cause: str | None
    position: int | None
    waiting_for: object
    eta_s: float | None = None


async def list_missions(call: Call[None, MissionListQuery]) -> Response:
    """List missions, newest first; the caller's own, for viewers and operators everybody's."""
    query, tower = call.query, call.services.tower
    await check_cursor(tower.mission, call.caller, query.cursor)

    async def fetch(limit: int, after: str | None) -> list[JsonObject]:
        wanted = MissionQuery(query.user_id, query.session_id, query.state, limit, after)
        return await tower.missions(call.caller, wanted)

    more, after = await skip(fetch, "pid", query.offset, query.cursor)
    return json_reply(await fetch(query.limit, after) if more else [])


async def get(call: Call[None, Query]) -> Response:
    """Return a mission's process control block."""
    return json_reply(await call.services.tower.mission(call.caller, call.path["pid"]))


async def cancel(call: Call[ReasonBody | None, Query]) -> Response:
    """Cancel a mission. An ended one is returned as it is."""
    return await _told(call, "cancel")


async def pause(call: Call[ReasonBody | None, Query]) -> Response:
    """Pause a mission: it holds no slot until it is resumed."""
    return await _told(call, "pause")


async def resume(call: Call[ReasonBody | None, Query]) -> Response:
    """Resume a paused mission."""
    return await _told(call, "resume")


async def _told(
    call: Call[ReasonBody | None, Query], word: Literal["cancel", "pause", "resume"]
) -> Response:
    tower = call.services.tower
    command = {"cancel": tower.cancel, "pause": tower.pause, "resume": tower.resume}[word]
    reason = call.body.reason if call.body else None
    return json_reply(await command(call.caller, call.path["pid"], reason), 202)


async def change(call: Call[ChangeBody, Query]) -> Response:
    """Change a mission's priority, or raise its quota."""
    tower, pid = call.services.tower, call.path["pid"]
    mission = await tower.mission(call.caller, pid)
    if call.body.priority is not None:
        mission = await tower.set_priority(call.caller, pid, call.body.priority)
    if call.body.quota is not None:
        mission = await tower.extend_quota(call.caller, pid, call.body.quota.increase())
    return json_reply(mission)


async def explain(call: Call[None, Query]) -> Response:
    """Say why a mission is where it is: its cause, its place in the queue, what it waits for."""
    return json_reply(await call.services.tower.explain(call.caller, call.path["pid"]))


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/missions",
        list_missions,
        "Missions",
        list[MissionReply],
        query=MissionListQuery,
    ),
    Endpoint("GET", "/api/v1/missions/{pid}", get, "Missions", MissionReply, errors=("not_found",)),
    Endpoint(
        "PATCH",
        "/api/v1/missions/{pid}",
        change,
        "Missions",
        MissionReply,
        200,
        ChangeBody,
        errors=("not_found", "forbidden", "conflict"),
    ),
    *(
        Endpoint(
            "POST",
            f"/api/v1/missions/{{pid}}/{word}",
            command,
            "Missions",
            MissionReply,
            202,
            ReasonBody,
            body_required=False,
            errors=("not_found", "forbidden", "conflict"),
        )
        for word, command in (("cancel", cancel), ("pause", pause), ("resume", resume))
    ),
    Endpoint(
        "GET",
        "/api/v1/missions/{pid}/explain",
        explain,
        "Missions",
        ExplainReply,
        errors=("not_found",),
    ),
)
