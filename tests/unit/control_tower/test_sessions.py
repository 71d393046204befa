"""The commands on sessions and messages: who may, what changes, what is said of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from control_tower.commands import Caller
from control_tower.errors import Forbidden, InvalidParams, NotFound, Refusal, Unavailable
from control_tower.public import hit_json, message_json, session_json
from control_tower.records import MessageRecord, SessionRecord
from control_tower.sessions import Period, Sessions, active_since
from control_tower.store import InlineStore
from control_tower.unit import (
    InsertMessage,
    InsertSession,
    MarkSession,
    StoreFailed,
    TouchSession,
    Unit,
)
from tests.contract.store.kit import Recorder, commit, message

ALICE = Caller("alice", "user")
BOB = Caller("bob", "user")
VIEWER = Caller("vera", "viewer")
OPERATOR = Caller("root", "operator")
NOON = 1_795_262_400.0
"""2026-11-21T12:00:00Z."""


@dataclass(slots=True)
class HandClock:
    """A clock that the test moves."""

    at: float = NOON

    def now(self) -> float:
        """Return Unix seconds."""
        return self.at


@dataclass(slots=True)
class CountedIds:
    """Ids by number."""

    given: int = 0

    def new(self, prefix: str) -> str:
        """Return the next id."""
        self.given += 1
        return f"{prefix}{self.given}"


@dataclass(slots=True)
class Desk:
    """The commands over an inline store, with what was published."""

    published: Recorder = field(default_factory=Recorder)
    clock: HandClock = field(default_factory=HandClock)
    store: InlineStore = field(init=False)
    sessions: Sessions = field(init=False)

    def __post_init__(self) -> None:
        self.store = InlineStore.open(publish=self.published)
        self.sessions = Sessions(self.store, self.clock, CountedIds())

    def said(self) -> list[tuple[str, dict[str, Any]]]:
        """Return type and data of every event."""
        bodies = [json.loads(event.body)["params"] for event in self.published.events]
        return [(params["type"], params["data"]) for params in bodies]

    async def with_message(self, role: str = "user") -> MessageRecord:
        """Make Alice's session ``s_1`` with one message."""
        await self.sessions.create(ALICE)
        record = msgspec.structs.replace(message(), role=role)
        await commit(self.store, InsertMessage(record), TouchSession("s_1", NOON, messages=1))
        return record


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """Return a fresh desk."""
    opened = Desk()
    yield opened
    await opened.store.close()


async def test_creating_a_session_says_so(desk: Desk) -> None:
    """Row, event and reply are one and the same."""
    session = await desk.sessions.create(ALICE, title="On foxes")
    assert session == SessionRecord(
        session_id="s_1", user_id="alice", title="On foxes", created_at=NOON, last_activity=NOON
    )
    assert await desk.store.session("s_1") == session
    assert desk.said() == [("session.created", {"session": session_json(session)})]
    assert desk.published.events[0].scope.topics == ("system", "user:alice", "session:s_1")


async def test_only_an_operator_acts_for_another_user(desk: Desk) -> None:
    """One's own name is no other user."""
    assert (await desk.sessions.create(ALICE, user_id="alice")).user_id == "alice"
    assert (await desk.sessions.create(OPERATOR, user_id="bob")).user_id == "bob"
    with pytest.raises(Forbidden):
        await desk.sessions.create(ALICE, user_id="bob")


async def test_a_viewer_changes_nothing(desk: Desk) -> None:
    """Every command is forbidden before anything is looked up; reading is not."""
    await desk.with_message()
    before = len(desk.published.events)
    for command in (
        desk.sessions.create(VIEWER),
        desk.sessions.update(VIEWER, "s_1", title="x"),
        desk.sessions.delete(VIEWER, "s_1"),
        desk.sessions.restore(VIEWER, "s_1"),
        desk.sessions.edit_message(VIEWER, "msg_1", "x"),
        desk.sessions.delete_message(VIEWER, "msg_1"),
    ):
        with pytest.raises(Forbidden):
            await command
    assert (await desk.sessions.get(VIEWER, "s_1")).user_id == "alice"
    assert len(await desk.sessions.messages(VIEWER, "s_1")) == 1
    assert len(desk.published.events) == before


