"""The memory of the tower in seven layers, each asked whether it works at this moment.

A layer's answer has a status, a sentence and figures. Every one comes from a probe of the part
itself: a read of the log's last event, a search for the newest message, a walk of the mission tree.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from agents.breaker import BreakerState
from agents.health import HealthStatus
from control_tower.audit import StoreFigures
from events.payloads import JsonObject
from events.times import rfc3339
from server.figures.health import CHECK_TIMEOUT_S, Status
from server.figures.oversight import Seen
from server.services import Services

BEHIND = 1_000
"""Events by which the fan-out may be behind the log before it is worth a word."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """What the probes need not ask again: how much the store holds, and how the tools are."""

    stored: StoreFigures
    seen: Seen


@dataclass(frozen=True, slots=True)
class Probe:
    """What a layer answered."""

    status: Status
    message: str
    figures: JsonObject = field(default_factory=dict)


async def episodic(services: Services, known: Known) -> Probe:
    """L1: the log gives its last event back."""
    stored = known.stored
    reader, head = services.log, services.hub.head
    figures = {
        "head": head,
        "floor": stored.floor,
        "epoch": reader.epoch,
        "size_bytes": stored.size_bytes,
    }
    page = await reader.read(["system"], max(head - 1, 0), head)
    if head and [event.offset for event in page.events] != [head]:
        return Probe("down", f"event {head} can't be read", figures)
    return Probe("up", f"{head} events, the last one readable", figures)


async def traces(services: Services, known: Known) -> Probe:
    """L2: what happened reaches those who watch at this node, and the journal has each step."""
    counted, behind = services.figures(), max(0, services.log.head - services.hub.head)
    stored = known.stored
    figures = {
        "steps": stored.steps,
        "tool_calls": stored.tool_calls,
        "published": counted["events"],
        "connections": counted["connections"],
        "behind": behind,
    }
    if behind > BEHIND:
        return Probe("degraded", f"watchers are {behind} events behind the log", figures)
    return Probe("up", f"{stored.steps} steps traced, watchers are up to date", figures)


async def semantic(services: Services, known: Known) -> Probe:
    """L3: search finds the newest message by its own words."""
    found = await services.store.newest_message_is_indexed()
    stored = known.stored
    figures = {"messages": stored.messages}
    if found is None:
        return Probe("up", "nothing to find yet", figures)
    if not found:
        return Probe("degraded", "the newest message is not in the index", figures)
    return Probe("up", f"{stored.messages} messages, the newest one is found", figures)


async def working(_: Services, known: Known) -> Probe:
    """L4: sessions, and what is live in them, on all nodes."""
    stored = known.stored
    figures = {"sessions": stored.sessions, "live_missions": stored.live_missions}
    said = f"{stored.sessions} sessions, {stored.live_missions} live missions"
    return Probe("up", said, figures)


async def graph(_: Services, known: Known) -> Probe:
    """L5: the mission tree has no live branch on a dead trunk."""
    stored = known.stored
    figures = {
        "missions": stored.missions,
        "live": stored.live_missions,
        "children": stored.children,
        "orphans": stored.orphans,
    }
    if stored.orphans:
        return Probe("degraded", f"{stored.orphans} children outlive their root mission", figures)
    return Probe("up", f"{stored.missions} missions, {stored.children} of them children", figures)


async def skills(services: Services, _: Known) -> Probe:
    """L6: agents and tools are registered, and what they depend on is reached."""
    agents, tools = services.registry.agents, services.registry.tools
    figures = {"agents": len(agents), "tools": len(tools)}
    for name in ("llm", "mcp"):
        check = services.checks.get(name)
        if check is not None and (finding := await check()).status != "up":
            return Probe("degraded", f"{name}: {finding.message}", figures)
    if services.catalog.default_agent not in agents:
        return Probe("degraded", "the default agent is not registered", figures)
    return Probe("up", f"{len(agents)} agents, {len(tools)} tools", figures)


async def meta(services: Services, known: Known) -> Probe:
    """L7: what is known of how well the tools work."""
    seen, names = known.seen, list(services.registry.tools)
    counts = Counter(seen.health.report(name, seen.now).status for name in names)
    not_closed = [name for name in names if seen.standing(name).breaker is not BreakerState.CLOSED]
    figures = {each.value: counts[each] for each in HealthStatus} | {
        "breakers_not_closed": len(not_closed)
    }
    if counts[HealthStatus.UNHEALTHY] or not_closed:
        said = ", ".join(not_closed) or f"{counts[HealthStatus.UNHEALTHY]} unhealthy"
        return Probe("degraded", f"tools need attention: {said}", figures)
    judged = len(names) - counts[HealthStatus.UNKNOWN]
    return Probe("up", f"{judged} of {len(names)} tools called often enough to judge", figures)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its number, its name, what it is made of, and its probe."""

    number: str
    name: str
    source: str
    probe: Callable[[Services, Known], Awaitable[Probe]]


LAYERS = (
    Layer("L1", "episodic", "the log", episodic),
    Layer("L2", "traces", "events and journal", traces),
    Layer("L3", "semantic", "search", semantic),
    Layer("L4", "working", "sessions", working),
    Layer("L5", "graph", "mission tree", graph),
    Layer("L6", "skills", "agents and tools", skills),
    Layer("L7", "meta", "tool health", meta),
)


async def probed(services: Services, stored: StoreFigures, seen: Seen) -> list[JsonObject]:
    """Return every layer as it stands now; ``stored`` is how much the store holds now."""
    known = Known(stored, seen)
    return list(await asyncio.gather(*(_asked(services, known, layer) for layer in LAYERS)))


async def _asked(services: Services, known: Known, layer: Layer) -> JsonObject:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            found = await layer.probe(services, known)
    except TimeoutError:
        found = Probe("down", f"no answer within {CHECK_TIMEOUT_S:g} s")
    except Exception:  # whatever a broken part raises, it is down; the inside goes to the log
        log.exception("layer.failed", layer=layer.number)
        found = Probe("down", "the probe failed")
    return {
        "layer": layer.number,
        "name": layer.name,
        "source": layer.source,
        "status": found.status,
        "message": found.message,
        "figures": found.figures,
        "latency_ms": round((time.perf_counter() - began) * 1000, 2),
        "checked_at": rfc3339(services.clock.now()),
    }
