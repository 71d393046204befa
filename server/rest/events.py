"""The log over HTTP: pages of it, and live as server-sent events."""

from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field
from starlette.responses import Response

from control_tower.errors import InvalidParams
from events.errors import BadTopic
from events.topics import build_filters
from server.endpoints import Call, Endpoint, Query, json_reply
from server.rest.shapes import Id, Reply
from server.wire.rpc_connection import check_topic

LAST_EVENT_ID = "last-event-id"
MAX_OFFSET = 2**63 - 1
TOPIC = r"^(system|(session|mission|user):[^\u0000-\u001f\u007f]{1,200})$"
"""What a topic looks like, for the document."""


class PageQuery(Query):
    """Where to read. ``since`` is an offset, ``start`` or ``now``."""

    since: Annotated[int, Field(ge=0, le=MAX_OFFSET)] | Literal["start", "now"] = "start"
    limit: Annotated[int, Field(ge=1, le=1000)] = 500


class TopicQuery(PageQuery):
    """Which events."""

    topic: Id = Field(
        "system",
        description="system, session:ID, mission:ID or user:ID",
        json_schema_extra={"pattern": TOPIC},
    )


class EventReply(Reply):
    """A durable event, as on `/ws`."""

    offset: int
    type: str
    at: str
    session_id: str | None
    mission_id: str | None
    user_id: str | None
    data: dict[str, Any]


class EventPage(Reply):
    """A stretch of the log, complete up to ``upto``; read on with ``since=upto``.

    ``recovered`` false says that events after ``since`` are missing: then ``reason`` and, for a
    gap, ``floor``, the lowest ``since`` from which nothing is.
    """

    events: list[EventReply]
    upto: int
    head: int
    epoch: str
    recovered: bool
    reason: str | None = None
    floor: int | None = None


async def of_mission(call: Call[None, PageQuery]) -> Response:
    """Return a mission's events and its descendants'; live with Accept: text/event-stream."""
    pid = call.path["pid"]
    await call.services.tower.mission(call.caller, pid)
    return await _answer(call, f"mission:{pid}", until=pid)


async def of_topic(call: Call[None, TopicQuery]) -> Response:
    """Return a topic's events; live with Accept: text/event-stream."""
    try:
        filters = build_filters([call.query.topic])
    except BadTopic as error:
        raise InvalidParams(error.message, field="topic") from None
    await check_topic(call.services, call.caller, filters[0].topic)
    return await _answer(call, filters[0].topic, until=None)


async def _answer(call: Call[None, Any], topic: str, until: str | None) -> Response:
    since = _since(call)
    streams, filters = call.services.streams, build_filters([topic])
    if not _wants_stream(call):
        return await _page(call, topic, since)
    if until is None:
        stream = await streams.open(call.caller, filters, since)
        return stream.response()
    # Read before the row: a mission that ends behind that look has its last event behind `now`.
    now = call.services.hub.head
    stream = await streams.open(
        call.caller,
        filters,
        now if since is None else since,
        until=until,
        # Of an ended one there is only what the log has; its last event may be before `since`.
        finite=await _has_ended(call, until),
        from_now=since is None,
    )
    return stream.response()


async def _has_ended(call: Call[None, Any], pid: str) -> bool:
    mission = await call.services.tower.mission(call.caller, pid)
    return bool(mission["state"] == "terminated")


async def _page(call: Call[None, Any], topic: str, since: int | None) -> Response:
    log = call.services.log
    head = await call.services.hub.present()
    since = head if since is None else since
    body: dict[str, Any] = {"head": head, "epoch": log.epoch, "recovered": True}
    if since > head:
        gap = {"recovered": False, "reason": "epoch_changed", "events": [], "upto": head}
        return json_reply(body | gap)
    floor = await log.floor([topic]) if since else 0
    if since < floor:
        body |= {"recovered": False, "reason": "history_gap", "floor": floor}
    page = await log.read([topic], since, head, call.query.limit)
    body["events"] = [msgspec.Raw(params_of(event.body)) for event in page.events]
    body["upto"] = page.upto
    return json_reply(body)


def params_of(body: bytes) -> bytes:
    """Return the ``params`` of an event's whole message."""
    return body[len(b'{"jsonrpc":"2.0","method":"event","params":') : -1]


def _wants_stream(call: Call[None, Any]) -> bool:
    return "text/event-stream" in call.request.headers.get("accept", "").lower()


def _since(call: Call[None, Any]) -> int | None:
    """Return where to begin; a browser that resumes says it by header, and means that."""
    header = call.request.headers.get(LAST_EVENT_ID)
    if header:
        if not header.isascii() or not header.isdigit() or int(header) > MAX_OFFSET:
            raise InvalidParams("Last-Event-ID is an offset.", field="Last-Event-ID")
        return int(header)
    since = call.query.since
    return None if since == "now" else 0 if since == "start" else int(since)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/events",
        of_topic,
        "Events",
        EventPage,
        query=TopicQuery,
        streams=True,
        errors=("not_found", "forbidden", "rate_limited"),
        headers={"Last-Event-ID": "The offset of the last event seen; wins over since."},
    ),
    Endpoint(
        "GET",
        "/api/v1/missions/{pid}/events",
        of_mission,
        "Events",
        EventPage,
        query=PageQuery,
        streams=True,
        errors=("not_found", "rate_limited"),
        headers={"Last-Event-ID": "The offset of the last event seen; wins over since."},
    ),
)
