"""The ready queue written down the slow way: sorted lists, sums over all, nothing incremental.

It is exact when all instants, charges and weights are dyadic numbers and heaps have no slack.
"""

from dataclasses import dataclass, field

from control_tower.records import Priority

STEP_S = 30.0
START_S = 0.0625
MIN_RUN_S = 1.0
LEVELS = list(Priority)


@dataclass
class Place:
    """A mission that is queued or runs."""

    pid: str
    user: str
    priority: Priority
    level: int
    since: float


@dataclass
class Desk:
    """One user at one level."""

    user: str
    weight: float
    number: int
    base: float = 0.0
    starts: dict[str, float] = field(default_factory=dict)
    line: list[Place] = field(default_factory=list)
    carried: list[Place] = field(default_factory=list)
    clock: float = 0.0
    turn: float = 0.0
    ticket: int = 0
    pardon: float | None = None

    def size(self) -> int:
        """Return how many missions wait here."""
        return len(self.line) + len(self.carried)

    def live(self, now: float) -> float:
        """Return the tag, running missions' time included."""
        return self.base + sum(now - start for start in self.starts.values()) / self.weight

    def key(self, now: float) -> float:
        """Return the tag by which it is ordered."""
        return self.live(now) if self.pardon is None else self.pardon

    def unlist(self) -> None:
        """Let it no longer compete."""
        self.ticket = 0
        self.pardon = None

    def order(self) -> list[Place]:
        """Return the missions in the order in which they would be taken at one instant."""
        carried, line, clock = list(self.carried), list(self.line), self.clock
        order = []
        while carried or line:
            if carried and (not line or carried[0].since <= clock):
                order.append(carried.pop(0))
            else:
                order.append(line.pop(0))
                clock = float("inf")
        return order


