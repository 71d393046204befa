"""One user at one level of the ready queue: its lines, its tag, the clocks of its ageing.

A seat has two lines. In ``line`` stand the missions of this priority, first in, first out. In
``carried`` stand those that came with an effective priority that is not their own: lifted by age,
or preempted. The line that has gone unserved longer goes first.

A mission that is taken out of the queue is only marked; it leaves its line when it comes to the
front, or when half of the line is gone.
"""

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from control_tower.records import Priority

if TYPE_CHECKING:
    from control_tower.schedule.fair_share import Level

START_CHARGE_S = 0.0625
"""What a start costs beside the time it runs; a power of two, so that equal users tie exactly."""

AGEING_STEP_S = 30.0
"""How long a line goes unserved before its first mission rises one level."""


_NOTHING: "deque[Entry]" = deque(maxlen=0)
"""Stands for the empty ``carried`` of a seat, as most are; a deque takes 760 bytes."""


class Entry(msgspec.Struct, eq=False, gc=False):
    """A mission in the queue or in a slot.

    A Struct without garbage collection, because there may be a million: it refers to nothing that
    could refer back. ``since`` is when it joined its line, or last started.
    """

    pid: str
    user_id: str
    priority: Priority
    level: int
    since: float
    queued: bool = True


class Seat:
    """One user at one level.

    ``number`` tells the seats of a level apart. ``ticket`` is the number of its valid entry in the
    level's heap, 0 when it is not listed; ``pardoned`` keeps that entry where it is until it is
    served. ``busy`` says that it has an entry in the level's other heap, ``timed`` that it has a
    timer. ``at`` is when ``tag`` was true. ``clock`` is when ``line`` was last served or began,
    ``turn`` when the seat was.
    """

    __slots__ = (
        "at",
        "busy",
        "carried",
        "clock",
        "epoch",
        "inverse_weight",
        "level",
        "line",
        "number",
        "pardoned",
        "running",
        "size",
        "start_charge",
        "tag",
        "ticket",
        "timed",
        "turn",
        "user_id",
    )

    def __init__(
        self, user_id: str, weight: float, level: "Level", number: int, now: float
    ) -> None:
        self.user_id = user_id
        self.level = level
        self.number = number
        self.inverse_weight = 1.0 / weight
        self.start_charge = START_CHARGE_S / weight
        self.tag = 0.0
        self.epoch = level.epoch
        self.running = 0
        self.at = now
        self.line: deque[Entry] = deque()
        self.carried = _NOTHING
        self.size = 0
        self.clock = now
        self.turn = now
        self.ticket = 0
        self.busy = False
        self.pardoned = False
        self.timed = False

    def live(self, now: float) -> float:
        """Return the tag with the time that running missions have had so far."""
        if self.running and now > self.at:
            return self.tag + self.running * (now - self.at) * self.inverse_weight
        return self.tag

    def drop_gone(self) -> None:
        """Let the first of each line be one that is still queued."""
        line, carried = self.line, self.carried
        while line and not line[0].queued:
            line.popleft()
        while carried and not carried[0].queued:
            carried.popleft()

    def take_next(self, now: float) -> Entry:
        """Take the mission whose turn it is out of its line. The seat must not be empty."""
        line = self.line
        if not self.carried and line[0].queued:
            self.clock = now
            return line.popleft()
        self.drop_gone()
        carried = self.carried
        if carried and (not line or carried[0].since <= self.clock):
            return carried.popleft()
        self.clock = now
        return line.popleft()

    def next_due(self) -> float | None:
        """Return when age next lifts a mission of this seat, None for an empty one."""
        self.drop_gone()
        if self.level.index == 0:
            return self.turn + AGEING_STEP_S if self.size else None
        due = self.clock + AGEING_STEP_S if self.line else None
        if self.carried and (due is None or self.carried[0].since + AGEING_STEP_S < due):
            due = self.carried[0].since + AGEING_STEP_S
        return due

    def take_lifted(self, due: float) -> Entry:
        """Take the mission out of its line that age lifts at ``due``, a :meth:`next_due`."""
        if self.carried and self.carried[0].since + AGEING_STEP_S == due:
            entry = self.carried.popleft()
        else:
            self.clock = due
            entry = self.line.popleft()
        entry.since = due
        return entry

    def add(self, entry: Entry, *, carried: bool) -> None:
        """Put a mission last in one of the lines."""
        if not self.size:
            self.clear()
            self.clock = self.turn = entry.since
        elif not carried:
            self.drop_gone()
            if not self.line:
                self.clock = entry.since
        if carried and self.carried is _NOTHING:
            self.carried = deque()
        (self.carried if carried else self.line).append(entry)
        self.size += 1

    def clear(self) -> None:
        """Forget the missions that are gone, when no other is left."""
        self.line.clear()
        self.carried = _NOTHING

    def compact(self) -> None:
        """Forget the missions that are gone, when they are more than those that are left."""
        if len(self.line) + len(self.carried) > 32 + 2 * self.size:
            self.line = deque(entry for entry in self.line if entry.queued)
            self.carried = deque(entry for entry in self.carried if entry.queued)

    def settle(self, now: float) -> None:
        """Write the time that running missions have had so far into the tag."""
        if self.running and now > self.at:
            self.tag += self.running * (now - self.at) * self.inverse_weight
        self.at = now

    def ahead_of(self, entry: Entry) -> int:
        """Return how many missions of this seat go before a queued one of it."""
        self.drop_gone()
        line = [other for other in self.line if other.queued]
        carried = [other for other in self.carried if other.queued]
        older = sum(other.since <= self.clock for other in carried)
        order = [*carried[:older], *line[:1], *carried[older:], *line[1:]]
        return next(place for place, other in enumerate(order) if other is entry)
