"""The main job, end to end, over a plain WebSocket and over HTTP, on a real server.

Somebody gives a mission, watches its steps, is asked before something is destroyed, answers,
and gets the result; drops the connection whenever, and misses nothing.
"""

import asyncio
from collections.abc import Iterator

import httpx2
import pytest

from tests.integration.conftest import MakeTower
from tests.integration.tower_process import Refused, TowerProcess, Wire, wire

pytestmark = pytest.mark.slow


def types_of(events: list[dict[str, object]]) -> list[object]:
    """The types, in order, without deltas."""
    return [event["type"] for event in events if event["type"] != "llm.delta"]


@pytest.fixture
def http(tower: TowerProcess) -> Iterator[httpx2.Client]:
    """An HTTP client of the server."""
    with httpx2.Client(base_url=tower.url, timeout=20) as client:
        yield client


async def test_a_mission_runs_and_every_step_of_it_is_seen(tower: TowerProcess) -> None:
    """Reply first, then every event in order, the result last."""
    async with wire(tower.ws_url) as ws:
        ack = await ws.call("mission.submit", mission="calculate (17 + 4) * 2")
        assert ack["duplicate"] is False
        assert not ws.events, "the reply precedes every event that the call causes"
        last = await ws.ended()
        assert last["type"] == "mission.completed"
        assert "42" in last["data"]["result"]
        mine = [event for event in ws.durable if event["mission_id"] == ack["mission_id"]]
        assert types_of(mine) == [
            "message.created",
            "mission.submitted",
            "mission.started",
            "step.started",
            "step.completed",
            "message.created",
            "mission.completed",
        ]
        offsets = [event["offset"] for event in ws.durable]
        assert offsets == sorted(set(offsets))
        step = next(event for event in mine if event["type"] == "step.completed")["data"]
        assert (step["name"], step["output"]) == ("calculator", "42")
        block = await ws.call("mission.get", mission_id=ack["mission_id"])
        assert (block["state"], block["outcome"], block["status"]) == (
            "terminated",
            "completed",
            "completed",
        )


async def test_streamed_text_adds_up_to_the_result(tower: TowerProcess) -> None:
    """Deltas, each at its place, make the final text."""
    async with wire(tower.ws_url) as ws:
        await ws.call("mission.submit", mission="count to 50")
        last = await ws.ended()
        text = ""
        deltas = [event["data"] for event in ws.events if event["type"] == "llm.delta"]
        for delta in deltas:
            text = text[: delta["at"]] + delta["text"]
        assert len(deltas) >= 50
        assert text == last["data"]["result"]


async def ask_to_delete(ws: Wire) -> tuple[str, dict[str, object]]:
    """Submit something destructive; return the mission and the question."""
    ack = await ws.call("mission.submit", mission="write plan.txt: rest; delete plan.txt")
    raised = await ws.event("interrupt.raised")
    return ack["mission_id"], raised["data"]


async def test_a_person_approves_what_is_destructive(tower: TowerProcess) -> None:
    """The question says exactly what will run; it runs once somebody says yes."""
    async with wire(tower.ws_url) as ws:
        pid, question = await ask_to_delete(ws)
        assert (question["kind"], question["tool"], question["risk"]) == (
            "confirmation",
            "workspace.delete",
            "destructive",
        )
        assert question["arguments"] == {"name": "plan.txt"}
        waiting = await ws.event("mission.waiting")
        assert waiting["data"]["interrupt_id"] == question["interrupt_id"]
        block = await ws.call("mission.get", mission_id=pid)
        assert (block["state"], block["pending_interrupt"]) == (
            "waiting",
            question["interrupt_id"],
        )
        answered = await ws.call("confirm", confirmation_id=question["interrupt_id"], approved=True)
        assert (answered["status"], answered["answered_by"]) == ("resolved", "local")
        last = await ws.ended()
        assert last["type"] == "mission.completed"
        assert [
            event["data"]["name"] for event in ws.durable if event["type"] == "step.completed"
        ] == ["workspace.write", "workspace.delete"]
        again = await ws.call("confirm", confirmation_id=question["interrupt_id"], approved=True)
        assert again == answered, "the same answer twice: the same reply"
        with pytest.raises(Refused) as refused:
            await ws.call("confirm", confirmation_id=question["interrupt_id"], approved=False)
        assert refused.value.code == "conflict"


