"""The reads: whole records back, filters, order, paging."""

import msgspec
import pytest

from control_tower.ports import InterruptQuery, MissionQuery, SessionQuery
from control_tower.quota.quotas import ResourceQuota, ResourceUsage
from control_tower.records import (
    InterruptKind,
    InterruptStatus,
    Priority,
    StepStatus,
    UserDay,
)
from control_tower.states import Outcome, State
from control_tower.unit import (
    ChargeUser,
    DeleteFile,
    InsertMessage,
    InsertMission,
    InsertSession,
    MarkSession,
    MarkUser,
    SaveArtifact,
    SaveFile,
    SaveInterrupt,
    SaveMessage,
    SaveMission,
    SaveSession,
    SaveStep,
    TouchSession,
)
from tests.contract.store.kit import (
    StoreAndLog,
    commit,
    file,
    founding,
    interrupt,
    message,
    mission,
    session,
    step,
)


async def test_a_mission_comes_back_as_it_was_saved(store: StoreAndLog) -> None:
    """Every field, with JSON inside JSON, wide text and large numbers."""
    pcb = msgspec.structs.replace(
        mission(),
        state=State.TERMINATED,
        outcome=Outcome.FAILED,
        state_reason="why",
        priority=Priority.HIGH,
        quota=ResourceQuota(max_llm_calls=None, max_cost_usd=1.25),
        usage=ResourceUsage(llm_calls=3, cost_usd=0.1, elapsed_seconds=2.5),
        children=("m_2", "m_3"),
        pending_interrupts=("i_1",),
        node="n_1",
        idempotency_key="k",
        started_at=101.5,
        completed_at=102.25,
        result={"text": "žluťoučký 🐎\x00", "n": 2**53, "deep": [[[]]]},
        error={"code": "step_failed", "message": "no"},
        warned=("llm_calls",),
    )
    await commit(store, *founding(mission()))
    await commit(store, SaveMission(pcb))
    assert await store.mission("m_1") == pcb
    assert await store.mission("m_2") is None


async def test_a_step_comes_back_as_it_was_saved(store: StoreAndLog) -> None:
    """Arguments, output, error, usage and times."""
    record = msgspec.structs.replace(
        step(status=StepStatus.COMPLETED),
        output=["a", 1.5, None],
        usage=ResourceUsage(input_tokens=10),
        reserved=ResourceUsage(output_tokens=20),
        interrupt_id="i_1",
        wake_at=200.0,
        child_pid="m_2",
        ended_at=101.0,
        attempt=2,
    )
    await commit(store, *founding(mission()), SaveStep(record))
    assert await store.steps("m_1") == [record]


async def _three_sessions_of_missions(store: StoreAndLog) -> None:
    pcbs = [
        mission("m_1", "s_1", "alice"),
        mission("m_2", "s_2", "alice", state=State.TERMINATED, outcome=Outcome.COMPLETED),
        mission("m_3", "s_3", "bob"),
        mission("m_4", "s_1", "alice", state=State.READY),
    ]
    await commit(store, *founding(*pcbs))


@pytest.mark.parametrize(
    ("query", "pids"),
    [
        (MissionQuery(), ["m_4", "m_3", "m_2", "m_1"]),
        (MissionQuery(user_id="alice"), ["m_4", "m_2", "m_1"]),
        (MissionQuery(user_id="nobody"), []),
        (MissionQuery(session_id="s_1"), ["m_4", "m_1"]),
        (MissionQuery(session_id="s_9"), []),
        (MissionQuery(state="running"), ["m_3", "m_1"]),
        (MissionQuery(user_id="alice", session_id="s_1", state="ready"), ["m_4"]),
        (MissionQuery(limit=2), ["m_4", "m_3"]),
        (MissionQuery(limit=2, after="m_3"), ["m_2", "m_1"]),
        (MissionQuery(user_id="alice", limit=5, after="m_2"), ["m_1"]),
    ],
)
async def test_missions_are_filtered_newest_first(
    store: StoreAndLog, query: MissionQuery, pids: list[str]
) -> None:
    """A page goes on after the last pid of the one before."""
    await _three_sessions_of_missions(store)
    assert [pcb.pid for pcb in await store.missions(query)] == pids


