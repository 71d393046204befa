"""One timer for all that wait for a time: a heap of deadlines behind a single loop timer."""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from control_tower.ports import Clock

LONGEST_WAIT_S = 3600.0
"""A loop timer is set no further ahead, so that a wall clock that is set is noticed."""


class Due:
    """Why an alarm rings, as :attr:`Alarm.what`."""

    WAKE: Final = "wake"
    """A call's sleep is over, or a breaker lets a trial through; about its step."""
    EXPIRY: Final = "expiry"
    """Nobody answered an interrupt in time; about it."""
    DEADLINE: Final = "deadline"
    """The mission must have ended."""
    RUNTIME: Final = "runtime"
    """The quota's running time is used up."""
    RUNTIME_WARNING: Final = "runtime_warning"
    """Most of it is."""
    PARK: Final = "park"
    """The mission has rested for long enough to leave memory."""
    LOOK: Final = "look"
    """A mission that is not in memory has something due, or may start."""


class Alarm(NamedTuple):
    """What rings: ``what`` of mission ``pid``, about ``subject`` (a step or an interrupt)."""

    pid: str
    what: str
    subject: str


@dataclass(slots=True)
class Timers:
    """Alarms by wall time. Setting one again moves it; ringing calls ``ring(alarm)``."""

    clock: Clock
    ring: Callable[[Alarm], None]
    _heap: list[tuple[float, Alarm]] = field(default_factory=list)
    _due: dict[Alarm, float] = field(default_factory=dict)
    _handle: asyncio.TimerHandle | None = None
    _handle_at: float = float("inf")
    _stopped: bool = False

    def __len__(self) -> int:
        return len(self._due)

    def set(self, alarm: Alarm, when: float) -> None:
        """Ring at ``when`` (Unix seconds), at once if that is past."""
        self._due[alarm] = when
        heapq.heappush(self._heap, (when, alarm))
        if when < self._handle_at:
            self._arm()

    def cancel(self, alarm: Alarm) -> None:
        """Do not ring. Its place in the heap is dropped when its time comes."""
        self._due.pop(alarm, None)

    def cancelling(self, alarm: Alarm) -> Callable[[object], None]:
        """Return what cancels an alarm, to be called with the commit behind which that is due."""
        return lambda _: self.cancel(alarm)

    def stop(self) -> None:
        """Ring nothing more."""
        self._stopped = True
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            self._handle_at = float("inf")
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if self._heap and not self._stopped:
            self._handle_at = self._heap[0][0]
            delay = min(max(0.0, self._handle_at - self.clock.now()), LONGEST_WAIT_S)
            self._handle = asyncio.get_running_loop().call_later(delay, self._wake)

    def _wake(self) -> None:
        self._handle = None
        self._handle_at = float("inf")
        now = self.clock.now()
        while self._heap and self._heap[0][0] <= now:
            when, alarm = heapq.heappop(self._heap)
            if self._due.get(alarm) == when:
                del self._due[alarm]
                self.ring(alarm)
        self._arm()
