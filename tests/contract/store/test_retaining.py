"""What is old leaves the log: a prefix of each line, and nothing that a live mission needs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from control_tower.records import ProcessControlBlock, StepStatus
from control_tower.retention import DAY_S, EVERY_S, FIRST_S, PAUSE_FACTOR, Kept, Retention
from control_tower.states import Outcome, State
from control_tower.store import pieces
from control_tower.unit import (
    InsertMessage,
    InsertMission,
    InsertSession,
    InsertToolCall,
    RememberKey,
    SaveMission,
    SaveStep,
    StoreFailed,
    Unit,
)
from events.payloads import MissionProgress, NodeJoined
from events.types import Draft, Scope, draft
from tests.contract.store.kit import (
    StoreAndLog,
    commit,
    key,
    message,
    mission,
    scope,
    session,
    step,
)

NOW = 1_780_000_000.0
OLD = NOW - 40 * DAY_S
LATELY = NOW - DAY_S
KEPT = Kept(events_s=30 * DAY_S, keys_s=7 * DAY_S)


@dataclass(slots=True)
class SetClock:
    """A clock that a test sets."""

    at: float = NOW

    def now(self) -> float:
        """Return Unix seconds."""
        return self.at


async def _no_pause(_: float) -> None:
    """Go on at once."""


def retention(store: StoreAndLog, clock: SetClock | None = None) -> Retention:
    """Return rounds without pauses."""
    return Retention(store, clock or SetClock(), KEPT, _no_pause)


def events(pcb: ProcessControlBlock, count: int, at: float) -> list[Draft]:
    """Events of a mission."""
    return [draft(MissionProgress(name="tick"), scope(pcb), at) for _ in range(count)]


def ended(pcb: ProcessControlBlock, at: float) -> ProcessControlBlock:
    """The mission, once it has ended."""
    return msgspec.structs.replace(
        pcb, state=State.TERMINATED, outcome=Outcome.COMPLETED, completed_at=at
    )


async def offsets(store: StoreAndLog, *topics: str, after: int = 0) -> list[int]:
    """Offsets of all events of the topics."""
    found: list[int] = []
    while after < store.head:
        page = await store.read(list(topics), after, store.head)
        found += [event.offset for event in page.events]
        after = page.upto
    return found


async def begun(store: StoreAndLog, *pcbs: ProcessControlBlock, at: float, count: int = 2) -> None:
    """Missions of new sessions, with a step, and events at an instant."""
    for pcb in pcbs:
        done = msgspec.structs.replace(step(pcb.pid, "1", StepStatus.COMPLETED), started_at=at)
        if await store.session(pcb.session_id) is None:
            await commit(store, InsertSession(session(pcb.session_id, pcb.user_id, at)))
        call = InsertToolCall("t", pcb.pid, "1", "success", 1.0, at)
        await commit(
            store,
            InsertMission(pcb),
            SaveStep(done, outcome_event=0),
            call,
            drafts=events(pcb, count, at),
        )


async def test_what_is_old_goes_and_the_floors_say_so(store: StoreAndLog) -> None:
    """Over many pieces; what is young, and every row that people look at, stays."""
    old, young = mission("m_1", "s_1"), mission("m_2", "s_2", "bob")
    await begun(store, old, at=OLD, count=1200)
    await commit(store, SaveMission(ended(old, OLD)), InsertMessage(message("msg_1")))
    await begun(store, young, at=LATELY)
    assert await retention(store).round() > 3
    assert await offsets(store, "system") == [1201, 1202]
    assert await offsets(store, "session:s_1") == []
    assert await store.floor(["system"]) == 1200
    assert await store.floor(["session:s_1"]) == 1200
    assert await store.floor(["user:alice"]) == 1200
    assert await store.floor(["mission:m_1"]) == 1200
    assert await store.floor(["session:s_2"]) == await store.floor(["user:bob"]) == 0
    assert await store.steps("m_1") == []
    assert len(await store.steps("m_2")) == 1
    assert [call.pid for call in await store.newest_tool_calls(9)] == ["m_2"]
    assert await store.mission("m_1") is not None
    assert len(await store.messages("s_1", 10, 0)) == 1
    assert await retention(store).round() == 0


@pytest.mark.parametrize("piece_bytes", [1, pieces.PIECE_BYTES])
@pytest.mark.parametrize("end_at", [None, LATELY])
async def test_a_mission_keeps_what_it_needs(
    store: StoreAndLog,
    end_at: float | None,
    piece_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that lives, or has ended lately, however long ago it began; and all behind it.

    Also where a piece is full with one row.
    """
    monkeypatch.setattr(pieces, "PIECE_BYTES", piece_bytes)
    before, holder, behind = (mission(f"m_{n}", "s_1") for n in (1, 2, 3))
    await begun(store, before, holder, behind, at=OLD)
    for pcb in (before, behind):
        await commit(store, SaveMission(ended(pcb, OLD)))
    if end_at is not None:
        await commit(store, SaveMission(ended(holder, end_at)))
    await retention(store).round()
    assert await offsets(store, "session:s_1") == [3, 4, 5, 6]
    assert await store.floor(["session:s_1"]) == await store.floor(["system"]) == 2
    assert [len(await store.steps(f"m_{n}")) for n in (1, 2, 3)] == [0, 1, 0]
    clock = SetClock(NOW + 31 * DAY_S)
    await retention(store, clock).round()
    left = [3, 4, 5, 6] if end_at is None else []
    assert await offsets(store, "session:s_1") == left


