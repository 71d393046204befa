"""Requests, missions, interrupts, events and chat over HTTP: what each answers, to the field."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx2
import pytest
from pydantic import TypeAdapter

from control_tower.errors import Unavailable
from server.app import Running
from server.rest import ENDPOINTS
from tests.contract.rest_app import problem_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPLIES = {(each.method, each.path): each.reply for each in ENDPOINTS}


def fits(answer: httpx2.Response, method: str, path: str) -> Any:
    """Check that a body is what the document says; return it."""
    body = answer.json()
    TypeAdapter(REPLIES[method, path]).validate_python(body)
    return body


async def run(api: httpx2.AsyncClient, mission: str, **more: Any) -> dict[str, Any]:
    """Run a mission as far as it goes by itself; return the answer of /requests."""
    answer = await api.post(
        "/api/v1/requests", params={"wait_s": 20}, json={"user_message": mission, **more}
    )
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = fits(answer, "POST", "/api/v1/requests")
    return body


async def test_a_request_without_waiting_is_accepted(api: httpx2.AsyncClient) -> None:
    """202, with where to look."""
    answer = await api.post("/api/v1/requests", json={"mission": "count to 3"})
    body = fits(answer, "POST", "/api/v1/requests")
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/missions/{body['pid']}"
    assert body["request_id"] == body["pid"]
    status = await api.get(f"/api/v1/requests/{body['pid']}/status")
    assert fits(status, "GET", "/api/v1/requests/{pid}/status")["pid"] == body["pid"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "user_message"),
        ({"user_message": ""}, "user_message"),
        ({"user_message": "x" * 10_001}, "user_message"),
        ({"user_message": "x", "priority": "urgent"}, "priority"),
        ({"user_message": "x", "quota": {"max_llm_calls": "3"}}, "quota.max_llm_calls"),
        ({"user_message": "x", "quota": {"max_tea": 3}}, "quota.max_tea"),
        ({"user_message": "x", "inputs": {"n": 10**30}}, "inputs"),
        ({"user_message": "x", "deadline_s": -1}, "deadline_s"),
        ({"user_message": "x", "on_busy": "shrug"}, "on_busy"),
        ({"user_message": 7}, "user_message"),
    ],
)
async def test_what_does_not_fit_is_named(
    api: httpx2.AsyncClient, body: dict[str, Any], field: str
) -> None:
    """One error for each field, by its path."""
    answer = await api.post("/api/v1/requests", json=body)
    assert field in [e["field"] for e in problem_of(answer, 422, "invalid_params")["errors"]]


async def test_unknown_agents_profiles_and_sessions_are_not_found(
    api: httpx2.AsyncClient,
) -> None:
    """And nothing is made for them."""
    for more in ({"agent": "nobody"}, {"profile": "nothing"}, {"session_id": "s_none"}):
        answer = await api.post("/api/v1/requests", json={"user_message": "x", **more})
        problem_of(answer, 404, "not_found")


async def test_the_same_key_is_the_same_request(api: httpx2.AsyncClient) -> None:
    """On every door that submits; another body is a conflict."""
    key = {"Idempotency-Key": "once"}
    body = {"user_message": "calculate 1 + 1"}
    first = await api.post("/api/v1/requests?wait_s=10", json=body, headers=key)
    again = await api.post("/api/v1/requests?wait_s=10", json=body, headers=key)
    assert first.json() == again.json()
    other = await api.post("/api/v1/requests", json={"user_message": "x"}, headers=key)
    problem_of(other, 409, "conflict")
    for bad in ([""], ["k" * 201], ["once", "twice"]):
        headers = [("Idempotency-Key", each) for each in bad]
        answer = await api.post("/api/v1/requests", json=body, headers=headers)
        problem_of(answer, 422, "invalid_params")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"confirmation_id": "i"}, "body"),
        ({"confirmation_id": "i", "approved": "true"}, "approved"),
        ({"confirmation_id": "i", "approved": 1}, "approved"),
        ({"confirmation_id": "i", "approved": True, "user_response": "yes"}, "body"),
        ({"confirmation_id": "i", "user_response": "Yes"}, "user_response"),
        ({"confirmation_id": "i", "user_response": "yes please"}, "user_response"),
        ({"confirmation_id": "i", "user_response": " yes"}, "user_response"),
        ({"approved": True}, "confirmation_id"),
    ],
)
async def test_only_an_explicit_answer_confirms(
    api: httpx2.AsyncClient, body: dict[str, Any], field: str
) -> None:
    """Exact words and booleans; nothing that merely looks like a yes."""
    answer = await api.post("/api/v1/confirmations", json=body)
    assert field in [e["field"] for e in problem_of(answer, 422, "invalid_params")["errors"]]


async def test_a_confirmation_by_its_words(api: httpx2.AsyncClient) -> None:
    """`no` refuses; the same again is the same; another answer is a conflict."""
    asked = await run(api, "write w.txt: x; delete w.txt")
    assert (asked["status"], asked["confirmation_needed"]) == ("waiting", True)
    body = {"confirmation_id": asked["confirmation_id"], "user_response": "no"}
    answer = await api.post("/api/v1/confirmations", json=body)
    resolved = fits(answer, "POST", "/api/v1/confirmations")
    assert (resolved["status"], resolved["answer"]["approved"]) == ("resolved", False)
    again = await api.post("/api/v1/confirmations", json=body)
    assert again.json() == resolved
    other = await api.post("/api/v1/confirmations", json=body | {"user_response": "yes"})
    problem_of(other, 409, "conflict")


async def test_a_question_of_any_kind_is_named(api: httpx2.AsyncClient) -> None:
    """A mission at its quota waits, and says on what; an answer there lets it go on."""
    asked = await run(api, "calculate 1 + 1", quota={"max_tool_calls": 0})
    assert (asked["status"], asked["interrupt_kind"]) == ("waiting", "resource_exhausted")
    assert (asked["confirmation_id"], asked["clarification_id"]) == (None, None)
    assert asked["interrupt_message"]
    path = f"/api/v1/interrupts/{asked['interrupt_id']}"
    answer = {"decision": "extend", "quota": {"max_tool_calls": 5}}
    assert (await api.post(path, json=answer)).status_code == 200
    said = await api.post(
        "/api/v1/chat/messages?wait_s=20",
        json={"message": "calculate 1 + 1", "quota": {"max_tool_calls": 0}},
    )
    told = fits(said, "POST", "/api/v1/chat/messages")
    assert (told["status"], told["interrupt_kind"]) == ("waiting", "resource_exhausted")
    assert told["interrupt_id"] is not None
    question = await run(api, "ask me my name")
    assert question["interrupt_id"] == question["clarification_id"]
    assert (await run(api, "calculate 1 + 1"))["interrupt_id"] is None


async def test_a_clarification_by_either_id(api: httpx2.AsyncClient) -> None:
    """By the question's id or by the mission's; elsewhere it is not found."""
    asked = await run(api, "ask me my name")
    assert asked["clarification_needed"] is True
    base = {"clarification": "Ada"}
    problem_of(await api.post("/api/v1/chat/clarifications", json=base), 422, "invalid_params")
    for wrong in ({"thread_id": "m_none"}, {"clarification_id": "i_none"}):
        answer = await api.post("/api/v1/chat/clarifications", json=base | wrong)
        problem_of(answer, 404, "not_found")
    elsewhere = {"clarification_id": asked["clarification_id"], "session_id": "s_none"}
    answer = await api.post("/api/v1/chat/clarifications", json=base | elsewhere)
    problem_of(answer, 404, "not_found")
    answer = await api.post(
        "/api/v1/chat/clarifications?wait_s=20",
        json=base | {"thread_id": asked["pid"], "session_id": asked["session_id"]},
    )
    assert answer.status_code == 200
    done = fits(answer, "POST", "/api/v1/chat/clarifications")
    assert (done["status"], "Ada" in done["response_text"]) == ("completed", True)
    thread = {"thread_id": asked["pid"]}
    again = await api.post("/api/v1/chat/clarifications?wait_s=20", json=base | thread)
    assert (again.status_code, again.json()) == (200, done)
    other = await api.post("/api/v1/chat/clarifications", json=thread | {"clarification": "Bob"})
    problem_of(other, 409, "conflict")
    silent = await run(api, "calculate 1 + 1")
    nothing = await api.post(
        "/api/v1/chat/clarifications", json=base | {"thread_id": silent["pid"]}
    )
    problem_of(nothing, 409, "conflict")


async def test_interrupts_are_listed_and_answered(api: httpx2.AsyncClient) -> None:
    """One door for any kind, and the history of decisions behind it."""
    asked = await run(api, "ask me my name")
    where = {"mission_id": asked["pid"]}
    pending = await api.get("/api/v1/interrupts", params=where)
    listed = fits(pending, "GET", "/api/v1/interrupts")
    assert [each["interrupt_id"] for each in listed] == [asked["clarification_id"]]
    path = f"/api/v1/interrupts/{asked['clarification_id']}"
    assert fits(await api.get(path), "GET", "/api/v1/interrupts/{id}") == listed[0]
    for wrong in (
        {},
        {"approved": True, "answer": "x"},
        {"answer": "x", "quota": {}},
        {"decision": "approve"},
    ):
        problem_of(await api.post(path, json=wrong), 422, "invalid_params")
    problem_of(await api.post(path, json={"approved": True}), 422, "invalid_params")
    answer = await api.post(path, json={"answer": "Ada"})
    assert fits(answer, "POST", "/api/v1/interrupts/{id}")["status"] == "resolved"
    none = await api.get("/api/v1/interrupts", params=where)
    assert none.json() == []
    history = await api.get("/api/v1/interrupts", params=where | {"status": "any"})
    assert [each["answered_by"] for each in history.json()] == ["local"]
    problem_of(await api.get("/api/v1/interrupts/i_none"), 404, "not_found")


async def test_missions_are_listed_newest_first(api: httpx2.AsyncClient) -> None:
    """In pages, by session."""
    first = await run(api, "calculate 1")
    session = first["session_id"]
    second = await run(api, "calculate 2", session_id=session)
    third = await run(api, "calculate 3", session_id=session)
    page = await api.get("/api/v1/missions", params={"session_id": session, "limit": 2})
    listed = fits(page, "GET", "/api/v1/missions")
    assert [each["pid"] for each in listed] == [third["pid"], second["pid"]]
    rest = await api.get(
        "/api/v1/missions", params={"session_id": session, "cursor": second["pid"]}
    )
    assert [each["pid"] for each in rest.json()] == [first["pid"]]
    skipped = await api.get("/api/v1/missions", params={"session_id": session, "offset": 1})
    assert [each["pid"] for each in skipped.json()] == [second["pid"], first["pid"]]
    beyond = await api.get("/api/v1/missions", params={"session_id": session, "offset": 4})
    assert beyond.json() == []
    for wrong in (
        {"limit": 0},
        {"limit": 501},
        {"state": "done"},
        {"cursor": "nonsense"},
        {"offset": -1},
        {"offset": 10_001},
    ):
        answer = await api.get("/api/v1/missions", params=wrong)
        errors = problem_of(answer, 422, "invalid_params")["errors"]
        assert [each["field"] for each in errors] == list(wrong)


async def test_an_extension_by_nothing_is_refused(api: httpx2.AsyncClient) -> None:
    """Neither an empty change nor an empty quota makes an event."""
    asked = await run(api, "ask me my name")
    nothings: tuple[dict[str, object], ...] = (
        {},
        {"quota": {}},
        {"quota": {"max_llm_calls": 0}},
    )
    for nothing in nothings:
        answer = await api.patch(f"/api/v1/missions/{asked['pid']}", json=nothing)
        problem_of(answer, 422, "invalid_params")


async def test_interrupts_are_listed_in_pages(api: httpx2.AsyncClient) -> None:
    """Oldest first, by cursor or by offset."""
    first = await run(api, "ask me my name")
    where = {"session_id": first["session_id"]}
    second = await run(api, "ask me my name", on_busy="parallel", **where)
    ids = [first["interrupt_id"], second["interrupt_id"]]
    for more in ({"cursor": ids[0]}, {"offset": 1}):
        page = await api.get("/api/v1/interrupts", params={**where, **more})
        assert [each["interrupt_id"] for each in page.json()] == ids[1:]
    wrong = await api.get("/api/v1/interrupts", params={"cursor": "nonsense"})
    errors = problem_of(wrong, 422, "invalid_params")["errors"]
    assert [each["field"] for each in errors] == ["cursor"]


async def test_a_mission_is_paused_resumed_changed_and_cancelled(
    api: httpx2.AsyncClient,
) -> None:
    """Each answers with the control block; a wrong state is a conflict."""
    answer = await api.post(
        "/api/v1/requests", json={"mission": "remind me in 300 seconds to stretch"}
    )
    path = f"/api/v1/missions/{answer.json()['pid']}"
    paused = await api.post(f"{path}/pause", json={"reason": "tea"})
    assert paused.status_code == 202
    assert fits(paused, "POST", "/api/v1/missions/{pid}/pause")["state"] == "paused"
    problem_of(await api.post(f"{path}/pause"), 409, "conflict")
    explained = await api.get(f"{path}/explain")
    assert fits(explained, "GET", "/api/v1/missions/{pid}/explain")["state"] == "paused"
    resumed = await api.post(f"{path}/resume")
    assert resumed.json()["state"] in {"blocked", "ready", "running"}
    problem_of(await api.post(f"{path}/resume"), 409, "conflict")
    changed = await api.patch(path, json={"priority": "high", "quota": {"max_tool_calls": 5}})
    block = fits(changed, "PATCH", "/api/v1/missions/{pid}")
    assert (block["priority"], block["quota"]["max_tool_calls"]) == ("high", 105)
    problem_of(await api.patch(path, json={}), 422, "invalid_params")
    cancelled = await api.post(f"{path}/cancel", json={"reason": "done with it"})
    assert cancelled.json()["outcome"] == "cancelled"
    again = await api.post(f"{path}/cancel")
    assert (again.status_code, again.json()["outcome"]) == (202, "cancelled")
    problem_of(await api.post(f"{path}/pause"), 409, "conflict")


async def test_execute_in_one_call(api: httpx2.AsyncClient) -> None:
    """Its words for the four ways it can stand."""
    done = await api.post("/api/v1/execute", json={"mission": "calculate 3 * 3"})
    body = fits(done, "POST", "/api/v1/execute")
    assert (body["status"], "9" in body["message"]) == ("completed", True)
    paused = await api.post("/api/v1/execute", json={"mission": "ask me my name"})
    assert paused.json()["status"] == "paused"
    assert paused.json()["message"]
    waiting = await api.post(
        "/api/v1/execute?wait_s=1", json={"mission": "remind me in 300 seconds to x"}
    )
    assert waiting.json()["status"] == "in_progress"
    assert waiting.json()["message"] == "The mission sleeps until a time that it chose."
    problem_of(
        await api.post("/api/v1/execute", json={"mission": "x", "profile": "none"}),
        404,
        "not_found",
    )


def sse(text: str) -> list[dict[str, Any]]:
    """Parse a stream that has ended: `event`, `id`, `data` of each block."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and line[0] != ":")
        if fields:
            found.append(fields | {"data": json.loads(fields["data"])})
    return found


