"""Units of work on their way into one transaction.

A :class:`Batch` checks each unit against the ledger, stages its writes and gives its events their
offsets. Nothing reaches the database before :meth:`Batch.write`. A refused unit leaves no trace;
a unit that turns out to be unfit half-way leaves the batch unusable, and the core begins again
with one batch a unit.
"""

from dataclasses import dataclass, field

from control_tower.records import KeyRecord
from control_tower.store.keys import find_key
from control_tower.store.ledger import Ledger
from control_tower.store.numbers import TOWER_LINE
from control_tower.store.staging import STAGE, Staging
from control_tower.unit import (
    Commit,
    Guard,
    GuardFailed,
    KeyTaken,
    RememberKey,
    RequireSession,
    SessionMissing,
    Unit,
)
from events.types import Committed, Scope


@dataclass(slots=True)
class Batch:
    """One transaction's worth of units.

    Attributes:
        head: the last offset given so far.
        scopes: the newest scope of each mission that had an event, by the mission's number.
    """

    ledger: Ledger
    head: int
    scopes: dict[int, Scope] = field(default_factory=dict)
    _staging: Staging = field(init=False)

    def __post_init__(self) -> None:
        self._staging = Staging(self.ledger)

    def add(self, unit: Unit) -> Commit:
        """Stage a unit.

        Raises:
            UnitRefused: when a condition of the unit does not hold; the batch is unchanged.
            Unfit: when it cannot be written; the batch must be thrown away.
        """
        if unit.guard is not None:
            self._check_guard(unit.guard)
        if unit.require is not None:
            self._check_session(unit.require)
        for write in unit.writes:
            if type(write) is RememberKey:
                self._check_key(write.key)
        first_offset = self.head + 1
        for write in unit.writes:
            STAGE[type(write)](self._staging, write, first_offset)
        return Commit(self._append(unit))

    def write(self) -> None:
        """Write what was staged, in the connection's open transaction."""
        self._staging.rows.write(self.ledger.connection, self.head)

    def _check_guard(self, guard: Guard) -> None:
        mission = self.ledger.mission(guard.pid)
        if (
            mission is None
            or not mission.live
            or mission.attempt != guard.attempt
            or mission.token != guard.token
        ):
            raise GuardFailed(f"mission {guard.pid} is not live and ours")

    def _check_session(self, require: RequireSession) -> None:
        session = self.ledger.session(require.session_id)
        if (
            session is None
            or session.erased_at is not None
            or (session.deleted_at is not None and not require.deleted)
            or require.user_id not in {None, session.user_id}
        ):
            raise SessionMissing(f"no session {require.session_id}")

    def _check_key(self, key: KeyRecord) -> None:
        user_no = self.ledger.user(key.user_id)
        if user_no is None:
            return
        taken = self._staging.rows.keys.get((user_no, key.key)) or find_key(
            self.ledger.connection, user_no, key.user_id, key.key
        )
        if taken is not None:
            raise KeyTaken(taken)

    def _append(self, unit: Unit) -> tuple[Committed, ...]:
        committed = []
        rows = self._staging.rows.events
        scope: Scope | None = None
        place: tuple[int, int | None, int | None] = (TOWER_LINE, None, None)
        offset = self.head
        for draft in unit.drafts:
            offset += 1
            if draft.scope is not scope:
                scope = draft.scope
                place = self._place(scope)
            body = draft.body(offset)
            rows.append((offset, *place, draft.type, body))
            committed.append(Committed(offset, draft.type, scope, body))
        self.head = offset
        return tuple(committed)

    def _place(self, scope: Scope) -> tuple[int, int | None, int | None]:
        """Return the line, the mission's number and its root's."""
        staging = self._staging
        if scope.lineage:
            mission = staging.mission(scope.lineage[-1])
            self.scopes[mission.no] = scope
            return mission.session_no, mission.no, mission.root_no
        if scope.session_id is not None:
            return staging.session(scope.session_id).no, None, None
        if scope.user_id is not None:
            return -staging.user(scope.user_id), None, None
        return TOWER_LINE, None, None