async def test_live_missions_come_by_pid_for_recovery(store: StoreAndLog) -> None:
    """Those with an outcome are left out, page by page; ending one takes it off the list."""
    await _three_sessions_of_missions(store)
    first = await store.live_missions(None, 2)
    assert [pcb.pid for pcb in first] == ["m_1", "m_3"]
    assert [pcb.pid for pcb in await store.live_missions("m_3", 2)] == ["m_4"]
    ended = mission("m_3", "s_3", "bob", state=State.TERMINATED, outcome=Outcome.CANCELLED)
    await commit(store, SaveMission(ended))
    assert [pcb.pid for pcb in await store.live_missions(None, 9)] == ["m_1", "m_4"]


async def test_live_missions_of_some_users_come_by_pid_for_adoption(store: StoreAndLog) -> None:
    """Page by page, those of others and those with an outcome left out."""
    await _three_sessions_of_missions(store)
    ended = mission("m_3", "s_3", "bob", state=State.TERMINATED, outcome=Outcome.CANCELLED)
    both = ["alice", "bob", "nobody"]
    assert [pcb.pid for pcb in await store.live_missions_of_users(both, None, 2)] == ["m_1", "m_3"]
    assert [pcb.pid for pcb in await store.live_missions_of_users(both, "m_3", 2)] == ["m_4"]
    assert [pcb.pid for pcb in await store.live_missions_of_users(["bob"], None, 9)] == ["m_3"]
    await commit(store, SaveMission(ended))
    assert await store.live_missions_of_users(["bob"], None, 9) == []


async def test_what_is_being_erased_is_not_adopted(store: StoreAndLog) -> None:
    """Neither a marked session's missions nor a marked user's; they are there to be cancelled."""
    await _three_sessions_of_missions(store)
    await commit(store, InsertMission(mission("m_5", "s_2", "alice")))
    both = ["alice", "bob"]
    await commit(store, MarkSession("s_1", 200.0))
    assert [pcb.pid for pcb in await store.live_missions_of_users(both, None, 9)] == ["m_3", "m_5"]
    await commit(store, MarkUser("bob", 200.0))
    assert [pcb.pid for pcb in await store.live_missions_of_users(both, None, 9)] == ["m_5"]
    assert await store.live_missions_of("s_1") == ["m_1", "m_4"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (InterruptQuery(), ["i_1", "i_2", "i_4"]),
        (InterruptQuery(status=None), ["i_1", "i_2", "i_3", "i_4"]),
        (InterruptQuery(status="resolved"), ["i_3"]),
        (InterruptQuery(user_id="alice"), ["i_1", "i_2"]),
        (InterruptQuery(session_id="s_3"), ["i_4"]),
        (InterruptQuery(mission_id="m_1"), ["i_1", "i_2"]),
        (InterruptQuery(mission_id="m_9"), []),
        (InterruptQuery(kind="confirmation"), ["i_2"]),
        (InterruptQuery(limit=1), ["i_1"]),
        (InterruptQuery(limit=5, after="i_1"), ["i_2", "i_4"]),
        (InterruptQuery(newest_first=True), ["i_4", "i_2", "i_1"]),
        (InterruptQuery(newest_first=True, after="i_4", limit=1), ["i_2"]),
    ],
)
async def test_interrupts_are_filtered_and_ordered(
    store: StoreAndLog, query: InterruptQuery, ids: list[str]
) -> None:
    """Answering one changes its status, not its place."""
    await _three_sessions_of_missions(store)
    third = interrupt("i_3")
    await commit(
        store,
        SaveInterrupt(interrupt("i_1")),
        SaveInterrupt(interrupt("i_2", kind=InterruptKind.CONFIRMATION)),
        SaveInterrupt(third),
        SaveInterrupt(interrupt("i_4", "m_3", session_id="s_3", user_id="bob")),
    )
    answered = msgspec.structs.replace(
        third, status=InterruptStatus.RESOLVED, answer={"answer": "a"}, answered_by="alice"
    )
    await commit(store, SaveInterrupt(answered))
    assert await store.interrupt("i_3") == answered
    assert [record.interrupt_id for record in await store.interrupts(query)] == ids


