"""Figures about HTTP: how many requests, how they were answered, how long that took.

Labels come from the table of endpoints and from a closed list of methods, never from what a client
sends, so that nobody can fill the server's memory with label values.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"})
ELSEWHERE = "none"
"""The route of a request that no endpoint answered: pages, files, paths that are not there."""


@dataclass(slots=True)
class _Durations:
    """A histogram: requests by the bucket that they fell into, and their sum in seconds."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0


class HttpFigures(Collector):
    """Counts answers as they begin; a stream's length is not its answer's duration."""

    def __init__(self) -> None:
        self._answered: Counter[tuple[str, str, str]] = Counter()
        self._durations: defaultdict[str, _Durations] = defaultdict(_Durations)

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer of which the head went out after ``seconds``."""
        method = method if method in METHODS else "OTHER"
        self._answered[method, route, str(status)] += 1
        durations = self._durations[route]
        durations.buckets[bisect_left(BOUNDS_S, seconds)] += 1
        durations.sum_s += seconds

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering asks for no figures."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus is told."""
        requests = CounterMetricFamily(
            "tower_http_requests",
            "HTTP requests answered, by method, route and status",
            labels=["method", "route", "status"],
        )
        for labels, count in sorted(self._answered.items()):
            requests.add_metric(labels, count)
        yield requests
        took = HistogramMetricFamily(
            "tower_http_request_duration_seconds",
            "Time until the head of an answer went out, by route",
            labels=["route"],
        )
        for route, durations in sorted(self._durations.items()):
            took.add_metric([route], _cumulative(durations.buckets), durations.sum_s)
        yield took


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    total, found = 0, []
    for bound, count in zip((*(str(each) for each in BOUNDS_S), "+Inf"), buckets, strict=True):
        total += count
        found.append((bound, float(total)))
    return found
