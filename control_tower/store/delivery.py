"""From the writer to the event loop: completions, then publication, unit by unit, in order.

Runs on the event loop only. A long group is delivered in slices, so that a burst of commits does
not hold up the sockets; what comes later waits behind it, so the order holds.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from control_tower.store.core import Outcome
from control_tower.unit import Commit, Guard, Unit
from events.log import Publish

SLICE_S = 0.002

log = structlog.get_logger(__name__)


class Delivery:
    """Runs completions and publishes.

    ``undelivered`` is the core's.

    Attributes:
        head: the last offset whose unit's completion has run.
    """

    def __init__(
        self,
        publish: Publish,
        forgive: Callable[[Guard], None],
        call_soon: Callable[[Callable[[], None]], object],
        head: int,
        slice_s: float = SLICE_S,
        *,
        undelivered: deque[tuple[int, int]] | None = None,
    ) -> None:
        self.head = head
        self._undelivered = deque() if undelivered is None else undelivered
        self._slice_s = slice_s
        self._publish = publish
        self._forgive = forgive
        self._call_soon = call_soon
        self._waiting: deque[tuple[Unit, Outcome]] = deque()
        self._under_way = False

    @property
    def undelivered_from(self) -> int | None:
        """The lowest offset that may be committed by us without that its completion ran."""
        try:
            return self._undelivered[0][0]
        except IndexError:  # asked for at once, as the writer may take its end away
            return None

    def deliver(self, units: Sequence[Unit], outcomes: Sequence[Outcome]) -> None:
        """Deliver what became of the units, at once or in later turns of the loop."""
        self._waiting.extend(zip(units, outcomes, strict=True))
        if not self._under_way:
            self._under_way = True
            self._run()

    def finish(self) -> None:
        """Deliver all that waits, however long it takes."""
        self._slice_s = math.inf
        self._run()

    def _run(self) -> None:
        until = time.perf_counter() + self._slice_s
        while self._waiting:
            self._deliver(*self._waiting.popleft())
            if self._waiting and time.perf_counter() > until:
                self._call_soon(self._run)
                return
        self._under_way = False

    def _deliver(self, unit: Unit, outcome: Outcome) -> None:
        try:
            if isinstance(outcome, Commit):
                unit.committed(outcome)
            else:
                unit.refused(outcome)
        except Exception:  # a bug of the kernel; it must not keep others from their commits
            log.exception("store.completion_failed", outcome=repr(outcome))
        if isinstance(outcome, Commit):
            self._publish_events(unit, outcome)
        elif unit.guard is not None:
            self._forgive(unit.guard)

    def _publish_events(self, unit: Unit, commit: Commit) -> None:
        if commit.events:
            self.head = commit.events[-1].offset
            if self._undelivered and self._undelivered[0][1] <= self.head:
                self._undelivered.popleft()
        # ``after`` is read only now: the completion may still have appended to it.
        if commit.events or unit.after:
            try:
                self._publish.publish(commit.events, unit.after)
            except Exception:  # likewise: one event that can't be fanned out stops no other
                log.exception("store.publish_failed", offset=commit.offset)
