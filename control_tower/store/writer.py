"""The writer's thread: drains what waits, commits it as one group, hands it to the loop.

It never waits for a group to fill. While one group is being synced the next one gathers by
itself, so groups are as large as the disk is slow.

What the disk may do, and what becomes of the units:

- full: units that are not critical are refused; the others wait, in order, and are tried again
  each second. Below :data:`RESERVE_BYTES` free, units that are not critical are refused already,
  so that results of running missions still fit;
- locked by another process for too long: the group is refused, certainly not committed;
- an I/O error: what was committed is unknown. Nothing is written ever after, and ``on_fatal`` is
  told, on the loop.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic

import structlog

from control_tower.store.core import Core, DatabaseBroken, DatabaseBusy, DiskFull, Outcome
from control_tower.store.delivery import Delivery
from control_tower.store.engine import checkpoint
from control_tower.unit import Guard, StoreFailed, Unit

RESERVE_BYTES = 64 << 20
"""Free space below which new work is refused (security.md)."""

_GROUP_UNITS = 1024
_RETRY_S = 1.0
_IDLE_S = 0.5
_CHECKPOINT_EVENTS = 8192

log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class _Forgive:
    """On the queue: the loop has heard of the refusal; whatever comes behind this is new."""

    guard: Guard


class _Stop:
    """On the queue: the last entry."""


def free_bytes(folder: Path) -> int:
    """Return how much this process may still write to the folder's disk."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _disk_full() -> StoreFailed:
    return StoreFailed("the disk is full", outcome="rejected", disk_full=True)


class Writer:
    """Owns the writing thread from :meth:`start` to :meth:`close`."""

    def __init__(
        self,
        core: Core,
        loop: asyncio.AbstractEventLoop,
        on_fatal: Callable[[BaseException], None],
        free: Callable[[], int],
    ) -> None:
        self._core = core
        self._loop = loop
        self._on_fatal = on_fatal
        self._free = free
        self._delivery: Delivery | None = None
        self._queue: SimpleQueue[Unit | _Forgive | _Stop] = SimpleQueue()
        self._held: deque[Unit] = deque()
        self._stopping = False
        self._broken = False
        self._unmoved = 0
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="tower-writer", daemon=True)

    def start(self, delivery: Delivery) -> None:
        """Begin to take units, delivered through ``delivery``."""
        self._delivery = delivery
        self._thread.start()

    def submit(self, unit: Unit) -> None:
        """Hand a unit over; see ``ports.Store.submit``."""
        self._queue.put(unit)

    def forgive(self, guard: Guard) -> None:
        """Take units under ``guard`` again that are submitted from now on."""
        self._queue.put(_Forgive(guard))

    async def close(self) -> None:
        """Commit what waits, then end the thread."""
        self._queue.put(_Stop())
        await self._ended.wait()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._gather(block=True)
                while self._held and not self._broken:
                    self._commit_held()
                if self._broken:
                    self._refuse_held("the store has stopped")
        finally:
            self._on_loop(self._ended.set)

    def _gather(self, *, block: bool, timeout_s: float | None = None) -> None:
        """Move what waits on the queue to ``_held``, a whole group at most."""
        while len(self._held) < _GROUP_UNITS:
            try:
                entry = self._wait(timeout_s) if block else self._queue.get_nowait()
            except Empty:
                return
            block = False
            if isinstance(entry, Unit):
                self._held.append(entry)
            elif isinstance(entry, _Forgive):
                self._core.forgive(entry.guard)
            else:
                self._stopping = True
                return

    def _wait(self, timeout_s: float | None) -> Unit | _Forgive | _Stop:
        if timeout_s is not None:
            return self._queue.get(timeout=timeout_s)
        if self._unmoved:
            try:
                return self._queue.get(timeout=_IDLE_S)
            except Empty:
                self._checkpoint()
        return self._queue.get()

    def _commit_held(self) -> None:
        self._refuse_new_work_if_tight()
        units = list(self._held)
        if not units:
            return
        head = self._core.head
        try:
            outcomes = self._core.apply(units)
        except DiskFull:
            self._wait_for_room()
        except DatabaseBusy:
            self._held.clear()
            self._refuse(units, lambda: StoreFailed("the database is locked", outcome="rejected"))
        except DatabaseBroken as error:
            self._break(units, error)
        except Exception as error:  # a bug in here: nothing was committed, and others must go on
            log.exception("store.apply_failed", units=len(units))
            reason = f"the store failed: {type(error).__name__}"
            self._held.clear()
            self._refuse(units, lambda: StoreFailed(reason, outcome="rejected"))
        else:
            self._held.clear()
            self._hand_over(units, outcomes)
            self._unmoved += max(self._core.head - head, 1)
            if self._unmoved >= _CHECKPOINT_EVENTS:
                self._checkpoint()

    def _refuse_new_work_if_tight(self) -> None:
        if all(unit.critical for unit in self._held) or self._free() >= RESERVE_BYTES:
            return
        self._refuse_new_work()

    def _refuse_new_work(self) -> None:
        refused = [unit for unit in self._held if not unit.critical]
        self._held = deque(unit for unit in self._held if unit.critical)
        self._refuse(refused, _disk_full)

    def _wait_for_room(self) -> None:
        """Refuse new work for a second; what is held stays, in order."""
        log.warning("store.disk_full", held=len(self._held))
        until = monotonic() + _RETRY_S
        while not self._stopping and (left_s := until - monotonic()) > 0:
            self._refuse_new_work()
            if len(self._held) >= _GROUP_UNITS:
                threading.Event().wait(left_s)
            else:
                self._gather(block=True, timeout_s=left_s)
        self._refuse_new_work()
        if self._stopping:
            self._refuse(list(self._held), _disk_full)
            self._held.clear()

    def _break(self, units: Sequence[Unit], error: DatabaseBroken) -> None:
        self._broken = True
        log.critical("store.broken", error=str(error), cause=repr(error.__cause__))
        self._held.clear()
        self._refuse(units, lambda: StoreFailed("the database failed", outcome="unknown"))
        self._on_loop(lambda: self._on_fatal(error))

    def _refuse_held(self, reason: str) -> None:
        units = list(self._held)
        self._held.clear()
        self._refuse(units, lambda: StoreFailed(reason, outcome="rejected"))

    def _refuse(self, units: Sequence[Unit], reason: Callable[[], StoreFailed]) -> None:
        if units:
            self._hand_over(units, [reason() for _ in units])

    def _hand_over(self, units: Sequence[Unit], outcomes: Sequence[Outcome]) -> None:
        delivery = self._delivery
        assert delivery is not None  # noqa: S101 - the thread runs only after start()
        self._on_loop(lambda: delivery.deliver(units, outcomes))

    def _on_loop(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop is closed: nobody is left to be told
            self._stopping = True

    def _checkpoint(self) -> None:
        self._unmoved = 0
        try:
            checkpoint(self._core.connection, "PASSIVE")
        except Exception as error:  # the commits stand in the WAL; the next commit tells
            log.warning("store.checkpoint_failed", error=str(error))
