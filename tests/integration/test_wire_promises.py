"""Promises of `/ws` that only a whole server can keep: results, order, resuming, limits."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.conftest import MakeTower
from tests.integration.tower_process import Event, Refused, TowerProcess, Wire, wire

pytestmark = pytest.mark.slow

PCB = {"mission_id", "session_id", "user_id", "agent", "state", "priority", "quota", "usage"}
INTERRUPT = {"interrupt_id", "mission_id", "kind", "status", "message", "step", "expires_at"}
SESSION = {"session_id", "user_id", "title", "created_at", "last_activity", "archived_at"}


async def parked(ws: Wire, mission: str = "remind me in 300 seconds to x") -> dict[str, str]:
    """Submit what does not end by itself."""
    ack = await ws.call("mission.submit", mission=mission, subscribe=False)
    return {"mission_id": ack["mission_id"]}


async def asked(ws: Wire, mission: str) -> str:
    """Submit what asks, and return the question."""
    await ws.call("mission.submit", mission=mission)
    return str((await ws.event("interrupt.raised"))["data"]["interrupt_id"])


async def test_every_result_has_its_fields(tower: TowerProcess) -> None:
    """Those that the contract lists, for each method."""
    async with wire(tower.ws_url) as ws:
        hello = await ws.call("hello")
        assert set(hello) == {
            "connection_id", "user_id", "role", "server", "version", "epoch", "offset",
            "heartbeat_s", "limits",
        }  # fmt: skip
        assert set(await ws.call("ping")) == {"offset"}
        subscribed = await ws.call("subscribe", topics=["user:local"])
        assert set(subscribed) == {"topics", "epoch", "offset", "recovered", "snapshot"}
        assert set(await ws.call("unsubscribe", topics=["user:local"])) == {"topics"}
        ack = await ws.call("mission.submit", mission="ask me my name")
        assert set(ack) == {"mission_id", "session_id", "state", "offset", "duplicate"}
        question = (await ws.event("interrupt.raised"))["data"]["interrupt_id"]
        me = {"mission_id": ack["mission_id"]}
        explained = await ws.call("mission.explain", **me)
        assert {"state", "cause", "position", "waiting_for"} <= set(explained)
        assert set(await ws.call("mission.get", **me)) >= PCB
        page = await ws.call("mission.list", limit=1)
        assert set(page) == {"missions", "next_cursor"}
        assert set(page["missions"][0]) >= PCB
        for method, more in (
            ("mission.set_priority", {"priority": "high"}),
            ("mission.extend_quota", {"quota": {"max_llm_calls": 1}}),
            ("mission.pause", {}),
            ("mission.resume", {}),
        ):
            assert set(await ws.call(method, **me, **more)) >= PCB, method
        listed = await ws.call("interrupt.list")
        assert set(listed) == {"interrupts", "next_cursor"}
        assert set(listed["interrupts"][0]) >= INTERRUPT
        answered = await ws.call("clarify", clarification_id=question, answer="Ada")
        assert set(answered) >= INTERRUPT
        await ws.ended()
        sent = await ws.call("message.send", message="calculate 1", session_id=ack["session_id"])
        assert set(sent) >= {"message_id", "session_id", "mission_id"}
        status = await ws.call("tower.status")
        assert set(status) >= {"processes", "queues", "slots", "rates", "nodes", "clients"}
        # Over several nodes each entry has its node's name beside what is promised.
        assert set(status["clients"][0]) - {"node"} == {
            "connection_id", "user_id", "topics", "offset", "buffered_bytes",
        }  # fmt: skip
        assert set(status["rates"]) == {"events_per_s", "deliveries_per_s", "missions_per_s"}
        assert status["rates"]["events_per_s"] > 0
        session = await ws.call("session.create")
        assert set(session) >= SESSION
        one = {"session_id": session["session_id"]}
        for method in ("session.get", "session.update", "session.delete"):
            assert set(await ws.call(method, **one)) >= SESSION, method
        assert set((await ws.call("session.list"))[0]) >= SESSION


async def _confirm(ws: Wire) -> tuple[str, dict[str, Any]]:
    await ws.call("mission.submit", mission="write a.txt: x")
    await ws.ended()
    ack = await ws.call("session.create")
    await ws.call("message.send", message="write a.txt: x", session_id=ack["session_id"])
    await ws.ended()
    await ws.call("message.send", message="delete a.txt", session_id=ack["session_id"])
    question = (await ws.event("interrupt.raised"))["data"]["interrupt_id"]
    return "confirm", {"confirmation_id": question, "approved": True}


async def _clarify(ws: Wire) -> tuple[str, dict[str, Any]]:
    question = await asked(ws, "ask me my name")
    return "clarify", {"clarification_id": question, "answer": "Ada"}


async def _session(ws: Wire) -> dict[str, str]:
    return {"session_id": (await ws.call("session.create"))["session_id"]}


async def _paused(ws: Wire) -> dict[str, str]:
    me = await parked(ws)
    await ws.call("mission.pause", **me)
    return me


Prepare = Callable[[Wire], Awaitable[tuple[str, dict[str, Any]]]]


def _on(
    method: str, subject: Callable[[Wire], Awaitable[dict[str, str]]] | None = None, **params: Any
) -> Prepare:
    async def prepare(ws: Wire) -> tuple[str, dict[str, Any]]:
        return method, {**(await subject(ws) if subject else {}), **params}

    return prepare


COMMANDS: dict[str, tuple[Prepare, str]] = {
    "submit": (_on("mission.submit", mission="calculate 1"), "mission.submitted"),
    "send": (_on("message.send", message="calculate 1"), "message.created"),
    "cancel": (_on("mission.cancel", parked), "mission.cancelled"),
    "pause": (_on("mission.pause", parked), "mission.paused"),
    "resume": (_on("mission.resume", _paused), "mission.resumed"),
    "priority": (_on("mission.set_priority", parked, priority="low"), "mission.updated"),
    "quota": (
        _on("mission.extend_quota", parked, quota={"max_llm_calls": 1}),
        "mission.updated",
    ),
    "confirm": (_confirm, "interrupt.resolved"),
    "clarify": (_clarify, "interrupt.resolved"),
    "create": (_on("session.create"), "session.created"),
    "update": (_on("session.update", _session, title="x"), "session.updated"),
    "delete": (_on("session.delete", _session), "session.deleted"),
}


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_reply_precedes_the_events_of_its_call(tower: TowerProcess, command: str) -> None:
    """On the connection that made it, which hears everything."""
    prepare, caused = COMMANDS[command]
    async with wire(tower.ws_url) as ws:
        await ws.call("subscribe", topics=["system"])
        method, params = await prepare(ws)
        await quiet(ws)
        before = len(ws.messages)
        earlier = {one["offset"] for one in ws.durable}
        await ws.call(method, **params)
        told = [one["params"]["type"] for one in ws.messages[before:] if "params" in one]
        assert caused not in told
        await ws.event(lambda one: one["type"] == caused and one["offset"] not in earlier)


async def quiet(ws: Wire) -> None:
    """Wait until nothing of this connection's missions is under way."""
    while (await ws.call("tower.status"))["processes"].get("running"):
        await asyncio.sleep(0.01)


