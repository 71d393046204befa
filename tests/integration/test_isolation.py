"""Another user's things do not exist: every endpoint, every method, every kind of topic.

Bob asks for Ada's things and for things that never were, over a real server. Each pair of answers
must be the same to the byte, once the id that was asked for is taken out. A new endpoint, method
or topic without a row here fails the tests.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import jwt
import pytest
import pytest_asyncio

from events.topics import KINDS
from server.reference.asyncapi import METHODS
from server.rest import ENDPOINTS
from tests.integration.tower_process import TowerProcess, Wire, wire

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SECRET = "a secret of more than thirty-two bytes"
FAR = 4_000_000_000
CANARY = "plover-of-ada"
"""In everything that Ada says and makes; Bob must never meet it."""

THINGS = ("mission", "session", "confirmation", "clarification", "message", "user")


@dataclass(frozen=True)
class Asked:
    """One way to refer to a thing by HTTP.

    Attributes:
        query: with ``{mission}`` and so on in the place of ids, as in ``body``.
        same: the status of both answers.
    """

    path: str
    query: str = ""
    body: Any = None
    same: int = 404


PID = "/api/v1/missions/{mission}"
CHAT = "/api/v1/chat/sessions"
IN_SESSION = {"session_id": "{session}"}

REST: dict[str, list[Asked]] = {
    "POST /api/v1/requests": [
        Asked("/api/v1/requests", body={"mission": "x", **IN_SESSION}),
        Asked("/api/v1/requests", body={"mission": "x", "user_id": "{user}"}, same=403),
    ],
    "GET /api/v1/requests/{pid}/status": [Asked("/api/v1/requests/{mission}/status")],
    "POST /api/v1/confirmations": [
        Asked(
            "/api/v1/confirmations", body={"confirmation_id": "{confirmation}", "approved": True}
        ),
        Asked(
            "/api/v1/confirmations",
            body={"confirmation_id": "{confirmation}", "approved": True, "user_id": "{user}"},
            same=403,
        ),
    ],
    "POST /api/v1/chat/clarifications": [
        Asked(
            "/api/v1/chat/clarifications",
            body={"clarification_id": "{clarification}", "clarification": "x"},
        ),
        Asked("/api/v1/chat/clarifications", body={"thread_id": "{mission}", "clarification": "x"}),
    ],
    "POST /api/v1/execute": [Asked("/api/v1/execute", body={"mission": "x", **IN_SESSION})],
    "POST /api/v1/execute/stream": [
        Asked("/api/v1/execute/stream", body={"mission": "x", **IN_SESSION})
    ],
    "GET /api/v1/missions": [
        Asked("/api/v1/missions", "session_id={session}", same=200),
        Asked("/api/v1/missions", "user_id={user}", same=200),
        Asked("/api/v1/missions", "cursor={mission}", same=422),
    ],
    "GET /api/v1/missions/{pid}": [Asked(PID)],
    "PATCH /api/v1/missions/{pid}": [Asked(PID, body={"priority": "low"})],
    "POST /api/v1/missions/{pid}/cancel": [Asked(PID + "/cancel")],
    "POST /api/v1/missions/{pid}/pause": [Asked(PID + "/pause")],
    "POST /api/v1/missions/{pid}/resume": [Asked(PID + "/resume")],
    "GET /api/v1/missions/{pid}/explain": [Asked(PID + "/explain")],
    "GET /api/v1/missions/{pid}/events": [Asked(PID + "/events")],
    "GET /api/v1/missions/{pid}/artifacts": [Asked(PID + "/artifacts")],
    "GET /api/v1/missions/{pid}/artifacts/{name}": [Asked(PID + "/artifacts/x")],
    "GET /api/v1/missions/{pid}/steps": [Asked(PID + "/steps")],
    "GET /api/v1/missions/{pid}/steps/{step}": [Asked(PID + "/steps/1")],
    "GET /api/v1/events": [Asked("/api/v1/events", f"topic={kind}:{{{kind}}}") for kind in KINDS],
    "GET /api/v1/interrupts": [
        Asked("/api/v1/interrupts", "status=any&session_id={session}", same=200),
        Asked("/api/v1/interrupts", "status=any&mission_id={mission}", same=200),
        Asked("/api/v1/interrupts", "status=any&user_id={user}", same=200),
        Asked("/api/v1/interrupts", "cursor={confirmation}", same=422),
    ],
    "GET /api/v1/interrupts/{id}": [Asked("/api/v1/interrupts/{confirmation}")],
    "POST /api/v1/interrupts/{id}": [
        Asked("/api/v1/interrupts/{confirmation}", body={"approved": True}),
        Asked("/api/v1/interrupts/{clarification}", body={"answer": "x"}),
    ],
    "GET /api/v1/sessions/{id}": [Asked("/api/v1/sessions/{session}")],
    "POST /api/v1/sessions": [Asked("/api/v1/sessions", body={"user_id": "{user}"}, same=403)],
    "GET /api/v1/chat/sessions": [Asked(CHAT, "user_id={user}", same=403)],
    "POST /api/v1/chat/sessions": [Asked(CHAT, body={"user_id": "{user}"}, same=403)],
    "GET /api/v1/chat/sessions/{id}": [
        Asked(CHAT + "/{session}"),
        Asked(CHAT + "/{session}", "include_deleted=true"),
    ],
    "PATCH /api/v1/chat/sessions/{id}": [Asked(CHAT + "/{session}", body={"title": "x"})],
    "DELETE /api/v1/chat/sessions/{id}": [
        Asked(CHAT + "/{session}"),
        Asked(CHAT + "/{session}", "soft=false"),
    ],
    "POST /api/v1/chat/sessions/{id}/restore": [Asked(CHAT + "/{session}/restore")],
    "GET /api/v1/chat/sessions/{id}/messages": [Asked(CHAT + "/{session}/messages")],
    "GET /api/v1/chat/sessions/{id}/export": [Asked(CHAT + "/{session}/export")],
    "POST /api/v1/chat/messages": [
        Asked("/api/v1/chat/messages", body={"message": "x", **IN_SESSION}),
        Asked("/api/v1/chat/messages", body={"message": "x", "user_id": "{user}"}, same=403),
    ],
    "PATCH /api/v1/chat/messages/{id}": [
        Asked("/api/v1/chat/messages/{message}", body={"content": "x"})
    ],
    "DELETE /api/v1/chat/messages/{id}": [Asked("/api/v1/chat/messages/{message}")],
    "GET /api/v1/chat/search": [Asked("/api/v1/chat/search", f"query={CANARY}", same=200)],
}
"""For each endpoint that can be asked for somebody's things, the ways to do so."""

