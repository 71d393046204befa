"""Units of work: whole or not at all, in order, each offset used once."""

import asyncio
import json
from collections.abc import Callable

import msgspec
import pytest

from control_tower.records import ProcessControlBlock, StepStatus
from control_tower.states import Outcome, State
from control_tower.unit import (
    Commit,
    GuardFailed,
    InsertMessage,
    InsertMission,
    InsertSession,
    InsertToolCall,
    KeyTaken,
    RememberKey,
    RequireSession,
    SaveInterrupt,
    SaveMessage,
    SaveMission,
    SaveSession,
    SaveStep,
    SessionMissing,
    StoreFailed,
    TouchSession,
    Unit,
    UnitRefused,
    Write,
)
from events.payloads import LlmDelta
from events.types import Scope, ephemeral
from tests.contract.store.kit import (
    Opener,
    StoreAndLog,
    all_settled,
    commit,
    founding,
    guard,
    interrupt,
    joined,
    key,
    message,
    mission,
    progress,
    scope,
    session,
    settled,
    step,
)


async def test_a_unit_gets_its_offsets_in_the_order_of_its_events(
    store: StoreAndLog, opener: Opener
) -> None:
    """Offsets count from 1; the stored frame carries its own; the head is the last one."""
    pcb = mission()
    first = await commit(store, *founding(pcb), drafts=[joined(), progress(scope(pcb), "a")])
    second = await commit(store, drafts=[progress(scope(pcb), "b")])
    assert (first.offset, second.offset) == (1, 3)
    assert [event.offset for event in opener.published.events] == [1, 2, 3]
    params = json.loads(opener.published.events[2].body)["params"]
    assert (params["offset"], params["data"]["name"]) == (3, "b")
    assert store.head == 3


async def test_a_unit_without_events_has_offset_zero_and_moves_no_head(store: StoreAndLog) -> None:
    """Writes alone are committed but say nothing."""
    outcome = await commit(store, InsertSession(session()))
    assert (outcome.offset, store.head) == (0, 0)
    assert await store.session("s_1") == session()


async def test_completion_then_events_then_ephemerals(store: StoreAndLog, opener: Opener) -> None:
    """``after`` is read when the completion has run, and published behind the unit's events."""
    pcb = mission()
    await commit(store, *founding(pcb))
    said = opener.published.said
    delta = ephemeral(LlmDelta(step="1", attempt=1, at=0, text="x"), scope(pcb), 100.0)
    first = Unit([progress(scope(pcb))])
    second = Unit([progress(scope(pcb))])

    def committed(outcome: Commit) -> None:
        said.append(f"committed {outcome.offset}")
        first.after.append(delta)

    first.committed = committed
    store.submit(first)
    await settled(store, second)
    assert said == ["committed 1", 1, "llm.delta", 2]


async def test_the_head_covers_a_unit_once_its_completion_has_run(store: StoreAndLog) -> None:
    """Inside the completion the head is still the one before: the events are yet to come."""
    seen: list[int] = []
    unit = Unit([joined()], committed=lambda _: seen.append(store.head))
    store.submit(unit)
    await commit(store, drafts=[joined()])
    assert (seen, store.head) == ([0], 2)


@pytest.mark.parametrize(
    "stale",
    [
        guard(attempt=2),
        guard(token=8),
        guard("m_unknown"),
    ],
)
async def test_a_stale_guard_refuses_the_whole_unit(store: StoreAndLog, stale: object) -> None:
    """Neither its events nor its rows are committed."""
    pcb = mission()
    await commit(store, *founding(pcb), drafts=[joined()])
    changed = msgspec.structs.replace(pcb, state=State.PAUSED)
    unit = Unit([progress(scope(pcb))], [SaveMission(changed)], guard=stale)  # type: ignore[arg-type]
    assert isinstance(await settled(store, unit), GuardFailed)
    assert await store.mission("m_1") == pcb
    assert (await commit(store, drafts=[joined()])).offset == 2


async def test_nothing_of_a_mission_is_committed_after_its_end(store: StoreAndLog) -> None:
    """A terminal row fails every guard, in the same group and later."""
    pcb = mission()
    ended = mission(state=State.TERMINATED, outcome=Outcome.COMPLETED)
    await commit(store, *founding(pcb))
    end = Unit([progress(scope(pcb), "end")], [SaveMission(ended)], guard=guard())
    late = Unit([progress(scope(pcb), "late")], guard=guard())
    outcomes = await all_settled(store, [end, late])
    assert isinstance(outcomes[0], Commit)
    assert isinstance(outcomes[1], GuardFailed)
    assert isinstance(await settled(store, Unit([], [], guard=guard())), GuardFailed)