async def test_a_ping_speaks_for_what_came_before_it(tower: TowerProcess) -> None:
    """In a busy stream: every event up to its offset is there, and none behind it."""
    async with wire(tower.ws_url) as ws:
        since = (await ws.call("subscribe", topics=["system"]))["offset"]
        await ws.call("mission.submit", mission="work 60 steps")
        for _ in range(20):
            reply = await ws.call("ping")
            offsets = [event["offset"] for event in ws.durable]
            assert offsets == list(range(since + 1, reply["offset"] + 1))
            await asyncio.sleep(0.02)


async def test_a_snapshot_and_what_follows_make_the_whole_text(tower: TowerProcess) -> None:
    """Attached in mid-stream, without the past: ``partial_text``, then deltas from its end."""
    async with wire(tower.ws_url) as first, wire(tower.ws_url) as ws:
        ack = await first.call("mission.submit", mission="count to 60")
        for _ in range(5):
            await first.event("llm.delta")
        topic = f"mission:{ack['mission_id']}"
        reply = await ws.call("subscribe", topics=[topic])
        (shown,) = reply["snapshot"]["missions"]
        assert (shown["mission_id"], shown["state"]) == (ack["mission_id"], "running")
        assert shown["pending_interrupts"] == []
        text = shown["partial_text"]
        assert text
        last = await ws.ended()
        for event in ws.events:
            if event["type"] == "llm.delta":
                assert event["data"]["at"] == len(text)
                text += event["data"]["text"]
        assert text == last["data"]["result"]
        await first.ended()
        assert all(event["offset"] > reply["offset"] for event in ws.durable)


