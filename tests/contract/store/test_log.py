"""The log's pages against a model that knows no index: every event filtered by its own topics."""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_tower.store import InlineStore
from control_tower.unit import InsertMission, Unit
from events.log import Page
from events.types import Committed, Scope
from tests.contract.store.kit import (
    Opener,
    Recorder,
    StoreAndLog,
    commit,
    founding,
    joined,
    mission,
    progress,
    scope,
)

Result = TypeVar("Result")

USERS = ("alice", "bob", "carol")


def now(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of a coroutine that awaits nothing, as an inline store's reads do."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        result: Result = stopped.value
        return result
    raise AssertionError("an inline read waited for something")


@dataclass(slots=True)
class Log:
    """A random log: the store, what was published, and the topics there are."""

    store: InlineStore
    published: list[Committed]
    topics: list[str] = field(default_factory=list)

    def expected(self, topics: Sequence[str], after: int, upto: int) -> list[Committed]:
        """Return what reading must give."""
        wanted = set(topics)
        return [
            event
            for event in self.published
            if after < event.offset <= upto and not wanted.isdisjoint(event.scope.topics)
        ]

    def pages(self, topics: Sequence[str], after: int, upto: int, limit: int) -> list[Page]:
        """Read page by page."""
        pages = []
        while after < upto:
            page = now(self.store.read(topics, after, upto, limit))
            assert after < page.upto <= upto
            pages.append(page)
            after = page.upto
        return pages


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Build a log of several users' sessions, with trees of missions."""
    recorder = Recorder()
    store = InlineStore.open(publish=recorder, auto=False)
    scopes: list[Scope] = [Scope(None, None), *(Scope(None, user) for user in USERS)]
    topics = ["system", *(f"user:{user}" for user in USERS), "user:nobody", "session:s_none"]
    for number in range(draw(st.integers(1, 12))):
        user = draw(st.sampled_from(USERS))
        root = mission(f"m_{number}", f"s_{number}", user)
        line = [root]
        for child in range(draw(st.integers(0, 3))):
            parent = draw(st.sampled_from(line))
            pid = f"{root.pid}.{child}"
            line.append(mission(pid, root.session_id, user, (*parent.lineage, pid)))
        inserts = [InsertMission(pcb) for pcb in line[1:]]
        store.submit(Unit([], [*founding(root), *inserts]))
        topics += [f"session:{root.session_id}", *(f"mission:{pcb.pid}" for pcb in line)]
        scopes += [Scope(root.session_id, user), *(scope(pcb) for pcb in line)]
        for where in draw(st.lists(st.sampled_from(scopes), max_size=12)):
            store.submit(Unit([progress(where)]))
    store.step()
    # A fresh store on the same database knows no scope yet: all are rebuilt from rows.
    return Log(store.crash(Recorder()), recorder.events, topics)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_pages_hold_exactly_what_the_topics_match(data: st.DataObject) -> None:
    """In offset order, once each, whole, with their scopes; whatever the page size and span."""
    log = data.draw(logs())
    topics = data.draw(st.lists(st.sampled_from(log.topics), min_size=1, max_size=6))
    upto = data.draw(st.integers(0, log.store.head))
    after = data.draw(st.integers(0, upto))
    limit = data.draw(st.sampled_from([1, 2, 3, 7, 512]))
    pages = log.pages(topics, after, upto, limit)
    found = [event for page in pages for event in page.events]
    assert found == log.expected(topics, after, upto)
    assert all(len(page.events) <= limit for page in pages)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_each_page_is_complete_up_to_where_it_reaches(data: st.DataObject) -> None:
    """A reader that stops after any page has missed nothing up to its ``upto``."""
    log = data.draw(logs())
    topics = data.draw(st.lists(st.sampled_from(log.topics), min_size=1, max_size=4))
    after = 0
    for page in log.pages(topics, 0, log.store.head, 3):
        assert list(page.events) == log.expected(topics, after, page.upto)
        after = page.upto


async def test_a_page_ends_at_about_a_mebibyte(store: StoreAndLog) -> None:
    """A few large events make a page; one larger than a page is still read."""
    pcb = mission()
    large = "x" * 400_000
    await commit(store, *founding(pcb))
    for name in (large, large, large, large * 4, "small"):
        await commit(store, drafts=[progress(scope(pcb), name)])
    sizes = []
    after = 0
    while after < 5:
        page = await store.read(["session:s_1"], after, 5)
        sizes.append(len(page.events))
        after = page.upto
    assert sizes == [3, 1, 1]


async def test_a_page_of_nothing_reaches_the_end_at_once(store: StoreAndLog) -> None:
    """Topics that do not exist, or have nothing new, cost one page."""
    await commit(store, drafts=[joined()] * 50)
    for topics in (["session:s_9"], ["mission:m_9"], ["user:nobody"]):
        assert await store.read(topics, 0, 50) == Page((), 50)
    assert await store.read(["system"], 50, 50) == Page((), 50)


async def test_a_user_with_many_sessions_is_read_in_order(store: StoreAndLog) -> None:
    """Also when there are more sessions than a window has offsets."""
    pcbs = [mission(f"m_{n}", f"s_{n}", USERS[n % 2]) for n in range(40)]
    await commit(store, *founding(*pcbs))
    for pcb in reversed(pcbs):
        await commit(store, drafts=[progress(scope(pcb)), joined()])
    for limit in (1, 2, 512):
        found: list[int] = []
        after = 0
        while after < store.head:
            page = await store.read(["user:alice"], after, store.head, limit)
            found += [event.offset for event in page.events]
            after = page.upto
        assert found == [offset for offset in range(1, 81, 2) if (offset - 1) // 2 % 2 == 1]


async def test_a_mission_among_many_events_of_its_session_is_found(store: StoreAndLog) -> None:
    """Beside another topic: a page looks at more offsets than it takes, but never skips any."""
    busy, quiet, other = mission(), mission("m_2"), mission("m_3", "s_3")
    await commit(store, *founding(busy, quiet, other))
    for _ in range(5):
        await commit(store, drafts=[progress(scope(busy))] * 100)
        await commit(store, drafts=[progress(scope(quiet)), progress(scope(other))])
    expected = sorted([*range(101, 511, 102), *range(102, 511, 102)])
    for limit in (1, 2, 7, 512):
        found: list[int] = []
        after = 0
        while after < store.head:
            page = await store.read(["mission:m_2", "session:s_3"], after, store.head, limit)
            found += [event.offset for event in page.events]
            after = page.upto
        assert found == expected


async def test_a_young_mission_hides_nothing_of_older_topics(store: StoreAndLog) -> None:
    """A mission is read from where it began; what stands beside it, from its own beginning."""
    await commit(store, *founding(mission()), drafts=[progress(scope(mission()))])
    await commit(store, *founding(mission("m_2", "s_2")), drafts=[joined()])
    for topics in (["session:s_1", "mission:m_2"], ["mission:m_1", "mission:m_2"]):
        page = await store.read(topics, 0, 2)
        assert [event.offset for event in page.events] == [1]


async def test_a_scope_says_what_the_mission_is_now(opener: Opener) -> None:
    """After a restart agent, priority and ancestry come from the mission's row."""
    store = await opener.open()
    child = mission("m_2", lineage=("m_1", "m_2"))
    await commit(store, *founding(mission()), InsertMission(child), drafts=[progress(scope(child))])
    await store.close()
    store = await opener.open()
    page = await store.read(["mission:m_1"], 0, 1)
    assert [event.scope for event in page.events] == [scope(child)]
    assert page.events[0].scope.topics == (
        "system",
        "user:alice",
        "session:s_1",
        "mission:m_1",
        "mission:m_2",
    )
    await store.close()


@pytest.mark.parametrize(
    "topics", [["system"], ["user:alice"], ["session:s_1"], ["mission:m_1"], ["user:nobody"]]
)
async def test_an_untrimmed_log_has_no_floor(store: StoreAndLog, topics: list[str]) -> None:
    """Everything can be resumed from the start."""
    pcb = mission()
    await commit(store, *founding(pcb), drafts=[progress(scope(pcb))])
    assert await store.floor(topics) == 0