async def test_an_ended_mission_is_never_brought_back(store: StoreAndLog) -> None:
    """Not even by a unit without a guard; to complete its row is allowed."""
    ended = mission(state=State.TERMINATED, outcome=Outcome.COMPLETED)
    await commit(store, *founding(mission()), SaveMission(ended))
    assert isinstance(await settled(store, Unit([], [SaveMission(mission())])), StoreFailed)
    amended = msgspec.structs.replace(ended, result="late")
    await commit(store, SaveMission(amended))
    assert await store.mission("m_1") == amended
    assert await store.live_missions(None, 9) == []


async def test_a_new_attempt_fences_the_old_one(store: StoreAndLog) -> None:
    """Once attempt or token moved on, units of the run before are refused."""
    await commit(store, *founding(mission()))
    await commit(store, SaveMission(mission(attempt=2, token=9)))
    assert isinstance(await settled(store, Unit(guard=guard())), GuardFailed)
    assert isinstance(await settled(store, Unit(guard=guard(attempt=2, token=9))), Commit)


async def test_after_a_refused_unit_its_missions_later_ones_are_refused_until_it_is_heard(
    store: StoreAndLog,
) -> None:
    """They were made on the belief that it was committed; a fresh one is taken."""
    pcb = mission()
    await commit(store, *founding(pcb, mission("m_2")), RememberKey(key()))
    units = [
        Unit([progress(scope(pcb))], [RememberKey(key())], guard=guard()),
        Unit([progress(scope(pcb))], guard=guard()),
        Unit([joined()], guard=guard("m_2")),
    ]
    outcomes = await all_settled(store, units)
    assert isinstance(outcomes[0], KeyTaken)
    assert isinstance(outcomes[1], GuardFailed)
    assert isinstance(outcomes[2], Commit)
    assert outcomes[2].offset == 1
    assert isinstance(await settled(store, Unit(guard=guard())), Commit)


@pytest.mark.parametrize(
    ("required", "holds"),
    [
        (RequireSession("s_1", "alice"), True),
        (RequireSession("s_1", None), True),
        (RequireSession("s_1", "bob"), False),
        (RequireSession("s_unknown", None), False),
        (RequireSession("s_deleted", "alice"), False),
    ],
)
async def test_a_required_session_must_be_there_theirs_and_not_deleted(
    store: StoreAndLog, required: RequireSession, holds: bool
) -> None:
    """``user_id`` None is anyone's."""
    deleted = msgspec.structs.replace(session("s_deleted"), deleted_at=101.0)
    await commit(
        store,
        InsertSession(session()),
        InsertSession(session("s_deleted")),
        SaveSession(deleted),
    )
    outcome = await settled(store, Unit([joined()], require=required))
    assert isinstance(outcome, Commit if holds else SessionMissing)


async def test_a_taken_key_gives_the_first_reply_back(store: StoreAndLog) -> None:
    """Its record says the offset of the unit that took it; keys of others are others."""
    await commit(store, drafts=[joined()])
    pcb = mission()
    await commit(store, *founding(pcb), RememberKey(key()), drafts=[progress(scope(pcb))])
    refusal = await settled(store, Unit([joined()], [RememberKey(key(pid="m_9"))]))
    assert isinstance(refusal, KeyTaken)
    assert refusal.record.reply == {"mission_id": "m_1", "duplicate": False, "offset": 2}
    assert refusal.record == await store.key("alice", "k")
    assert isinstance(await settled(store, Unit([], [RememberKey(key(user_id="bob"))])), Commit)
    assert await store.key("carol", "k") is None


async def test_the_same_key_twice_in_a_group_is_taken_by_the_first(store: StoreAndLog) -> None:
    """The second one hears of a reply that is not on the disk yet."""
    units = [Unit([joined()], [RememberKey(key())]) for _ in range(2)]
    first, second = await all_settled(store, units)
    assert isinstance(first, Commit)
    assert isinstance(second, KeyTaken)
    assert second.record.reply["offset"] == first.offset


