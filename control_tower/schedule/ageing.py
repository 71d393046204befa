"""Ageing: what goes unserved for too long rises, a level at a time.

It is the line that ages, not each mission in it: the first of a line that has not been served for
``AGEING_STEP_S`` rises one level. Else a backlog of ten thousand idle missions would all be
realtime two minutes later, and priorities would mean nothing in the very overload that they are
for. What has risen ages on by itself. At the top there is nowhere to rise to: there a seat that
has not been served for a step has its debt to the others forgiven.

Each seat has at most one timer, which is never late: what a timer waits for can only move on, so
one that comes too early is set again.
"""

from collections.abc import Sequence
from heapq import heappop, heappush, heapreplace

from control_tower.schedule.fair_share import Level
from control_tower.schedule.seats import Seat

AGEING_BATCH = 256
"""How many lines one call lets age at most: about a millisecond.

Ten thousand users whose missions came in one instant age in one instant; the rest of them is left
to the next calls."""


class Ageing:
    """The timers of all seats in which missions wait."""

    __slots__ = ("_levels", "_timers")

    def __init__(self, levels: Sequence[Level]) -> None:
        self._levels = levels
        self._timers: list[tuple[float, int, int, Seat]] = []

    def arm(self, seat: Seat) -> None:
        """Set a seat's timer, if it has none and needs one."""
        if seat.timed:
            return
        due = seat.next_due()
        if due is not None:
            seat.timed = True
            heappush(self._timers, (due, seat.level.index, seat.number, seat))

    def run(self, now: float) -> None:
        """Let what was due by ``now`` happen, in the order of its times."""
        timers = self._timers
        batch = AGEING_BATCH
        while batch and timers and timers[0][0] <= now:
            batch -= 1
            fired, _, _, seat = heappop(timers)
            seat.timed = False
            due = seat.next_due()
            if due is not None and due <= fired:
                self._raise(seat, due, now)
            self.arm(seat)

    def next_due(self) -> float | None:
        """Return when something rises next, None when nothing waits."""
        timers = self._timers
        while timers:
            due, index, number, seat = timers[0]
            true_due = seat.next_due()
            if true_due is None:
                heappop(timers)
                seat.timed = False
            elif true_due > due:
                heapreplace(timers, (true_due, index, number, seat))
            else:
                return due
        return None

    def _raise(self, seat: Seat, due: float, now: float) -> None:
        level = seat.level
        if level.index == 0:
            seat.turn = due
            level.forgive(seat, now)
            return
        entry = level.lift_out(seat, due)
        above = self._levels[level.index - 1]
        target = above.seat(entry.user_id, now)
        above.join(target, entry, carried=True, now=now)
        self.arm(target)