async def test_an_unknown_interrupt_is_none(store: StoreAndLog) -> None:
    """Reading it is no error."""
    assert await store.interrupt("i_9") is None


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (SessionQuery(), ["s_2", "s_4", "s_1"]),
        (SessionQuery(user_id="alice"), ["s_2", "s_1"]),
        (SessionQuery(user_id="nobody"), []),
        (SessionQuery(archived=True), ["s_3"]),
        (SessionQuery(archived=None), ["s_2", "s_3", "s_4", "s_1"]),
        (SessionQuery(include_deleted=True), ["s_2", "s_4", "s_5", "s_1"]),
        (SessionQuery(since=250.0), ["s_2", "s_4"]),
        (SessionQuery(limit=1, offset=1), ["s_4"]),
    ],
)
async def test_sessions_are_filtered_newest_activity_first(
    store: StoreAndLog, query: SessionQuery, ids: list[str]
) -> None:
    """Archived and deleted ones only when asked for."""
    archived = msgspec.structs.replace(session("s_3"), archived_at=300.0)
    deleted = msgspec.structs.replace(session("s_5", "bob"), deleted_at=300.0)
    await commit(
        store,
        InsertSession(session("s_1")),
        InsertSession(session("s_2")),
        InsertSession(session("s_3")),
        InsertSession(session("s_4", "bob")),
        InsertSession(session("s_5", "bob")),
        TouchSession("s_2", 400.0),
        TouchSession("s_3", 350.0),
        TouchSession("s_4", 300.0),
        TouchSession("s_5", 200.0),
        SaveSession(archived),
        SaveSession(deleted),
    )
    assert [record.session_id for record in await store.sessions(query)] == ids


async def test_touching_counts_and_titles_once_and_never_goes_back(store: StoreAndLog) -> None:
    """The first title stays until it is saved; activity only moves forward."""
    await commit(store, InsertSession(session()))
    await commit(store, TouchSession("s_1", 300.0, messages=1, title="first"))
    await commit(store, TouchSession("s_1", 200.0, messages=2, title="second"))
    found = await store.session("s_1")
    assert found == msgspec.structs.replace(
        session(), title="first", message_count=3, last_activity=300.0
    )
    renamed = msgspec.structs.replace(found, title="mine", message_count=0, last_activity=0.0)
    await commit(store, SaveSession(renamed))
    saved = await store.session("s_1")
    assert saved == msgspec.structs.replace(found, title="mine")


async def test_saving_without_a_title_keeps_the_one_given_meanwhile(store: StoreAndLog) -> None:
    """A command that read the session before its first message must not undo its title."""
    await commit(store, InsertSession(session()))
    await commit(store, TouchSession("s_1", 300.0, title="first"))
    await commit(store, SaveSession(msgspec.structs.replace(session(), archived_at=400.0)))
    found = await store.session("s_1")
    assert found is not None
    assert (found.title, found.archived_at) == ("first", 400.0)


async def test_messages_oldest_first_without_deleted_ones(store: StoreAndLog) -> None:
    """Pages by limit and offset; the newest ones for a history; a deleted one still by its id."""
    await commit(store, InsertSession(session()), InsertSession(session("s_2")))
    for number in range(1, 6):
        await commit(store, InsertMessage(message(f"msg_{number}", content=f"text {number}")))
    await commit(store, InsertMessage(message("msg_other", "s_2")))
    deleted = msgspec.structs.replace(
        message("msg_2", content="text 2"), deleted_at=200.0, mission_id=None
    )
    edited = msgspec.structs.replace(
        message("msg_4", content="changed"), edited_at=200.0, original_content="text 4"
    )
    await commit(store, SaveMessage(deleted), SaveMessage(edited))
    pages = [await store.messages("s_1", 2, offset) for offset in (0, 2, 4)]
    assert [[one.message_id for one in page] for page in pages] == [
        ["msg_1", "msg_3"],
        ["msg_4", "msg_5"],
        [],
    ]
    assert pages[1][0] == edited
    recent = await store.recent_messages("s_1", 2)
    assert [one.message_id for one in recent] == ["msg_4", "msg_5"]
    assert await store.message("msg_2") == deleted
    assert await store.message("msg_9") is None
    assert await store.messages("s_9", 10, 0) == []


