"""The writer's thread: drains what waits, commits it as one group, hands it to the loop.

It never waits for a group to fill. While one group is being synced the next one gathers by
itself, so groups are as large as the disk is slow.

What the disk may do, and what becomes of the units:

- full: units that are not critical are refused; the others wait, in order, and are tried again
  each second. Below :data:`RESERVE_BYTES` free, units that are not critical are refused already,
  so that results of running missions still fit;
- locked by another process for too long: the group is refused, certainly not committed;
- an I/O error: what was committed is unknown. Nothing is written ever after, and ``on_fatal`` is
  told, on the loop;
- away (a database server that restarts): the writer connects again until it can, and then asks
  whether the group in which it was lost had been committed, so that nobody need be told
  "unknown". Meanwhile units that are not critical are refused, and the others wait, in order.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import TypeAlias

import structlog

from control_tower.store.core import Core, Outcome
from control_tower.store.database import DatabaseAway, DatabaseBroken, DatabaseBusy, DiskFull
from control_tower.store.delivery import Delivery
from control_tower.unit import Guard, StoreFailed, Unit

RESERVE_BYTES = 64 << 20
"""Free space below which new work is refused (security.md)."""

_GROUP_UNITS = 1024
RETRY_S = 1.0
"""How often units that wait for room are tried."""

_IDLE_S = 0.5
_CHECKPOINT_EVENTS = 2048
"""A checkpoint holds the writer up for about as long as it has events to move: 2 048 took 4 to
7 ms, 8 192 took 12 to 20, at the same throughput."""

_WAL_LARGE_BYTES = 8 << 20
_WAL_LIMIT_BYTES = 64 << 20
"""From here on the writer waits for readers, so that the WAL begins again."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class _Forgive:
    """On the queue: the loop has heard of the refusal; whatever comes behind this is new."""

    guard: Guard


@dataclass(slots=True, frozen=True)
class _EmptyLog:
    """On the queue: empty the WAL now. ``done`` is told, on the loop, whether that was possible."""

    done: Callable[[bool], None]


class _ForgetCached:
    """On the queue: rows that others wrote have become ours; whatever comes behind reads them."""


class _Stop:
    """On the queue: the last entry."""


_Word: TypeAlias = _Forgive | _EmptyLog | _ForgetCached
_Entry: TypeAlias = Unit | _Word | _Stop


