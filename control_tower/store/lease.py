"""The lease: the thread that keeps a tower in its seat, and knows how long it may act.

It renews over a connection of its own, so that a long transaction of the writer, or an event loop
that is held up, costs no seat. When it cannot renew, the lease runs out here before it does in the
database, as it is counted from before the renewal was asked for; and by a clock that goes on
while the machine sleeps.

Where towers share a database it also looks, once a second, who the others are and how far the log
has come, and buries those whose lease has run out. Not at the first sight of it: after a restart of
the database everybody's has, and everybody is about to renew.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from control_tower.store import seat
from control_tower.store.database import DatabaseAway
from control_tower.store.seat import Occupant
from control_tower.store.statements import Connection

RENEW_S = 1.5
LOOK_S = 1.0
DEAD_S = 3.0
"""For how long a lease has been seen to be over, look after look, before its tower is buried."""

log = structlog.get_logger(__name__)


def suspended_time() -> float:
    """Return seconds on a clock that never goes back and counts what a machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class Lookout:
    """What a tower that shares its database wants to be told, on the event loop.

    Attributes:
        looked: who holds a seat, and the last offset of the log; after each look.
        buried: a tower that this one has buried.
        load: returns our own load, for the others to see; called in the lease's thread.
    """

    looked: Callable[[Sequence[Occupant], int], None]
    buried: Callable[[Occupant], None]
    load: Callable[[], int]


@dataclass(slots=True)
class _Deaths:
    """Since when, look after look, each lease has been over."""

    seen: dict[int, float] = field(default_factory=dict)

    def certain(self, occupants: Sequence[Occupant], own: int, now: float) -> list[Occupant]:
        over = [each for each in occupants if each.left_s <= 0 and each.token != own]
        self.seen = {each.token: self.seen.get(each.token, now) for each in over}
        return [each for each in over if now - self.seen[each.token] >= DEAD_S]


class Lease:
    """Renews a seat from :meth:`start` to :meth:`close`.

    ``meaning`` is the engine's; ``on_lost`` is called once on the event loop, when the seat is
    another's, or when it can't be renewed for a fault in here.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        meaning: Callable[[BaseException], BaseException],
        token: int,
        taken_at: float,
        on_lost: Callable[[BaseException], None],
        *,
        lookout: Lookout | None = None,
    ) -> None:
        self._connect = connect
        self._meaning = meaning
        self.token = token
        self._until = taken_at + seat.LEASE_S
        self._renewed_at = taken_at
        self._on_lost = on_lost
        self._lookout = lookout
        self._deaths = _Deaths()
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tower-lease", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def left_s(self) -> float:
        """Return for how long the seat is surely ours."""
        return self._until - suspended_time()

    def close(self) -> None:
        """Stop renewing: from now on nobody acts. The seat is left to the writer to leave."""
        self._ending.set()
        self._thread.join()
        self._until = -math.inf
        if self._connection is not None:
            self._connection.close()

    def _run(self) -> None:
        while not self._ending.wait(LOOK_S if self._lookout else RENEW_S):
            try:
                self._go_round()
            except seat.SeatLost as lost:
                log.critical("lease.lost")
                self._tell(partial(self._on_lost, lost))
                return
            except Exception as error:
                meaning = self._meaning(error)
                if meaning is error and not isinstance(error, DatabaseAway):
                    # A bug. A tower whose seat nobody renews would only seem to work.
                    log.exception("lease.failed")
                    self._tell(partial(self._on_lost, error))
                    return
                log.warning("lease.not_renewed", left_s=round(self.left_s(), 1), error=str(error))
                self._drop()

    def _go_round(self) -> None:
        if self._connection is None:
            self._connection = self._connect()
        lookout = self._lookout
        now = suspended_time()
        if lookout is None or now - self._renewed_at > RENEW_S - LOOK_S / 2:
            seat.renew(self._connection, self.token, load=lookout.load() if lookout else 0)
            self._renewed_at = now
            self._until = now + seat.LEASE_S
        if lookout is not None:
            self._look(self._connection, lookout)

    def _look(self, connection: Connection, lookout: Lookout) -> None:
        occupants, head = seat.occupants(connection), seat.head(connection)
        dead = self._deaths.certain(occupants, self.token, suspended_time())
        for each in dead:
            if seat.bury(connection, each.token):
                log.warning("node.buried", node=each.node, token=each.token)
                self._tell(partial(lookout.buried, each))
        gone = {each.token for each in dead}
        here = [each for each in occupants if each.token not in gone]
        self._tell(partial(lookout.looked, here, head))

    def _drop(self) -> None:
        self._deaths.seen.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _tell(self, what: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:  # the loop is closed: the tower is ending anyway
            return
