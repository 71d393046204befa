"""Execute: run a mission to its end, or to its question, in one call."""

from typing import Literal

from pydantic import Field
from starlette.responses import Response

from events.payloads import JsonObject
from events.topics import build_filters
from server.endpoints import Call, Endpoint, Query, json_reply
from server.rest.shapes import Id, Reply, SubmissionBody, Text, body_sha256
from server.rest.standing import Standing, standing, submitted

STATUSES = {
    "completed": "completed",
    "failed": "failed",
    "waiting": "paused",
    "processing": "in_progress",
}
"""The words of this endpoint for the simple status of a mission."""


BLOCKED_ON = {
    "sleep": "The mission sleeps until a time that it chose.",
    "child": "The mission waits for a mission that it started.",
    "breaker": "The mission waits for a tool that failed too often to be tried again.",
    "session_busy": "The mission waits for another one in its session to end.",
    "start_at": "The mission waits for the time at which it is to start.",
    "agent_missing": "The mission's agent is not registered here.",
}
"""What a mission waits for, by its cause."""


class ExecuteBody(SubmissionBody):
    """A mission to run."""

    mission: Text
    profile: Id | None = "dev"


class ExecuteQuery(Query):
    """How long to wait."""

    wait_s: float = Field(60, ge=0, le=600, description="then answer in_progress")


class ExecuteReply(Reply):
    """How it ended; ``paused``: a person is asked, and ``message`` is the question.

    While it is ``in_progress``, ``message`` says in words what it waits for, or that it runs.
    """

    session_id: str
    status: Literal["completed", "failed", "paused", "in_progress"]
    message: str | None
    pid: str


def message_of(at: Standing) -> str | None:
    """Return what there is to say: the result, the question, the error, or what it does."""
    if at.questions:
        question: str = at.questions[0]["message"]
        return question
    if at.mission["error"]:
        error: str = at.mission["error"]["message"]
        return error
    return at.text if at.mission["status"] == "completed" else _meanwhile(at.mission)


def _meanwhile(mission: JsonObject) -> str | None:
    """Say in a sentence why a mission has not ended; an ended one's own reason is as it is."""
    state, cause = mission["state"], mission["state_reason"]
    match state:
        case "terminated":
            return None if cause is None else str(cause)
        case "blocked":
            return BLOCKED_ON.get(cause, "The mission waits for something before it can go on.")
        case "paused":
            why = "" if cause in {None, "paused"} else f": {cause}"
            return f"The mission is paused until somebody resumes it{why}."
        case "ready" | "new":
            return "The mission waits for a free slot."
        case _:
            return "The mission is still running."


async def execute(call: Call[ExecuteBody, ExecuteQuery]) -> Response:
    """Run a mission to its end or to a question."""
    caller, submission = await submitted(call, call.body, call.body.mission)
    ack = await call.services.tower.submit(
        caller, submission, body_sha256=body_sha256("mission", submission)
    )
    at = await standing(call.services, caller, ack["mission_id"], call.query.wait_s)
    body = {
        "session_id": at.mission["session_id"],
        "status": STATUSES[at.mission["status"]],
        "message": message_of(at),
        "pid": at.mission["pid"],
    }
    return json_reply(body, headers={"Location": f"/api/v1/missions/{at.mission['pid']}"})


async def stream(call: Call[ExecuteBody, Query]) -> Response:
    """Run a mission and stream its events until its last one, through its questions.

    A client that goes away does not stop the mission; a GET of ``Location`` with
    ``Last-Event-ID`` goes on from there.
    """
    call.services.streams.check(call.caller)
    caller, submission = await submitted(call, call.body, call.body.mission)
    await call.services.expect_text(caller.user_id)
    ack = await call.services.tower.submit(
        caller, submission, body_sha256=body_sha256("mission", submission)
    )
    pid = ack["mission_id"]
    mission = await call.services.tower.mission(caller, pid)
    events = await call.services.streams.open(
        call.caller,
        build_filters([f"mission:{pid}"]),
        ack["offset"] - 1,
        until=pid,
        finite=mission["state"] == "terminated",
    )
    return events.response(f"/api/v1/missions/{pid}/events")


ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v1/execute",
        execute,
        "Requests",
        ExecuteReply,
        200,
        ExecuteBody,
        query=ExecuteQuery,
        errors=("not_found", "conflict", "quota_exceeded", "rate_limited"),
        headers={"Idempotency-Key": "The same key gives the same answer, and one mission."},
        gives={"Location": "The mission."},
    ),
    Endpoint(
        "POST",
        "/api/v1/execute/stream",
        stream,
        "Requests",
        None,
        200,
        ExecuteBody,
        errors=("not_found", "conflict", "quota_exceeded", "rate_limited"),
        headers={"Idempotency-Key": "The same key gives the same mission's events again."},
        gives={"Location": "Where a GET with Last-Event-ID goes on."},
        streams=True,
    ),
)
