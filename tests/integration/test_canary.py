"""The canary: secrets go into a real server by every door, and come out of none.

As an argument (`agents.Secret`), in the environment, in headers, as a ticket, as a token in a URL;
with the log at its most talkative. Then everything that the server wrote or says is searched.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
import pytest_asyncio
from websockets.exceptions import InvalidStatus

from server.rest import ENDPOINTS
from tests.integration.tower_process import TowerProcess, wire

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

APP = Path(__file__).with_name("canary_app.py")
FAR = 4_000_000_000

CANARIES = {
    "an argument": "canary-argument-7Qx1",
    "a provider's key": "canary-environment-4Zk2",
    "the signing secret": "canary-signing-secret-of-enough-bytes-8Vn3",
    "a header": "canary-header-1Lm4",
    "a cookie": "canary-cookie-2Rt5",
    "a bad token": "canary-bad-token-6Hj6",
    "a token in a URL": "canary-url-9Wd7",
    "a bad ticket": "canary-ticket-3Bc8",
    "a password in a query": "canary-query-5Gp9",
}
"""Each secret by the door that it goes in by."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TowerProcess]:
    """A server that logs all it can, and has secrets in its environment."""
    process = TowerProcess(
        tmp_path_factory.mktemp("canary") / "data",
        str(APP),
        TOWER_AUTH="jwt",
        TOWER_JWT_SECRET=CANARIES["the signing secret"],
        TOWER_LOG_LEVEL="debug",
        TOWER_LOG_FORMAT="json",
        SHOP_CREDENTIAL=CANARIES["an argument"],
        OPENAI_API_KEY=CANARIES["a provider's key"],
    ).start()
    yield process
    process.end()


def token() -> str:
    """An operator's token, itself a secret."""
    claims = {"sub": "ada", "role": "operator", "exp": FAR}
    return jwt.encode(claims, CANARIES["the signing secret"], "HS256")


async def every_door(server: TowerProcess) -> dict[str, Any]:
    """Bring each secret in; return the mission that had one as an argument."""
    ours = {
        "Authorization": f"Bearer {token()}",
        "X-Api-Key": CANARIES["a header"],
        "Cookie": f"session={CANARIES['a cookie']}",
    }
    async with httpx2.AsyncClient(base_url=server.url, headers=ours, timeout=30) as api:
        body = {"user_message": "charge it", "agent": "shop"}
        mission = (await api.post("/api/v1/requests?wait_s=20", json=body)).json()
        refused = [
            await api.get(f"/api/v1/missions?token={CANARIES['a token in a URL']}"),
            await api.get(f"/api/v1/missions?password={CANARIES['a password in a query']}"),
            await api.get("/api/v1/missions", headers={"Authorization": wrong()}),
            await api.post("/api/v1/requests", content=CANARIES["a header"]),
        ]
        assert [each.status_code for each in refused] == [400, 422, 401, 415]
        told = "".join(each.text for each in refused)
        assert not [door for door, canary in CANARIES.items() if canary in told]
        ticket = (await api.post("/api/v1/ws-tickets")).json()["ticket"]
    async with wire(f"{server.ws_url}?ticket={ticket}") as ws:
        await ws.call("hello", client=f"bot of {mission['pid']}")
    for query in (f"ticket={CANARIES['a bad ticket']}", f"token={CANARIES['a token in a URL']}"):
        with pytest.raises(InvalidStatus) as error:
            async with wire(f"{server.ws_url}?{query}"):
                pass
        assert error.value.response.status_code in {400, 401}
    return {"mission": mission, "ticket": ticket}


def wrong() -> str:
    """A header with credentials that are none."""
    return f"Bearer {CANARIES['a bad token']}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def done(server: TowerProcess) -> dict[str, Any]:
    """What went in, and what else must not come out."""
    return await every_door(server)


def found_in(text: str, done: dict[str, Any]) -> list[str]:
    """The secrets that a text holds, by their doors."""
    secrets = CANARIES | {"the ticket": done["ticket"], "the token": token()}
    return [door for door, secret in secrets.items() if secret in text]


async def test_the_tool_had_the_secret(done: dict[str, Any]) -> None:
    """Else the rest would prove nothing: what it said is there, with the name for the value."""
    said = done["mission"]["response_text"]
    assert said.count("[secret SHOP_CREDENTIAL]") == 2, said


async def test_no_answer_holds_a_secret(server: TowerProcess, done: dict[str, Any]) -> None:
    """Every GET there is: events, steps, figures, exports, documents, the dashboard."""
    pid, session = done["mission"]["pid"], done["mission"]["session_id"]
    headers = {"Authorization": f"Bearer {token()}"}
    paths = [each.path for each in ENDPOINTS if each.method == "GET"]
    paths += [
        f"/api/v1/chat/sessions/{session}/export?format={kind}" for kind in ("json", "md", "txt")
    ]
    paths += ["/api/v1/events?topic=system", "/api/v1/chat/search?query=canary"]
    async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=30) as api:
        values = {"{pid}": pid, "{id}": session, "{step}": "1", "{name}": "charge"}
        for path in paths:
            answer = await api.get(re.sub(r"{\w+}", lambda name: values[name[0]], path))
            assert answer.status_code < 500, path
            assert not found_in(answer.text, done), path
        steps = (await api.get(f"/api/v1/missions/{pid}/steps")).json()
        assert steps[0]["arguments"]["key"]["secret"] == "SHOP_CREDENTIAL"
        status = await api.get("/api/v1/governance/tools/charge")
        assert "refused" in status.text, "the error is told, without the secret"


async def test_no_event_holds_a_secret(server: TowerProcess, done: dict[str, Any]) -> None:
    """Nor a delta, live or replayed."""
    async with wire(server.ws_url, Authorization=f"Bearer {token()}") as ws:
        await ws.call("subscribe", topics=["system"], since="start")
        ack = await ws.call("mission.submit", mission="charge it", agent="shop")
        while (await ws.ended())["mission_id"] != ack["mission_id"]:
            pass
        await ws.call("mission.get", mission_id=ack["mission_id"])
        await ws.call("tower.status")
        heard = json.dumps(ws.messages)
    assert "llm.delta" in heard
    assert not found_in(heard, done)


async def test_no_file_holds_a_secret(server: TowerProcess, done: dict[str, Any]) -> None:
    """The database to its last page, its write-ahead log, whatever stands in the data folder."""
    looked_at = 0
    for file in server.data_dir.rglob("*"):
        if file.is_file():
            assert not found_in(file.read_bytes().decode("latin1"), done), file.name
            looked_at += file.stat().st_size
    assert looked_at > 100_000


async def test_no_line_of_the_log_holds_a_secret(
    server: TowerProcess, done: dict[str, Any]
) -> None:
    """At level debug, what the tool logged and the traceback of its error included."""
    log = server.log.read_text()
    assert "the key is" in log
    assert "shop.charged" in log
    assert "Traceback" in log
    lines = [line for line in log.splitlines() if found_in(line, done)]
    assert not lines
