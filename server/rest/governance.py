"""Governance: how well the tools work, and what to do about those that don't."""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from starlette.responses import Response

from agents.health import HealthStatus, Noted, Window, issues, recommendations
from control_tower.commands import Caller
from control_tower.errors import Forbidden, NotFound
from control_tower.records import UserDay
from events.payloads import JsonObject
from events.times import rfc3339
from server import told
from server.endpoints import Call, Endpoint, Query, json_reply
from server.figures.oversight import Seen
from server.rest.shapes import Reply

Status = Literal["healthy", "degraded", "unhealthy", "unknown"]

WORST_FIRST = (HealthStatus.UNHEALTHY, HealthStatus.DEGRADED, HealthStatus.HEALTHY)


class NotedReply(Reply):
    """A call worth showing. ``error`` is told to viewers and operators only."""

    tool_name: str
    at: str
    latency_ms: float
    error: str | None


class WindowReply(Reply):
    """The calls of a stretch of time, by how they ended."""

    status: Status
    success_rate: float | None
    avg_latency_ms: float | None
    total_calls: int
    calls: dict[str, int]


class ToolHealthReply(Reply):
    """One tool's health over the last hour, or the last day while the hour knows too little."""

    tool_name: str
    status: Status
    success_rate: float | None
    avg_latency_ms: float | None
    total_calls: int
    recent_errors: list[NotedReply]
    issues: list[str]
    recommendations: list[str]
    breaker: Literal["closed", "open", "half_open"]
    last_hour: WindowReply
    last_day: WindowReply


class GovernanceReply(Reply):
    """All tools at a glance, on all nodes; ``unanswered`` names those of which it tells nothing."""

    overall_status: Status
    summary: dict[str, int]
    tools_needing_attention: list[ToolHealthReply]
    slow_executions: list[NotedReply]
    checked_at: str
    unanswered: list[str]


def _as_written(value: object) -> object:
    """Refuse what pydantic would take for a date beside one: a number of seconds."""
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("a day is written as 2026-11-21")
    return value


_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
Day = Annotated[date, BeforeValidator(_as_written)]


class UsageQuery(Query):
    """Which day; today by default."""

    day: Day | None = Field(None, description="a UTC day, as 2026-11-21")
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class UsageReply(Reply):
    """What a user spent on a UTC day."""

    user_id: str
    day: str
    missions: int
    llm_calls: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float


async def overview(call: Call[None, Query]) -> Response:
    """Return how the tools are, and which need attention."""
    seen = await call.services.oversight.tools()
    return json_reply(overview_json(seen, call.services.registry.tools, call.caller))


def overview_json(seen: Seen, names: Iterable[str], caller: Caller) -> JsonObject:
    """Return all tools at a glance; ``names`` are theirs."""
    tools = [tool_json(seen, caller, name) for name in names]
    counts = Counter(tool["status"] for tool in tools)
    worst = next((each for each in WORST_FIRST if counts[each.value]), HealthStatus.UNKNOWN)
    return {
        "overall_status": worst.value,
        "summary": {each.value: counts[each.value] for each in HealthStatus}
        | {"total": len(tools)},
        "tools_needing_attention": [
            tool
            for tool in tools
            if tool["status"] in {"degraded", "unhealthy"} or tool["breaker"] != "closed"
        ],
        "slow_executions": [_noted(each, caller) for each in seen.health.slow_executions()],
        "checked_at": rfc3339(seen.now),
        "unanswered": list(seen.unanswered),
    }


async def list_tools(call: Call[None, Query]) -> Response:
    """List every tool's health."""
    seen = await call.services.oversight.tools()
    names = call.services.registry.tools
    return json_reply([tool_json(seen, call.caller, name) for name in names])


async def get_tool(call: Call[None, Query]) -> Response:
    """Return one tool's health, what is wrong with it, and what to do."""
    name = _known(call)
    return json_reply(tool_json(await call.services.oversight.tools(), call.caller, name))


