"""The roster: found by topic, fed by events, started from rows, and waited on."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from control_tower.cluster.roster import PAGE, Roster
from control_tower.execution.context import Context
from control_tower.limits import TowerLimits
from control_tower.records import ProcessControlBlock
from control_tower.states import State
from events import payloads
from events.types import Committed, Ephemeral, EventData, Scope, draft
from tests.rig.tower import World
from tests.rig.virtual_loop import VirtualLoop

ALICES = Scope("s_1", "alice", ("m_1",), "main", "normal")
CHILD = Scope("s_1", "alice", ("m_1", "m_2"), "main", "normal")
BOBS = Scope("s_2", "bob", ("m_3",), "main", "normal")

SUBMITTED = payloads.MissionSubmitted(
    mission="go",
    agent="main",
    priority="normal",
    quota={},
    inputs={},
    parent_id=None,
    start_at=None,
    deadline_at=None,
)
STARTED = payloads.MissionStarted(attempt=1, node="n")
ENDED = payloads.MissionCancelled(usage={}, duration_ms=1.0)
RAISED = payloads.InterruptRaised(
    interrupt_id="i_1", kind="clarification", message="Which?", step="4", expires_at=None
)
WAITING = payloads.MissionWaiting(cause="clarification", interrupt_id="i_1")
RESOLVED = payloads.InterruptResolved(interrupt_id="i_1", kind="clarification", by="alice")


class Behind:
    """What stands behind the roster, and what the roster shows as each unit arrives there."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.seen: list[list[str]] = []
        self.ephemeral: list[Ephemeral] = []

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Take a unit."""
        self.seen.append([each["mission_id"] for each in self.roster.snapshot(["system"])])

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """Take an ephemeral event."""
        self.ephemeral.append(event)


class Stream:
    """A roster with what stands behind it, and the events that it is told."""

    def __init__(self) -> None:
        self.roster = Roster()
        self.behind = self.roster.receiver = Behind(self.roster)
        self.head = 0

    def say(self, scope: Scope, *said: EventData) -> None:
        """Publish a unit."""
        events = []
        for data in said:
            drafted, self.head = draft(data, scope, 0.0), self.head + 1
            events.append(Committed(self.head, data.TYPE, scope, drafted.body(self.head)))
        self.roster.publish(events, ())

    def shown(self, *topics: str) -> list[str]:
        """Return which missions are active in topics."""
        return sorted(each["mission_id"] for each in self.roster.snapshot(topics))

    def one(self, pid: str) -> dict[str, Any]:
        """Return what is shown of a mission."""
        (found,) = self.roster.snapshot([f"mission:{pid}"])
        return found


def row(pid: str, state: State = State.RUNNING, **fields: Any) -> ProcessControlBlock:
    """Return a mission's row."""
    return ProcessControlBlock(
        pid=pid,
        session_id="s_1",
        user_id="alice",
        agent="main",
        mission="go",
        inputs={},
        state=state,
        lineage=(pid,),
        created_at=0.0,
        **fields,
    )


def test_topics_name_missions() -> None:
    """By session, user, ancestry and all; each mission once; nothing is left of what ended."""
    stream = Stream()
    for scope in (ALICES, CHILD, BOBS):
        stream.say(scope, SUBMITTED, STARTED)
    assert stream.shown("system") == ["m_1", "m_2", "m_3"]
    assert stream.shown("user:alice") == stream.shown("session:s_1") == ["m_1", "m_2"]
    assert stream.shown("mission:m_1") == ["m_1", "m_2"]
    assert stream.shown("mission:m_2", "mission:m_2") == ["m_2"]
    assert stream.shown("mission:m_1", "user:bob", "session:s_1") == ["m_1", "m_2", "m_3"]
    assert stream.shown("user:nobody", "mission:m_9", "session:") == []
    stream.say(ALICES, ENDED)
    assert stream.shown("user:alice") == stream.shown("mission:m_1") == ["m_2"]
    stream.say(CHILD, ENDED)
    stream.say(BOBS, ENDED)
    entries = stream.roster._entries
    assert len(stream.roster) == 0
    for index in (entries._of_user, entries._of_session, entries._of_ancestor):
        assert index._found == {}


def test_question_and_answer() -> None:
    """What is pending, and what a mission at rest becomes when something comes for it."""
    stream = Stream()
    stream.say(ALICES, SUBMITTED, STARTED)
    stream.say(ALICES, RAISED, WAITING)
    assert stream.one("m_1") == {
        "mission_id": "m_1",
        "session_id": "s_1",
        "state": "waiting",
        "current_step": "4",
        "pending_interrupts": ["i_1"],
    }
    stream.say(ALICES, RESOLVED)
    assert stream.one("m_1")["state"] == "ready"
    assert stream.one("m_1")["pending_interrupts"] == []
    stream.say(ALICES, payloads.MissionPaused(cause="paused", by="alice"))
    stream.say(
        ALICES,
        payloads.StepCompleted(step="4", kind="step", name="x", output=None, duration_ms=1.0),
    )
    assert stream.one("m_1")["state"] == "paused", "an outcome does not wake who is held"


