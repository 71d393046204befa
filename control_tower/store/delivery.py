"""From the writer to the event loop: completions, then publication, unit by unit, in order.

Runs on the event loop only. A long group is delivered in slices, so that a burst of commits does
not hold up the sockets; what comes later waits behind it, so the order holds.
"""

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
    ) -> None:
        self.head = head
        self._slice_s = slice_s
        self._publish = publish
        self._forgive = forgive
        self._call_soon = call_soon
        self._waiting: deque[tuple[Unit, Outcome]] = deque()
        self._under_way = False

    def deliver(self, units: Sequence[Unit], outcomes: Sequence[Outcome]) -> None:
        """Deliver what became of the units, at once or in later turns of the loop."""
        self._waiting.extend(zip(units, outcomes, strict=True))
        if not self._under_way:
            self._under_way = True
            self._run()

    @property
    def idle(self) -> bool:
        """Whether everything was delivered."""
        return not self._waiting

    def _run(self) -> None:
        until = time.perf_counter() + self._slice_s
        while self._waiting:
            unit, outcome = self._waiting.popleft()
            if isinstance(outcome, Commit):
                self._committed(unit, outcome)
            else:
                self._refused(unit, outcome)
            if self._waiting and time.perf_counter() > until:
                self._call_soon(self._run)
                return
        self._under_way = False

    def _committed(self, unit: Unit, commit: Commit) -> None:
        try:
            unit.committed(commit)
        except Exception:  # a bug of the kernel must not keep others from their commits
            log.exception("store.completion_failed", offset=commit.offset)
        if commit.events:
            self.head = commit.events[-1].offset
        # ``after`` is read only now: the completion may still have appended to it.
        if commit.events or unit.after:
            self._publish.publish(commit.events, unit.after)

    def _refused(self, unit: Unit, refusal: Outcome) -> None:
        try:
            unit.refused(refusal)  # type: ignore[arg-type]
        except Exception:  # as above
            log.exception("store.refusal_failed", reason=str(refusal))
        if unit.guard is not None:
            self._forgive(unit.guard)
