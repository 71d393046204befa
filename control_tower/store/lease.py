"""The lease: the thread that keeps a tower in its seat, and knows how long it may act.

It renews over a connection of its own, so that a long transaction of the writer, or an event loop
that is held up, costs no seat. When it cannot renew, the lease runs out here before it does in the
database, as it is counted from before the renewal was asked for; and by a clock that goes on
while the machine sleeps.
"""

import asyncio
import threading
import time
from collections.abc import Callable

import structlog

from control_tower.store import seat
from control_tower.store.database import DatabaseAway
from control_tower.store.statements import Connection

RENEW_S = 2.5

log = structlog.get_logger(__name__)


def suspended_time() -> float:
    """Return seconds on a clock that never goes back and counts what a machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """Renews a seat from :meth:`start` to :meth:`close`.

    ``meaning`` is the engine's; ``on_lost`` is called once on the event loop, when another tower
    has the seat, or when it can't be renewed for a fault in here.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        meaning: Callable[[BaseException], BaseException],
        token: int,
        taken_at: float,
        on_lost: Callable[[BaseException], None],
    ) -> None:
        self._connect = connect
        self._meaning = meaning
        self.token = token
        self._until = taken_at + seat.LEASE_S
        self._on_lost = on_lost
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
        """Stop renewing; the seat is left to the writer to leave."""
        self._ending.set()
        self._thread.join()
        if self._connection is not None:
            self._connection.close()

    def _run(self) -> None:
        while not self._ending.wait(RENEW_S):
            try:
                self._renew()
            except seat.SeatLost as lost:
                log.critical("lease.lost")
                self._tell(lost)
                return
            except Exception as error:
                meaning = self._meaning(error)
                if meaning is error and not isinstance(error, DatabaseAway):
                    # A bug. A tower whose seat nobody renews would only seem to work.
                    log.exception("lease.failed")
                    self._tell(error)
                    return
                log.warning("lease.not_renewed", left_s=round(self.left_s(), 1), error=str(error))
                self._drop()

    def _renew(self) -> None:
        asked_at = suspended_time()
        if self._connection is None:
            self._connection = self._connect()
        seat.renew(self._connection, self.token)
        self._until = asked_at + seat.LEASE_S

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _tell(self, lost: BaseException) -> None:
        try:
            self._loop.call_soon_threadsafe(self._on_lost, lost)
        except RuntimeError:  # the loop is closed: the tower is ending anyway
            return