def free_bytes(folder: Path) -> int:
    """Return how much this process may still write to the folder's disk."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _is_unit(entry: object) -> bool:
    return isinstance(entry, Unit)


def _away() -> StoreFailed:
    return StoreFailed("the database is away", outcome="rejected")


def _lost() -> StoreFailed:
    return StoreFailed("the database went away in the commit", outcome="unknown")


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
        wal_bytes: Callable[[], int],
    ) -> None:
        self._core = core
        self._loop = loop
        self._on_fatal = on_fatal
        self._free = free
        self._wal_bytes = wal_bytes
        self._delivery: Delivery | None = None
        self._queue: SimpleQueue[_Entry] = SimpleQueue()
        self._held: list[Unit | _Word] = []
        self._stopping = False
        self._broken = False
        self._unmoved = 0
        self._restart_at = 0.0
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

    def forget_cached(self) -> None:
        """Read every row again for the units that are submitted from now on."""
        self._queue.put(_ForgetCached())

    def empty_log(self, done: Callable[[bool], None]) -> None:
        """Move all of the WAL into the database and leave nothing in its file; tell ``done``.

        Not possible while somebody reads an older state of the database, as a backup does.
        """
        self._queue.put(_EmptyLog(done))

    async def close(self) -> None:
        """Commit what waits, then end the thread."""
        self._queue.put(_Stop())
        await self._ended.wait()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._gather(self._queue_entry)
                while self._held:
                    self._commit_held()
        except BaseException as error:  # a bug; without its writer the process must end
            log.exception("store.writer_died")
            self._on_loop(partial(self._on_fatal, error))
        finally:
            self._on_loop(self._ended.set)

    def _gather(self, first: Callable[[], _Entry]) -> None:
        """Wait for ``first``, then take what is on the queue: a whole group at most."""
        take = first
        while len(self._held) < _GROUP_UNITS:
            try:
                entry = take()
            except Empty:
                return
            take = self._queue.get_nowait
            if isinstance(entry, _Stop):
                self._stopping = True
                return
            self._held.append(entry)

    def _queue_entry(self) -> _Entry:
        if self._unmoved:
            try:
                return self._queue.get(timeout=_IDLE_S)
            except Empty:
                self._checkpoint("PASSIVE")
        return self._queue.get()

    def _group(self) -> list[Unit]:
        """Return the units held up to the next word of the loop, having taken in those before."""
        while self._held and not isinstance(word := self._held[0], Unit):
            self._heed(word)
            del self._held[0]
        return list(takewhile(_is_unit, self._held))  # type: ignore[arg-type]

    def _heed(self, word: _Word) -> None:
        if isinstance(word, _Forgive):
            self._core.forgive(word.guard)
        elif isinstance(word, _ForgetCached):
            self._core.forget_cached()
        else:
            self._on_loop(partial(word.done, not self._broken and self._checkpoint("TRUNCATE")))

    def _commit_held(self) -> None:
        units = self._group()
        if not all(unit.critical for unit in units) and self._free() < RESERVE_BYTES:
            self._refuse_new_work(_disk_full)
            units = self._group()
        if not units:
            return
        if self._broken:
            self._refuse_group(units, "the store has stopped")
            return
        head = self._core.head
        try:
            outcomes = self._core.apply(units)
        except DiskFull as full:
            self._wait_for_room(full)
        except DatabaseAway as away:
            self._come_back(units, away)
        except DatabaseBusy:
            self._refuse_group(units, "the database is locked")
        except DatabaseBroken as error:
            self._refuse_group(units, "the database failed", outcome="unknown")
            self._break(error)
        except Exception as error:  # a bug in here; the others must go on
            log.exception("store.apply_failed", units=len(units))
            self._refuse_group(units, f"the store failed: {type(error).__name__}")
        else:
            del self._held[: len(units)]
            self._hand_over(units, outcomes)
            self._unmoved += max(self._core.head - head, 1)
            self._checkpoint_if_due()

    def _come_back(self, units: Sequence[Unit], away: DatabaseAway) -> None:
        """Connect again, and go on with what the lost connection leaves behind."""
        log.warning("store.away", held=len(self._held), error=str(away))
        doubtful = units if self._core.in_doubt else ()
        del self._held[: len(doubtful)]
        while True:
            try:
                outcomes = self._core.recover()
            except DatabaseAway:
                if self._stopping:
                    break
                self._wait(_away)
            except DatabaseBroken as error:
                self._refuse(doubtful, _lost)
                self._break(error)
                return
            else:
                log.info("store.back", committed=outcomes is not None)
                if outcomes is None:
                    self._held[:0] = doubtful
                else:
                    self._hand_over(doubtful, outcomes)
                return
        self._refuse(doubtful, _lost)
        self._give_up(_away)

    def _wait_for_room(self, full: DiskFull) -> None:
        """Refuse new work for a second; what else is held stays, in order."""
        log.warning("store.disk_full", held=len(self._held), error=str(full))
        self._refuse_new_work(
            _disk_full
            if full.certain
            else lambda: StoreFailed("the disk is full", outcome="unknown", disk_full=True)
        )
        if self._held:
            self._wait(_disk_full)
        if self._stopping:
            self._give_up(_disk_full)

    def _wait(self, reason: Callable[[], StoreFailed]) -> None:
        """Take in what comes until the next try; refuse new work."""
        until = monotonic() + RETRY_S
        self._refuse_new_work(reason)
        while not self._stopping and (left_s := until - monotonic()) > 0:
            if len(self._held) >= _GROUP_UNITS:
                sleep(left_s)
            else:
                self._gather(partial(self._queue.get, timeout=left_s))
                self._refuse_new_work(reason)

    def _give_up(self, reason: Callable[[], StoreFailed]) -> None:
        """Refuse all that is held: the writer is told to end."""
        self._refuse([entry for entry in self._held if isinstance(entry, Unit)], reason)
        self._held.clear()

    def _break(self, error: DatabaseBroken) -> None:
        self._broken = True
        log.critical("store.broken", error=str(error), cause=repr(error.__cause__))
        self._on_loop(partial(self._on_fatal, error))

    def _refuse_new_work(self, reason: Callable[[], StoreFailed]) -> None:
        refused = [one for one in self._held if isinstance(one, Unit) and not one.critical]
        self._held = [one for one in self._held if not isinstance(one, Unit) or one.critical]
        self._refuse(refused, reason)

    def _refuse_group(self, units: Sequence[Unit], why: str, outcome: str = "rejected") -> None:
        del self._held[: len(units)]
        self._refuse(units, lambda: StoreFailed(why, outcome=outcome))

    def _refuse(self, units: Sequence[Unit], reason: Callable[[], StoreFailed]) -> None:
        for unit in units:
            if unit.guard is not None:
                self._core.stop(unit.guard)
        if units:
            self._hand_over(units, [reason() for _ in units])

    def _hand_over(self, units: Sequence[Unit], outcomes: Sequence[Outcome]) -> None:
        delivery = self._delivery
        assert delivery is not None  # noqa: S101 - the thread runs only after start()
        self._on_loop(partial(delivery.deliver, units, outcomes))

    def _on_loop(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop is closed: nobody is left to be told
            self._stopping = True

    def _checkpoint_if_due(self) -> None:
        wal_bytes = self._wal_bytes()
        if wal_bytes > _WAL_LIMIT_BYTES and monotonic() >= self._restart_at:
            if not self._checkpoint("RESTART"):
                self._restart_at = monotonic() + RETRY_S
        elif wal_bytes > _WAL_LARGE_BYTES or self._unmoved >= _CHECKPOINT_EVENTS:
            self._checkpoint("PASSIVE")

    def _checkpoint(self, mode: str) -> bool:
        self._unmoved = 0
        database = self._core.database
        try:
            return database.tidy(mode)
        except database.errors as error:
            meaning = database.meaning(error)
            if isinstance(meaning, DatabaseBroken):
                self._break(meaning)
            else:  # what is committed stands in the WAL; a later turn moves it
                log.warning("store.checkpoint_failed", error=str(error))
            return False
