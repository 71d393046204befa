"""A group committed together does what its units would have done one after another."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from control_tower.ports import MissionQuery, SessionQuery
from control_tower.records import StepStatus
from control_tower.states import Outcome, State
from control_tower.store import InlineStore, text_index
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
    TouchSession,
    Unit,
    UnitRefused,
    Write,
)
from tests.contract.store.kit import (
    Recorder,
    founding,
    joined,
    key,
    message,
    mission,
    progress,
    scope,
    session,
    step,
)
from tests.contract.store.test_log import now

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


HOME = {"m_1": "s_1", "m_2": "s_1", "m_3": "s_2"}


def founded() -> Plan:
    """Return what is there before the groups."""
    pcbs = [mission(pid, session_id) for pid, session_id in HOME.items()]
    said = InsertMessage(message("msg_1", content="one"))
    return Plan([*founding(*pcbs), said, RememberKey(key("taken"))], None, None, 1)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw a unit that may or may not hold, over few enough ids to meet others often."""
    pid = draw(st.sampled_from(PIDS))
    session_id = HOME[pid]
    pcb = mission(pid, session_id)
    text = draw(st.sampled_from(["one", "two words", "three small words"]))
    said = message(draw(st.sampled_from(["msg_1", "msg_2"])), session_id, text)
    harmless: list[Write] = [
        TouchSession(session_id, draw(st.integers(0, 500)), messages=1, title=text),
        SaveMission(msgspec.structs.replace(pcb, current_step=text)),
        SaveStep(step(pid, draw(st.sampled_from(["1", "2"])), draw(st.sampled_from(StepStatus)))),
        SaveStep(step(pid, "3"), 0),
        SaveMessage(message("msg_1", content=text)),
        SaveMessage(msgspec.structs.replace(message("msg_1"), deleted_at=200.0)),
    ]
    decisive: list[Write] = [
        RememberKey(key("taken")),
        RememberKey(key("free", pid=pid)),
        InsertMission(pcb),
        InsertSession(session(session_id)),
        InsertMessage(said),
        SaveMessage(said),
        SaveMission(msgspec.structs.replace(pcb, attempt=2)),
        SaveMission(
            msgspec.structs.replace(pcb, state=State.TERMINATED, outcome=Outcome.COMPLETED)
        ),
        SaveSession(msgspec.structs.replace(session(session_id), deleted_at=300.0)),
    ]
    writes = draw(st.lists(st.sampled_from(harmless), max_size=3))
    if draw(st.integers(0, 2)) == 0:
        writes.insert(draw(st.integers(0, len(writes))), draw(st.sampled_from(decisive)))
    attempt = draw(st.sampled_from([1, 1, 1, 2]))
    guard = draw(st.sampled_from([None, Guard(pid, attempt, 7), Guard(pid, attempt, 7)]))
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

    def check_index(self) -> None:
        """Assert that the full-text index holds the words of the messages as they are now."""
        connection = self.store._connection
        said = connection.execute("SELECT no, content FROM messages WHERE deleted_at IS NULL")
        texts = dict(said.fetchall())
        for word in ("one", "two", "words"):
            found = connection.execute(
                "SELECT rowid FROM messages_text WHERE messages_text MATCH ?", (word,)
            ).fetchall()
            expected = {no for no, text in texts.items() if word in text.split()}
            assert {text_index.message_no(place) for (place,) in found} == expected


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(plans(), min_size=1, max_size=8), min_size=1, max_size=5))
def test_a_group_equals_its_units_one_by_one(groups: list[list[Plan]]) -> None:
    """The same outcomes, the same rows, offsets without a hole; the unfit fall alone."""
    together, single = Side(), Side()
    for side in (together, single):
        side.step([founded()])
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
    together.check_index()
    offsets = [event.offset for event in together.published.events]
    assert offsets == list(range(1, together.store.head + 1))


def _seen(outcome: Commit | UnitRefused) -> object:
    if isinstance(outcome, Commit):
        return [(event.offset, event.body) for event in outcome.events]
    return type(outcome)