async def test_a_refused_call_is_never_made(tower: TowerProcess) -> None:
    """The agent hears no; the file is still there."""
    async with wire(tower.ws_url) as ws:
        pid, question = await ask_to_delete(ws)
        await ws.call(
            "confirm",
            confirmation_id=question["interrupt_id"],
            approved=False,
            message="keep it",
        )
        await ws.ended()
        done = [e["data"]["name"] for e in ws.durable if e["type"] == "step.completed"]
        assert "workspace.delete" not in done
        block = await ws.call("mission.get", mission_id=pid)
        await ws.call("mission.submit", mission="read plan.txt", session_id=block["session_id"])
        last = await ws.ended()
        assert "rest" in last["data"]["result"]


async def test_a_chat_message_never_approves(tower: TowerProcess) -> None:
    """`yes` said in the session is a message, not an approval."""
    async with wire(tower.ws_url) as ws:
        pid, question = await ask_to_delete(ws)
        block = await ws.call("mission.get", mission_id=pid)
        sent = await ws.call("message.send", message="yes", session_id=block["session_id"])
        assert "answered" not in sent
        listed = await ws.call("interrupt.list", mission_id=pid)
        assert [each["interrupt_id"] for each in listed["interrupts"]] == [question["interrupt_id"]]


async def test_a_clarification_is_answered_in_words(tower: TowerProcess) -> None:
    """The agent asks, the words come back to it, it goes on."""
    async with wire(tower.ws_url) as ws:
        await ws.call("mission.submit", mission="ask me my name")
        raised = (await ws.event("interrupt.raised"))["data"]
        assert raised["kind"] == "clarification"
        with pytest.raises(Refused) as refused:
            await ws.call("confirm", confirmation_id=raised["interrupt_id"], approved=True)
        assert refused.value.code == "conflict"
        await ws.call("clarify", clarification_id=raised["interrupt_id"], answer="Ada")
        last = await ws.ended()
        assert "Ada" in last["data"]["result"]


async def test_a_dropped_connection_resumes_without_gap_or_duplicate(
    tower: TowerProcess,
) -> None:
    """The last offset seen is all that a client needs to keep."""
    async with wire(tower.ws_url) as ws:
        session = await ws.call("session.create", title="drops")
        topic = f"session:{session['session_id']}"
        attached = await ws.call("subscribe", topics=[topic], since="start")
        epoch = attached["epoch"]
        ack = await ws.call(
            "mission.submit",
            mission="work 60 steps",
            session_id=session["session_id"],
            subscribe=False,
        )
        await ws.event("step.completed")
        seen = list(ws.durable)
    while True:
        async with wire(tower.ws_url) as ws:
            reply = await ws.call(
                "subscribe", topics=[topic], since=seen[-1]["offset"], epoch=epoch
            )
            assert reply["recovered"] is True
            for _ in range(12):
                await ws.event(lambda event: "offset" in event)
                if ws.durable[-1]["type"] == "mission.completed":
                    break
            seen += ws.durable
            if seen[-1]["type"] == "mission.completed":
                break
    async with wire(tower.ws_url) as ws:
        await ws.call("subscribe", topics=[topic], since="start")
        await ws.event("replay.done")
        assert ws.durable == seen
    completed = [event for event in seen if event["type"] == "step.completed"]
    assert len(completed) == 60
    assert {event["mission_id"] for event in completed} == {ack["mission_id"]}


async def test_half_an_emoji_is_no_reason_to_lose_a_mission(tower: TowerProcess) -> None:
    """A browser sends a lone surrogate when a text was cut; it is replaced, not refused."""
    async with wire(tower.ws_url) as ws:
        await ws.send(
            r'{"jsonrpc":"2.0","id":9,"method":"mission.submit","params":{"mission":"hi \ud83d"}}'
        )
        reply = await ws.receive()
        block = await ws.call("mission.get", mission_id=reply["result"]["mission_id"])
        assert block["mission"] == "hi \ufffd"


async def test_cancel_stops_the_work(tower: TowerProcess) -> None:
    """One terminal event, nothing after it."""
    async with wire(tower.ws_url) as ws:
        ack = await ws.call("mission.submit", mission="work 2000 steps")
        await ws.event("step.completed")
        block = await ws.call("mission.cancel", mission_id=ack["mission_id"], reason="enough")
        assert (block["state"], block["outcome"]) == ("terminated", "cancelled")
        last = await ws.ended()
        assert (last["type"], last["data"]["by"]) == ("mission.cancelled", "local")
        offset = (await ws.call("ping"))["offset"]
        assert offset >= last["offset"]
        await asyncio.sleep(0.3)
        await ws.call("ping")
        assert ws.durable[-1] == last