async def test_nothing_is_missing_of_a_mission_above_the_floor(store: StoreAndLog) -> None:
    """A new mission in an old session is replayed from its start without a gap."""
    old, new = mission("m_1"), mission("m_2")
    await begun(store, old, at=OLD)
    await commit(store, SaveMission(ended(old, OLD)))
    await begun(store, new, at=LATELY)
    await retention(store).round()
    assert await store.floor(["mission:m_2"]) == 0
    assert await store.floor(["mission:m_1"]) == await store.floor(["session:s_1"]) == 2


async def test_lines_outside_sessions_are_cut_by_age(store: StoreAndLog) -> None:
    """A user's, and the tower's own."""
    await commit(store, *[InsertSession(session("s_1"))])
    for at in (OLD, LATELY):
        alone = draft(MissionProgress(name="x"), Scope(None, "alice"), at)
        tower = draft(NodeJoined(node="n"), Scope(None, None), at)
        await commit(store, drafts=[alone, tower])
    await retention(store).round()
    assert await offsets(store, "system") == [3, 4]
    assert await store.floor(["user:alice"]) == 1
    assert await store.floor(["system"]) == 2
    assert await offsets(store, "user:alice") == [3]


@pytest.mark.parametrize(
    ("ages", "expected"),
    [([], 0), ([5], 0), ([50], 1), ([50, 40, 31, 29, 1], 3), ([50] * 7, 7), ([5] * 4, 0)],
)
async def test_the_age_of_an_offset(
    store: StoreAndLog, ages: Sequence[float], expected: int
) -> None:
    """The last one older than an instant, also in a log that begins late."""
    for age in ages:
        await commit(store, drafts=[draft(NodeJoined(node="n"), Scope(None, None), NOW - age)])
    assert await store.newest_before(NOW - 30) == expected
    piece = await store.cut(0, expected)
    if piece is not None:
        await commit(store, piece)
        assert await store.newest_before(NOW - 30) == (expected if len(ages) > expected else 0)


async def test_keys_go_a_week_after_their_mission(store: StoreAndLog) -> None:
    """Not before, and not while it lives; one without a mission a week after its use."""
    pcbs = [mission(f"m_{n}", "s_1") for n in range(4)]
    await begun(store, *pcbs, at=OLD)
    for pcb, at in zip(pcbs, (OLD, NOW - 8 * DAY_S, NOW - 6 * DAY_S), strict=False):
        await commit(store, SaveMission(ended(pcb, at)))
    keys = [msgspec.structs.replace(key(f"k{n}", pid=f"m_{n}"), created_at=OLD) for n in range(4)]
    keys.append(msgspec.structs.replace(key("alone", pid=None), created_at=NOW - 8 * DAY_S))
    keys.append(msgspec.structs.replace(key("fresh", pid=None), created_at=LATELY))
    await commit(store, *(RememberKey(each) for each in keys))
    await retention(store).round()
    left = [each.key for each in keys if await store.key("alice", each.key)]
    assert left == ["k2", "k3", "fresh"]


async def test_many_keys_are_walked_over(store: StoreAndLog) -> None:
    """Page by page, over users too."""
    users = ("alice", "bob", "carol")
    for user in users:
        old = [
            msgspec.structs.replace(key(f"{n:04d}", user, None), created_at=OLD) for n in range(400)
        ]
        await commit(store, *(RememberKey(each) for each in old))
        kept = msgspec.structs.replace(key("0399x", user, None), created_at=LATELY)
        await commit(store, RememberKey(kept))
    assert await retention(store).round() == 3
    for user in users:
        assert await store.key(user, "0000") is await store.key(user, "0399") is None
        assert await store.key(user, "0399x") is not None


@dataclass(slots=True)
class Reluctant:
    """A store that refuses the first units it is given."""

    store: StoreAndLog
    refusals: int
    taken: int = 0

    def submit(self, unit: Unit) -> None:
        """Refuse, or hand over."""
        if self.refusals:
            self.refusals -= 1
            unit.refused(StoreFailed("locked", outcome="rejected"))
            return
        self.taken += 1
        self.store.submit(unit)

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)


@dataclass(slots=True)
class Pauses:
    """Pauses that are noted; the loop is left when there were enough."""

    most: int
    seen: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        """Note it."""
        self.seen.append(seconds)
        if len(self.seen) >= self.most:
            raise KeyboardInterrupt


async def test_rounds_go_on_by_themselves(store: StoreAndLog) -> None:
    """A while after the start, then each hour; a pause after each piece, an hour for a refusal."""
    await commit(
        store, drafts=[draft(NodeJoined(node="n"), Scope(None, None), OLD) for _ in range(600)]
    )
    pauses, reluctant = Pauses(5), Reluctant(store, refusals=1)
    rounds = Retention(reluctant, SetClock(), KEPT, pauses)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        await rounds.run()
    assert pauses.seen[:2] == [FIRST_S, EVERY_S]
    assert all(0 < seconds < EVERY_S for seconds in pauses.seen[2:4])
    assert pauses.seen[4] == EVERY_S
    assert PAUSE_FACTOR > 1
    assert reluctant.taken == 2
    assert await offsets(store, "system") == []