async def test_the_outcome_event_gives_the_step_its_offset(store: StoreAndLog) -> None:
    """Without one the record's own offset stays."""
    pcb = mission()
    where = scope(pcb)
    await commit(store, *founding(pcb), SaveStep(step()), drafts=[progress(where)])
    assert [record.offset for record in await store.steps("m_1")] == [None]
    done = step(status=StepStatus.COMPLETED)
    unit = Unit([progress(where), progress(where)], [SaveStep(done, 1)], guard=guard())
    assert isinstance(await settled(store, unit), Commit)
    assert [record.offset for record in await store.steps("m_1")] == [3]
    kept = msgspec.structs.replace(done, offset=3, output="4")
    await commit(store, SaveStep(kept))
    assert await store.steps("m_1") == [kept]


async def test_steps_keep_the_order_in_which_they_were_first_recorded(store: StoreAndLog) -> None:
    """Replacing one leaves it in its place; numbers are names, not an order."""
    await commit(store, *founding(mission()))
    for number in ("2", "10", "1"):
        await commit(store, SaveStep(step(number=number)))
    await commit(store, SaveStep(step(number="2", status=StepStatus.FAILED)))
    found = await store.steps("m_1")
    assert [record.step for record in found] == ["2", "10", "1"]
    assert found[0].status is StepStatus.FAILED
    assert await store.steps("m_unknown") == []


def _unfit_writes() -> list[tuple[str, Callable[[], Write]]]:
    return [
        ("a mission that exists", lambda: InsertMission(mission())),
        ("a mission in no session", lambda: InsertMission(mission("m_9", session_id="s_9"))),
        ("a mission that is not there", lambda: SaveMission(mission("m_9"))),
        ("a session that exists", lambda: InsertSession(session())),
        ("a step of no mission", lambda: SaveStep(step("m_9"))),
        ("an interrupt of no mission", lambda: SaveInterrupt(interrupt(pid="m_9"))),
        ("a message that is not there", lambda: SaveMessage(message("msg_9"))),
        ("a number that no column holds", lambda: SaveMission(mission(token=2**70))),
        ("text that is no Unicode", lambda: TouchSession("s_1", 1.0, title="\ud800")),
        ("a touch of no session", lambda: TouchSession("s_9", 1.0)),
    ]


@pytest.mark.parametrize(("what", "write"), _unfit_writes(), ids=lambda value: str(value)[:40])
async def test_an_unfit_unit_falls_alone(
    store: StoreAndLog, what: str, write: Callable[[], Write]
) -> None:
    """Its neighbours in the group are committed, without a hole where it was."""
    await commit(store, *founding(mission(), mission("m_2")))
    units = [
        Unit([joined()], [TouchSession("s_1", 200.0, messages=1)]),
        Unit([joined()], [TouchSession("s_1", 300.0, messages=10), write()]),
        Unit([joined()], [TouchSession("s_1", 250.0, messages=100)]),
    ]
    first, unfit, last = await all_settled(store, units)
    assert isinstance(first, Commit)
    assert isinstance(last, Commit)
    assert isinstance(unfit, StoreFailed)
    assert (unfit.outcome, unfit.disk_full) == ("rejected", False)
    assert (first.offset, last.offset, store.head) == (1, 2, 2)
    kept = await store.session("s_1")
    assert kept is not None
    assert (kept.message_count, kept.last_activity) == (101, 250.0)
    assert await store.mission("m_1") == mission()


async def test_an_unfit_unit_takes_its_missions_later_units_with_it(store: StoreAndLog) -> None:
    """Only those of the same run, and only those submitted before it was refused."""
    await commit(store, *founding(mission(), mission("m_2")))
    units = [
        Unit([joined()], [SaveStep(step("m_9"))], guard=guard()),
        Unit([joined()], guard=guard()),
        Unit([joined()], guard=guard("m_2")),
    ]
    unfit, later, other = await all_settled(store, units)
    assert isinstance(unfit, StoreFailed)
    assert isinstance(later, GuardFailed)
    assert isinstance(other, Commit)
    assert isinstance(await settled(store, Unit(guard=guard())), Commit)


async def test_a_message_is_saved_only_once_it_is_there(store: StoreAndLog) -> None:
    """Not when a later unit of the same group brings it; an earlier one may."""
    await commit(store, InsertSession(session()))
    edited = msgspec.structs.replace(message(), content="edited")
    early = Unit([], [SaveMessage(edited)])
    insert = Unit([], [InsertMessage(message())])
    late = Unit([], [SaveMessage(edited)])
    outcomes = await all_settled(store, [early, insert, late])
    assert [type(one) for one in outcomes] == [StoreFailed, Commit, Commit]
    assert await store.messages("s_1", 9, 0) == [edited]