@pytest.mark.parametrize(
    ("cause", "state"), [("session_busy", "blocked"), ("start_at", "blocked"), ("no_slot", "ready")]
)
def test_queued_mission(cause: str, state: str) -> None:
    """Ready when it waits for a slot, blocked when for its session or its time."""
    stream = Stream()
    stream.say(ALICES, SUBMITTED, payloads.MissionQueued(position=1, cause=cause))
    assert stream.one("m_1")["state"] == state


def test_step_is_read_whatever_the_call_returned() -> None:
    """Of outputs that look like events, and of any length; an attempt that failed says nothing."""
    stream = Stream()
    stream.say(ALICES, SUBMITTED, STARTED)
    output = '"data":{"step":"9"' + "x" * 100_000
    stream.say(
        Scope("s_1", 'a"data":{"step":"8"', ("m_1",)),
        payloads.StepCompleted(step="3.1.2", kind="step", name="x", output=output, duration_ms=1.0),
    )
    assert stream.one("m_1")["current_step"] == "3.1.2"
    failed = payloads.StepFailed(step="4", kind="llm", name="x", error={}, will_retry=True)
    stream.say(ALICES, failed)
    assert stream.one("m_1")["current_step"] == "3.1.2"
    stream.say(ALICES, msgspec.structs.replace(failed, will_retry=False))
    assert stream.one("m_1")["current_step"] == "4"


def test_step_is_found_wherever_it_stands() -> None:
    """An event of another version may have its fields in another order."""
    stream = Stream()
    stream.say(ALICES, SUBMITTED, STARTED)
    body = b'{"params":{"data":{"kind":"step","step":"7","input":{"step":"8"}}}}'
    stream.roster.publish([Committed(9, "step.started", ALICES, body)], ())
    assert stream.one("m_1")["current_step"] == "7"


def test_roster_is_as_of_what_stands_behind_it() -> None:
    """A unit is taken in before it is passed on, and everything is passed on."""
    stream = Stream()
    stream.say(ALICES, SUBMITTED)
    stream.say(ALICES, ENDED)
    delta = Ephemeral("llm.delta", ALICES, b"{}")
    stream.roster.publish_ephemeral(delta)
    assert stream.behind.seen == [["m_1"], []]
    assert stream.behind.ephemeral == [delta]


def test_events_again_do_no_harm() -> None:
    """As long as all that follow come again, too."""
    stream = Stream()
    units: list[tuple[EventData, ...]] = [(SUBMITTED, STARTED), (RAISED, WAITING), (RESOLVED,)]
    for _ in range(2):
        for unit in units:
            stream.say(ALICES, *unit)
    assert stream.one("m_1")["pending_interrupts"] == []
    assert stream.one("m_1")["state"] == "ready"
    for unit in [*units, (ENDED,), (RAISED, WAITING)]:
        stream.say(ALICES, *unit)
    assert stream.shown("system") == []


class Rows:
    """A store's live missions; ``meanwhile`` is called as each page is read."""

    def __init__(self, *rows: ProcessControlBlock) -> None:
        self.rows = rows
        self.meanwhile = [lambda: None]
        self.reads = 0

    async def live_missions(self, after: str | None, limit: int) -> list[ProcessControlBlock]:
        """Return a page."""
        self.reads += 1
        page = [one for one in self.rows if after is None or one.pid > after][:limit]
        self.meanwhile.pop()() if self.meanwhile else None
        return page


async def test_rows_are_read_in_pages() -> None:
    """All that live, as their rows have them."""
    stream = Stream()
    rows = [row(f"m_{number:06}") for number in range(2 * PAGE + 1)]
    await stream.roster.read(Rows(*rows))
    assert len(stream.roster) == len(rows)
    stream.say(ALICES, SUBMITTED)
    assert len(stream.shown("user:alice")) == len(rows) + 1


async def test_events_that_come_while_rows_are_read() -> None:
    """Whoever ends meanwhile is not brought back by a row that is older."""
    stream = Stream()
    rows = Rows(row("m_1"), row("m_3", State.READY))

    def meanwhile() -> None:
        stream.say(BOBS, SUBMITTED, STARTED)
        stream.say(ALICES, ENDED)

    rows.meanwhile = [meanwhile]
    await stream.roster.read(rows)
    assert stream.shown("system") == ["m_3"]
    assert stream.one("m_3")["state"] == "running"
    stream.say(ALICES, SUBMITTED)
    assert stream.shown("system") == ["m_1", "m_3"]


