"""Who runs next: five priorities, fair shares within each, ageing across them, slots.

**Order.** The best effective priority goes first; within it users share fairly
(:mod:`control_tower.schedule.fair_share`); one user's missions of one level go first in, first
out. A user with all the slots that one may have is skipped without holding up the others.

**Ageing.** A line (one user's missions at one level) that has not been served for
``AGEING_STEP_S`` = 30 s lifts its first mission one level, where it ages on by itself until it
stands among the ``realtime`` ones. It is the line that ages, not each mission in it: else a
backlog of ten thousand idle missions would all be realtime two minutes later, and priorities
would mean nothing in the very overload that they are for. A mission keeps the effective priority
with which it was started until it ends or waits; the shell hands it back to :meth:`push` after a
preemption.

**Starvation bound.** A mission of level L (realtime 0 … idle 4) with k missions of its user
before it in its line competes as realtime at the latest (k + L) × 30 s after it was pushed. A
seat at realtime that has not been served for 30 s is pardoned its debt, and from then on at most
as many grants go before it as other users were waiting at realtime at that moment, however many
come later. Grants, not seconds: a slot is free when a mission ends or yields. A user who has all
the slots that one may have waits for one of those first.

Sans-IO; ``now`` is in Unix seconds. A clock that steps back delays ageing until it has caught up
and breaks nothing else.
"""

from collections.abc import Iterator, Mapping
from itertools import takewhile
from types import MappingProxyType

import msgspec

from control_tower.errors import KernelBug
from control_tower.records import Priority
from control_tower.schedule.ageing import Ageing
from control_tower.schedule.fair_share import Level
from control_tower.schedule.seats import Entry

PRIORITIES = tuple(Priority)
"""By level: 0 is the most urgent."""

LEVELS: Mapping[Priority, int] = {priority: level for level, priority in enumerate(PRIORITIES)}

MIN_RUN_S = 1.0
"""How long a mission runs at least before it may be preempted (again)."""


class Grant(msgspec.Struct, frozen=True, gc=False):
    """A slot given to a mission. A Struct, as one is made at each decision."""

    pid: str
    user_id: str
    priority: Priority
    effective: Priority


