"""What an audit costs beside a long history, counted in SQLite's own steps."""

import sqlite3
from pathlib import Path

import msgspec

from control_tower.audit import CallProof
from control_tower.records import InterruptKind, InterruptStatus
from control_tower.store import SqliteStore, audit
from control_tower.store.engine import DATABASE_NAME
from tests.contract.store.kit import (
    Recorder,
    StillClock,
    commit,
    founding,
    interrupt,
    mission,
)

OTHERS = 2_000
CALLS = 100
STEPS_AT_A_TIME = 1_000


async def test_a_proof_does_not_go_through_what_others_were_asked(tmp_path: Path) -> None:
    """The decisions of everybody are many; those of one mission are few, and found by it."""
    store = await SqliteStore.open(
        tmp_path,
        publish=Recorder(),
        clock=StillClock(),
        url="http://127.0.0.1:0",
        on_fatal=lambda _: None,
    )
    await commit(store, *founding(mission()))
    await store.close()
    connection = sqlite3.connect(tmp_path / DATABASE_NAME)
    asked, resolved = InterruptKind.CONFIRMATION, InterruptStatus.RESOLVED
    answered = interrupt(kind=asked, status=resolved, answer={"approved": True})
    own = connection.execute("SELECT no, session_no, user_no FROM missions").fetchone()
    rows = [("i_1", *own, msgspec.json.encode(answered))]
    rows += [(f"i_other_{n}", own[0] + 1 + n, own[1], own[2], b"{}") for n in range(OTHERS)]
    connection.executemany(
        "INSERT INTO interrupts (interrupt_id, mission_no, session_no, user_no, record, kind, "
        f"status) VALUES (?, ?, ?, ?, ?, '{asked}', '{resolved}')",
        rows,
    )
    ticks: list[None] = []
    connection.set_progress_handler(lambda: ticks.append(None), STEPS_AT_A_TIME)
    proofs = audit.prove_calls(connection, [("m_1", answered.step)] * CALLS)
    assert (
        proofs
        == [CallProof(pid="m_1", step=answered.step, user_id="alice", attempt=None, approved=True)]
        * CALLS
    )
    assert len(ticks) < CALLS  # going through the others' for each would be a thousand and more
    connection.close()
