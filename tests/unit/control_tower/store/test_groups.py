"""A group committed together does what its units would have done one after another."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from control_tower.ports import MissionQuery, SessionQuery
from control_tower.records import StepStatus
from control_tower.states import Outcome, State
from control_tower.store import InlineStore
from control_tower.store.rows import Unfit
from control_tower.store.staging import STAGE
from control_tower.unit import (
    Commit,
    Guard,
    GuardFailed,
    InsertMessage,
    InsertMission,
    InsertSession,
    RememberKey,
    RequireSession,
    SaveMessage,
    SaveMission,
    SaveSession,
    SaveStep,
    StoreFailed,
    TouchSession,
    Unit,
    UnitRefused,
    Write,
)
from tests.contract.store_kit import (
    Recorder,
    joined,
    key,
    message,
    mission,
    progress,
    scope,
    session,
    step,
)
from tests.contract.test_store_log import now

SESSIONS = ("s_1", "s_2")
PIDS = ("m_1", "m_2", "m_3")


def test_every_kind_of_write_is_staged() -> None:
    """The table and the union of unit.py name the same types."""
    assert set(STAGE) == set(Write.__args__)


@dataclass(slots=True)
class Plan:
    """What makes a unit; made anew for each store, since a unit is used once."""

    writes: list[Write]
    guard: Guard | None
    require: RequireSession | None
    events: int

    def unit(self, outcomes: list[Commit | UnitRefused]) -> Unit:
        """Return the unit, reporting to ``outcomes``."""
        pcb = mission()
        drafts = [joined(), progress(scope(pcb))][: self.events]
        return Unit(
            drafts,
            list(self.writes),
            guard=self.guard,
            require=self.require,
            committed=outcomes.append,
            refused=outcomes.append,
        )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw a unit that may or may not hold, over few enough ids to meet others often."""
    pid = draw(st.sampled_from(PIDS))
    session_id = draw(st.sampled_from(SESSIONS))
    attempt = draw(st.integers(1, 2))
    outcome = draw(st.sampled_from([None, None, None, Outcome.COMPLETED]))
    pcb = mission(pid, session_id, attempt=attempt)
    saved = msgspec.structs.replace(
        pcb, state=State.TERMINATED if outcome else State.RUNNING, outcome=outcome
    )
    text = draw(st.sampled_from(["one", "two words", "three small words"]))
    said = message(f"msg_{draw(st.integers(1, 3))}", session_id, text)
    gone = msgspec.structs.replace(said, deleted_at=200.0)
    status = draw(st.sampled_from(StepStatus))
    deleted_at = draw(st.sampled_from([None, 300.0]))
    choices: list[Write] = [
        InsertSession(session(session_id)),
        SaveSession(msgspec.structs.replace(session(session_id), deleted_at=deleted_at)),
        TouchSession(session_id, draw(st.integers(0, 500)), messages=1, title=text),
        InsertMission(pcb),
        SaveMission(saved),
        SaveStep(step(pid, draw(st.sampled_from(["1", "2"])), status)),
        SaveStep(step(pid, "3"), 0),
        InsertMessage(said),
        SaveMessage(gone),
        SaveMessage(said),
        RememberKey(key(draw(st.sampled_from(["k", "l"])), pid=pid)),
    ]
    writes = draw(st.lists(st.sampled_from(choices), max_size=4))
    guard = draw(st.sampled_from([None, Guard(pid, attempt, 7)]))
    require = draw(st.sampled_from([None, None, RequireSession(session_id, "alice")]))
    return Plan(writes, guard, require, draw(st.integers(0, 2)))


@dataclass(slots=True)
class Side:
    """A store with what it said."""

    published: Recorder = field(default_factory=Recorder)
    outcomes: list[Commit | UnitRefused] = field(default_factory=list)
    store: InlineStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = InlineStore.open(publish=self.published, auto=False)

    def step(self, plans_of_group: Sequence[Plan]) -> list[Commit | UnitRefused]:
        """Apply the plans as one group and return what became of them."""
        self.outcomes.clear()
        for plan in plans_of_group:
            self.store.submit(plan.unit(self.outcomes))
        self.store.step()
        return list(self.outcomes)

    def contents(self) -> object:
        """Return everything that can be read."""
        store = self.store
        return (
            now(store.missions(MissionQuery())),
            now(store.live_missions(None, 9)),
            now(store.sessions(SessionQuery(archived=None, include_deleted=True))),
            [now(store.steps(pid)) for pid in PIDS],
            [now(store.messages(session_id, 99, 0)) for session_id in SESSIONS],
            [now(store.message(f"msg_{number}")) for number in range(1, 4)],
            [now(store.key("alice", name)) for name in ("k", "l")],
            now(store.read(["system"], 0, 10_000)),
            store.head,
        )

    def words(self) -> list[str]:
        """Return the texts that the full-text index believes in."""
        found = self.store._connection.execute(
            "SELECT content FROM messages_text WHERE messages_text MATCH 'one OR two OR small' "
            "ORDER BY rowid"
        ).fetchall()
        self.store._connection.execute(
            "INSERT INTO messages_text(messages_text, rank) VALUES ('integrity-check', 0)"
        )
        return [text for (text,) in found]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(plans(), min_size=1, max_size=8), min_size=1, max_size=5))
def test_a_group_equals_its_units_one_by_one(groups: list[list[Plan]]) -> None:
    """The same outcomes, the same rows, offsets without a hole; the unfit fall alone."""
    together, single = Side(), Side()
    for group in groups:
        stopped: set[Guard] = set()
        expected: list[Commit | UnitRefused] = []
        for plan in group:
            if plan.guard in stopped:
                expected.append(GuardFailed("stopped"))
                continue
            expected += single.step([plan])
            if plan.guard is not None and isinstance(expected[-1], UnitRefused):
                stopped.add(plan.guard)
        outcomes = together.step(group)
        assert [_seen(one) for one in outcomes] == [_seen(one) for one in expected]
    assert together.contents() == single.contents()
    assert together.words() == single.words()
    offsets = [event.offset for event in together.published.events]
    assert offsets == list(range(1, together.store.head + 1))


def _seen(outcome: Commit | UnitRefused) -> object:
    if isinstance(outcome, Commit):
        return [(event.offset, event.body) for event in outcome.events]
    cause = type(outcome.__cause__) if isinstance(outcome, StoreFailed) else None
    # Which constraint is met first may differ: rows of a group are written table by table.
    return type(outcome), cause is Unfit if cause is Unfit else None
