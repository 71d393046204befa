"""What is said of missions while the roster reads their rows is not lost."""

import asyncio
from functools import partial

from control_tower.cluster.meanwhile import MOST_BYTES
from control_tower.records import ProcessControlBlock
from control_tower.states import State
from events import payloads
from tests.unit.control_tower.test_roster import (
    ALICES,
    BOBS,
    ENDED,
    RAISED,
    RESOLVED,
    STARTED,
    SUBMITTED,
    WAITING,
    Rows,
    Stream,
    Table,
    row,
)

LIFE = (
    SUBMITTED,
    payloads.MissionQueued(position=1, cause="session_busy"),
    STARTED,
    payloads.StepStarted(step="3", kind="tool", name="x", input={}, attempt=1),
    RAISED,
    WAITING,
    payloads.StepCompleted(step="3", kind="tool", name="x", output=None, duration_ms=1.0),
    payloads.InterruptRaised(
        interrupt_id="i_2", kind="clarification", message="Who?", step="5", expires_at=None
    ),
    RESOLVED,
    STARTED,
    payloads.MissionBlocked(cause="agent_missing"),
    payloads.MissionPaused(cause="paused", by="alice"),
)
"""What may be said of a mission; not all of it could happen in this order."""


async def test_row_is_read_anywhere_in_what_is_said() -> None:
    """Whatever of it comes before the read, while it is under way, and behind it."""
    whole = Stream()
    whole.say(ALICES, *LIFE)
    expected = whole.one("m_1")
    for looked_at in range(1, len(LIFE) + 1):
        early = Stream()
        early.say(ALICES, *LIFE[:looked_at])
        seen = row_of(early)
        for before in range(looked_at + 1):
            for until in range(before, len(LIFE) + 1):
                stream, rows = Stream(), Rows(seen)
                rows.meanwhile = [partial(stream.say, ALICES, *LIFE[before:until])]
                await stream.roster.read(rows)
                stream.say(ALICES, *LIFE[max(before, until) :])
                assert stream.one("m_1") == expected, (looked_at, before, until)


def row_of(stream: Stream) -> ProcessControlBlock:
    """Return the row of a mission about which so much was said."""
    entry = stream.roster._entries._entries["m_1"]
    return row(
        "m_1",
        State(entry.state),
        state_reason="session_busy" if entry.by_admission else None,
        current_step=entry.current_step,
        pending_interrupts=entry.pending_interrupts,
    )


async def test_question_that_is_asked_while_its_row_is_read() -> None:
    """It is known at once, and who waits for it is told; nothing is kept when all are read."""
    stream = Stream()
    table = Table(State.RUNNING, State.WAITING)
    waiting = asyncio.ensure_future(stream.roster.settled("m_1", 3600, table.row))
    await asyncio.sleep(0)
    rows = Rows(row("m_1"))
    rows.meanwhile = [partial(stream.say, ALICES, RAISED, WAITING)]
    await stream.roster.read(rows)
    assert stream.one("m_1")["state"] == "waiting"
    assert stream.one("m_1")["pending_interrupts"] == ["i_1"]
    assert (await waiting) is not None
    assert stream.roster._meanwhile is None


async def test_mission_that_comes_and_goes_while_rows_are_read() -> None:
    """Its row is older than its end, which came first."""
    stream = Stream()
    rows = Rows(row("m_1"), row("m_3"))
    rows.meanwhile = [partial(stream.say, BOBS, SUBMITTED, STARTED, ENDED)]
    await stream.roster.read(rows)
    assert stream.shown("system") == ["m_1"]


async def test_page_is_read_again_when_too_much_is_said_meanwhile() -> None:
    """What is kept is bounded; what was not kept is in the rows that are read then."""
    stream = Stream()
    rows = Rows(row("m_1"))
    long = payloads.StepCompleted(
        step="4", kind="step", name="x", output="x" * MOST_BYTES, duration_ms=1.0
    )

    def meanwhile() -> None:
        stream.say(ALICES, RAISED, WAITING, long, RESOLVED)
        assert stream.roster._meanwhile is not None
        assert not stream.roster._meanwhile.of("m_1")
        rows.rows = (row("m_1", State.READY, current_step="4"),)

    rows.meanwhile = [meanwhile]
    await stream.roster.read(rows)
    assert (stream.one("m_1")["state"], stream.one("m_1")["current_step"]) == ("ready", "4")
    assert rows.reads == 3