async def test_a_unit_sees_what_earlier_units_of_its_group_did(store: StoreAndLog) -> None:
    """Session, mission, key and end of a mission may all come in one group."""
    pcb = mission()
    units = [
        Unit([], [InsertSession(session())]),
        Unit([], [InsertMission(pcb)], require=RequireSession("s_1", "alice")),
        Unit([progress(scope(pcb))], [SaveMission(mission(attempt=2))], guard=guard()),
        Unit([progress(scope(pcb))], [SaveStep(step(), 0)], guard=guard(attempt=2)),
    ]
    outcomes = await all_settled(store, units)
    assert all(isinstance(outcome, Commit) for outcome in outcomes), outcomes
    assert await store.mission("m_1") == mission(attempt=2)
    assert [record.offset for record in await store.steps("m_1")] == [2]


async def test_a_completion_that_raises_stops_no_other(store: StoreAndLog, opener: Opener) -> None:
    """The bug is logged; the unit's events and all later units go their way."""

    def bug(_: object) -> None:
        raise RuntimeError("a bug of the kernel")

    store.submit(Unit([joined()], committed=bug))
    store.submit(Unit([], guard=guard("m_unknown"), refused=bug))
    assert (await commit(store, drafts=[joined()])).offset == 2
    assert [event.offset for event in opener.published.events] == [1, 2]


async def test_everything_is_there_after_opening_again(opener: Opener) -> None:
    """Rows, journal, head and epoch survive; the next offset follows the last."""
    store = await opener.open()
    pcb = mission()
    epoch = store.epoch
    await commit(
        store,
        *founding(pcb),
        SaveStep(step(), 0),
        SaveInterrupt(interrupt()),
        RememberKey(key()),
        InsertToolCall("calculator", "m_1", "1", "ok", 1.5, 100.0),
        drafts=[progress(scope(pcb)), joined()],
    )
    await store.close()
    store = await opener.open()
    assert (store.epoch, store.head) == (epoch, 2)
    assert epoch
    assert await store.mission("m_1") == pcb
    assert await store.interrupt("i_1") == interrupt()
    assert [record.offset for record in await store.steps("m_1")] == [1]
    assert isinstance(await settled(store, Unit(guard=guard())), Commit)
    assert (await commit(store, drafts=[progress(scope(pcb))])).offset == 3
    page = await store.read(["system"], 0, 3)
    assert [event.body for event in page.events] == [
        event.body for event in opener.published.events
    ]
    await store.close()


async def test_a_refused_unit_can_be_told_from_a_commit_by_its_type(store: StoreAndLog) -> None:
    """Every refusal is a ``UnitRefused`` with words for the log."""
    outcome = await settled(store, Unit(require=RequireSession("s_9", None)))
    assert isinstance(outcome, UnitRefused)
    assert "s_9" in str(outcome)


async def test_events_of_a_user_outside_sessions_keep_the_user(store: StoreAndLog) -> None:
    """They are on the user's topic and the system's, across a restart of the memory."""
    unit = [progress(Scope(None, "bob"), "for bob"), joined()]
    await commit(store, drafts=unit)
    page = await store.read(["user:bob"], 0, 2)
    assert [(event.offset, event.scope) for event in page.events] == [(1, Scope(None, "bob"))]


async def test_offsets_have_no_hole_whoever_submits_and_whatever_is_refused(
    store: StoreAndLog, opener: Opener
) -> None:
    """Many missions at once, a third of their units stale, a fifth unfit."""
    pcbs = [mission(f"m_{n}", f"s_{n}") for n in range(20)]
    await commit(store, *founding(*pcbs))
    kept: list[int] = []

    async def run(pcb: ProcessControlBlock) -> None:
        for turn in range(15):
            drafts = [progress(scope(pcb))] * (turn % 3 + 1)
            stale = turn % 3 == 2
            writes = [SaveStep(step("m_none"))] if turn % 5 == 4 else [SaveStep(step(pcb.pid), 0)]
            unit = Unit(drafts, [*writes], guard=guard(pcb.pid, attempt=9 if stale else 1))
            outcome = await settled(store, unit)
            assert isinstance(outcome, Commit) == (not stale and turn % 5 != 4)
            if isinstance(outcome, Commit):
                assert len(outcome.events) == len(drafts)
                kept.extend(event.offset for event in outcome.events)

    await asyncio.gather(*(run(pcb) for pcb in pcbs))
    assert kept == list(range(1, store.head + 1)), "completions come in commit order"
    assert [event.offset for event in opener.published.events] == kept
