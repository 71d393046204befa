"""Health: what a supervisor and a load balancer ask."""

from typing import Literal

from starlette.responses import Response

from events.times import rfc3339
from server.endpoints import Call, Endpoint, Query, json_reply
from server.figures.health import readiness
from server.rest.shapes import Reply


class HealthReply(Reply):
    """The event loop answers."""

    status: Literal["healthy"]
    version: str
    uptime_seconds: float
    timestamp: str


class Component(Reply):
    """One part of the server."""

    status: Literal["up", "down", "degraded"]
    message: str
    latency_ms: float
    last_check: str


class ReadyReply(Reply):
    """Whether missions are taken, and how each part is."""

    status: Literal["ready", "not_ready"]
    version: str
    components: dict[str, Component]


async def health(call: Call[None, Query]) -> Response:
    """Answer as long as the event loop runs; touches nothing else."""
    services = call.services
    now = services.clock.now()
    return json_reply(
        {
            "status": "healthy",
            "version": services.version,
            "uptime_seconds": round(now - services.started_at, 3),
            "timestamp": rfc3339(now),
        }
    )


async def ready(call: Call[None, Query]) -> Response:
    """Answer 200 when missions are taken (also when a part is degraded), else 503."""
    services = call.services
    is_ready, components = await readiness(services.checks, services.clock.now())
    body = {
        "status": "ready" if is_ready else "not_ready",
        "version": services.version,
        "components": components,
    }
    return json_reply(body, 200 if is_ready else 503, {} if is_ready else {"Retry-After": "2"})


ENDPOINTS = (
    Endpoint("GET", "/health", health, "Health", HealthReply, public=True),
    *(
        Endpoint("GET", path, ready, "Health", ReadyReply, public=True, also={503: "Not ready."})
        for path in ("/ready", "/health/ready")
    ),
)
