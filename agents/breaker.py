"""A tool's circuit breaker: a core, without a clock of its own.

Closed, calls go through; five failures within five minutes open it. Open, no call goes through
for 30 s; then it is half-open and one trial goes through, whose outcome closes or opens it. Calls
that began before it opened and end later say nothing about the tool as it is now, so they are not
counted.
"""

from collections import deque
from enum import StrEnum
from types import MappingProxyType

FAILURES = 5
WINDOW_S = 300.0
OPEN_S = 30.0
RECHECK_S = 1.0
"""While a trial is under way there is no telling when it ends; ask again after this."""


class BreakerState(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


TRANSITIONS: MappingProxyType[BreakerState, frozenset[BreakerState]] = MappingProxyType(
    {
        BreakerState.CLOSED: frozenset({BreakerState.OPEN}),
        BreakerState.OPEN: frozenset({BreakerState.HALF_OPEN, BreakerState.CLOSED}),
        BreakerState.HALF_OPEN: frozenset({BreakerState.OPEN, BreakerState.CLOSED}),
    }
)
"""From each state, the states that may follow it."""


class Breaker:
    """One tool's breaker.

    Each method that may change the state returns whether it did; ``now`` must never go back by
    more than clocks do.

    Attributes:
        state: where it stands.
        retry_at: when the next trial may be made; None while closed.
    """

    __slots__ = ("_failures", "_trial", "retry_at", "state")

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.retry_at: float | None = None
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._trial = False

    def failures(self, now: float) -> int:
        """Return how many failures of the last five minutes count."""
        while self._failures and self._failures[0] <= now - WINDOW_S:
            self._failures.popleft()
        return len(self._failures)

    def blocked_until(self, now: float) -> float | None:
        """Return when to ask again; None if a call may be made now."""
        if self.state is BreakerState.OPEN and self.retry_at is not None and now < self.retry_at:
            return self.retry_at
        if self.state is BreakerState.HALF_OPEN and self._trial:
            return now + RECHECK_S
        return None

    def admit(self, now: float) -> bool:
        """Let a call through that :meth:`blocked_until` does not block; True for the trial.

        The trial must end in :meth:`succeeded`, :meth:`failed` or :meth:`abandoned`.
        """
        if self.blocked_until(now) is not None:
            raise ValueError("the breaker is open")
        if self.state is BreakerState.CLOSED:
            return False
        if self.state is BreakerState.OPEN:
            self._step(BreakerState.HALF_OPEN)
        self._trial = True
        return True

    def succeeded(self, trial: bool) -> bool:
        """Note that a call worked; a trial's success closes the breaker."""
        if not (trial and self._is_trial()):
            return False
        self._close()
        return True

    def failed(self, now: float, trial: bool) -> bool:
        """Note that a call failed."""
        if self.state is BreakerState.CLOSED and not trial:
            self._failures.append(now)
            if self.failures(now) < FAILURES:
                return False
        elif trial and self._is_trial():
            self._failures.append(now)
        else:
            return False
        self._step(BreakerState.OPEN)
        self.retry_at = now + OPEN_S
        self._trial = False
        return True

    def abandoned(self, trial: bool) -> None:
        """Note that a call was given up and says nothing; a trial's place is free again."""
        if trial and self._is_trial():
            self._trial = False

    def reset(self) -> bool:
        """Close it, as an operator wishes, and forget the failures."""
        if self.state is BreakerState.CLOSED:
            self._failures.clear()
            return False
        self._close()
        return True

    def _is_trial(self) -> bool:
        return self.state is BreakerState.HALF_OPEN and self._trial

    def _close(self) -> None:
        self._step(BreakerState.CLOSED)
        self.retry_at = None
        self._trial = False
        self._failures.clear()

    def _step(self, target: BreakerState) -> None:
        if target not in TRANSITIONS[self.state]:
            raise ValueError(f"no transition from {self.state} to {target}")
        self.state = target