async def test_files_are_listed_without_and_read_with_their_content(store: StoreAndLog) -> None:
    """Saving replaces, deleting removes, other sessions have their own."""
    await commit(store, InsertSession(session()), InsertSession(session("s_2")))
    await commit(store, SaveFile(file("b")), SaveFile(file("a")), SaveFile(file("c")))
    newer = file("a", b"\x00\xff newer")
    await commit(store, SaveFile(newer), DeleteFile("s_1", "c"), DeleteFile("s_1", "none"))
    assert [(one.name, one.size, one.content) for one in await store.files("s_1")] == [
        ("a", 8, b""),
        ("b", 2, b""),
    ]
    assert await store.file("s_1", "a") == newer
    assert await store.file("s_1", "c") is None
    assert await store.file("s_2", "a") is None
    assert await store.files("s_2") == []


async def test_the_last_write_of_a_file_in_a_unit_wins(store: StoreAndLog) -> None:
    """Deleted and made again, or made and deleted, in the order of the writes."""
    await commit(store, InsertSession(session()))
    await commit(
        store,
        SaveFile(file("gone")),
        DeleteFile("s_1", "gone"),
        DeleteFile("s_1", "kept"),
        SaveFile(file("kept")),
    )
    assert [one.name for one in await store.files("s_1")] == ["kept"]


async def test_artifacts_belong_to_their_mission(store: StoreAndLog) -> None:
    """Listed without and read with their content; a second one of a name replaces the first."""
    await commit(store, *founding(mission(), mission("m_2")))
    await commit(store, SaveArtifact("m_1", file("plan.md", b"old")))
    await commit(store, SaveArtifact("m_1", file("plan.md", b"new")))
    await commit(store, SaveArtifact("m_2", file("other.md")))
    listed = await store.artifacts("m_1")
    assert [(one.name, one.session_id, one.content) for one in listed] == [("plan.md", "s_1", b"")]
    assert await store.artifact("m_1", "plan.md") == file("plan.md", b"new")
    assert await store.artifact("m_1", "other.md") is None


async def test_a_child_mission_is_a_mission_of_its_parents_session(store: StoreAndLog) -> None:
    """It is listed like any other."""
    child = mission("m_2", lineage=("m_1", "m_2"))
    await commit(store, *founding(mission()), InsertMission(child))
    assert await store.missions(MissionQuery(session_id="s_1")) == [child, mission()]


async def test_what_users_spend_adds_up_by_day(store: StoreAndLog) -> None:
    """Within a unit, across units, and apart for each user and each day."""
    spent = UserDay(
        user_id="alice",
        day="2026-11-21",
        missions=1,
        usage=ResourceUsage(llm_calls=2, input_tokens=30, cost_usd=0.5),
    )
    other = UserDay(user_id="bob", day="2026-11-21", missions=3)
    later = UserDay(user_id="alice", day="2026-11-22", missions=1)
    await commit(store, ChargeUser(spent), ChargeUser(spent), ChargeUser(other))
    await commit(store, ChargeUser(spent), ChargeUser(later))
    total = UserDay(
        user_id="alice",
        day="2026-11-21",
        missions=3,
        usage=ResourceUsage(llm_calls=6, input_tokens=90, cost_usd=1.5),
    )
    assert await store.user_day("alice", "2026-11-21") == total
    assert await store.user_days("2026-11-21", 9, 0) == [total, other]
    assert await store.user_days("2026-11-21", 1, 0) == [total]
    assert await store.user_days("2026-11-21", 9, 1) == [other]
    nothing = UserDay(user_id="carol", day="2026-11-21")
    assert await store.user_day("carol", "2026-11-21") == nothing