async def reset(call: Call[None, Query]) -> Response:
    """Close a tool's breaker on every node; for operators."""
    if call.caller.role != "operator":
        raise Forbidden("Only an operator may reset a breaker.")
    name = _known(call)
    call.services.tools.reset(name)
    call.services.tell_all(told.RESET_BREAKER, told.Tool(name))
    # Asked after they were told, so they answer for what they have done.
    return json_reply(tool_json(await call.services.oversight.tools(), call.caller, name))


async def usage(call: Call[None, UsageQuery]) -> Response:
    """Return what users spent on a UTC day, by user; a user sees their own."""
    query, store = call.query, call.services.store
    today = f"{datetime.fromtimestamp(call.services.clock.now(), UTC):%Y-%m-%d}"
    day = today if query.day is None else query.day.isoformat()
    if call.caller.reads_all:
        found = await store.user_days(day, query.limit, query.offset)
    else:
        found = [await store.user_day(call.caller.user_id, day)][query.offset :]
    return json_reply([_spent_json(each) for each in found])


def _spent_json(spent: UserDay) -> JsonObject:
    return {
        "user_id": spent.user_id,
        "day": spent.day,
        "missions": spent.missions,
        "llm_calls": spent.usage.llm_calls,
        "tool_calls": spent.usage.tool_calls,
        "input_tokens": spent.usage.input_tokens,
        "output_tokens": spent.usage.output_tokens,
        "cost_usd": spent.usage.cost_usd,
    }


def _known(call: Call[None, Query]) -> str:
    name = call.path["name"]
    if name not in call.services.registry.tools:
        raise NotFound("There is no such tool.")
    return name


def tool_json(seen: Seen, caller: Caller, name: str) -> JsonObject:
    """Return one tool's health as ``caller`` may see it."""
    report, standing = seen.health.report(name, seen.now), seen.standing(name)
    window = report.hour if report.hour.status is not HealthStatus.UNKNOWN else report.day
    breaker, trouble = standing.breaker.value, standing.trouble
    well = report.status in {HealthStatus.HEALTHY, HealthStatus.UNKNOWN}
    return {
        "tool_name": name,
        "status": "degraded" if trouble and well else report.status.value,
        "success_rate": window.success_rate,
        "avg_latency_ms": window.mean_latency_ms,
        "total_calls": window.total,
        "recent_errors": [_noted(each, caller) for each in report.recent_errors],
        "issues": [*([trouble] if trouble else []), *issues(report)],
        "recommendations": recommendations(report, breaker),
        "breaker": breaker,
        "last_hour": _window_json(report.hour),
        "last_day": _window_json(report.day),
    }


def _window_json(window: Window) -> JsonObject:
    return {
        "status": window.status.value,
        "success_rate": window.success_rate,
        "avg_latency_ms": window.mean_latency_ms,
        "total_calls": window.total,
        "calls": {status.value: count for status, count in window.calls.items()},
    }


def _noted(call: Noted, caller: Caller) -> JsonObject:
    """Return a call worth showing. What an error says may come out of another user's arguments."""
    return {
        "tool_name": call.tool,
        "at": rfc3339(call.at),
        "latency_ms": call.latency_ms,
        "error": call.error if caller.reads_all else None,
    }


BASE = "/api/v1/governance"

ENDPOINTS = (
    Endpoint("GET", BASE + "/health", overview, "Governance", GovernanceReply),
    Endpoint("GET", BASE + "/usage", usage, "Governance", list[UsageReply], query=UsageQuery),
    Endpoint("GET", BASE + "/tools", list_tools, "Governance", list[ToolHealthReply]),
    Endpoint(
        "GET",
        BASE + "/tools/{name}",
        get_tool,
        "Governance",
        ToolHealthReply,
        errors=("not_found",),
    ),
    Endpoint(
        "POST",
        BASE + "/tools/{name}/reset",
        reset,
        "Governance",
        ToolHealthReply,
        errors=("not_found", "forbidden"),
    ),
)
