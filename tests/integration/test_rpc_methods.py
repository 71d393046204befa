"""Every method of `/ws` on a real server: what it returns, and what it refuses."""

import asyncio
import json
from typing import Any

import pytest

from server.reference.asyncapi import METHODS
from tests.integration.tower_process import Refused, TowerProcess, Wire, wire

pytestmark = pytest.mark.slow


async def refusal(ws: Wire, method: str, **params: Any) -> Refused:
    """Call what must be refused."""
    with pytest.raises(Refused) as refused:
        await ws.call(method, **params)
    return refused.value


async def test_hello_says_who_and_how_much(tower: TowerProcess) -> None:
    """With auth off: `local`, an operator; another name has role user."""
    async with wire(tower.ws_url) as ws:
        me = await ws.call("hello", client="test/1.0")
        assert (me["user_id"], me["role"], me["heartbeat_s"]) == ("local", "operator", 25)
        assert set(me["limits"]) >= {"max_frame_bytes", "max_topics"}
        ada = await ws.call("hello", user_id="ada", client={"name": "test"})
        assert (ada["user_id"], ada["role"]) == ("ada", "user")
        assert (await refusal(ws, "tower.status")).code == "forbidden"
        assert (await refusal(ws, "subscribe", topics=["system"])).code == "forbidden"
        urgent = await refusal(ws, "mission.submit", mission="x", priority="realtime")
        assert urgent.code == "forbidden"
        await ws.call("subscribe", topics=["user:ada"])
        assert (await refusal(ws, "hello", user_id="bob")).code == "conflict"
        assert (await refusal(ws, "subscribe", topics=["user:bob"])).code == "not_found"


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_an_unknown_parameter_is_named(tower: TowerProcess, method: str) -> None:
    """By its name, whatever else is missing."""
    async with wire(tower.ws_url) as ws:
        refused = await refusal(ws, method, surprise=1)
        assert (refused.number, refused.code) == (-32602, "invalid_params")


async def test_subscribing_and_letting_go(tower: TowerProcess) -> None:
    """Replies list the topics; one bad topic refuses the whole call."""
    async with wire(tower.ws_url) as ws:
        session = await ws.call("session.create")
        topic = f"session:{session['session_id']}"
        reply = await ws.call("subscribe", topics=[topic, "user:local"], types=["message.*"])
        assert set(reply["topics"]) == {topic, "user:local"}
        assert reply["snapshot"] == {"missions": []}
        assert (await refusal(ws, "subscribe", topics=[topic, "session:s_none"])).code == (
            "not_found"
        )
        for wrong in (
            {"topics": ["nothing"]},
            {"topics": [topic], "types": ["("]},
            {"topics": [topic], "where": {"agent": "demo"}},
        ):
            assert (await refusal(ws, "subscribe", **wrong)).code == "invalid_params"
        await ws.call("mission.submit", mission="calculate 1", session_id=session["session_id"])
        await ws.ended()
        left = await ws.call("unsubscribe", topics=["user:local", "user:nobody"])
        assert left == {"topics": [topic]}
        await ws.call(
            "mission.submit",
            mission="calculate 2",
            session_id=session["session_id"],
            subscribe=False,
        )
        first = await ws.event("message.created")
        second = await ws.event("message.created")
        assert [first["data"]["message"]["role"], second["data"]["message"]["role"]] == [
            "user",
            "assistant",
        ]


async def test_a_filter_on_everything(tower: TowerProcess) -> None:
    """Topic system, one user's missions only, without deltas."""
    async with wire(tower.ws_url) as feed, wire(tower.ws_url) as ws:
        await feed.call("subscribe", topics=["system"], where={"user_id": "grace"}, deltas=False)
        await ws.call("mission.submit", mission="count to 3")
        await ws.ended()
        await ws.call("hello", user_id="grace")
        await ws.call("mission.submit", mission="count to 3")
        await feed.ended()
        assert {event["user_id"] for event in feed.events} == {"grace"}
        assert "llm.delta" not in {event["type"] for event in feed.events}


async def test_missions_are_listed_in_pages(tower: TowerProcess) -> None:
    """Newest first; the cursor of a page is where the next begins."""
    async with wire(tower.ws_url) as ws:
        session = (await ws.call("session.create"))["session_id"]
        made = []
        for number in range(3):
            ack = await ws.call("mission.submit", mission=f"calculate {number}", session_id=session)
            made.append(ack["mission_id"])
            await ws.ended()
        page = await ws.call("mission.list", session_id=session, limit=2, state="terminated")
        assert [each["mission_id"] for each in page["missions"]] == made[:0:-1]
        rest = await ws.call(
            "mission.list", session_id=session, limit=2, cursor=page["next_cursor"]
        )
        assert [each["mission_id"] for each in rest["missions"]] == made[:1]
        assert rest["next_cursor"] is None
        for method in ("mission.list", "interrupt.list"):
            wrong = await refusal(ws, method, cursor="nonsense")
            assert (wrong.code, wrong.details["field"]) == ("invalid_params", "cursor")


