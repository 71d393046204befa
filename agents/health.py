"""How well a tool has worked, over the last hour and the last day: a core.

Calls are counted by the minute, so that a tool costs at most a day's minutes of memory however
often it is called. A rejected call (refused by a person, or asked for what cannot be done) and an
unknown one say nothing about the tool: they are counted, but not in the rate.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from control_tower.audit import ToolCallRecord

HOUR_S = 3_600
DAY_S = 86_400
SLOW_MS = 5_000.0
KEPT = 10
ENOUGH_CALLS = 5
MAX_ERROR_CHARACTERS = 500


class CallStatus(StrEnum):
    """How a call of a tool ended."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


JUDGED = (CallStatus.SUCCESS, CallStatus.ERROR, CallStatus.TIMEOUT)
"""The ends that say something about the tool."""


class HealthStatus(StrEnum):
    """What the calls say, best first."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


@dataclass(slots=True, frozen=True)
class Window:
    """A stretch of time.

    Attributes:
        calls: by how they ended.
        success_rate: of the judged calls; None without any.
        mean_latency_ms: of the judged calls; None without any.
    """

    status: HealthStatus
    calls: dict[CallStatus, int]
    success_rate: float | None
    mean_latency_ms: float | None

    @property
    def total(self) -> int:
        """All calls, rejected and unknown ones too."""
        return sum(self.calls.values())


@dataclass(slots=True, frozen=True)
class Noted:
    """A call worth showing: it failed, or was slow."""

    tool: str
    at: float
    latency_ms: float
    error: str | None = None


@dataclass(slots=True, frozen=True)
class HealthReport:
    """A tool's health: ``status`` is the hour's, or the day's while the hour knows too little."""

    tool: str
    status: HealthStatus
    hour: Window
    day: Window
    recent_errors: tuple[Noted, ...]


@dataclass(slots=True)
class _Minute:
    number: int
    calls: dict[CallStatus, int] = field(default_factory=dict)
    latency_ms: float = 0.0