OPERATORS_ONLY = {
    "GET /api/v1/keys",
    "POST /api/v1/keys",
    "DELETE /api/v1/keys/{key_id}",
    "DELETE /api/v1/users/{user_id}",
    "POST /api/v1/governance/tools/{name}/reset",
}
"""Forbidden to users, whosever things."""

OWN = {
    "GET /api/v1/sessions",
    "POST /api/v1/chat/sessions/import",
    "POST /api/v1/ws-tickets",
    "GET /api/v1/governance/usage",
    "GET /api/v1/governance/dashboard",
}
"""These take no id, and answer of the caller's own things alone."""

NOBODYS = {
    "GET /",
    "GET /api/v1/agents",
    "GET /api/v1/governance/health",
    "GET /api/v1/governance/tools",
    "GET /api/v1/governance/tools/{name}",
    "GET /api/v1/metrics",
    "GET /metrics",
    "GET /health",
    "GET /ready",
    "GET /health/ready",
    "GET /openapi.json",
    "GET /asyncapi.json",
}
"""The server's own."""

WIRE: dict[str, list[dict[str, Any]]] = {
    "hello": [{"user_id": "{user}"}],
    "subscribe": [{"topics": [f"{kind}:{{{kind}}}"]} for kind in KINDS],
    "unsubscribe": [{"topics": [f"{kind}:{{{kind}}}"]} for kind in KINDS],
    "mission.submit": [{"mission": "x", **IN_SESSION}],
    "mission.get": [{"mission_id": "{mission}"}],
    "mission.explain": [{"mission_id": "{mission}"}],
    "mission.list": [IN_SESSION, {"user_id": "{user}"}, {"cursor": "{mission}"}],
    "mission.cancel": [{"mission_id": "{mission}"}],
    "mission.pause": [{"mission_id": "{mission}"}],
    "mission.resume": [{"mission_id": "{mission}"}],
    "mission.set_priority": [{"mission_id": "{mission}", "priority": "low"}],
    "mission.extend_quota": [{"mission_id": "{mission}", "quota": {"max_llm_calls": 1}}],
    "confirm": [{"confirmation_id": "{confirmation}", "approved": True}],
    "clarify": [{"clarification_id": "{clarification}", "answer": "x"}],
    "interrupt.answer": [{"interrupt_id": "{confirmation}", "decision": "retry"}],
    "interrupt.list": [IN_SESSION, {"mission_id": "{mission}"}, {"cursor": "{confirmation}"}],
    "message.send": [{"message": "x", **IN_SESSION}],
    "session.create": [{"user_id": "{user}"}],
    "session.get": [IN_SESSION],
    "session.list": [{"user_id": "{user}"}],
    "session.update": [{**IN_SESSION, "title": "x"}],
    "session.delete": [IN_SESSION],
    "tower.status": [{}],
    "ping": [{}],
}
"""For each method, parameters that refer to somebody's things."""


