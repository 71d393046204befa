"""Figures, as JSON and for Prometheus."""

from starlette.responses import Response

from server.endpoints import Call, Endpoint, Query, json_reply
from server.metrics import TowerCollector, prometheus_text
from server.rest.shapes import Reply

TEXT = "text/plain; version=0.0.4; charset=utf-8"


class MetricsReply(Reply):
    """Counts since the process started; usage is that of missions which ended."""

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


async def as_json(call: Call[None, Query]) -> Response:
    """Return the figures of this process."""
    return json_reply(call.services.figures())


async def for_prometheus(call: Call[None, Query]) -> Response:
    """Return the figures in Prometheus' text format."""
    text = prometheus_text(TowerCollector(call.services.figures))
    return Response(text, headers={"Content-Type": TEXT})


ENDPOINTS = (
    Endpoint("GET", "/api/v1/metrics", as_json, "Metrics", MetricsReply),
    Endpoint("GET", "/metrics", for_prometheus, "Metrics", str, media="text/plain"),
)