async def test_anothers_session_is_like_one_that_does_not_exist(desk: Desk) -> None:
    """Word for word, for every command; an operator may do them all."""
    await desk.with_message()
    for session_id, message_id in (("s_1", "msg_1"), ("s_none", "msg_none")):
        words = set()
        for command in (
            desk.sessions.get(BOB, session_id, include_deleted=True),
            desk.sessions.update(BOB, session_id, title="x"),
            desk.sessions.delete(BOB, session_id),
            desk.sessions.restore(BOB, session_id),
            desk.sessions.messages(BOB, session_id),
        ):
            with pytest.raises(NotFound) as refused:
                await command
            words.add(refused.value.message)
        assert words == {"No such session."}
        for command_on_message in (
            desk.sessions.edit_message(BOB, message_id, "x"),
            desk.sessions.delete_message(BOB, message_id),
        ):
            with pytest.raises(NotFound) as refused:
                await command_on_message
            assert refused.value.message == "No such message."
    await desk.sessions.edit_message(OPERATOR, "msg_1", "changed")
    await desk.sessions.update(OPERATOR, "s_1", title="by the operator")
    await desk.sessions.delete(OPERATOR, "s_1")


async def test_renaming_and_archiving(desk: Desk) -> None:
    """Each leaves the other as it is; archiving twice keeps the first time."""
    await desk.sessions.create(ALICE)
    assert (await desk.sessions.update(ALICE, "s_1", title="New")).title == "New"
    desk.clock.at += 1
    archived = await desk.sessions.update(ALICE, "s_1", archived=True)
    assert (archived.title, archived.archived_at) == ("New", NOON + 1)
    desk.clock.at += 1
    assert (await desk.sessions.update(ALICE, "s_1", archived=True)).archived_at == NOON + 1
    again = await desk.sessions.update(ALICE, "s_1", archived=False, title="Newer")
    assert (again.title, again.archived_at) == ("Newer", None)
    assert await desk.store.session("s_1") == again
    assert [kind for kind, _ in desk.said()] == ["session.created", *["session.updated"] * 4]
    assert desk.said()[-1][1] == {"session": session_json(again)}


async def test_changes_at_once_lose_none(desk: Desk) -> None:
    """Each sees what the one before it did."""
    await desk.sessions.create(ALICE)
    await asyncio.gather(
        desk.sessions.update(ALICE, "s_1", title="New"),
        desk.sessions.update(ALICE, "s_1", archived=True),
    )
    session = await desk.sessions.get(ALICE, "s_1")
    assert (session.title, session.archived_at) == ("New", NOON)


@pytest.mark.parametrize("title", ["x" * 501])
async def test_a_title_has_a_limit(desk: Desk, title: str) -> None:
    """The refusal names the field; 500 characters fit."""
    await desk.sessions.create(ALICE, title="x" * 500)
    with pytest.raises(InvalidParams) as refused:
        await desk.sessions.create(ALICE, title=title)
    assert refused.value.details == {"field": "title"}
    with pytest.raises(InvalidParams):
        await desk.sessions.update(ALICE, "s_1", title=title)


async def test_a_deleted_session_is_gone_until_it_is_restored(desk: Desk) -> None:
    """Its messages too; asked for, it can still be seen."""
    await desk.with_message()
    deleted = await desk.sessions.delete(ALICE, "s_1")
    assert deleted.deleted_at == NOON
    for command in (
        desk.sessions.get(ALICE, "s_1"),
        desk.sessions.update(ALICE, "s_1", title="x"),
        desk.sessions.delete(ALICE, "s_1"),
        desk.sessions.messages(ALICE, "s_1"),
    ):
        with pytest.raises(NotFound):
            await command
    with pytest.raises(NotFound):
        await desk.sessions.edit_message(ALICE, "msg_1", "x")
    assert (await desk.sessions.get(ALICE, "s_1", include_deleted=True)) == deleted
    assert await desk.sessions.list(ALICE) == []
    assert await desk.sessions.list(ALICE, include_deleted=True) == [deleted]
    restored = await desk.sessions.restore(ALICE, "s_1")
    assert restored.deleted_at is None
    assert await desk.sessions.get(ALICE, "s_1") == restored
    assert [kind for kind, _ in desk.said()][1:] == ["session.deleted", "session.updated"]