class ToolHealth:
    """One tool's calls of the last day."""

    def __init__(self, tool: str) -> None:
        self._tool = tool
        self._minutes: deque[_Minute] = deque()
        self._errors: deque[Noted] = deque(maxlen=KEPT)

    def record(
        self, status: CallStatus, latency_ms: float, now: float, error: str | None = None
    ) -> None:
        """Count a call that ended at ``now``."""
        minute = self._minute(now)
        minute.calls[status] = minute.calls.get(status, 0) + 1
        if status in JUDGED:
            minute.latency_ms += latency_ms
        if status in (CallStatus.ERROR, CallStatus.TIMEOUT):
            said = (error or str(status))[:MAX_ERROR_CHARACTERS]
            self._errors.append(Noted(self._tool, now, latency_ms, said))

    def report(self, now: float) -> HealthReport:
        """Return how it stands at ``now``."""
        hour, day = self._window(now, HOUR_S), self._window(now, DAY_S)
        known = hour if hour.status is not HealthStatus.UNKNOWN else day
        errors = tuple(one for one in reversed(self._errors) if one.at > now - DAY_S)
        return HealthReport(self._tool, known.status, hour, day, errors)

    def _minute(self, now: float) -> _Minute:
        number = int(now // 60)
        while self._minutes and self._minutes[0].number <= number - DAY_S // 60:
            self._minutes.popleft()
        if self._minutes and self._minutes[-1].number >= number:
            # A clock that went back a little counts into the newest minute.
            return self._minutes[-1]
        self._minutes.append(_Minute(number))
        return self._minutes[-1]

    def _within(self, now: float, seconds: int) -> Iterator[_Minute]:
        first = int(now // 60) - seconds // 60
        return (minute for minute in self._minutes if minute.number > first)

    def _window(self, now: float, seconds: int) -> Window:
        calls: dict[CallStatus, int] = dict.fromkeys(CallStatus, 0)
        latency_ms = 0.0
        for minute in self._within(now, seconds):
            latency_ms += minute.latency_ms
            for status, count in minute.calls.items():
                calls[status] += count
        judged = sum(calls[status] for status in JUDGED)
        if not judged:
            return Window(HealthStatus.UNKNOWN, calls, None, None)
        rate, mean = calls[CallStatus.SUCCESS] / judged, latency_ms / judged
        return Window(judge(judged, rate, mean), calls, rate, mean)


def judge(calls: int, success_rate: float, mean_latency_ms: float) -> HealthStatus:
    """Return what figures say; the thresholds are those of the contract (agents.md)."""
    if calls < ENOUGH_CALLS:
        return HealthStatus.UNKNOWN
    if success_rate >= 0.95 and mean_latency_ms <= 2_000:
        return HealthStatus.HEALTHY
    if success_rate >= 0.80 and mean_latency_ms <= 5_000:
        return HealthStatus.DEGRADED
    return HealthStatus.UNHEALTHY


class HealthBook:
    """Every tool's health, and the slow calls among them."""

    def __init__(self) -> None:
        self._tools: dict[str, ToolHealth] = {}
        self._slow: deque[Noted] = deque(maxlen=KEPT)

    def recall(self, calls: Iterable[ToolCallRecord], now: float) -> None:
        """Count the stored calls of the last day, given oldest first."""
        for call in calls:
            if call.at > now - DAY_S:
                status = CallStatus(call.status)
                self.record(call.tool, status, call.latency_ms, call.at, call.error)

    def record(
        self,
        tool: str,
        status: CallStatus,
        latency_ms: float,
        now: float,
        error: str | None = None,
    ) -> None:
        """Count a call of ``tool`` that ended at ``now``."""
        if tool not in self._tools:
            self._tools[tool] = ToolHealth(tool)
        self._tools[tool].record(status, latency_ms, now, error)
        if latency_ms > SLOW_MS:
            self._slow.append(Noted(tool, now, latency_ms, error))

    def report(self, tool: str, now: float) -> HealthReport:
        """Return a tool's health; unknown for one that was never called."""
        return self._tools.get(tool, ToolHealth(tool)).report(now)

    def slow_executions(self) -> list[Noted]:
        """Return the newest calls that took longer than 5 s, newest first."""
        return list(reversed(self._slow))


def issues(report: HealthReport) -> list[str]:
    """Return what is wrong, in sentences; nothing for a tool that is healthy or unknown."""
    window = report.hour if report.hour.status is not HealthStatus.UNKNOWN else report.day
    if window.success_rate is None or window.mean_latency_ms is None:
        return []
    if report.status in (HealthStatus.HEALTHY, HealthStatus.UNKNOWN):
        return []
    found = []
    if window.success_rate < 0.95:
        found.append(f"Only {window.success_rate:.0%} of its calls succeed.")
    if window.calls[CallStatus.TIMEOUT]:
        found.append(f"{window.calls[CallStatus.TIMEOUT]} of its calls timed out.")
    if window.mean_latency_ms > 2_000:
        found.append(f"It takes {window.mean_latency_ms / 1000:.1f} s on average.")
    return found


def recommendations(report: HealthReport, breaker_state: str) -> list[str]:
    """Return what to do about it, in sentences."""
    found = []
    if breaker_state != "closed":
        found.append("Mend its cause, then reset its breaker; until then its callers wait.")
    window = report.hour if report.hour.status is not HealthStatus.UNKNOWN else report.day
    if report.status in (HealthStatus.HEALTHY, HealthStatus.UNKNOWN):
        return found
    if window.success_rate is not None and window.success_rate < 0.95:
        found.append("Look at its recent errors.")
    if window.calls[CallStatus.TIMEOUT]:
        found.append("Raise its timeout_s, or make it answer sooner.")
    elif window.mean_latency_ms is not None and window.mean_latency_ms > 2_000:
        found.append("Make it answer sooner, or split what it does.")
    return found