async def test_a_mission_is_paused_changed_explained_and_resumed(tower: TowerProcess) -> None:
    """Each answers with the control block, before the event that it causes."""
    async with wire(tower.ws_url) as ws:
        ack = await ws.call("mission.submit", mission="remind me in 300 seconds to x")
        me = {"mission_id": ack["mission_id"]}
        paused = await ws.call("mission.pause", **me, reason="tea")
        assert paused["state"] == "paused"
        assert "mission.paused" not in [event["type"] for event in ws.events]
        await ws.event("mission.paused")
        assert (await refusal(ws, "mission.pause", **me)).code == "conflict"
        changed = await ws.call("mission.set_priority", **me, priority="low")
        assert changed["priority"] == "low"
        extended = await ws.call("mission.extend_quota", **me, quota={"max_tool_calls": 1})
        assert extended["quota"]["max_tool_calls"] == 101
        for nothing in ({}, {"max_tool_calls": 0}):
            refused = await refusal(ws, "mission.extend_quota", **me, quota=nothing)
            assert (refused.code, refused.details["field"]) == ("invalid_params", "quota")
        explained = await ws.call("mission.explain", **me)
        assert explained["state"] == "paused"
        resumed = await ws.call("mission.resume", **me)
        assert resumed["state"] != "paused"
        assert (await refusal(ws, "mission.resume", **me)).code == "conflict"
        cancelled = await ws.call("mission.cancel", **me)
        assert cancelled["outcome"] == "cancelled"
        for method in ("pause", "resume"):
            assert (await refusal(ws, f"mission.{method}", **me)).code == "conflict"
        assert await ws.call("mission.cancel", **me) == cancelled


async def test_questions_have_a_door_for_their_kind(tower: TowerProcess) -> None:
    """A clarification is no confirmation and no decision."""
    async with wire(tower.ws_url) as ws:
        ack = await ws.call("mission.submit", mission="ask me my name")
        question = (await ws.event("interrupt.raised"))["data"]["interrupt_id"]
        assert (
            await refusal(ws, "interrupt.answer", interrupt_id=question, decision="finish")
        ).code == "conflict"
        listed = await ws.call("interrupt.list", mission_id=ack["mission_id"], kind="clarification")
        assert [each["interrupt_id"] for each in listed["interrupts"]] == [question]
        sent = await ws.call("message.send", message="Ada", session_id=ack["session_id"])
        assert (sent["answered"], sent["mission_id"]) == (question, ack["mission_id"])
        last = await ws.ended()
        assert "Ada" in last["data"]["result"]
        history = await ws.call("interrupt.list", mission_id=ack["mission_id"], status="any")
        assert history["interrupts"][0]["status"] == "resolved"
        missing = await refusal(ws, "clarify", clarification_id="i_none", answer="x")
        assert missing.code == "not_found"


async def test_a_session_lives(tower: TowerProcess) -> None:
    """Made, looked at, renamed, archived, listed, deleted."""
    async with wire(tower.ws_url) as ws:
        await ws.call("subscribe", topics=["user:local"], types=["session.*"])
        made = await ws.call("session.create", title="plans")
        me = {"session_id": made["session_id"]}
        assert await ws.call("session.get", **me) == made
        changed = await ws.call("session.update", **me, title="new", archived=True)
        assert (changed["title"], changed["archived_at"] is None) == ("new", False)
        listed = [each["session_id"] for each in await ws.call("session.list", archived="any")]
        assert made["session_id"] in listed
        deleted = await ws.call("session.delete", **me)
        assert deleted["deleted_at"] is not None
        assert (await refusal(ws, "session.get", **me)).code == "not_found"
        for kind in ("created", "updated", "deleted"):
            event = await ws.event(f"session.{kind}")
            assert event["data"]["session"]["session_id"] == made["session_id"]


async def test_the_status_of_everything(tower: TowerProcess) -> None:
    """Processes, slots, and who is connected, how far."""
    async with wire(tower.ws_url) as ws:
        me = await ws.call("hello")
        await ws.call("subscribe", topics=["system"])
        status = await ws.call("tower.status")
        assert {"processes", "queues", "slots", "nodes", "clients"} <= set(status)
        mine = next(
            each for each in status["clients"] if each["connection_id"] == me["connection_id"]
        )
        assert (mine["user_id"], mine["topics"]) == ("local", ["system"])
        assert mine["offset"] <= status["offset"]