async def test_what_is_erased_meanwhile_is_not_restored(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its user, behind the look at it: nothing is said of it any more."""
    session = await desk.sessions.create(ALICE)
    deleted = await desk.sessions.delete(ALICE, "s_1")
    await commit(desk.store, MarkSession("s_1", NOON))

    async def before(_: str) -> SessionRecord:
        return deleted

    monkeypatch.setattr(desk.store, "session", before)
    with pytest.raises(NotFound):
        await desk.sessions.restore(ALICE, session.session_id)
    assert [kind for kind, _ in desk.said()] == ["session.created", "session.deleted"]


async def test_restoring_what_is_not_deleted_says_nothing(desk: Desk) -> None:
    """But acknowledges it."""
    session = await desk.sessions.create(ALICE)
    acknowledged: list[SessionRecord] = []
    assert await desk.sessions.restore(ALICE, "s_1", ack=acknowledged.append) == session
    assert acknowledged == [session]
    assert len(desk.said()) == 1


async def test_listing_is_of_ones_own(desk: Desk) -> None:
    """Operators and viewers see everyone's, and may name a user."""
    mine = await desk.sessions.create(ALICE)
    theirs = await desk.sessions.create(BOB)
    assert await desk.sessions.list(ALICE) == [mine]
    assert await desk.sessions.list(ALICE, user_id="alice") == [mine]
    assert await desk.sessions.list(VIEWER) == [theirs, mine]
    assert await desk.sessions.list(OPERATOR, user_id="bob") == [theirs]
    counted = [await desk.sessions.count(who) for who in (ALICE, VIEWER, OPERATOR)]
    assert counted == [1, None, None]
    assert await desk.sessions.count(OPERATOR, user_id="bob") == 1
    assert await desk.sessions.count(OPERATOR, user_id="nobody") == 0
    for ask in (desk.sessions.list, desk.sessions.count):
        with pytest.raises(Forbidden):
            await ask(ALICE, user_id="bob")


async def test_listing_by_period(desk: Desk) -> None:
    """By the last activity."""
    day = 86_400.0
    for age in (0.0, 0.6 * day, 3 * day, 20 * day, 90 * day):
        desk.clock.at = NOON - age
        await desk.sessions.create(ALICE)
    desk.clock.at = NOON
    found: dict[Period, int] = {"today": 1, "week": 3, "month": 4, "all": 5}
    for period, count in found.items():
        assert len(await desk.sessions.list(ALICE, period=period)) == count
        assert await desk.sessions.count(ALICE, period=period) == count
    assert active_since("today", NOON) == NOON - day / 2


async def test_editing_keeps_the_first_text(desk: Desk) -> None:
    """However often; the event carries the message as it is now."""
    await desk.with_message()
    await desk.sessions.edit_message(ALICE, "msg_1", "second")
    desk.clock.at += 1
    edited = await desk.sessions.edit_message(ALICE, "msg_1", "third")
    assert (edited.content, edited.original_content, edited.edited_at) == (
        "third",
        "hello",
        NOON + 1,
    )
    assert await desk.sessions.messages(ALICE, "s_1") == [edited]
    assert desk.said()[-1] == ("message.edited", {"message": message_json(edited)})


@pytest.mark.parametrize("content", ["", "x" * 10_001])
async def test_a_text_has_bounds(desk: Desk, content: str) -> None:
    """The refusal names the field."""
    await desk.with_message()
    with pytest.raises(InvalidParams) as refused:
        await desk.sessions.edit_message(ALICE, "msg_1", content)
    assert refused.value.details == {"field": "content"}


async def test_a_deleted_message_is_neither_listed_nor_counted(desk: Desk) -> None:
    """Deleting it again finds nothing."""
    await desk.with_message()
    assert (await desk.sessions.get(ALICE, "s_1")).message_count == 1
    deleted = await desk.sessions.delete_message(ALICE, "msg_1")
    assert deleted.deleted_at == NOON
    assert await desk.sessions.messages(ALICE, "s_1") == []
    assert (await desk.sessions.get(ALICE, "s_1")).message_count == 0
    assert desk.said()[-1] == ("message.deleted", {"message": message_json(deleted)})
    for command in (
        desk.sessions.delete_message(ALICE, "msg_1"),
        desk.sessions.edit_message(ALICE, "msg_1", "x"),
    ):
        with pytest.raises(NotFound):
            await command


async def test_what_an_agent_said_stays_as_it_is(desk: Desk) -> None:
    """Only a user's own messages can be changed."""
    await desk.with_message(role="assistant")
    with pytest.raises(Forbidden):
        await desk.sessions.edit_message(ALICE, "msg_1", "x")
    with pytest.raises(Forbidden):
        await desk.sessions.delete_message(OPERATOR, "msg_1")


async def test_searching_is_of_ones_own(desk: Desk) -> None:
    """Operators and viewers search everyone's; the query has bounds."""
    await desk.with_message()
    hits = await desk.sessions.search(ALICE, "hello")
    assert [hit_json(hit) for hit in hits] == [
        {
            "message_id": "msg_1",
            "session_id": "s_1",
            "session_title": None,
            "role": "user",
            "snippet": "<mark>hello</mark>",
            "created_at": "1970-01-01T00:01:40.000Z",
        }
    ]
    assert await desk.sessions.search(BOB, "hello") == []
    assert await desk.sessions.search(VIEWER, "hello") == hits
    for query in ("", "x" * 501):
        with pytest.raises(InvalidParams) as refused:
            await desk.sessions.search(ALICE, query)
        assert refused.value.details == {"field": "query"}


async def test_the_acknowledgement_precedes_the_event(desk: Desk) -> None:
    """A reply sent by ``ack`` is on the wire before the event that it caused."""
    said = desk.published.said
    created = await desk.sessions.create(ALICE, ack=said.append)
    assert said == [created, 1]
    await commit(desk.store, InsertMessage(message()), TouchSession("s_1", NOON, messages=1))
    edited = await desk.sessions.edit_message(ALICE, "msg_1", "x", ack=said.append)
    assert said == [created, 1, edited, 2]


@dataclass(slots=True)
class SlowStore:
    """A store whose commits wait until the test lets them go."""

    store: InlineStore
    held: list[Unit] = field(default_factory=list)

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def submit(self, unit: Unit) -> None:
        """Hold it."""
        self.held.append(unit)

    def let_go(self) -> None:
        """Commit what is held."""
        while self.held:
            self.store.submit(self.held.pop(0))


async def test_a_command_whose_caller_goes_away_is_carried_out(desk: Desk) -> None:
    """Cancelling the wait takes nothing back, and the next command waits to see it."""
    await desk.sessions.create(ALICE)
    slow = SlowStore(desk.store)
    sessions = Sessions(slow, desk.clock, CountedIds())  # type: ignore[arg-type]
    first = asyncio.create_task(sessions.update(ALICE, "s_1", title="kept"))
    second = asyncio.create_task(sessions.update(ALICE, "s_1", archived=True))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(slow.held) == 1, "the second would overwrite what it has not seen"
    slow.let_go()
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.sleep(0)
    slow.let_go()
    assert (await second).title == "kept"


@dataclass(slots=True)
class RefusingStore:
    """A store whose every unit is refused; it reads nothing but one session."""

    reason: StoreFailed

    def submit(self, unit: Unit) -> None:
        """Refuse it in the loop's next turn."""
        assert isinstance(unit.writes[0], InsertSession)
        assert not unit.critical, "a person's command must not use up the reserve"
        asyncio.get_running_loop().call_soon(unit.refused, self.reason)


@pytest.mark.parametrize(("outcome", "disk_full"), [("rejected", True), ("unknown", False)])
async def test_a_store_that_takes_nothing_is_unavailable(outcome: str, disk_full: bool) -> None:
    """The refusal says whether it is certain, and whether for lack of room."""
    store = RefusingStore(StoreFailed("inside", outcome=outcome, disk_full=disk_full))
    sessions = Sessions(store, HandClock(), CountedIds())  # type: ignore[arg-type]
    with pytest.raises(Unavailable) as refused:
        await sessions.create(ALICE)
    assert (refused.value.outcome, refused.value.disk_full) == (outcome, disk_full)
    assert "inside" not in refused.value.message
    assert isinstance(refused.value, Refusal)


async def test_a_session_deleted_meanwhile_is_not_found(desk: Desk) -> None:
    """The unit's own condition catches what the read could not know."""
    session = await desk.sessions.create(ALICE)

    async def read_before(_: str) -> SessionRecord | None:
        return session

    store = desk.store
    await desk.sessions.delete(ALICE, "s_1")
    store.session = read_before  # type: ignore[method-assign, assignment]
    with pytest.raises(NotFound):
        await desk.sessions.update(ALICE, "s_1", title="x")
