"""The same mission by the command line, over HTTP, as a stream and on the socket: the same mission.

It asks for words, then for an approval; each way answers with its own means. The results are the
same, and so is the sequence of event types, as that way shows it and as the log has it.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from server.commands.tower import app
from tests.integration.tower_process import TERMINAL, TowerProcess, wire

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quiet_logs")]

MISSION = "ask me for a name; write plan.txt: rest; delete plan.txt"
ANSWER = "Ada"
STREAM = {"Accept": "text/event-stream"}
EPHEMERAL = {"llm.delta", "replay.done"}


@dataclass
class Told:
    """What one way told of the mission."""

    mission_id: str
    result: str
    types: list[str]


@pytest.fixture
def http(tower: TowerProcess) -> Iterator[httpx2.Client]:
    """The server's HTTP side."""
    with httpx2.Client(base_url=tower.url, timeout=30) as client:
        yield client


def log_of(http: httpx2.Client, mission_id: str) -> list[str]:
    """The types in the log."""
    page = http.get(f"/api/v1/missions/{mission_id}/events?limit=500").json()
    return [event["type"] for event in page["events"]]


def by_command_line(tower: TowerProcess) -> Told:
    """`tower run`, which nobody is there to answer; `approve`; `watch` for what happened."""

    def run(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, list(arguments), env={"TOWER_URL": tower.url})
        assert done.exit_code == code, done.stderr
        return done.stdout

    mission_id = json.loads(run("run", "--json", MISSION, code=3))["mission_id"]
    run("approve", mission_id, "--answer", ANSWER)
    while json.loads(run("missions", "show", mission_id, "--json"))["state"] != "waiting":
        pass
    run("approve", mission_id)
    lines = run("watch", f"mission:{mission_id}", "--since", "0", "--json").splitlines()
    types = [json.loads(line)["type"] for line in lines]
    shown = json.loads(run("missions", "show", mission_id, "--json"))
    return Told(mission_id, shown["result"], [each for each in types if each not in EPHEMERAL])


def by_rest(http: httpx2.Client) -> Told:
    """Requests, clarifications and confirmations; the log afterwards."""
    asked = http.post("/api/v1/requests?wait_s=20", json={"user_message": MISSION}).json()
    assert asked["clarification_needed"]
    answer = {"clarification_id": asked["clarification_id"], "clarification": ANSWER}
    asked = http.post("/api/v1/chat/clarifications?wait_s=20", json=answer).json()
    assert asked["confirmation_needed"]
    approval = {"confirmation_id": asked["confirmation_id"], "approved": True}
    assert http.post("/api/v1/confirmations", json=approval).status_code == 200
    pid = asked["pid"]
    with http.stream("GET", f"/api/v1/missions/{pid}/events", headers=STREAM) as stream:
        for event in sse(stream):
            if event["type"] in TERMINAL:
                break
    result = http.get(f"/api/v1/requests/{pid}/status").json()["result"]
    return Told(pid, result, log_of(http, pid))


def sse(stream: httpx2.Response) -> Iterator[dict[str, Any]]:
    """The events of a stream."""
    for line in stream.iter_lines():
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))


def by_stream(tower: TowerProcess, http: httpx2.Client) -> Told:
    """One stream that stays open through both questions."""
    seen: list[dict[str, Any]] = []
    with (
        httpx2.Client(base_url=tower.url, timeout=30) as streaming,
        streaming.stream("POST", "/api/v1/execute/stream", json={"mission": MISSION}) as stream,
    ):
        for event in sse(stream):
            seen.append(event)
            if event["type"] == "interrupt.raised":
                answer_over_http(http, event["data"])
    last = seen[-1]
    types = [event["type"] for event in seen if event["type"] not in EPHEMERAL]
    return Told(last["mission_id"], last["data"]["result"], types)


def answer_over_http(http: httpx2.Client, question: dict[str, Any]) -> None:
    """Answer as the question wants it."""
    if question["kind"] == "clarification":
        answer = {"clarification_id": question["interrupt_id"], "clarification": ANSWER}
        assert http.post("/api/v1/chat/clarifications", json=answer).status_code in {200, 202}
    else:
        approval = {"confirmation_id": question["interrupt_id"], "approved": True}
        assert http.post("/api/v1/confirmations", json=approval).status_code == 200


async def by_socket(tower: TowerProcess) -> Told:
    """One socket for everything."""
    async with wire(tower.ws_url) as ws:
        ack = await ws.call("mission.submit", mission=MISSION)
        asked = (await ws.event("interrupt.raised"))["data"]
        await ws.call("clarify", clarification_id=asked["interrupt_id"], answer=ANSWER)
        asked = (await ws.event("interrupt.raised"))["data"]
        await ws.call("confirm", confirmation_id=asked["interrupt_id"], approved=True)
        last = await ws.ended()
        mine = [e["type"] for e in ws.durable if e["mission_id"] == ack["mission_id"]]
        return Told(ack["mission_id"], last["data"]["result"], mine)


def test_four_ways_to_the_same_mission(tower: TowerProcess, http: httpx2.Client) -> None:
    """Nothing is particular to a way but the ids."""
    told = {
        "cli": by_command_line(tower),
        "rest": by_rest(http),
        "sse": by_stream(tower, http),
        "ws": asyncio.run(by_socket(tower)),
    }
    socket = told["ws"]
    assert socket.types.count("interrupt.raised") == 2
    assert socket.types[-1] == "mission.completed"
    for way, each in told.items():
        assert each.result == socket.result, way
        assert each.types == socket.types, way
        assert log_of(http, each.mission_id) == socket.types, way
    assert len({each.mission_id for each in told.values()}) == 4