async def test_a_snapshot_shows_what_waits(tower: TowerProcess) -> None:
    """Its step and its question; what has ended is not active."""
    async with wire(tower.ws_url) as ws:
        question = await asked(ws, "ask me my name")
        session = ws.events[-1]["session_id"]
        reply = await ws.call("subscribe", topics=[f"session:{session}"])
        (shown,) = reply["snapshot"]["missions"]
        assert (shown["state"], shown["pending_interrupts"]) == ("waiting", [question])
        assert shown["current_step"] == "1"
        await ws.call("clarify", clarification_id=question, answer="Ada")
        await ws.ended()
        again = await ws.call("subscribe", topics=[f"session:{session}"])
        assert again["snapshot"] == {"missions": []}


async def test_what_can_not_be_resumed_says_why_and_where_to_start(tower: TowerProcess) -> None:
    """Another epoch, or a place beyond the head; the topics are attached all the same."""
    async with wire(tower.ws_url) as ws:
        head = (await ws.call("hello"))["offset"]
        for wrong in ({"since": head + 1_000}, {"since": 0, "epoch": "another"}):
            reply = await ws.call("subscribe", topics=["system"], **wrong)
            assert (reply["recovered"], reply["reason"]) == (False, "epoch_changed")
            assert "floor" not in reply
            assert reply["topics"] == ["system"]
            assert "missions" in reply["snapshot"]
        assert ws.durable == []
        await ws.call("mission.submit", mission="calculate 1", subscribe=False)
        assert (await ws.ended())["type"] == "mission.completed"
        assert ws.durable[0]["offset"] > head


@pytest.mark.parametrize("since", ["start", 0])
async def test_the_start_is_offset_zero(tower: TowerProcess, since: str | int) -> None:
    """Everything from 1 on, counted without a gap, up to the reply's offset at least."""
    async with wire(tower.ws_url) as ws:
        reply = await ws.call("subscribe", topics=["system"], since=since)
        done = await ws.event("replay.done")
        assert done["data"]["topics"] == ["system"]
        assert "offset" not in done
        offsets = [event["offset"] for event in ws.durable]
        assert offsets == list(range(1, len(offsets) + 1))
        assert len(offsets) == done["data"]["offset"] >= reply["offset"]


async def test_a_connection_has_a_hundred_topics(tower: TowerProcess) -> None:
    """One more refuses its whole call; a mission that is followed does not count."""
    async with wire(tower.ws_url) as ws:
        topics = [f"user:u{number}" for number in range(100)]
        await ws.call("subscribe", topics=topics[:60])
        reply = await ws.call("subscribe", topics=topics[50:])
        assert sorted(reply["topics"]) == sorted(topics)
        with pytest.raises(Refused) as refused:
            await ws.call("subscribe", topics=["user:u0", "user:more"])
        assert (refused.value.code, refused.value.details["field"]) == ("invalid_params", "topics")
        await ws.call("mission.submit", mission="calculate 1")
        assert (await ws.ended())["type"] == "mission.completed"
        assert len((await ws.call("unsubscribe", topics=["user:nobody"]))["topics"]) == 100


async def test_a_followed_mission_ends_with_its_last_event(tower: TowerProcess) -> None:
    """From its first event to the terminal one; what its session does later is not sent."""
    async with wire(tower.ws_url) as ws:
        ack = await ws.call("mission.submit", mission="calculate 1")
        assert (await ws.ended())["mission_id"] == ack["mission_id"]
        types = [event["type"] for event in ws.durable]
        assert types.index("mission.submitted") <= 1
        told = len(ws.durable)
        await ws.call(
            "mission.submit", mission="calculate 2", session_id=ack["session_id"], subscribe=False
        )
        while (await ws.call("mission.list", session_id=ack["session_id"], state="terminated"))[
            "missions"
        ][0]["mission_id"] == ack["mission_id"]:
            await asyncio.sleep(0.01)
        await ws.call("ping")
        assert len(ws.durable) == told


