"""Which connections still live: one sweep for all, no timer a connection.

Dead is who took none of its waiting bytes for a while, and who sent nothing at all after a ping.
A connection that has bytes waiting is not pinged: the ping would wait behind them, and what tells
is whether they move.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from events.frames import PING
from events.subscribers import Subscriber
from events.ticks import SLICE_S, Ticks
from events.turns import Turns


@dataclass(slots=True, frozen=True)
class LivenessLimits:
    """The times of wire.md, "Liveness"."""

    sweep_every_s: float = 5.0
    ping_every_s: float = 25.0
    pong_within_s: float = 10.0
    stall_s: float = 10.0


def is_dead(subscriber: Subscriber, now: float, limits: LivenessLimits) -> bool:
    """Whether to give up a connection. Notes how many of its waiting bytes were taken."""
    # A timer may come a little early by the clock it is measured with.
    slack = 0.05
    if subscriber.stuck:
        taken = subscriber.pushed - subscriber.outlet.buffered()
        if taken != subscriber.taken:
            subscriber.taken, subscriber.moved_at = taken, now
        return now - subscriber.moved_at >= limits.stall_s - slack
    pinged_at = subscriber.pinged_at
    if pinged_at is None or subscriber.heard_at >= pinged_at:
        return False
    return now - pinged_at >= limits.pong_within_s - slack


class Liveness:
    """The sweep."""

    def __init__(
        self,
        turns: Turns,
        ticks: Ticks,
        limits: LivenessLimits,
        everyone: Callable[[], Iterable[Subscriber]],
        dead: Callable[[Subscriber], None],
    ) -> None:
        self._turns = turns
        self._ticks = ticks
        self._limits = limits
        self._everyone = everyone
        self._dead = dead
        self._ping_at = turns.now() + limits.ping_every_s
        self._left: deque[Subscriber] = deque()
        self._pinging = False

    def start(self) -> None:
        """Sweep from now on."""
        self._turns.later(self._limits.sweep_every_s, self._sweep)

    def _sweep(self) -> None:
        self._turns.later(self._limits.sweep_every_s, self._sweep)
        if self._left:
            return
        now = self._turns.now()
        self._left.extend(self._everyone())
        self._pinging = now >= self._ping_at - 0.05
        if self._pinging:
            self._ping_at = now + self._limits.ping_every_s
        self._slice()

    def _slice(self) -> None:
        """Look at some of them; ten thousand pings at once would hold up everybody else."""
        now = self._turns.now()
        while self._left:
            self._look_at(self._left.popleft(), now)
            if self._turns.now() >= now + SLICE_S:
                self._turns.soon(self._slice)
                return

    def _look_at(self, subscriber: Subscriber, now: float) -> None:
        if subscriber.gone:
            return
        if is_dead(subscriber, now, self._limits):
            self._dead(subscriber)
        elif self._pinging and not subscriber.stuck:
            subscriber.pinged_at = now
            self._ticks.say(subscriber, PING)
