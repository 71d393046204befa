"""Fair shares of one effective priority across its users, by start tags.

Each priority is a :class:`Level`, and each user in it has a
:class:`~control_tower.schedule.seats.Seat`. A seat's *tag* is the service that its user has had at
this level, in seconds over the user's weight; the seat with the least tag is served next. A grant
costs ``START_CHARGE_S`` at once, so that many grants in one instant go round the users, and a
mission's running time as it runs, settled when it gives its slot back. So a tag never falls while
its user competes, and a heap whose entries are brought up to date only when they come to the top is
exact but for ``SLACK_S``.

A user who comes, or comes back, starts at max(own tag, least of the active): neither a credit for
having been away nor a debt to those who came while it had the level to itself. When a level falls
idle its tags are forgotten.
"""

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush, heapreplace
from math import ceil

from control_tower.schedule.seats import START_CHARGE_S, Entry, Seat

SLACK_S = START_CHARGE_S / 2
"""How far an entry of a heap may lag behind its seat's tag before it is brought up to date.

Without it all the seats that tie, which are most of them, are brought up to date at every grant.
"""

SAME_TURN = 1e-3
"""The part of a start charge within which two turns of an estimated order are taken for equal."""


class Level:
    """The users who compete at one effective priority; index 0 is the most urgent.

    ``full`` is shared by all levels: the users who have all the slots that one may have. Their
    seats are not listed.
    """

    __slots__ = (
        "_busy",
        "_seats_made",
        "_sweep_at",
        "_tickets",
        "_weights",
        "epoch",
        "full",
        "heap",
        "index",
        "listed",
        "queued",
        "running",
        "seats",
    )

    def __init__(self, index: int, weights: Mapping[str, float], full: set[str]) -> None:
        self.index = index
        self.full = full
        self.seats: dict[str, Seat] = {}
        self.heap: list[tuple[float, int, Seat]] = []
        self.running: dict[str, Entry] = {}
        self.queued = 0
        self.listed = 0
        self.epoch = 0
        self._busy: list[tuple[float, int, Seat]] = []
        self._seats_made = 0
        self._tickets = 0
        self._weights = weights
        self._sweep_at = 1024

    def seat(self, user_id: str, now: float) -> Seat:
        """Return a user's seat, made when there is none."""
        seat = self.seats.get(user_id)
        if seat is None:
            if len(self.seats) >= self._sweep_at:
                self._sweep(now)
            self._seats_made += 1
            weight = self._weights.get(user_id, 1.0)
            seat = self.seats[user_id] = Seat(user_id, weight, self, self._seats_made, now)
        return seat

    def enlist(self, seat: Seat, now: float) -> None:
        """Let a seat with missions compete, unless its user has all the slots that one may."""
        if seat.user_id not in self.full:
            self.activate(seat, now)
            self._list(seat)

    def admit(self, user_id: str, now: float) -> None:
        """Let a user compete who has room for a slot again."""
        seat = self.seats.get(user_id)
        if seat is not None and seat.size:
            self.enlist(seat, now)

    def pass_over(self, user_id: str) -> None:
        """Let a user no longer compete who has all the slots that one may have."""
        seat = self.seats.get(user_id)
        if seat is not None and seat.ticket:
            self._unlist(seat)

    def activate(self, seat: Seat, now: float) -> None:
        """Bring a seat that comes, or comes back, up to the least of the active."""
        if seat.epoch != self.epoch:
            seat.epoch = self.epoch
            seat.tag = 0.0
        seat.settle(now)
        seat.tag = max(seat.tag, self.least(now))

    def best(self, now: float) -> Seat | None:
        """Return the seat to be served next; it is then at the top of the heap."""
        heap = self.heap
        while heap:
            tag, ticket, seat = heap[0]
            if seat.ticket != ticket:
                heappop(heap)
            else:
                live = seat.tag
                if seat.running:
                    live += seat.running * (now - seat.at) * seat.inverse_weight
                if live - tag <= SLACK_S or seat.pardoned:
                    return seat
                heapreplace(heap, (live, ticket, seat))
        return None

    def least(self, now: float) -> float:
        """Return the least tag of those who wait, or else of those who only run; else 0."""
        if self.best(now) is not None:
            return self.heap[0][0]
        busy = self._busy
        while busy:
            tag, ticket, seat = busy[0]
            if not seat.running:
                heappop(busy)
                seat.busy = False
                continue
            live = seat.live(now)
            if live - tag <= SLACK_S:
                return live
            heapreplace(busy, (live, ticket, seat))
        return 0.0

    def serve(self, seat: Seat, now: float) -> Entry:
        """Take the next mission of the best seat, which :meth:`best` has just returned."""
        entry = seat.take_next(now)
        seat.turn = now
        seat.size -= 1
        self.queued -= 1
        self.charge(seat, entry, now)
        if seat.size:
            seat.pardoned = False
            heapreplace(self.heap, (seat.tag, seat.ticket, seat))
        else:
            heappop(self.heap)
            self._unlist(seat)
            seat.clear()
        return entry

    def charge(self, seat: Seat, entry: Entry, now: float) -> None:
        """Note that a mission starts."""
        seat.settle(now)
        seat.tag += seat.start_charge
        seat.running += 1
        if not seat.busy:
            self._note_busy(seat)
        entry.queued = False
        entry.since = now
        self.running[entry.pid] = entry

    def settle(self, entry: Entry, now: float) -> None:
        """Note that a running mission gives its slot back."""
        del self.running[entry.pid]
        seat = self.seats[entry.user_id]
        seat.settle(now)
        seat.running -= 1
        if not self.running:
            self.rest()

    def rest(self) -> None:
        """Forget the tags when nobody waits or runs here any more."""
        if not (self.queued or self.running):
            self.epoch += 1
            for _, _, seat in self._busy:
                seat.busy = False
            self._busy.clear()

    def join(self, seat: Seat, entry: Entry, *, carried: bool, now: float) -> None:
        """Queue a mission, last of its line."""
        entry.level = self.index
        seat.add(entry, carried=carried)
        self.queued += 1
        if seat.size == 1:
            self.enlist(seat, now)

    def lift_out(self, seat: Seat, due: float) -> Entry:
        """Take the mission out that age lifts at ``due``, the seat's next."""
        entry = seat.take_lifted(due)
        self.shrink(seat)
        return entry

    def shrink(self, seat: Seat) -> None:
        """Note that a queued mission of a seat is gone."""
        seat.size -= 1
        self.queued -= 1
        if not seat.size:
            if seat.ticket:
                self._unlist(seat)
            seat.clear()
            self.rest()
        else:
            seat.compact()

    def forgive(self, seat: Seat, now: float) -> None:
        """Bring a listed seat that went unserved too long down to the least of the active.

        There it stays until it is served, whatever its missions that run cost meanwhile, and
        those who come later stand behind it: only the seats now listed can go before it.
        """
        if not seat.ticket or seat.pardoned:
            return
        self.best(now)
        least = self.heap[0][0]
        seat.settle(now)
        if seat.tag > least:
            seat.tag = least
            self._unlist(seat)
            self._list(seat)
        seat.pardoned = True

    def started_at(self, entry: Entry, started: float) -> None:
        """Put a running mission that came from another level where its start says."""
        entry.since = started
        order = sorted(self.running.values(), key=lambda other: other.since)
        self.running = {other.pid: other for other in order}

    def ahead_of(self, entry: Entry, now: float) -> int:
        """Return how many eligible missions of this level go before a queued one of it.

        What :meth:`best` and :meth:`serve` would do, in closed form: the j-th next mission of a
        seat is served at the seat's tag plus j start charges.
        """
        seat = self.seats[entry.user_id]
        ahead = seat.ahead_of(entry)
        rivals = {ticket: (tag, other) for tag, ticket, other in self.rivals()}
        live = seat.live(now)
        if seat.ticket in rivals:
            own, _ = rivals.pop(seat.ticket)
        else:
            own = live = max(live, self.least(now))
        if ahead or not (live - own <= SLACK_S or seat.pardoned):
            own = live + ahead * seat.start_charge
        ticket = seat.ticket or self._tickets + 1
        return ahead + sum(
            _turns_before(own, tag, other, now, ties=other_ticket < ticket)
            for other_ticket, (tag, other) in rivals.items()
        )

    def rivals(self) -> Iterator[tuple[float, int, Seat]]:
        """Yield the valid entries of those who compete, in no order, their tags not up to date."""
        for entry in self.heap:
            if entry[2].ticket == entry[1]:
                yield entry

    def _list(self, seat: Seat) -> None:
        if len(self.heap) > 64 + 2 * self.listed:
            self.heap = [entry for entry in self.heap if entry[2].ticket == entry[1]]
            heapify(self.heap)
        self._tickets += 1
        self.listed += 1
        seat.ticket = self._tickets
        heappush(self.heap, (seat.tag, seat.ticket, seat))

    def _note_busy(self, seat: Seat) -> None:
        busy = self._busy
        if len(busy) > 64 + 2 * len(self.running):
            for _, _, other in busy:
                other.busy = other.running > 0
            busy = self._busy = [entry for entry in busy if entry[2].running]
            heapify(busy)
        seat.busy = True
        self._tickets += 1
        heappush(busy, (seat.tag, self._tickets, seat))

    def _unlist(self, seat: Seat) -> None:
        seat.ticket = 0
        seat.pardoned = False
        self.listed -= 1

    def _sweep(self, now: float) -> None:
        """Forget the seats that hold nothing a new one would not."""
        least = self.least(now)
        self.seats = {
            user_id: seat
            for user_id, seat in self.seats.items()
            if seat.size or seat.running or (seat.epoch == self.epoch and seat.tag > least)
        }
        self._sweep_at = max(1024, 2 * len(self.seats))


def _turns_before(turn: float, tag: float, seat: Seat, now: float, *, ties: bool) -> int:
    """Return how often ``seat``, listed with ``tag``, is served before another's ``turn``.

    ``ties`` says whether it goes first at an equal tag.
    """
    live = seat.live(now)
    first = tag if live - tag <= SLACK_S or seat.pardoned else live
    early = SAME_TURN * START_CHARGE_S * (1 if ties else -1)
    if first >= turn + early:
        return 0
    again = ceil((turn + early - live) / seat.start_charge)
    return min(max(again, 1), seat.size)
