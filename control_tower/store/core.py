"""The writer's synchronous core: units in, their commits or refusals out, one transaction.

The common case is cheap: every unit's conditions are checked against the ledger, rows are
gathered and each table is written once. Only when a row turns out not to fit (a constraint, a
value that the engine does not take) is the transaction rolled back and done again with one
savepoint a unit, so that the unfit unit falls alone. Offsets are given in memory and stored with
the rows, so a rollback leaves no hole.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import select

from control_tower.store.batch import Batch
from control_tower.store.ledger import Ledger
from control_tower.store.rows import Unfit
from control_tower.store.scopes import Scopes
from control_tower.store.statements import Query
from control_tower.store.tables import meta
from control_tower.unit import Commit, Guard, GuardFailed, StoreFailed, Unit, UnitRefused

Outcome = Commit | UnitRefused
"""What became of a unit."""

UNFIT = (
    Unfit,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    msgspec.MsgspecError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a unit's own rows can raise: a constraint, or a value that has no place in the database."""

_META = Query(select(meta.c.epoch, meta.c.head))


class DiskFull(Exception):
    """The transaction did not fit on the disk.

    Attributes:
        certain: nothing of it can come back. False when its frames may stand in the WAL: a crash
            before the next commit overwrites them would bring them back.
    """

    def __init__(self, message: str, *, certain: bool = True) -> None:
        super().__init__(message)
        self.certain = certain


class DatabaseBusy(Exception):
    """Another process holds the database's lock; nothing was committed."""


class DatabaseBroken(Exception):
    """The disk or the file failed: what became of the transaction is unknown. Stop writing."""


def environment_error(error: sqlite3.Error) -> Exception:
    """Return what an engine's error means for the writer; a plain error of SQL is itself."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    # The WAL's index could not grow: written after the WAL's frames, so those may be whole.
    if code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return DiskFull(str(error), certain=False)
    match code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return DiskFull(str(error))
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return DatabaseBusy(str(error))
        case sqlite3.SQLITE_ERROR:
            return error
        case _:
            return DatabaseBroken(str(error))


@dataclass(slots=True)
class _Refusals:
    """The guards whose units were refused in this transaction, and those not yet heard of."""

    stopped: set[Guard]
    guards: set[Guard] = field(default_factory=set)

    def check(self, unit: Unit) -> None:
        """Refuse a unit whose mission's earlier unit was refused."""
        if not (self.stopped or self.guards) or unit.guard is None:
            return
        if unit.guard in self.guards or unit.guard in self.stopped:
            raise GuardFailed("an earlier unit of this mission was refused")

    def note(self, unit: Unit, refusal: UnitRefused) -> UnitRefused:
        """Return the refusal, having noted whose it is."""
        if unit.guard is not None:
            self.guards.add(unit.guard)
        return refusal


class Core:
    """Applies units over the one writing connection.

    Attributes:
        epoch: of the database.
        head: the last offset committed.
    """

    def __init__(self, connection: sqlite3.Connection, scopes: Scopes) -> None:
        self.connection = connection
        self._scopes = scopes
        self._ledger = Ledger(connection)
        self._stopped: set[Guard] = set()
        row = _META.one(connection)
        if row is None:
            raise DatabaseBroken("the database has no meta row")
        self.epoch: str = row[0]
        self.head: int = row[1]

    def apply(self, units: Sequence[Unit]) -> list[Outcome]:
        """Commit the units in one transaction, those refused excepted.

        Raises:
            DiskFull: nothing was committed; try again later.
            DatabaseBusy: nothing was committed.
            DatabaseBroken: unknown what was committed; the core must not be used again.
            Exception: anything else is a bug in here; nothing was committed.
        """
        try:
            try:
                return self._together(units)
            except UNFIT:
                self._roll_back()
                return self._one_by_one(units)
        except BaseException as error:
            # A part of the units may have been kept in the ledger as if committed.
            self._ledger.clear()
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise environment_error(error) from error
            raise

    def stop(self, guard: Guard) -> None:
        """Refuse units under this guard from now on: one was refused without being applied."""
        self._stopped.add(guard)

    def forgive(self, guard: Guard) -> None:
        """Take units under this guard again: the refusal of an earlier one has been heard."""
        self._stopped.discard(guard)

    def _together(self, units: Sequence[Unit]) -> list[Outcome]:
        batch = Batch(self._ledger, self.head)
        refusals = _Refusals(self._stopped)
        self.connection.execute("BEGIN IMMEDIATE")
        outcomes: list[Outcome] = []
        for unit in units:
            try:
                refusals.check(unit)
                outcomes.append(batch.add(unit))
            except UnitRefused as refusal:
                outcomes.append(refusals.note(unit, refusal))
        batch.write()
        self.connection.execute("COMMIT")
        self._keep([batch], refusals)
        return outcomes

    def _one_by_one(self, units: Sequence[Unit]) -> list[Outcome]:
        batches: list[Batch] = []
        refusals = _Refusals(self._stopped)
        head = self.head
        self.connection.execute("BEGIN IMMEDIATE")
        outcomes: list[Outcome] = []
        for unit in units:
            batch = Batch(self._ledger, head)
            self.connection.execute("SAVEPOINT unit")
            try:
                refusals.check(unit)
                commit = batch.add(unit)
                batch.write()
            except UnitRefused as refusal:
                self._drop_unit()
                outcomes.append(refusals.note(unit, refusal))
            except UNFIT as error:
                self._drop_unit()
                unfit = StoreFailed(f"unfit unit: {error}", outcome="rejected")
                unfit.__cause__ = error
                outcomes.append(refusals.note(unit, unfit))
            else:
                self.connection.execute("RELEASE unit")
                self._ledger.keep()
                head = batch.head
                outcomes.append(commit)
                batches.append(batch)
        self.connection.execute("COMMIT")
        self._keep(batches, refusals)
        return outcomes

    def _drop_unit(self) -> None:
        self.connection.execute("ROLLBACK TO unit")
        self.connection.execute("RELEASE unit")
        self._ledger.forget()

    def _keep(self, batches: Sequence[Batch], refusals: "_Refusals") -> None:
        self._ledger.keep()
        self._stopped |= refusals.guards
        for batch in batches:
            self.head = batch.head
            self._scopes.remember(batch.scopes)

    def _roll_back(self) -> None:
        self._ledger.forget()
        if self.connection.in_transaction:
            # When the disk fails SQLite rolls back by itself, or cannot: either way the error
            # that brought us here is the one to tell.
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
