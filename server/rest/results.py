"""What a mission made: artifacts, and the whole outputs of its steps."""

from typing import Any, Literal
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from control_tower.errors import NotFound
from control_tower.records import FileRecord, StepRecord
from events.payloads import JsonObject
from events.times import rfc3339, rfc3339_or_none
from server.endpoints import Call, Endpoint, Query, json_reply
from server.rest.shapes import Json, Reply

INLINE_TYPES = frozenset(
    {"text/plain", "text/markdown", "text/csv", "application/json", "image/png", "image/jpeg"}
)
"""What a browser may show; anything else is saved, since it could act as a page of this server."""

SANDBOX = "default-src 'none'; sandbox"


class ArtifactReply(Reply):
    """A named result."""

    name: str
    media_type: str
    size: int
    updated_at: str
    url: str


class StepReply(Reply):
    """One system call, whole."""

    step: str
    kind: str
    name: str
    status: Literal["asked", "started", "completed", "failed"]
    attempt: int
    arguments: Json
    output: Json
    error: dict[str, Any] | None
    usage: dict[str, Any] | None
    interrupt_id: str | None
    child_id: str | None
    started_at: str
    ended_at: str | None


async def list_artifacts(call: Call[None, Query]) -> Response:
    """List what a mission made, by name."""
    pid = call.path["pid"]
    await call.services.tower.mission(call.caller, pid)
    found = await call.services.store.artifacts(pid)
    return json_reply([_artifact_json(pid, each) for each in found])


async def get_artifact(call: Call[None, Query]) -> Response:
    """Return one thing that a mission made, as it is."""
    pid, name = call.path["pid"], call.path["name"]
    await call.services.tower.mission(call.caller, pid)
    file = await call.services.store.artifact(pid, name)
    if file is None:
        raise NotFound("There is no such artifact.")
    media = file.media_type.partition(";")[0].strip().lower()
    kind = "inline" if media in INLINE_TYPES else "attachment"
    headers = {
        "Content-Type": file.media_type,
        "Content-Disposition": f"{kind}; filename*=UTF-8''{quote(file.name, safe='')}",
        "Content-Security-Policy": SANDBOX,
    }
    return Response(file.content, headers=headers)


async def list_steps(call: Call[None, Query]) -> Response:
    """List a mission's system calls, in order, whole."""
    pid = call.path["pid"]
    await call.services.tower.mission(call.caller, pid)
    return json_reply([_step_json(each) for each in await call.services.store.steps(pid)])


async def get_step(call: Call[None, Query]) -> Response:
    """Return one system call of a mission with its whole output."""
    pid = call.path["pid"]
    await call.services.tower.mission(call.caller, pid)
    for step in await call.services.store.steps(pid):
        if step.step == call.path["step"]:
            return json_reply(_step_json(step))
    raise NotFound("There is no such step.")


def _artifact_json(pid: str, file: FileRecord) -> JsonObject:
    return {
        "name": file.name,
        "media_type": file.media_type,
        "size": file.size,
        "updated_at": rfc3339(file.updated_at),
        "url": f"/api/v1/missions/{pid}/artifacts/{quote(file.name, safe='')}",
    }


def _step_json(step: StepRecord) -> JsonObject:
    return {
        "step": step.step,
        "kind": step.kind,
        "name": step.name,
        "status": step.status.value,
        "attempt": step.attempt,
        "arguments": step.arguments,
        "output": step.output,
        "error": step.error,
        "usage": None if step.usage is None else msgspec.to_builtins(step.usage),
        "interrupt_id": step.interrupt_id,
        "child_id": step.child_pid,
        "started_at": rfc3339(step.started_at),
        "ended_at": rfc3339_or_none(step.ended_at),
    }


MISSION = "/api/v1/missions/{pid}"

ENDPOINTS = (
    Endpoint(
        "GET",
        MISSION + "/artifacts",
        list_artifacts,
        "Missions",
        list[ArtifactReply],
        errors=("not_found",),
    ),
    Endpoint(
        "GET",
        MISSION + "/artifacts/{name}",
        get_artifact,
        "Missions",
        bytes,
        errors=("not_found",),
        media="*/*",
    ),
    Endpoint(
        "GET", MISSION + "/steps", list_steps, "Missions", list[StepReply], errors=("not_found",)
    ),
    Endpoint(
        "GET", MISSION + "/steps/{step}", get_step, "Missions", StepReply, errors=("not_found",)
    ),
)