def test_mission_whose_end_was_erased() -> None:
    """A node that was late finds its place in the log empty, and looks who is left."""

    async def scenario() -> None:
        stream = Stream()
        rows = Rows(row("m_1"), row("m_3"))
        await stream.roster.read(rows)
        table = Table(State.RUNNING, State.TERMINATED)
        waiting = asyncio.ensure_future(stream.roster.settled("m_1", 3600, table.row))
        await asyncio.sleep(0)
        rows.rows = (row("m_3"),)
        for _ in range(3):
            stream.say(Scope(None, None), payloads.EventErased())
        assert stream.shown("system") == ["m_1", "m_3"]
        await asyncio.sleep(2)
        assert stream.shown("system") == ["m_3"]
        assert rows.reads == 4
        await waiting
        stream.say(Scope(None, None), payloads.EventErased())
        await stream.roster.close()
        await stream.roster.close()

    run_virtually(scenario)


def test_rows_and_memory_say_the_same() -> None:
    """A roster that starts from the rows of a tower has what that has in memory."""
    world = World(TowerLimits(max_running=2))

    async def asks(ctx: Context) -> object:
        child = await ctx.spawn("rests", "x")
        await ctx.clarify("Which?")
        return await child.result()

    async def rests(ctx: Context) -> None:
        await ctx.sleep(1000)

    world.agent(asks)
    world.agent(rests, "rests")

    async def scenario() -> None:
        for number in range(4):
            await world.submit(f"go {number}")
        await asyncio.sleep(10)
        roster = Roster()
        await roster.read(world.store)
        for topics in (["system"], ["user:alice"], ["user:nobody"]):
            told = world.tower.snapshot(topics)
            assert sorted(roster.snapshot(topics), key=str) == sorted(told, key=str)
        assert len(roster) == 8

    world.run(scenario)


class Table:
    """A row that changes."""

    def __init__(self, *states: State) -> None:
        self.states = list(states)
        self.read = 0

    async def row(self, pid: str) -> ProcessControlBlock | None:
        """Return the row as it is now; the last one stays."""
        self.read += 1
        return row(pid, self.states.pop(0) if len(self.states) > 1 else self.states[0])


def run_virtually(scenario: Any) -> None:
    """Run a scenario in virtual time."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(scenario())
    finally:
        loop.close()


@pytest.mark.parametrize("last", [WAITING, ENDED])
def test_settled_when_the_stream_says_so(last: EventData) -> None:
    """Ended, or waiting for a person: at once, not at the time-out; and no watcher is left."""

    async def scenario() -> None:
        stream = Stream()
        stream.say(ALICES, SUBMITTED, STARTED)
        table = Table(State.RUNNING, State.TERMINATED)
        waiting = asyncio.ensure_future(stream.roster.settled("m_1", 3600, table.row))
        await asyncio.sleep(5)
        stream.say(BOBS, SUBMITTED, last)
        await asyncio.sleep(5)
        assert not waiting.done()
        stream.say(ALICES, last)
        found = await waiting
        assert asyncio.get_running_loop().time() < 100
        assert found is not None
        assert found.state is State.TERMINATED
        assert stream.roster._watchers == {}

    run_virtually(scenario)


def test_settled_before_its_events_are_known() -> None:
    """A mission that was just accepted elsewhere is waited for; one that has ended is not."""

    async def scenario() -> None:
        stream = Stream()
        accepted = Table(State.READY, State.WAITING)
        waiting = asyncio.ensure_future(stream.roster.settled("m_1", 3600, accepted.row))
        await asyncio.sleep(5)
        assert not waiting.done()
        stream.say(ALICES, SUBMITTED, STARTED, RAISED, WAITING)
        assert (await waiting) is not None
        await stream.roster.settled("m_9", 3600, Table(State.TERMINATED).row)
        assert asyncio.get_running_loop().time() < 100

        async def nothing(_: str) -> None:
            return None

        assert await stream.roster.settled("m_8", 3600, nothing) is None
        assert stream.roster._watchers == {}

    run_virtually(scenario)


def test_settled_is_not_fooled_by_an_older_question() -> None:
    """The stream may be behind the row: a question that was answered since is no end."""

    async def scenario() -> None:
        stream = Stream()
        stream.say(ALICES, SUBMITTED, STARTED)
        table = Table(State.READY, State.READY, State.TERMINATED)
        waiting = asyncio.ensure_future(stream.roster.settled("m_1", 3600, table.row))
        await asyncio.sleep(1)
        stream.say(ALICES, RAISED, WAITING)
        await asyncio.sleep(1)
        assert not waiting.done()
        stream.say(ALICES, RESOLVED, ENDED)
        await waiting
        assert table.read == 3

    run_virtually(scenario)


def test_settled_gives_up() -> None:
    """At the time-out with the row as it is then; cancelled, it leaves nothing behind."""

    async def scenario() -> None:
        stream = Stream()
        found = await stream.roster.settled("m_1", 30, Table(State.RUNNING).row)
        assert found is not None
        assert asyncio.get_running_loop().time() == pytest.approx(30)
        waiting = asyncio.ensure_future(stream.roster.settled("m_1", 30, Table(State.RUNNING).row))
        await asyncio.sleep(1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert stream.roster._watchers == {}

    run_virtually(scenario)