class Model:
    """What :class:`control_tower.schedule.ready_queue.ReadyQueue` promises."""

    def __init__(self, slots: int, per_user: int | None, weights: dict[str, float]) -> None:
        self.slots = slots
        self.per_user = per_user
        self.weights = weights
        self.desks: list[dict[str, Desk]] = [{} for _ in LEVELS]
        self.running: list[list[Place]] = [[] for _ in LEVELS]
        self.tickets = 0

    def running_of(self, user: str) -> int:
        """Return how many missions of a user run."""
        return sum(place.user == user for places in self.running for place in places)

    def full(self, user: str) -> bool:
        """Say whether a user has all the slots that one may have."""
        return self.per_user is not None and self.running_of(user) >= self.per_user

    def queued(self) -> dict[str, Place]:
        """Return the missions that wait, by pid."""
        return {
            place.pid: place
            for desks in self.desks
            for desk in desks.values()
            for place in [*desk.carried, *desk.line]
        }

    def runs(self) -> dict[str, Place]:
        """Return the missions that run, by pid."""
        return {place.pid: place for places in self.running for place in places}

    def free(self) -> int:
        """Return how many slots are free."""
        return self.slots - len(self.runs())

    def desk(self, level: int, user: str) -> Desk:
        """Return a user's desk at a level."""
        desks = self.desks[level]
        if user not in desks:
            desks[user] = Desk(user, self.weights.get(user, 1.0), len(desks) + 1)
        return desks[user]

    def listed(self, level: int) -> list[Desk]:
        """Return the desks that compete at a level."""
        return [desk for desk in self.desks[level].values() if desk.ticket]

    def least(self, level: int, now: float) -> float:
        """Return the least tag of the active."""
        waiting = [desk.key(now) for desk in self.listed(level)]
        busy = [desk.live(now) for desk in self.desks[level].values() if desk.starts]
        return min(waiting or busy or [0.0])

    def activate(self, level: int, desk: Desk, now: float) -> None:
        """Bring a desk up to the least of the active."""
        desk.base += max(0.0, self.least(level, now) - desk.live(now))

    def enlist(self, level: int, desk: Desk, now: float) -> None:
        """Let a desk compete."""
        if not self.full(desk.user):
            self.activate(level, desk, now)
            self.tickets += 1
            desk.ticket = self.tickets

    def join(self, level: int, place: Place, now: float, *, carried: bool) -> None:
        """Put a mission last in its line."""
        desk = self.desk(level, place.user)
        place.level = level
        if not desk.size():
            desk.turn = place.since
        if (not carried and not desk.line) or not desk.size():
            desk.clock = place.since
        (desk.carried if carried else desk.line).append(place)
        if desk.size() == 1:
            self.enlist(level, desk, now)

    def drop(self, place: Place) -> None:
        """Take a queued mission out of its line."""
        desk = self.desk(place.level, place.user)
        if place in desk.carried:
            desk.carried.remove(place)
        else:
            desk.line.remove(place)
        if not desk.size():
            desk.unlist()
        self.rest(place.level)

    def rest(self, level: int) -> None:
        """Forget the tags of a level that is idle."""
        desks = self.desks[level].values()
        if not self.running[level] and not any(desk.size() for desk in desks):
            for desk in desks:
                desk.base = 0.0

    def best(self, level: int, now: float) -> Desk | None:
        """Return the desk to be served next."""
        return min(self.listed(level), key=lambda desk: (desk.key(now), desk.ticket), default=None)

    def order(self, now: float) -> list[Place]:
        """Return the queued missions in the order in which they would be served now."""
        order = []
        for level in range(len(LEVELS)):
            desks = {
                desk.ticket: (desk.key(now), 0, desk, desk.order()) for desk in self.listed(level)
            }
            while desks:
                ticket = min(desks, key=lambda ticket: (desks[ticket][0], ticket))
                _, turns, desk, places = desks.pop(ticket)
                order.append(places.pop(0))
                if places:
                    key = desk.live(now) + (turns + 1) * START_S / desk.weight
                    desks[ticket] = (key, turns + 1, desk, places)
        return order

    def start(self, level: int, place: Place, now: float) -> None:
        """Give a mission a slot."""
        desk = self.desk(level, place.user)
        desk.base += START_S / desk.weight
        desk.starts[place.pid] = now
        place.since = now
        place.level = level
        self.running[level].append(place)

    def pass_over(self, user: str) -> None:
        """Let a user who has become full no longer compete."""
        if self.full(user):
            for desks in self.desks:
                if user in desks:
                    desks[user].unlist()

    def pop(self, now: float) -> Place | None:
        """Serve the mission whose turn it is."""
        for level in range(len(LEVELS)):
            desk = self.best(level, now)
            if desk is not None:
                place = desk.order()[0]
                if place in desk.line:
                    desk.clock = now
                desk.turn = now
                if place in desk.carried:
                    desk.carried.remove(place)
                else:
                    desk.line.remove(place)
                self.start(level, place, now)
                desk.pardon = None
                if not desk.size():
                    desk.unlist()
                self.pass_over(place.user)
                return place
        return None

    def stop(self, place: Place, now: float) -> None:
        """Settle a running mission."""
        desk = self.desk(place.level, place.user)
        desk.base += (now - desk.starts.pop(place.pid)) / desk.weight
        self.running[place.level].remove(place)
        self.rest(place.level)

    def release(self, pid: str, now: float) -> Place:
        """Take a slot back."""
        place = self.runs()[pid]
        was_full = self.full(place.user)
        self.stop(place, now)
        if was_full:
            for level, desks in enumerate(self.desks):
                if place.user in desks and desks[place.user].size():
                    self.enlist(level, desks[place.user], now)
        return place

    def dues(self) -> list[tuple[float, int, int, Desk]]:
        """Return when what ages, in order."""
        dues = []
        for level, desks in enumerate(self.desks):
            for desk in desks.values():
                if level == 0 and desk.size():
                    dues.append((desk.turn + STEP_S, level, desk.number, desk))
                elif desk.size():
                    clocks = [desk.clock] if desk.line else []
                    due = min(clocks + [place.since for place in desk.carried]) + STEP_S
                    dues.append((due, level, desk.number, desk))
        return sorted(dues, key=lambda due: due[:3])

    def age(self, now: float) -> None:
        """Let all ageing that was due happen."""
        while (dues := self.dues()) and dues[0][0] <= now:
            due, level, _, desk = dues[0]
            if level == 0:
                desk.turn = due
                self.forgive(desk, now)
                continue
            if desk.carried and desk.carried[0].since + STEP_S == due:
                place = desk.carried[0]
            else:
                place = desk.line[0]
                desk.clock = due
            self.drop(place)
            place.since = due
            self.join(level - 1, place, now, carried=True)

    def forgive(self, desk: Desk, now: float) -> None:
        """Bring a desk at the top down to the least, until it is served."""
        if not desk.ticket or desk.pardon is not None:
            return
        debt = desk.live(now) - self.least(0, now)
        if debt > 0:
            desk.base -= debt
            self.tickets += 1
            desk.ticket = self.tickets
        desk.pardon = desk.live(now)

    def reprioritise(self, pid: str, priority: Priority, now: float) -> None:
        """Change a mission's priority."""
        old = self.queued().get(pid) or self.runs()[pid]
        if old.priority is priority:
            return
        level = LEVELS.index(priority)
        new = Place(pid, old.user, priority, level, now)
        if pid in self.queued():
            self.drop(old)
            self.join(level, new, now, carried=False)
        else:
            self.stop(old, now)
            self.activate(level, self.desk(level, old.user), now)
            self.start(level, new, now)
            new.since = old.since
            self.running[level].sort(key=lambda place: place.since)

    def yielding(self, now: float) -> list[str]:
        """Return the running missions that are to yield, the lowest first."""
        if self.free():
            return []
        lowest = [
            place
            for places in reversed(self.running)
            for place in reversed(places)
            if now - place.since >= MIN_RUN_S
        ]
        return [
            place.pid
            for count, place in enumerate(lowest, 1)
            if self.eligible_above(place.level) >= count
        ]

    def eligible_above(self, level: int) -> int:
        """Return how many could use a slot at once above a level."""
        found = 0
        for desks in self.desks[:level]:
            for user, desk in desks.items():
                room = desk.size()
                if self.per_user is not None:
                    room = min(room, self.per_user - self.running_of(user))
                found += room
        return found