async def test_free_form_values_are_bounded(tower: TowerProcess) -> None:
    """Depth and integers, wherever a program may put what it likes."""
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    async with wire(tower.ws_url) as ws:
        for inputs in ({"a": deep}, {"a": 10**30}):
            refused = await refusal(ws, "mission.submit", mission="x", inputs=inputs)
            assert (refused.code, refused.details["field"]) == ("invalid_params", "inputs")
        refused = await refusal(
            ws, "confirm", confirmation_id="i", approved=True, arguments={"a": 10**30}
        )
        assert refused.details["field"] == "arguments"


async def test_a_second_connection_follows_a_repeated_submit(tower: TowerProcess) -> None:
    """The first was lost before its mission ended; the retry brings what is to come."""
    submission = {"mission": "ask me my name", "idempotency_key": "again"}
    async with wire(tower.ws_url) as ws:
        ack = await ws.call("mission.submit", **submission)
        question = (await ws.event("interrupt.raised"))["data"]["interrupt_id"]
    async with wire(tower.ws_url) as ws:
        again = await ws.call("mission.submit", **submission)
        assert (again["mission_id"], again["duplicate"]) == (ack["mission_id"], True)
        await ws.call("clarify", clarification_id=question, answer="Ada")
        assert (await ws.ended())["type"] == "mission.completed"


async def test_a_repeated_submit_replays_an_ended_mission(tower: TowerProcess) -> None:
    """To a new connection, from the first event to the terminal one, behind the reply."""
    submission = {"mission": "calculate 2 + 2", "idempotency_key": "ended"}
    async with wire(tower.ws_url) as ws:
        ack = await ws.call("mission.submit", **submission)
        await ws.ended()
        told = [event["offset"] for event in ws.durable]
        # To a connection that was given them, not again.
        assert (await ws.call("mission.submit", **submission))["duplicate"] is True
        await ws.call("ping")
        assert [event["offset"] for event in ws.durable] == told
    async with wire(tower.ws_url) as ws:
        again = await ws.call("mission.submit", **submission)
        assert (again["mission_id"], again["duplicate"]) == (ack["mission_id"], True)
        assert not ws.durable
        assert (await ws.ended())["mission_id"] == ack["mission_id"]
        mine = [event for event in ws.events if event.get("mission_id") == ack["mission_id"]]
        assert mine[0]["type"] in {"message.created", "mission.submitted"}
        assert [event["offset"] for event in mine if "offset" in event] == [
            offset for offset in told if offset >= ack["offset"]
        ]
        await ws.event("replay.done")
        # The topic goes by itself.
        async with asyncio.timeout(5):
            while await ws.call("unsubscribe", topics=["user:local"]) != {"topics": []}:
                await asyncio.sleep(0.01)


async def test_submits_repeated_side_by_side_bring_each_event_once(tower: TowerProcess) -> None:
    """Also beside another topic that the events are of."""
    submission = {"mission": "calculate 5 + 2", "idempotency_key": "side by side"}
    async with wire(tower.ws_url) as ws:
        ack = await ws.call("mission.submit", **submission)
        await ws.ended()
    async with wire(tower.ws_url) as ws:
        topic = f"session:{ack['session_id']}"
        await ws.call("subscribe", topics=[topic], since=ack["offset"])
        request = {"jsonrpc": "2.0", "method": "mission.submit", "params": submission}
        for number in range(10):
            await ws.send(json.dumps({"id": f"again {number}", **request}))
        await ws.ended()

        def replies() -> list[Any]:
            return [each for each in ws.messages if str(each.get("id")).startswith("again")]

        while len(replies()) < 10:
            await ws.receive()
        async with asyncio.timeout(5):
            while (await ws.call("unsubscribe", topics=["user:local"]))["topics"] != [topic]:
                await asyncio.sleep(0.01)
        assert [each["result"]["mission_id"] for each in replies()] == [ack["mission_id"]] * 10
        offsets = [event["offset"] for event in ws.durable]
        assert len(offsets) == len(set(offsets))
        assert [event["type"] for event in ws.durable].count("mission.completed") == 1


async def test_a_repeated_submit_replays_a_waiting_mission(tower: TowerProcess) -> None:
    """From its first event, question included, each once, and on to its end."""
    submission = {"mission": "ask me my name", "idempotency_key": "waits"}
    async with wire(tower.ws_url) as ws:
        await ws.call("mission.submit", **submission)
        await ws.event("interrupt.raised")
    async with wire(tower.ws_url) as ws:
        await ws.call("mission.submit", **submission)
        await ws.call("mission.submit", **submission)
        question = (await ws.event("interrupt.raised"))["data"]["interrupt_id"]
        await ws.call("clarify", clarification_id=question, answer="Ada")
        assert (await ws.ended())["type"] == "mission.completed"
        offsets = [event["offset"] for event in ws.durable]
        assert offsets == sorted(set(offsets))
        assert "mission.submitted" in {event["type"] for event in ws.events}
