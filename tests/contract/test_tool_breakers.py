"""Breakers and health, whole: missions' calls, events, governance, and who waits for the trial."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.contract.rest_app import open_app

OPEN_S = 3.0
APP = """
import asyncio
from agents import BreakerOpen, Context, agent, tool

WELL = []

@tool(risk="write")
async def shaky() -> str:
    \"""Fail until it is mended.\"""
    if not WELL:
        raise OSError("no power")
    return "steady"

@tool(risk="write", on_open="fail")
async def strict() -> str:
    \"""Fail, and be given up.\"""
    raise OSError("no power")

@tool(risk="read_only")
async def slow() -> str:
    \"""Take its time.\"""
    await asyncio.sleep(0)
    return "at last"

@tool(risk="destructive")
async def risky() -> str:
    \"""Ask first.\"""
    return "done"

@agent("caller")
async def caller(ctx: Context) -> object:
    return await ctx.tool(ctx.inputs["tool"])

@agent("mender")
async def mender(ctx: Context) -> str:
    WELL.append(True)
    return "mended"
"""


@pytest.fixture
async def http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx2.AsyncClient]:
    """Return a client of a tower whose breakers are open for a moment only."""
    monkeypatch.setattr("agents.breaker.OPEN_S", OPEN_S)
    monkeypatch.setattr("agents.defaults._default", None)
    app = tmp_path / "app.py"
    app.write_text(APP)
    async with open_app(tmp_path / "data", apps=[str(app)]) as (_, client):
        yield client


async def call(http: httpx2.AsyncClient, tool: str, wait_s: int = 20) -> dict[str, Any]:
    """Let a mission call a tool; return where it stands after a while."""
    body = {"user_message": "go", "agent": "caller", "inputs": {"tool": tool}}
    answer = await http.post(f"/api/v1/requests?wait_s={wait_s}", json=body)
    return dict((await http.get(f"/api/v1/requests/{answer.json()['pid']}/status")).json())


async def breaker_events(http: httpx2.AsyncClient, tool: str) -> list[tuple[str, Any]]:
    """Return a breaker's events so far, with the failures that they count."""
    page = (await http.get("/api/v1/events?topic=system&since=0&limit=1000")).json()
    events = page if isinstance(page, list) else page["events"]
    return [
        (each["type"], each["data"]["failures"])
        for each in events
        if each["type"].startswith("breaker.") and each["data"]["tool"] == tool
    ]


async def governed(http: httpx2.AsyncClient, tool: str) -> dict[str, Any]:
    """Return what governance says of a tool."""
    return dict((await http.get(f"/api/v1/governance/tools/{tool}")).json())


async def test_five_failures_open_it_and_the_trial_resumes_who_waits(
    http: httpx2.AsyncClient,
) -> None:
    """Told by events and governance; the mission is blocked meanwhile, not failed."""
    for _ in range(5):
        failed = await call(http, "shaky")
        assert (failed["outcome"], failed["error"]["code"]) == ("failed", "tool_failed")
    tool = await governed(http, "shaky")
    assert (tool["breaker"], tool["status"], tool["success_rate"]) == ("open", "unhealthy", 0)
    assert tool["recent_errors"][0]["error"] == "OSError: no power"
    overview = (await http.get("/api/v1/governance/health")).json()
    assert "shaky" in [each["tool_name"] for each in overview["tools_needing_attention"]]
    waiting = await call(http, "shaky", wait_s=0)
    assert waiting["outcome"] is None
    mended = {"user_message": "go", "agent": "mender"}
    await http.post("/api/v1/requests?wait_s=20", json=mended)
    body = {"user_message": "go", "agent": "caller", "inputs": {"tool": "shaky"}}
    answer = await http.post("/api/v1/requests?wait_s=20", json=body)
    assert answer.json()["response_text"] == "steady"
    pid = waiting["pid"]
    settled = await http.get(f"/api/v1/missions/{pid}/events?since=0")
    types = [each["type"] for each in _events(settled)]
    assert "mission.blocked" in types
    assert types[-1] == "mission.completed"
    assert await breaker_events(http, "shaky") == [
        ("breaker.opened", 5),
        ("breaker.half_opened", 5),
        ("breaker.closed", 0),
    ]
    assert (await governed(http, "shaky"))["breaker"] == "closed"


def _events(answer: httpx2.Response) -> list[dict[str, Any]]:
    page = answer.json()
    return list(page if isinstance(page, list) else page["events"])


async def test_a_tool_that_is_not_waited_for_fails_at_once(http: httpx2.AsyncClient) -> None:
    """``on_open="fail"``; an operator's reset lets calls through again."""
    for _ in range(5):
        await call(http, "strict")
    refused = await call(http, "strict")
    assert refused["error"]["code"] == "breaker_open"
    reset = await http.post("/api/v1/governance/tools/strict/reset")
    assert reset.json()["breaker"] == "closed"
    assert (await call(http, "strict"))["error"]["code"] == "tool_failed"


async def test_a_reset_lets_who_waits_go_on_at_once(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mission that came while the breaker was open does not wait for a trial any more."""
    monkeypatch.setattr("agents.breaker.OPEN_S", 3600.0)
    for _ in range(5):
        await call(http, "shaky")
    waiting = await call(http, "shaky", wait_s=0)
    await http.post("/api/v1/requests?wait_s=20", json={"user_message": "go", "agent": "mender"})
    await http.post("/api/v1/governance/tools/shaky/reset")
    following = f"/api/v1/missions/{waiting['pid']}/events"
    stream = await http.get(following, headers={"accept": "text/event-stream"}, timeout=20)
    assert "event: mission.completed" in stream.text


async def test_a_refusal_is_counted_and_says_nothing_of_the_tool(http: httpx2.AsyncClient) -> None:
    """As rejected, outside of the rate of success."""
    body = {"user_message": "go", "agent": "caller", "inputs": {"tool": "risky"}}
    asked = (await http.post("/api/v1/requests?wait_s=20", json=body)).json()
    answer = {"confirmation_id": asked["confirmation_id"], "approved": False}
    assert (await http.post("/api/v1/confirmations", json=answer)).status_code == 200
    tool = await governed(http, "risky")
    assert (tool["last_hour"]["calls"]["rejected"], tool["success_rate"]) == (1, None)


async def test_a_slow_tool_is_degraded(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the mean of its calls; an issue says so, a recommendation what to do."""
    monkeypatch.setattr("agents.health.HealthBook.record", _three_seconds)
    for _ in range(5):
        await call(http, "slow")
    tool = await governed(http, "slow")
    assert (tool["status"], tool["breaker"]) == ("degraded", "closed")
    assert tool["issues"] == ["It takes 3.0 s on average."]
    assert tool["recommendations"]


def _three_seconds(book: Any, tool: str, status: Any, _: float, *args: Any) -> None:
    """Count a call as if it had taken three seconds, which the test has no time for."""
    from agents.health import ToolHealth

    book._tools.setdefault(tool, ToolHealth(tool)).record(status, 3_000.0, *args)
