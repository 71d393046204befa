"""Figures, as JSON and for Prometheus."""

from starlette.responses import Response

from server.endpoints import Call, Endpoint, Query, json_reply
from server.figures.metrics import TowerCollector, prometheus_text
from server.rest.shapes import Reply

TEXT = "text/plain; version=0.0.4; charset=utf-8"


class MetricsReply(Reply):
    """Counts since the processes started. ``connections`` are WebSockets, ``streams`` SSE.

    Of ``nodes`` that answered; ``unanswered`` names those that did not.
    """

    total_processes: int
    active_processes: int
    processes_by_state: dict[str, int]
    processes_by_outcome: dict[str, int]
    llm_calls: int
    tool_calls: int
    tokens_in: int
    tokens_out: int
    events: int
    connections: int
    streams: int
    queued: int
    slots_running: int
    slots_free: int
    loop_lag_seconds: float
    nodes: int
    unanswered: list[str]


async def as_json(call: Call[None, Query]) -> Response:
    """Return the figures of all nodes."""
    return json_reply(await call.services.oversight.figures())


async def for_prometheus(call: Call[None, Query]) -> Response:
    """Return the figures of this process in Prometheus' text format."""
    services = call.services
    tower = TowerCollector(services.figures(), services.version, services.started_at)
    text = prometheus_text(tower, services.http, *services.collectors)
    return Response(text, headers={"Content-Type": TEXT})


ENDPOINTS = (
    Endpoint("GET", "/api/v1/metrics", as_json, "Metrics", MetricsReply),
    Endpoint("GET", "/metrics", for_prometheus, "Metrics", str, media="text/plain"),
)