def signed(user_id: str) -> dict[str, str]:
    """Headers with credentials, and a request id that is always the same."""
    token = jwt.encode({"sub": user_id, "role": "user", "exp": FAR}, SECRET, "HS256")
    return {"Authorization": f"Bearer {token}", "X-Request-ID": "same"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """A server that wants credentials."""
    folder = tmp_path_factory.mktemp("isolation") / "data"
    process = TowerProcess(folder, TOWER_AUTH="jwt", TOWER_JWT_SECRET=SECRET).start()
    yield process
    process.end()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bob(server: TowerProcess) -> AsyncIterator[httpx2.AsyncClient]:
    """Bob's client."""
    async with httpx2.AsyncClient(base_url=server.url, headers=signed("bob"), timeout=30) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def adas(server: TowerProcess) -> dict[str, str]:
    """Ada's things: a mission that asks for words, beside one that asks to confirm."""
    async with httpx2.AsyncClient(base_url=server.url, headers=signed("ada"), timeout=30) as client:
        first = {"user_message": f"write {CANARY}.txt: x; delete {CANARY}.txt"}
        confirms = (await client.post("/api/v1/requests?wait_s=20", json=first)).json()
        second = {
            "user_message": f"ask me about {CANARY}",
            "session_id": confirms["session_id"],
            "on_busy": "parallel",
        }
        asks = (await client.post("/api/v1/requests?wait_s=20", json=second)).json()
        messages = await client.get(f"{CHAT}/{confirms['session_id']}/messages")
    found = {
        "mission": asks["pid"],
        "session": confirms["session_id"],
        "confirmation": confirms["confirmation_id"],
        "clarification": asks["clarification_id"],
        "message": messages.json()[0]["message_id"],
        "user": "ada",
    }
    assert set(found) == set(THINGS)
    assert all(found.values())
    return found


def nothing(things: dict[str, str]) -> dict[str, str]:
    """Ids of the same form, of things that never were."""
    return {
        name: "eve" if name == "user" else f"{value[:-12]}{'0' * 12}"
        for name, value in things.items()
    }


def filled(template: Any, things: dict[str, str]) -> Any:
    """Put ids into their places."""
    text = json.dumps(template)
    for name, value in things.items():
        text = text.replace(f"{{{name}}}", value)
    return json.loads(text)


def without(text: str, things: dict[str, str]) -> str:
    """Take the ids out of an answer: it may repeat what it was asked for."""
    for name, value in things.items():
        text = text.replace(f'"{value}"', f'"<{name}>"').replace(f":{value}", f":<{name}>")
    return text


def rows() -> set[str]:
    """Every endpoint as the tables here name it."""
    return {f"{each.method} {each.path}" for each in ENDPOINTS}


async def test_every_endpoint_and_method_has_a_row() -> None:
    """Who adds one says here whose things it can be asked for."""
    named = [*REST, *OPERATORS_ONLY, *OWN, *NOBODYS]
    assert len(named) == len(set(named))
    assert set(named) == rows()
    assert set(WIRE) == set(METHODS)


@pytest.mark.parametrize("row", REST)
async def test_an_endpoint_does_not_tell(
    row: str, bob: httpx2.AsyncClient, adas: dict[str, str]
) -> None:
    """Status, body and headers are the same for what is Ada's and for what is nobody's."""
    method = row.partition(" ")[0]
    for asked in REST[row]:
        answers = []
        for things in (adas, nothing(adas)):
            url = filled(f"{asked.path}?{asked.query}".rstrip("?"), things)
            body = filled(asked.body, things)
            answer = await bob.request(method, url, json=body)
            assert answer.status_code == asked.same, (url, answer.text)
            assert CANARY not in answer.text.replace(asked.query, "")
            answers.append((without(answer.text, things), sorted(answer.headers)))
        assert answers[0] == answers[1], asked


async def test_lists_hold_ones_own(bob: httpx2.AsyncClient, adas: dict[str, str]) -> None:
    """Whatever takes no id: nothing of Ada's is in it."""
    for row in rows() - OPERATORS_ONLY:
        method, _, path = row.partition(" ")
        if method != "GET" or "{" in path or path == "/api/v1/events":
            continue
        answer = await bob.get(path, params={"query": "x"} if path.endswith("search") else None)
        assert answer.status_code in {200, 503}, (path, answer.text)
        assert CANARY not in answer.text, path
        leaked = [name for name in THINGS if name != "user" and adas[name] in answer.text]
        assert not leaked, path


@pytest.mark.parametrize("row", sorted(OPERATORS_ONLY))
async def test_what_is_for_operators_is_forbidden(row: str, bob: httpx2.AsyncClient) -> None:
    """Before it is looked up: whether it exists is not told either."""
    method, _, path = row.partition(" ")
    body = {"user_id": "bob"} if method == "POST" and path.endswith("keys") else None
    path = path.replace("{key_id}", "k_none").replace("{name}", "calculator")
    path = path.replace("{user_id}", "ada")
    assert (await bob.request(method, path, json=body)).status_code == 403


async def said(ws: Wire, method: str, params: dict[str, Any]) -> str:
    """Call with a fixed id; return the reply as it came."""
    await ws.send(json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}))
    while True:
        message = await ws.receive()
        if "method" not in message:
            return json.dumps(message)


