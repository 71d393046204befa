"""Figures of this process: counted as events pass, and asked of the parts when somebody looks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from control_tower.ports import EffectContext, ModelRequest, Models, ModelTurn
from control_tower.quota.quotas import ResourceUsage
from events.bus import Receiver
from events.payloads import TERMINAL_TYPES, JsonObject
from events.types import Committed, Ephemeral
from server.figures.mission_line import say_ended


def _here(_: Committed) -> bool:
    """Say of every mission that it ran here: there is no other node."""
    return True


@dataclass(slots=True)
class Counts:
    """What was published in this process since it started.

    Attributes:
        used: what models' turns used.
        ran_here: whether an event is of a mission of this node, so that one node tells its end.
    """

    events: int = 0
    missions: int = 0
    ephemeral: int = 0
    used: ResourceUsage = field(default_factory=ResourceUsage)
    ran_here: Callable[[Committed], bool] = _here

    def take(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Count a unit."""
        self.events += len(events)
        self.ephemeral += len(after)
        for event in events:
            if event.type in TERMINAL_TYPES:
                self.missions += 1
                if self.ran_here(event):
                    say_ended(event)


ONE_CALL = ResourceUsage(llm_calls=1)


class CountedModels:
    """``control_tower.ports.Models`` over others, counting each turn as it ends.

    Usage could be counted from the ends of missions, but then a mission of a day would show a
    day late, and a child's twice: its parent's holds it, too.
    """

    def __init__(self, models: Models, counts: Counts) -> None:
        self._models = models
        self._counts = counts
        self.plan = models.plan
        self.priced = models.priced
        self.turn_usage = models.turn_usage
        self.estimate = models.estimate

    async def run(self, request: ModelRequest, effect: EffectContext) -> ModelTurn:
        """Make the turn and count it; one that fails has been made all the same."""
        used = ONE_CALL
        try:
            turn = await self._models.run(request, effect)
            used = turn.usage
            return turn
        finally:
            self._counts.used = self._counts.used.plus(used)


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


def figures(
    counts: Counts, status: JsonObject, tool_calls: int, connections: int, streams: int
) -> JsonObject:
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
        "tool_calls": tool_calls,
        "tokens_in": used.input_tokens,
        "tokens_out": used.output_tokens,
        "events": counts.events,
        "connections": connections,
        "streams": streams,
        "queued": status["queues"]["ready"],
        "slots_running": status["slots"]["running"],
        "slots_free": status["slots"]["free"],
    }


class TowerCollector(Collector):
    """Gives Prometheus the same figures, when it asks.

    Args:
        found: :func:`figures`, with ``loop_lag_seconds`` beside them.
        version: of the server.
        started_at: Unix seconds.
    """

    def __init__(self, found: JsonObject, version: str, started_at: float) -> None:
        self._found = found
        self._version = version
        self._started_at = started_at

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering asks for no figures."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield each figure."""
        found = self._found
        build = GaugeMetricFamily("tower_build_info", "Always 1", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        yield GaugeMetricFamily(
            "tower_start_time_seconds", "When the process started, in Unix time", self._started_at
        )
        yield _by(GaugeMetricFamily, "missions", "Missions", "state", found["processes_by_state"])
        ended = found["processes_by_outcome"]
        yield _by(CounterMetricFamily, "missions_ended", "Missions that ended", "outcome", ended)
        tokens = {"input": found["tokens_in"], "output": found["tokens_out"]}
        yield _by(CounterMetricFamily, "llm_tokens", "Tokens of models", "direction", tokens)
        slots = {"running": found["slots_running"], "free": found["slots_free"]}
        yield _by(GaugeMetricFamily, "slots", "Slots for running missions", "use", slots)
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"tower_{name}", text, value=found[name])
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(f"tower_{name}", text, value=found[name])


def _by(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    text: str,
    label: str,
    counts: dict[str, int],
) -> Metric:
    """Return a family with one value for each of the label's."""
    family = kind(f"tower_{name}", f"{text}, by {label}", labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


COUNTERS = {
    "llm_calls": "Turns of models",
    "tool_calls": "Attempts at calls of tools",
    "events": "Durable events committed",
}
GAUGES = {
    "connections": "WebSocket connections",
    "streams": "Streams of server-sent events",
    "queued": "Missions that wait for a slot",
    "loop_lag_seconds": "Worst lag of the event loop in the last 30 s",
}


def prometheus_text(*collectors: Collector) -> bytes:
    """Return the collectors' figures in Prometheus' text format."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry)
