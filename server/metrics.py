"""Figures of this process: counted as events pass, and asked of the parts when somebody looks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from control_tower.quotas import ResourceUsage
from events.bus import Receiver
from events.payloads import TERMINAL_TYPES, JsonObject
from events.types import Committed, Ephemeral


class _Data(msgspec.Struct):
    usage: ResourceUsage = ResourceUsage()


class _Params(msgspec.Struct):
    data: _Data


class _Message(msgspec.Struct):
    params: _Params


_decode = msgspec.json.Decoder(_Message).decode


@dataclass(slots=True)
class Counts:
    """What passed the bus since the process started; missions and usage are of those that ended."""

    events: int = 0
    missions: int = 0
    ephemeral: int = 0
    used: ResourceUsage = field(default_factory=ResourceUsage)

    def take(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Count a unit."""
        self.events += len(events)
        self.ephemeral += len(after)
        for event in events:
            if event.type in TERMINAL_TYPES:
                self.missions += 1
                self.used = self.used.plus(_decode(event.body).params.data.usage)


class Counting:
    """A receiver of the bus that counts and passes on.

    Attributes:
        receiver: where events go; set before any come.
    """

    receiver: Receiver

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Count and pass on; fan-out first, since somebody waits for it."""
        self.receiver.publish(events, after)
        self._counts.take(events, after)

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """Count and pass on."""
        self.receiver.publish_ephemeral(event)
        self._counts.ephemeral += 1


def figures(counts: Counts, status: JsonObject, connections: int) -> JsonObject:
    """Return the figures of ``/api/v1/metrics``."""
    active: dict[str, int] = status["processes"]
    ended: dict[str, int] = status["ended"]
    used = counts.used
    return {
        "total_processes": sum(active.values()) + sum(ended.values()),
        "active_processes": sum(active.values()),
        "processes_by_state": active | {"terminated": sum(ended.values())},
        "processes_by_outcome": ended,
        "llm_calls": used.llm_calls,
        "tool_calls": used.tool_calls,
        "tokens_in": used.input_tokens,
        "tokens_out": used.output_tokens,
        "events": counts.events,
        "connections": connections,
    }


class TowerCollector(Collector):
    """Gives Prometheus the same figures, when it asks.

    Args:
        read: returns :func:`figures` with ``loop_lag_s`` beside them.
    """

    def __init__(self, read: Callable[[], JsonObject]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering asks for no figures."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield each figure."""
        found = self._read()
        by_state = GaugeMetricFamily("tower_missions", "Missions by state", labels=["state"])
        for state, count in found["processes_by_state"].items():
            by_state.add_metric([state], count)
        yield by_state
        ended = CounterMetricFamily("tower_missions_ended", "Ended missions", labels=["outcome"])
        for outcome, count in found["processes_by_outcome"].items():
            ended.add_metric([outcome], count)
        yield ended
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"tower_{name}", text, value=found[name])
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(f"tower_{name}", text, value=found[name])


COUNTERS = {
    "llm_calls": "Model turns of ended missions",
    "tool_calls": "Tool calls of ended missions",
    "tokens_in": "Input tokens of ended missions",
    "tokens_out": "Output tokens of ended missions",
    "events": "Durable events committed",
}
GAUGES = {
    "connections": "WebSocket connections",
    "loop_lag_seconds": "Worst lag of the event loop in the last 30 s",
}


def prometheus_text(collector: TowerCollector) -> bytes:
    """Return the figures in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry)