async def test_the_texts_of_a_mission_are_messages_before_its_end(tower: TowerProcess) -> None:
    """The mission's as the user's, the result as the assistant's."""
    async with wire(tower.ws_url) as ws:
        await ws.call("mission.submit", mission="calculate 6*7")
        last = await ws.ended()
        said = [e["data"]["message"] for e in ws.durable if e["type"] == "message.created"]
        assert [(one["role"], one["content"]) for one in said] == [
            ("user", "calculate 6*7"),
            ("assistant", last["data"]["result"]),
        ]
        assert ws.durable[-1] == last


async def test_a_topic_subscribed_again_has_its_new_filter(tower: TowerProcess) -> None:
    """``types`` and ``deltas`` of the later call hold, for this topic only."""
    async with wire(tower.ws_url) as ws:
        session = (await ws.call("session.create"))["session_id"]
        topic = f"session:{session}"
        await ws.call("subscribe", topics=[topic], types=["message.*"])
        await ws.call("subscribe", topics=[topic], types=["mission.*", "llm.*"], deltas=False)
        await ws.call("mission.submit", mission="count to 3", session_id=session, subscribe=False)
        await ws.ended()
        assert {event["type"].partition(".")[0] for event in ws.events} == {"mission"}


async def test_an_unknown_session_is_not_found(tower: TowerProcess) -> None:
    """And makes none."""
    async with wire(tower.ws_url) as ws:
        for method, text in (("mission.submit", "mission"), ("message.send", "message")):
            with pytest.raises(Refused) as refused:
                await ws.call(method, **{text: "x"}, session_id="s_none")
            assert (refused.value.number, refused.value.code) == (-32004, "not_found")


@pytest.mark.parametrize(
    ("method", "text"), [("mission.submit", "mission"), ("message.send", "message")]
)
async def test_a_key_makes_a_submit_safe_to_repeat(
    tower: TowerProcess, method: str, text: str
) -> None:
    """The same reply, marked; with another body it is a conflict."""
    async with wire(tower.ws_url) as ws:
        same = {text: "calculate 1", "idempotency_key": method, "subscribe": False}
        first = await ws.call(method, **same)
        again = await ws.call(method, **same)
        assert again["mission_id"] == first["mission_id"]
        with pytest.raises(Refused) as refused:
            await ws.call(method, **{**same, text: "calculate 2"})
        assert (refused.value.number, refused.value.code) == (-32009, "conflict")


async def test_who_hears_stays_who_it_is(tower: TowerProcess) -> None:
    """No hello makes somebody else of it: neither behind a submit nor beside a subscribe."""
    async with wire(tower.ws_url) as ws:
        await ws.call("mission.submit", mission="ask me my name")
        with pytest.raises(Refused) as refused:
            await ws.call("hello", user_id="ada")
        assert refused.value.code == "conflict"
        assert (await ws.call("hello"))["user_id"] == "local"
    async with wire(tower.ws_url) as ws:
        calls = [("subscribe", {"topics": ["system"], "since": 1}), ("hello", {"user_id": "ada"})]
        for number, (method, params) in enumerate(calls):
            request = {"jsonrpc": "2.0", "id": f"{number}", "method": method, "params": params}
            await ws.send(json.dumps(request))
        replies: list[Event] = []
        while len(replies) < 2:
            message = await ws.receive()
            if "method" not in message:
                replies.append(message)
        outcome = {reply["id"]: "error" in reply for reply in replies}
        assert outcome == {"0": False, "1": True}
        await ws.event("replay.done")


async def test_a_full_server_takes_no_more_connections(make_tower: MakeTower) -> None:
    """503 with a body in the form of all errors; a place that becomes free is taken."""
    tower = make_tower(TOWER_MAX_CONNECTIONS="2")
    async with wire(tower.ws_url) as ws:
        async with wire(tower.ws_url):
            with pytest.raises(InvalidStatus) as refused:
                async with wire(tower.ws_url):
                    pass
            response = refused.value.response
            assert response.status_code == 503
            assert response.headers["content-type"] == "application/problem+json"
            assert json.loads(response.body or b"")["code"] == "unavailable"
        while len((await ws.call("tower.status"))["clients"]) > 1:
            await asyncio.sleep(0.01)
        async with wire(tower.ws_url) as other:
            await other.call("ping")
