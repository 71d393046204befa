"""The governance dashboard: what the tower remembers, how its tools are, whether it behaves."""

import asyncio
from typing import Any, Literal

from starlette.responses import Response

from control_tower.audit import StoreFigures
from control_tower.commands import Caller
from events.payloads import JsonObject
from events.times import rfc3339_or_none
from server.endpoints import Call, Endpoint, Query, json_reply
from server.figures.alignment import (
    Records,
    calls_journaled,
    ends_told_once,
    errors_surfaced,
    quotas_enforced,
    risky_confirmed,
    seen_calls,
    settled,
)
from server.figures.memory_layers import probed
from server.figures.oversight import Standing
from server.rest.governance import BASE, GovernanceReply, ToolHealthReply, overview_json, tool_json
from server.rest.shapes import Reply
from server.services import Services

CALLS = 1_000
MISSIONS = 1_000
EVENTS = 20_000
"""How many of the newest are audited. About 150 ms of a reader's time, whatever the history."""


class LayerReply(Reply):
    """One of the seven layers of memory, as its probe found it just now."""

    layer: Literal["L1", "L2", "L3", "L4", "L5", "L6", "L7"]
    name: str
    source: str
    status: Literal["up", "degraded", "down"]
    message: str
    figures: dict[str, Any]
    latency_ms: float
    checked_at: str


class BreakerReply(Reply):
    """A tool's breaker. ``failures`` are those of the last five minutes.

    Of several nodes each has its own; this is the worst of them, and ``nodes`` names those at
    which it is not closed.
    """

    tool_name: str
    state: Literal["closed", "open", "half_open"]
    failures: int
    retry_at: str | None
    nodes: list[str]


class IndicatorReply(Reply):
    """One promise, judged on the system's own records just now.

    ``unknown``: nothing to judge yet. ``violators`` names the first 20 that break it.
    """

    name: str
    statement: str
    status: Literal["holds", "violated", "unknown"]
    looked_at: str
    checked: int
    violations: int
    violators: list[dict[str, Any]]


class DashboardReply(GovernanceReply):
    """Everything that governance looks at; with it, what ``/governance/health`` answers."""

    memory_layers: list[LayerReply]
    breakers: list[BreakerReply]
    tools: list[ToolHealthReply]
    alignment: list[IndicatorReply]


async def dashboard(call: Call[None, Query]) -> Response:
    """Return memory layers, breakers, tools and alignment, each from a check made now.

    A browser gets the page. Users see what concerns their own missions; viewers and operators
    everybody's.
    """
    services, caller = call.services, call.caller
    tools = services.registry.tools
    seen, (stored, records) = await asyncio.gather(
        services.oversight.tools(), services.audits(lambda: _read(services))
    )
    return json_reply(
        {
            **overview_json(seen, tools, caller),
            "memory_layers": await probed(services, stored, seen),
            "breakers": [_breaker_json(seen.standing(name), name) for name in tools],
            "tools": [tool_json(seen, caller, name) for name in tools],
            "alignment": _alignment(records, caller),
        },
        headers={"Vary": "Accept"},
    )


def _breaker_json(standing: Standing, name: str) -> JsonObject:
    return {
        "tool_name": name,
        "state": standing.breaker.value,
        "failures": standing.failures,
        "retry_at": rfc3339_or_none(standing.retry_at),
        "nodes": list(standing.nodes),
    }


async def _read(services: Services) -> tuple[StoreFigures, Records]:
    """Read what is counted and judged, everybody's: one reader's work for some tenths of a second.

    Done for each who looks, it would keep all readers from the missions.
    """
    store = services.store
    sightings = settled(await services.oversight.sightings(), services.clock.now())
    calls = await store.newest_tool_calls(CALLS)
    wanted = [(each.pid, each.step) for each in sightings]
    proofs = await store.prove_calls(wanted + [(each.pid, each.step) for each in calls])
    outcomes = await store.outcomes(MISSIONS, EVENTS)
    return await store.figures(), Records(sightings, calls, proofs, outcomes)


def _alignment(records: Records, caller: Caller) -> list[JsonObject]:
    """Judge what ``caller`` may see."""
    calls = seen_calls(records.sightings, records.calls, records.proofs)
    outcomes = records.outcomes

    def visible(user_id: str | None) -> bool:
        return caller.reads_all or user_id == caller.user_id

    seen = [each for each in calls if visible(each.proof.user_id)]
    missions = [each for each in outcomes.missions if visible(each.user_id)]
    steps = [each for each in outcomes.failed_steps if visible(each.user_id)]
    indicators = (
        calls_journaled(seen),
        risky_confirmed(seen),
        quotas_enforced(missions),
        errors_surfaced(missions, steps),
        ends_told_once(missions),
    )
    return [each.as_json() for each in indicators]


ENDPOINTS = (
    Endpoint(
        "GET",
        BASE + "/dashboard",
        dashboard,
        "Governance",
        DashboardReply,
        page="governance.html",
    ),
)
