"""Erasing piece by piece: nothing of what is erased is left, all else is as it was."""

import json
from typing import Any

import msgspec
import pytest

from control_tower.erasure import Eraser
from control_tower.ports import InterruptQuery, MissionQuery, SessionQuery
from control_tower.quota.quotas import ResourceUsage
from control_tower.records import ApiKeyRecord, StepStatus, UserDay
from control_tower.states import Outcome, State
from control_tower.store import pieces
from control_tower.unit import (
    ChargeUser,
    Commit,
    InsertApiKey,
    InsertMessage,
    InsertMission,
    InsertSession,
    InsertToolCall,
    MarkSession,
    MarkUser,
    RememberKey,
    RequireSession,
    SaveArtifact,
    SaveFile,
    SaveInterrupt,
    SaveMessage,
    SaveSession,
    SaveStep,
    SessionMissing,
    Unit,
    Write,
)
from events.payloads import MissionProgress
from events.types import Scope, draft
from tests.contract.store.kit import (
    Opener,
    StillClock,
    StoreAndLog,
    all_settled,
    commit,
    file,
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

CANARY = "xylophone"


def life(user: str, word: str) -> list[Write]:
    """Everything a session can have, each with a word in it: a mission, its child, talk, files."""
    pcb = mission(f"m_{user}", f"s_{user}", user, state=State.TERMINATED, outcome=Outcome.COMPLETED)
    child = mission(f"m_{user}_2", f"s_{user}", user, (pcb.pid, f"m_{user}_2"))
    said = message(f"msg_{user}", f"s_{user}", f"the {word} plays")
    gone = message(f"msg_{user}_2", f"s_{user}", f"no {word} any more")
    record = msgspec.structs.replace(
        step(pcb.pid, "1", StepStatus.COMPLETED), output={"text": word}
    )
    asked = interrupt(f"i_{user}", pcb.pid, session_id=f"s_{user}", user_id=user, message=word)
    return [
        InsertSession(msgspec.structs.replace(session(f"s_{user}", user), title=word)),
        InsertMission(pcb),
        InsertMission(child),
        SaveStep(record),
        SaveInterrupt(asked),
        InsertMessage(said),
        InsertMessage(gone),
        SaveMessage(msgspec.structs.replace(gone, deleted_at=101.0)),
        SaveFile(file(f"{word}.txt", word.encode(), f"s_{user}")),
        SaveArtifact(pcb.pid, file(f"{word}.md", word.encode(), f"s_{user}")),
        InsertToolCall("t", pcb.pid, "1", "error", 1.0, 100.0, word),
        RememberKey(key(word, user, pcb.pid)),
        RememberKey(key("other", user, None)),
        ChargeUser(UserDay(user_id=user, day="2026-11-21", missions=1, usage=ResourceUsage())),
    ]


async def lived(store: StoreAndLog) -> None:
    """Alice's session with the canary, and bob's, their events side by side, over many pieces."""
    await commit(store, *life("alice", CANARY), drafts=[joined()])
    await commit(store, *life("bob", "violin"))
    alice, bob = (scope(mission(f"m_{user}", f"s_{user}", user)) for user in ("alice", "bob"))
    outside = Scope(None, "alice")
    for _ in range(3):
        await commit(store, drafts=[progress(alice, CANARY) for _ in range(150)])
        await commit(store, drafts=[progress(bob, "violin"), joined()])
    await commit(store, drafts=[draft(MissionProgress(name=CANARY), outside, 100.0)])


async def mark(store: StoreAndLog, session_id: str = "s_alice") -> None:
    """Begin to erase a session."""
    await commit(store, MarkSession(session_id, 200.0))


async def wiped(
    store: StoreAndLog, *, session_id: str | None = None, user_id: str | None = None
) -> None:
    """Erase one or the other to the end, scrubbing included."""
    eraser = Eraser(store, StillClock())
    if session_id is not None:
        await eraser.session_erased(session_id)
    if user_id is not None:
        await eraser.erase_user(user_id)
    await eraser.scrubbed()
    await eraser.close()


async def log(store: StoreAndLog, *topics: str) -> list[dict[str, Any]]:
    """All events of the topics, as clients get them."""
    found, after = [], 0
    while after < store.head:
        page = await store.read(list(topics), after, store.head)
        found += [json.loads(event.body)["params"] for event in page.events]
        after = page.upto
    return found


async def of_user(store: StoreAndLog, user: str) -> dict[str, Any]:
    """Everything that can be read of a user's life."""
    pid, session_id = f"m_{user}", f"s_{user}"
    word = {"alice": CANARY, "bob": "violin"}[user]
    return {
        "log": await log(store, f"user:{user}"),
        "session": await store.session(session_id),
        "sessions": await store.sessions(SessionQuery(user_id=user, include_deleted=True)),
        "mission": await store.mission(pid),
        "missions": await store.missions(MissionQuery(session_id=session_id)),
        "live": await store.live_missions_of(session_id),
        "steps": await store.steps(pid),
        "interrupts": await store.interrupts(InterruptQuery(user_id=user)),
        "messages": await store.messages(session_id, 10, 0),
        "message": await store.message(f"msg_{user}"),
        "deleted message": await store.message(f"msg_{user}_2"),
        "hits": await store.search_messages(word, None, 10, 0),
        "files": await store.files(session_id),
        "artifacts": await store.artifacts(pid),
        "key": await store.key(user, word),
        "key of no mission": await store.key(user, "other"),
        "tool calls": [call for call in await store.newest_tool_calls(9) if call.pid == pid],
        "day": await store.user_day(user, "2026-11-21"),
    }


async def test_a_session_leaves_nothing_but_tombstones(store: StoreAndLog) -> None:
    """Its rows and events are gone; the log has no gap; another's life is as it was."""
    await lived(store)
    bobs, before = await of_user(store, "bob"), await log(store, "system")
    await mark(store)
    await wiped(store, session_id="s_alice")
    left = await of_user(store, "alice")
    kept = {"key of no mission", "day", "log"}
    assert not any(value for name, value in left.items() if name not in kept)
    assert [event["session_id"] for event in left["log"]] == [None]
    after = await log(store, "system")
    assert [event["offset"] for event in after] == list(range(1, store.head + 1))
    erased = [event for event in after if event["type"] == "event.erased"]
    assert len(erased) == 450
    for event in erased:
        old = before[event["offset"] - 1]
        assert event == {
            **old,
            "type": "event.erased",
            "session_id": None,
            "mission_id": None,
            "user_id": None,
            "data": {},
        }
    assert [event for event in after if event not in erased] == [
        event for event in before if event["session_id"] != "s_alice"
    ]
    assert await of_user(store, "bob") == bobs


async def test_what_an_operator_was_told_of_a_session_goes_with_it(store: StoreAndLog) -> None:
    """Their idempotency keys hold its missions' ids; those of their own are kept."""
    await lived(store)
    await commit(store, *(RememberKey(key(f"k{n}", "root", "m_alice")) for n in range(201)))
    await commit(store, RememberKey(key("own", "root", "m_bob")))
    await mark(store)
    await wiped(store, session_id="s_alice")
    assert await store.key("root", "k0") is None
    assert await store.key("root", "k200") is None
    assert await store.key("root", "own") is not None


async def test_a_user_leaves_nothing_at_all(store: StoreAndLog) -> None:
    """Not their keys, nor what they spent, nor what they did outside sessions."""
    await lived(store)
    keys = [
        ApiKeyRecord(key_sha256=user * 3, name="", user_id=user, role="user", created_at=1.0)
        for user in ("alice", "bob")
    ]
    await commit(store, *(InsertApiKey(each) for each in keys))
    bobs = await of_user(store, "bob")
    await wiped(store, user_id="alice")
    left = await of_user(store, "alice")
    assert left.pop("day") == UserDay(user_id="alice", day="2026-11-21")
    assert not any(left.values())
    assert not await store.knows_user("alice")
    assert await store.api_keys() == keys[1:]
    everything = await log(store, "system")
    assert [event["offset"] for event in everything] == list(range(1, store.head + 1))
    assert "alice" not in json.dumps(everything)
    assert CANARY not in json.dumps(everything)
    assert await of_user(store, "bob") == bobs


async def test_a_marked_users_keys_open_nothing(store: StoreAndLog) -> None:
    """From the beginning of the erasure on, also of a user who has done nothing yet."""
    keys = [
        ApiKeyRecord(key_sha256=user * 3, name="", user_id=user, role="user", created_at=1.0)
        for user in ("alice", "bob", "carol")
    ]
    await lived(store)
    await commit(store, *(InsertApiKey(each) for each in keys))
    await commit(store, MarkUser("alice", 200.0), MarkUser("carol", 200.0))
    assert await store.api_keys() == [keys[1]]
    assert await store.marked_users() == ["alice"]


async def test_whoever_comes_again_is_somebody_new(store: StoreAndLog) -> None:
    """The writer remembers nothing of the ids that were erased."""
    await lived(store)
    await wiped(store, user_id="alice")
    assert isinstance(
        await settled(store, Unit(require=RequireSession("s_alice", None))), SessionMissing
    )
    await commit(store, *life("alice", CANARY), drafts=[joined()])
    again = await of_user(store, "alice")
    assert again["log"] == []
    assert len(again["missions"]) == 2
    assert again["day"].missions == 1
    assert len(again["hits"]) == 1


async def test_a_marked_session_is_gone_at_once(store: StoreAndLog) -> None:
    """Nothing may be added to it, and saving it as restored does not bring it back."""
    await lived(store)
    await mark(store)
    found = await store.session("s_alice")
    assert found is not None
    assert found.erased_at == 200.0
    refused = await settled(store, Unit([joined()], require=RequireSession("s_alice", "alice")))
    assert isinstance(refused, SessionMissing)
    await commit(store, SaveSession(session("s_alice")))
    again = await store.session("s_alice")
    assert again is not None
    assert again.deleted_at is not None
    assert await store.sessions(SessionQuery(user_id="alice", include_deleted=True)) == []
    assert await store.marked_sessions() == ["s_alice"]
    assert await store.search_messages(CANARY, None, 10, 0) == []


async def test_nothing_comes_into_what_is_being_erased(store: StoreAndLog) -> None:
    """Also where deleted sessions are let in, and in the transaction of the last piece.

    A row that came behind that would be nobody's, and in time another session's of that number.
    """
    await lived(store)
    hidden = RequireSession("s_alice", "alice", deleted=True)
    await commit(store, SaveSession(msgspec.structs.replace(session("s_alice"), deleted_at=150.0)))
    assert isinstance(await settled(store, Unit(require=hidden)), Commit)
    await mark(store)
    alice = Scope("s_alice", "alice")
    number = 0
    while (piece := await store.erase_next_of_session("s_alice")) is not None:
        number += 1
        late = Unit(
            [progress(alice, CANARY)],
            [InsertMessage(message(f"msg_late_{number}", "s_alice", CANARY))],
            require=hidden,
        )
        removed, refused = await all_settled(store, [Unit(writes=[piece]), late])
        assert isinstance(removed, Commit)
        assert isinstance(refused, SessionMissing)
    everything = await log(store, "system")
    assert len(everything) == store.head
    assert CANARY not in json.dumps([each for each in everything if each["session_id"]])


async def test_an_erasure_goes_on_after_a_restart(opener: Opener) -> None:
    """Wherever it was interrupted: before each piece, once."""
    pieces, unfinished = 0, ["s_alice"]
    alice = scope(mission("m_alice", "s_alice", "alice"))
    while unfinished:
        store = await opener.open()
        drafts = [progress(alice, CANARY) for _ in range(250)]
        await commit(store, *life("alice", CANARY), drafts=drafts)
        await mark(store)
        for _ in range(pieces):
            piece = await store.erase_next_of_session("s_alice")
            if piece is not None:
                await commit(store, piece)
        await store.close()
        store = await opener.open()
        unfinished = await store.marked_sessions()
        eraser = Eraser(store, StillClock())
        await eraser.finish()
        await eraser.scrubbed()
        everything = await log(store, "system")
        assert [event["offset"] for event in everything] == list(range(1, store.head + 1))
        assert "s_alice" not in json.dumps(everything)
        assert await store.session("s_alice") is None
        assert await store.scrubbing() is None
        await eraser.erase_user("alice")
        await eraser.close()
        await store.close()
        pieces += 1
    assert pieces >= 10


async def test_nothing_to_erase_is_nothing(store: StoreAndLog) -> None:
    """An id that never was, or is gone already."""
    await lived(store)
    head = store.head
    assert await store.erase_next_of_session("s_none") is None
    assert await store.erase_next_of_user("nobody") is None
    await wiped(store, session_id="s_none")
    assert store.head == head


async def test_a_piece_is_bounded_in_bytes(
    store: StoreAndLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is large goes a row at a time, and all of it goes."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1)
    await commit(store, *life("alice", CANARY), drafts=[joined()])
    alice = scope(mission("m_alice", "s_alice", "alice"))
    await commit(store, drafts=[progress(alice, CANARY) for _ in range(3)])
    await mark(store)
    removed = 0
    while (piece := await store.erase_next_of_session("s_alice")) is not None:
        await commit(store, piece)
        removed += 1
    # 3 events, a step, a question, an artifact, a file, 2 messages; keys, calls, missions, itself.
    assert removed == 9 + 4
    assert await store.session("s_alice") is None
