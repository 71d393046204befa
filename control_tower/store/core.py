"""The writer's synchronous core: units in, their commits or refusals out, one transaction.

The common case is cheap: every unit's conditions are checked against the ledger, rows are
gathered and each table is written once. Only when a row turns out not to fit (a constraint, a
value that the engine does not take) is the transaction rolled back and done again with one
savepoint a unit, so that the unfit unit falls alone. Offsets are given in memory and stored with
the rows, so a rollback leaves no hole.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from control_tower.store.batch import Batch
from control_tower.store.database import (
    Database,
    DatabaseAway,
    DatabaseBroken,
    drop,
    release,
    savepoint,
)
from control_tower.store.ledger import Ledger
from control_tower.store.scopes import Scopes
from control_tower.store.statements import Query
from control_tower.store.tables import meta
from control_tower.unit import Commit, Guard, GuardFailed, StoreFailed, Unit, UnitRefused

Outcome = Commit | UnitRefused
"""What became of a unit."""

_META = Query(select(meta.c.epoch, meta.c.head))


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


@dataclass(slots=True, frozen=True)
class _Group:
    """Units that are being committed: what they are worth if it succeeds."""

    batches: Sequence[Batch]
    refusals: _Refusals
    outcomes: list[Outcome]


class Core:
    """Applies units over the one writing connection.

    Attributes:
        epoch: of the database.
        head: the last offset committed, by us or, as of our last transaction, by others.
        undelivered: where the database is shared: from which to which offset each group of ours
            goes that may be committed, oldest first; ``Delivery`` takes away what it has
            published. The writer's thread has the one end, the event loop the other.
    """

    def __init__(self, database: Database, scopes: Scopes) -> None:
        self.database = database
        self._scopes = scopes
        self._ledger = Ledger(database.connection)
        self._stopped: set[Guard] = set()
        self._in_doubt: _Group | None = None
        self.undelivered: deque[tuple[int, int]] | None = None
        row = _META.one(database.connection)
        if row is None:
            raise DatabaseBroken("the database has no meta row")
        self.epoch: str = row[0]
        self.head: int = row[1]

    def apply(self, units: Sequence[Unit]) -> list[Outcome]:
        """Commit the units in one transaction, those refused excepted.

        Raises:
            DiskFull: nothing was committed; try again later.
            DatabaseBusy: nothing was committed.
            DatabaseAway: see :meth:`recover`, which must come next.
            DatabaseBroken: unknown what was committed; the core must not be used again.
            Exception: anything else is a bug in here; nothing was committed.
        """
        self._take_back()
        try:
            try:
                return self._together(units)
            except self.database.unfit:
                self._take_back()
                self._roll_back()
                return self._one_by_one(units)
        except BaseException as error:
            # A part of the units may have been kept in the ledger as if committed.
            self._ledger.clear()
            meaning = self.database.meaning(error)
            if not isinstance(meaning, DatabaseAway):
                self._take_back()
            self._roll_back()
            if meaning is not error:
                raise meaning from error
            raise

    @property
    def in_doubt(self) -> bool:
        """Whether it is unknown if the last group was committed."""
        return self._in_doubt is not None

    def recover(self) -> list[Outcome] | None:
        """Come back after :class:`DatabaseAway`, and learn what became of the last group.

        Returns:
            Its outcomes if it was committed; None if nothing of it was.

        Raises:
            DatabaseAway: not yet.
            DatabaseBroken: the core must not be used again.
        """
        committed = self.database.come_back()
        self._ledger.connection = self.database.connection
        group = self._in_doubt
        if group is None or not committed:
            self._take_back()
            return None
        self._keep(group)
        return group.outcomes

    def stop(self, guard: Guard) -> None:
        """Refuse units under this guard from now on: one was refused without being applied."""
        self._stopped.add(guard)

    def forgive(self, guard: Guard) -> None:
        """Take units under this guard again: the refusal of an earlier one has been heard."""
        self._stopped.discard(guard)

    def forget_cached(self) -> None:
        """Read every row again: rows may have become ours that others wrote."""
        self._ledger.clear()

    def _begin(self) -> None:
        """Open a transaction, as far as the log and the tables have come by then."""
        elsewhere = self.database.begin()
        if elsewhere is not None:
            self.head = elsewhere.head
            self._ledger.catch_up(elsewhere)

    def _together(self, units: Sequence[Unit]) -> list[Outcome]:
        self._begin()
        batch = Batch(self._ledger, self.head)
        refusals = _Refusals(self._stopped)
        outcomes: list[Outcome] = []
        for unit in units:
            try:
                refusals.check(unit)
                outcomes.append(batch.add(unit))
            except UnitRefused as refusal:
                outcomes.append(refusals.note(unit, refusal))
        group = _Group([batch], refusals, outcomes)
        with self.database.together():
            batch.write()
            self._commit(group, batch.head)
        self._keep(group)
        return outcomes

    def _one_by_one(self, units: Sequence[Unit]) -> list[Outcome]:
        group = _Group(batches := [], _Refusals(self._stopped), [])
        self._begin()
        head = self.head
        for unit in units:
            batch = Batch(self._ledger, head)
            outcome = self._alone(batch, unit, group.refusals)
            group.outcomes.append(outcome)
            if isinstance(outcome, Commit):
                head = batch.head
                batches.append(batch)
        with self.database.together():
            self._commit(group, head)
        self._keep(group)
        return group.outcomes

    def _commit(self, group: _Group, head: int) -> None:
        self._in_doubt = group
        if self.undelivered is not None and head > self.head:
            self.undelivered.append((self.head + 1, head))  # others may see it from here on
        self.database.commit()

    def _take_back(self) -> None:
        """The group in doubt, if there is one, certainly was not committed."""
        group, self._in_doubt = self._in_doubt, None
        if group is not None and self.undelivered and self.undelivered[-1][0] == self.head + 1:
            self.undelivered.pop()

    def _alone(self, batch: Batch, unit: Unit, refusals: _Refusals) -> Outcome:
        """Write one unit in the open transaction; refused, it leaves no trace there."""
        connection = self.database.connection
        savepoint(connection)
        try:
            refusals.check(unit)
            commit = batch.add(unit)
            batch.write()
        except UnitRefused as refusal:
            self._drop_unit()
            return refusals.note(unit, refusal)
        except self.database.unfit as error:
            self._drop_unit()
            unfit = StoreFailed(f"unfit unit: {error}", outcome="rejected")
            unfit.__cause__ = error
            return refusals.note(unit, unfit)
        release(connection)
        self._ledger.keep()
        return commit

    def _drop_unit(self) -> None:
        drop(self.database.connection)
        self._ledger.forget()

    def _keep(self, group: _Group) -> None:
        self._in_doubt = None
        self._ledger.keep()
        self._stopped |= group.refusals.guards
        for batch in group.batches:
            self.head = batch.head
            self._scopes.remember(batch.scopes)

    def _roll_back(self) -> None:
        self._ledger.forget()
        self.database.roll_back()
