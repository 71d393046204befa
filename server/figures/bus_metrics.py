"""The figures of the bus between nodes, for Prometheus."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from events.bus_ports import BusFigures

COUNTERS: Final = {
    "lost": "How often a connection of the bus was lost",
    "sent": "Messages to other nodes",
    "sent_bytes": "Their bytes",
    "received": "Messages of all nodes, our own included",
    "received_bytes": "Their bytes",
    "ignored": "Messages that could not be understood",
    "dropped": "Durable events that others were left to read from the log",
    "log_reads": "Holes that were read from the log",
    "log_events": "Durable events that came from there",
    "late": "Deltas that came after what they belong to",
}
GAUGES: Final = {
    "connected": "1 while messages go out and come in",
    "waiting_bytes": "What waits for an earlier offset, or to be sent",
}


class BusCollector(Collector):
    """Gives Prometheus the figures of the bus, when it asks."""

    def __init__(self, found: Callable[[], BusFigures]) -> None:
        self._found = found

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering asks for no figures."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield each figure."""
        found = asdict(self._found())
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"tower_bus_{name}", text, value=found[name])
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(f"tower_bus_{name}", text, value=float(found[name]))