async def test_the_same_key_is_the_same_mission(tower: TowerProcess) -> None:
    """A retry after a lost reply submits nothing twice; another body is a conflict."""
    submission = {"mission": "calculate 1 + 1", "idempotency_key": "retry-1"}
    async with wire(tower.ws_url) as ws:
        first = await ws.call("mission.submit", **submission)
        await ws.ended()
    async with wire(tower.ws_url) as ws:
        second = await ws.call("mission.submit", **submission)
        assert second == first | {"duplicate": True}
        with pytest.raises(Refused) as refused:
            await ws.call("mission.submit", **(submission | {"mission": "calculate 2 + 2"}))
        assert refused.value.code == "conflict"


async def test_a_server_that_is_killed_goes_on_from_its_journal(make_tower: MakeTower) -> None:
    """`kill -9` in the middle: no step runs twice, none is lost, the question is still there."""
    tower = make_tower()
    async with wire(tower.ws_url) as ws:
        asked = await ws.call("mission.submit", mission="delete gone.txt")
        question = (await ws.event("interrupt.raised"))["data"]["interrupt_id"]
        ack = await ws.call("mission.submit", mission="work 200 steps")
        for _ in range(20):
            await ws.event("step.completed")
        seen = list(ws.durable)
        tower.kill()
    tower.start()
    async with wire(tower.ws_url) as ws:
        topics = [f"mission:{ack['mission_id']}", f"mission:{asked['mission_id']}"]
        reply = await ws.call("subscribe", topics=topics, since=0)
        assert reply["recovered"] is True
        await ws.call("confirm", confirmation_id=question, approved=False)
        first, second = await ws.ended(), await ws.ended()
        assert {first["type"], second["type"]} <= {"mission.completed", "mission.failed"}
        replayed = ws.durable
        mine = [e for e in replayed if e["mission_id"] == ack["mission_id"]]
        steps = [e["data"]["step"] for e in mine if e["type"] == "step.completed"]
        assert len(steps) == len(set(steps)) == 200
        assert mine[-1]["type"] == "mission.completed"
        assert "mission.recovered" in types_of(mine)
        by_offset = {event["offset"]: event for event in replayed}
        lost = [
            event
            for event in seen
            if event["mission_id"] is not None and by_offset.get(event["offset"]) != event
        ]
        assert lost == [], "what was seen before the kill is still so"
    assert tower.stop() == 0


def test_rest_does_the_same(http: httpx2.Client) -> None:
    """A request, its status, its confirmation, its result."""
    done = http.post("/api/v1/requests?wait_s=20", json={"user_message": "calculate 6 * 7"})
    assert done.status_code == 200
    assert done.json()["status"] == "completed"
    assert "42" in done.json()["response_text"]

    asks = http.post(
        "/api/v1/requests?wait_s=20", json={"mission": "write r.txt: x; delete r.txt"}
    ).json()
    assert (asks["status"], asks["confirmation_needed"]) == ("waiting", True)
    status = http.get(f"/api/v1/requests/{asks['pid']}/status").json()
    assert (status["state"], status["pending_interrupt"]) == (
        "waiting",
        asks["confirmation_id"],
    )
    assert status["resource_usage"] == status["usage"]
    answer = http.post(
        "/api/v1/confirmations",
        json={"confirmation_id": asks["confirmation_id"], "user_response": "yes"},
    )
    assert (answer.status_code, answer.json()["status"]) == (200, "resolved")
    late = http.post(
        "/api/v1/confirmations",
        json={"confirmation_id": asks["confirmation_id"], "approved": False},
    )
    assert late.status_code == 409


def test_rest_clarifies(http: httpx2.Client) -> None:
    """The question by its mission's id, the answer, the result."""
    asks = http.post("/api/v1/requests?wait_s=20", json={"user_message": "ask me my name"}).json()
    assert asks["clarification_needed"] is True
    assert asks["clarification_question"]
    done = http.post(
        "/api/v1/chat/clarifications?wait_s=20",
        json={"thread_id": asks["pid"], "clarification": "Grace"},
    )
    assert (done.status_code, done.json()["status"]) == (200, "completed")
    assert "Grace" in done.json()["response_text"]


def test_execute_runs_to_the_end(http: httpx2.Client) -> None:
    """The one-call form."""
    done = http.post("/api/v1/execute", json={"mission": "calculate 2 + 3"}).json()
    assert (done["status"], done["message"].count("5")) == ("completed", 1)
    paused = http.post("/api/v1/execute", json={"mission": "delete none.txt"}).json()
    assert paused["status"] == "paused"
    running = http.post(
        "/api/v1/execute?wait_s=0", json={"mission": "remind me in 30 seconds to stretch"}
    ).json()
    assert running["status"] == "in_progress"