@pytest.mark.parametrize("method", WIRE)
async def test_a_method_does_not_tell(
    method: str, server: TowerProcess, adas: dict[str, str]
) -> None:
    """Each reply for what is Ada's is that for what is nobody's, on a connection of its own."""
    for params in WIRE[method]:
        replies = []
        for things in (adas, nothing(adas)):
            async with wire(server.ws_url, Authorization=signed("bob")["Authorization"]) as ws:
                reply = await said(ws, method, filled(params, things))
                await ws.call("ping")
                assert not [event for event in ws.durable if event["user_id"] == "ada"]
            assert CANARY not in reply
            replies.append(without(reply, things))
        assert replies[0] == replies[1], params


async def test_a_topic_of_everything_is_not_for_users(server: TowerProcess) -> None:
    """Nor are its events, over HTTP."""
    async with wire(server.ws_url, Authorization=signed("bob")["Authorization"]) as ws:
        reply = json.loads(await said(ws, "subscribe", {"topics": ["system"]}))
        assert reply["error"]["data"]["code"] == "forbidden"
    async with httpx2.AsyncClient(base_url=server.url, headers=signed("bob")) as client:
        for accept in ("application/json", "text/event-stream"):
            answer = await client.get("/api/v1/events?topic=system", headers={"Accept": accept})
            assert answer.status_code == 403