class ReadyQueue:
    """The ready missions of a node, and those that hold its slots.

    Attributes:
        slots: how many missions may run at once.
        slots_per_user: how many of one user's, None for all of them.

    ``weights`` are the shares of the users who have another than 1.
    """

    def __init__(
        self,
        *,
        slots: int,
        slots_per_user: int | None = None,
        weights: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.slots = slots
        self.slots_per_user = slots_per_user
        if any(weight <= 0 for weight in weights.values()):
            raise ValueError("a user's weight is above 0")
        if slots < 0 or (slots_per_user is not None and slots_per_user < 1):
            raise ValueError("there are slots, and a user may have one")
        self._full: set[str] = set()
        self._levels = tuple(Level(index, weights, self._full) for index in range(len(PRIORITIES)))
        self._entries: dict[str, Entry] = {}
        self._running_of: dict[str, int] = {}
        self._free = slots
        self._ageing = Ageing(self._levels)

    @property
    def running(self) -> int:
        """How many slots are taken."""
        return self.slots - self._free

    @property
    def queued(self) -> int:
        """How many missions are ready."""
        return len(self._entries) - self.running

    @property
    def free(self) -> int:
        """How many slots are free."""
        return self._free

    def __len__(self) -> int:
        """Return how many missions are ready."""
        return self.queued

    def running_of(self, user_id: str) -> int:
        """Return how many slots a user's missions hold."""
        return self._running_of.get(user_id, 0)

    def push(
        self,
        pid: str,
        user_id: str,
        priority: Priority,
        now: float,
        *,
        effective: Priority | None = None,
    ) -> None:
        """Queue a mission that is ready.

        Args:
            pid: a mission that is neither queued nor running here.
            user_id: whose it is.
            priority: its own.
            now: the time.
            effective: that of its grant, after a preemption; it then goes before the missions of
                its user and level that wait for their first turn.

        Raises:
            KernelBug: if it is queued or running.
        """
        if pid in self._entries:
            raise KernelBug(f"{pid} is queued or running already")
        self._ageing.run(now)
        index = LEVELS[priority]
        if effective is not None:
            index = min(index, LEVELS[effective])
        entry = self._entries[pid] = Entry(pid, user_id, priority, index, now)
        level = self._levels[index]
        seat = level.seat(user_id, now)
        level.join(seat, entry, carried=effective is not None, now=now)
        if not seat.timed:
            self._ageing.arm(seat)

    def pop(self, now: float) -> Grant | None:
        """Give a slot to the mission whose turn it is.

        Returns:
            None when no slot is free or nobody may have it.
        """
        if not self._free:
            return None
        self._ageing.run(now)
        for level in self._levels:
            if level.queued:
                seat = level.best(now)
                if seat is not None:
                    return self._grant(level.serve(seat, now))
        return None

    def take(self, pid: str, user_id: str, priority: Priority, now: float) -> Grant | None:
        """Give a mission that is not queued a slot at once, if that is fair.

        Returns:
            None, with nothing changed, when no slot is free, its user has all that one may have,
            or somebody eligible of the same or a higher effective priority waits.

        Raises:
            KernelBug: if it is queued or running.
        """
        if pid in self._entries:
            raise KernelBug(f"{pid} is queued or running already")
        if not self._free or user_id in self._full:
            return None
        self._ageing.run(now)
        index = LEVELS[priority]
        if any(level.queued and level.best(now) for level in self._levels[: index + 1]):
            return None
        level = self._levels[index]
        seat = level.seat(user_id, now)
        level.activate(seat, now)
        entry = self._entries[pid] = Entry(pid, user_id, priority, index, now)
        level.charge(seat, entry, now)
        return self._grant(entry)

    def release(self, pid: str, now: float) -> None:
        """Take a running mission's slot back, and charge its user for the time it ran.

        Raises:
            KernelBug: if it does not run.
        """
        entry = self._entries.get(pid)
        if entry is None or entry.queued:
            raise KernelBug(f"{pid} holds no slot")
        del self._entries[pid]
        self._levels[entry.level].settle(entry, now)
        self._free += 1
        user_id = entry.user_id
        running = self._running_of[user_id] - 1
        if running:
            self._running_of[user_id] = running
        else:
            del self._running_of[user_id]
        if user_id in self._full:
            self._full.discard(user_id)
            for level in self._levels:
                level.admit(user_id, now)

    def remove(self, pid: str) -> bool:
        """Take a mission out of the queue.

        Returns:
            False when it is not queued; a running one is left alone.
        """
        entry = self._entries.get(pid)
        if entry is None or not entry.queued:
            return False
        del self._entries[pid]
        self._withdraw(entry)
        return True

    def reprioritise(self, pid: str, priority: Priority, now: float) -> None:
        """Change the priority of a queued or running mission; what its age gave it is forgotten.

        A queued one goes to the end of its new line. The same priority changes nothing.

        Raises:
            KernelBug: if it is neither queued nor running.
        """
        old = self._entries.get(pid)
        if old is None:
            raise KernelBug(f"{pid} is neither queued nor running")
        if old.priority is priority:
            return
        self._ageing.run(now)
        level = self._levels[LEVELS[priority]]
        entry = self._entries[pid] = Entry(pid, old.user_id, priority, level.index, now)
        if old.queued:
            self._withdraw(old)
            seat = level.seat(entry.user_id, now)
            level.join(seat, entry, carried=False, now=now)
            self._ageing.arm(seat)
        else:
            self._levels[old.level].settle(old, now)
            seat = level.seat(entry.user_id, now)
            level.activate(seat, now)
            level.charge(seat, entry, now)
            level.started_at(entry, old.since)

    def position(self, pid: str, now: float) -> int | None:
        """Return a queued mission's place, from 1; None for one that is not queued.

        It is the place in the order in which :meth:`pop` would serve, if nothing came and each
        mission ended as soon as it was served. Missions of users who have all their slots are not
        counted; such a mission's own place is the one it would have if its user had a slot.
        Costs a step for each user of its level and each mission in its own line.
        """
        entry = self._entries.get(pid)
        if entry is None or not entry.queued:
            return None
        self._ageing.run(now)
        ahead = sum(self._eligible(level) for level in self._levels[: entry.level])
        return 1 + ahead + self._levels[entry.level].ahead_of(entry, now)

    def arrival(self, priority: Priority) -> int:
        """Return the place, from 1, of a mission that would join now, at the worst.

        All that are eligible at its level and above count; fair shares may serve it sooner.
        """
        return 1 + sum(self._eligible(level) for level in self._levels[: LEVELS[priority] + 1])

    def should_yield(self, pid: str, now: float) -> bool:
        """Say whether a running mission is to give its slot up at its call.

        So it is when no slot is free and, counting it, as many missions as are lower than it (of
        one level, the latest started is the lowest) have something eligible of a strictly higher
        effective priority waiting for their slots. One that started less than ``MIN_RUN_S`` ago
        neither yields nor counts.
        """
        entry = self._entries.get(pid)
        if self._free or entry is None or entry.queued or not self.queued:
            return False
        self._ageing.run(now)
        if now - entry.since < MIN_RUN_S or not self._wanted(entry.level, 1):
            return False
        lower = takewhile(lambda other: other is not entry, self._lowest_first(now))
        return self._wanted(entry.level, 1 + sum(1 for _ in lower))

    def victim(self, now: float) -> str | None:
        """Return the running mission that is to yield first, None when none has to."""
        if self._free or not self.queued:
            return None
        self._ageing.run(now)
        lowest = next(self._lowest_first(now), None)
        if lowest is None or not self._wanted(lowest.level, 1):
            return None
        return lowest.pid

    def next_ageing(self, now: float) -> float | None:
        """Return when age next changes what goes first, None while nobody waits.

        For the shell's timer. The time may have come already: then ask again soon.
        """
        self._ageing.run(now)
        return self._ageing.next_due()

    def _grant(self, entry: Entry) -> Grant:
        self._free -= 1
        user_id = entry.user_id
        running = self._running_of.get(user_id, 0) + 1
        self._running_of[user_id] = running
        if running == self.slots_per_user:
            self._full.add(user_id)
            for level in self._levels:
                level.pass_over(user_id)
        return Grant(entry.pid, user_id, entry.priority, PRIORITIES[entry.level])

    def _withdraw(self, entry: Entry) -> None:
        entry.queued = False
        level = self._levels[entry.level]
        level.shrink(level.seats[entry.user_id])

    def _lowest_first(self, now: float) -> Iterator[Entry]:
        for level in reversed(self._levels):
            for entry in reversed(level.running.values()):
                if now - entry.since >= MIN_RUN_S:
                    yield entry

    def _wanted(self, index: int, count: int) -> bool:
        """Say whether ``count`` eligible missions of a higher level than ``index`` wait."""
        found = 0
        for level in self._levels[:index]:
            if not level.queued:
                continue
            if self.slots_per_user is None:
                found += level.queued
            else:
                for _, _, seat in level.rivals():
                    found += min(seat.size, self.slots_per_user - self.running_of(seat.user_id))
                    if found >= count:
                        return True
            if found >= count:
                return True
        return False

    def _eligible(self, level: Level) -> int:
        seats = (level.seats.get(user_id) for user_id in self._full)
        return level.queued - sum(seat.size for seat in seats if seat is not None)