async def test_a_stream_that_could_not_begin_counts_no_more(
    opened: tuple[Running, httpx2.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused as the database was away; the user's other streams are not fewer for it."""
    services, api = opened[0].services, opened[1]
    await run(api, "calculate 1 + 1")

    async def away(_topics: object) -> int:
        raise Unavailable("The database is away.", outcome="rejected")

    monkeypatch.setattr(services.hub._log, "floor", away)
    asked = {"Accept": "text/event-stream"}
    problem_of(await api.get("/api/v1/events?since=1", headers=asked), 503, "unavailable")
    assert not len(services.streams)
    assert not services.hub._subscribers


async def test_a_mission_as_a_stream(api: httpx2.AsyncClient) -> None:
    """Every event until the last, each with its id; and from any of them on, again."""
    answer = await api.post("/api/v1/execute/stream", json={"mission": "calculate 4 + 4"})
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-accel-buffering"] == "no"
    events = sse(answer.text)
    assert events[-1]["event"] == "mission.completed"
    durable = [each for each in events if "id" in each]
    assert all(each["data"]["offset"] == int(each["id"]) for each in durable)
    assert all(each["data"]["type"] == each["event"] for each in events)
    path = answer.headers["location"]
    resumed = await api.get(
        path, headers={"Accept": "text/event-stream", "Last-Event-ID": durable[2]["id"]}
    )
    assert sse(resumed.text) == durable[3:]
    over = await api.get(
        path, headers={"Accept": "text/event-stream", "Last-Event-ID": durable[-1]["id"]}
    )
    assert sse(over.text) == []
    page = fits(await api.get(path), "GET", "/api/v1/missions/{pid}/events")
    assert page["events"] == [each["data"] for each in durable]
    for bad in ("x", "-1", "1.5", str(2**64)):
        answer = await api.get(path, headers={"Last-Event-ID": bad})
        problem_of(answer, 422, "invalid_params")


class _Slow:
    """An audience that lets something happen before it answers."""

    def __init__(self, meanwhile: Callable[[], Awaitable[object]]) -> None:
        self._meanwhile = meanwhile

    def joins(self, topic: str) -> None:
        """Nobody is told."""

    def leaves(self, topic: str) -> None:
        """Nobody is told."""

    async def expects(self, _topics: Sequence[str]) -> None:
        """Let it happen."""
        await self._meanwhile()


async def test_a_mission_that_ends_while_its_stream_from_now_begins_ends_it(
    opened: tuple[Running, httpx2.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs when it is looked at, and has ended when the stream is attached."""
    services, api = opened[0].services, opened[1]
    asked = await run(api, "ask me my name")
    path = f"/api/v1/missions/{asked['pid']}"

    async def cancel() -> None:
        await api.post(f"{path}/cancel")
        await services.hub.present()

    monkeypatch.setattr(services.hub, "audience", _Slow(cancel))
    answer = await api.get(f"{path}/events?since=now", headers={"Accept": "text/event-stream"})
    events = [each["event"] for each in sse(answer.text)]
    assert events[-1] == "mission.cancelled"
    assert "replay.done" not in events


async def test_a_stream_stays_open_through_a_question(
    api: httpx2.AsyncClient, opened: tuple[Running, httpx2.AsyncClient]
) -> None:
    """The question comes through it, the answer by another door, and then the end."""
    streaming = asyncio.create_task(
        api.post("/api/v1/execute/stream", json={"mission": "ask me my name"})
    )
    streams = opened[0].services.streams
    newest: dict[str, Any] = {"status": "processing"}
    while len(streams) == 0 or newest["status"] != "waiting":
        await asyncio.sleep(0.01)
        newest = (await api.get("/api/v1/missions?limit=1")).json()[0]
    question = newest["pending_interrupt"]
    await api.post(f"/api/v1/interrupts/{question}", json={"answer": "Ada"})
    events = [each["event"] for each in sse((await streaming).text)]
    assert events.index("interrupt.raised") < events.index("interrupt.resolved")
    assert events[-1] == "mission.completed"
    assert len(streams) == 0


async def test_pages_of_the_log(api: httpx2.AsyncClient) -> None:
    """Complete, in order, each once; a gap would be said."""
    await run(api, "calculate 1; calculate 2")
    since, seen = 0, []
    while True:
        answer = await api.get("/api/v1/events", params={"since": since, "limit": 3})
        page = fits(answer, "GET", "/api/v1/events")
        assert page["recovered"] is True
        seen += [event["offset"] for event in page["events"]]
        if page["upto"] == page["head"] and not page["events"]:
            break
        since = page["upto"]
    assert seen == list(range(1, seen[-1] + 1))
    beyond = (await api.get("/api/v1/events", params={"since": seen[-1] + 10_000})).json()
    assert (beyond["recovered"], beyond["reason"]) == (False, "epoch_changed")
    soon = await api.get("/api/v1/events", params={"since": "soon"})
    named = problem_of(soon, 422, "invalid_params")["errors"]
    assert [each["field"] for each in named] == ["since"]
    assert "'start' or 'now'" in named[0]["message"]
    for wrong in ({"topic": "nothing"}, {"since": -1}, {"since": "soon"}, {"limit": 0}):
        answer = await api.get("/api/v1/events", params=wrong)
        problem_of(answer, 422, "invalid_params")
    hidden = await api.get("/api/v1/events", params={"topic": "mission:m_none"})
    problem_of(hidden, 404, "not_found")


async def test_what_a_mission_did_is_there_whole(api: httpx2.AsyncClient) -> None:
    """Its steps one by one, its artifacts, why it is where it is."""
    done = await run(api, "calculate 2 ** 10")
    path = f"/api/v1/missions/{done['pid']}"
    steps = fits(await api.get(f"{path}/steps"), "GET", "/api/v1/missions/{pid}/steps")
    assert [(each["name"], each["output"]) for each in steps] == [("calculator", "1024")]
    one = await api.get(f"{path}/steps/{steps[0]['step']}")
    assert fits(one, "GET", "/api/v1/missions/{pid}/steps/{step}") == steps[0]
    problem_of(await api.get(f"{path}/steps/99"), 404, "not_found")
    assert (await api.get(f"{path}/artifacts")).json() == []
    problem_of(await api.get(f"{path}/artifacts/none"), 404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "", "/events", "/explain", "/artifacts", "/artifacts/x", "/steps", "/steps/1",
    ],
)  # fmt: skip
async def test_no_such_mission(api: httpx2.AsyncClient, path: str) -> None:
    """Every view of it says the same."""
    problem_of(await api.get(f"/api/v1/missions/m_none{path}"), 404, "not_found")


async def test_what_may_be_run_is_listed(api: httpx2.AsyncClient) -> None:
    """Agents, profiles, tools with their schema and risk."""
    found = fits(await api.get("/api/v1/agents"), "GET", "/api/v1/agents")
    assert [each["name"] for each in found["agents"] if each["default"]] == ["demo"]
    assert "dev" in [each["name"] for each in found["profiles"]]
    tools = {each["name"]: each for each in found["tools"]}
    assert (tools["workspace.delete"]["risk"], tools["workspace.delete"]["confirm"]) == (
        "destructive",
        True,
    )
    assert tools["calculator"]["parameters"]["type"] == "object"


async def test_figures(api: httpx2.AsyncClient) -> None:
    """As JSON and for Prometheus, the same."""
    await run(api, "calculate 5 * 5")
    body = fits(await api.get("/api/v1/metrics"), "GET", "/api/v1/metrics")
    assert body["tool_calls"] >= 1
    assert body["events"] >= 5
    assert body["total_processes"] >= body["active_processes"]
    text = await api.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    assert 'tower_missions{state="terminated"}' in text.text
    assert "tower_events_total" in text.text


async def test_tool_health(api: httpx2.AsyncClient) -> None:
    """At a glance, one by one, and a breaker's reset."""
    for number in range(5):
        await run(api, f"calculate {number} + 1")
    overview = fits(await api.get("/api/v1/governance/health"), "GET", "/api/v1/governance/health")
    assert overview["overall_status"] == "healthy"
    assert overview["summary"]["healthy"] >= 1
    path = "/api/v1/governance/tools/calculator"
    tool = fits(await api.get(path), "GET", "/api/v1/governance/tools/{name}")
    assert (tool["status"], tool["success_rate"]) == ("healthy", 1.0)
    reset = await api.post(f"{path}/reset")
    assert reset.json()["breaker"] == "closed"
    problem_of(await api.get("/api/v1/governance/tools/none"), 404, "not_found")
    problem_of(await api.post("/api/v1/governance/tools/none/reset"), 404, "not_found")
    listed = fits(await api.get("/api/v1/governance/tools"), "GET", "/api/v1/governance/tools")
    assert "calculator" in [each["tool_name"] for each in listed]


async def test_health_and_readiness(api: httpx2.AsyncClient) -> None:
    """One says that the loop turns, the other that everything below it works."""
    alive = fits(await api.get("/health"), "GET", "/health")
    assert alive["uptime_seconds"] >= 0
    for path in ("/ready", "/health/ready"):
        answer = await api.get(path)
        assert answer.status_code == 200
        body = fits(answer, "GET", path)
        assert body["status"] == "ready"
        assert body["components"]["database"]["status"] == "up"


async def test_the_front_door(api: httpx2.AsyncClient) -> None:
    """A page for those who name text/html, JSON for all others."""
    for accept in ("", "*/*", "application/json", "text/plain"):
        answer = await api.get("/", headers={"Accept": accept})
        assert answer.json()["service"] == "control-tower"
        assert answer.headers["vary"] == "Accept"
    page = await api.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "'unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
