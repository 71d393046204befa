"""Governance over HTTP: health from real calls, and a dashboard whose every figure is a check."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from agents.health import CallStatus
from agents.witness import Sighting
from server.app import Running
from server.asgi import create_app
from tests.contract.rest_app import ORIGIN, open_app, problem_of
from tests.contract.test_rest_auth import SECRET, signed
from tests.contract.test_rest_missions import fits, run

pytestmark = pytest.mark.asyncio(loop_scope="module")

DASHBOARD = "/api/v1/governance/dashboard"
TOOL = "/api/v1/governance/tools/{name}"


async def looked_at(api: httpx2.AsyncClient, **headers: str) -> dict[str, Any]:
    """The dashboard's data, alignment by name."""
    body: dict[str, Any] = fits(await api.get(DASHBOARD, headers=headers), "GET", DASHBOARD)
    body["alignment"] = {each["name"]: each for each in body["alignment"]}
    return body


def saw(tower: Running, pid: str, step: str, *, asks: bool = False) -> None:
    """Let the executor have seen a call."""
    seen = Sighting(tool="pay", pid=pid, step=step, attempt=1, asks=asks, at=0.0)
    tower.services.tools.witness.saw(seen)


async def test_every_layer_answers_for_itself(
    opened: tuple[Running, httpx2.AsyncClient],
) -> None:
    """Seven of them, with figures that move when something happens."""
    api = opened[1]
    before = (await looked_at(api))["memory_layers"]
    assert [each["layer"] for each in before] == [f"L{number}" for number in range(1, 8)]
    assert {each["status"] for each in before} == {"up"}
    await run(api, "calculate 6 * 7")
    after = (await looked_at(api))["memory_layers"]
    grown = [after[0]["figures"]["head"] - before[0]["figures"]["head"]]
    grown += [after[at]["figures"][name] - before[at]["figures"][name] for at, name in MOVED]
    assert min(grown) >= 1


MOVED = ((1, "steps"), (1, "tool_calls"), (2, "messages"), (3, "sessions"), (4, "missions"))
"""Figures that a mission in a new session raises, by the layer's place."""


@pytest.mark.alone(reason="it breaks SQLite's index of words, and the parts of one process")
async def test_a_broken_layer_says_so(tmp_path: Path) -> None:
    """The index lost its newest message; a part raises; neither is told as well, or in detail."""
    async with open_app(tmp_path / "data") as (tower, api):
        await run(api, "calculate 1 + 1")
        store = tower.services.store
        await store._readers.run(  # type: ignore[attr-defined]
            lambda connection: connection.execute("PRAGMA query_only = OFF").execute(
                "INSERT INTO messages_text(messages_text) VALUES ('delete-all')"
            )
        )

        def fails() -> None:
            raise RuntimeError("/secret/path")

        tower.services.status = fails  # type: ignore[assignment]
        tower.services.figures = fails  # type: ignore[assignment]
        answer = await api.get(DASHBOARD)
        layers = {each["layer"]: each for each in answer.json()["memory_layers"]}
        assert layers["L3"]["status"] == "degraded"
        assert layers["L2"]["status"] == "down"
        assert "secret" not in answer.text


async def test_a_system_that_behaves_is_aligned(tmp_path: Path) -> None:
    """A risky call approved, one refused, an error, a mission cancelled: all as promised."""
    async with open_app(tmp_path / "data") as (tower, api):
        for approved in (True, False):
            asked = await run(api, "write a.txt: x; delete a.txt")
            body = {"confirmation_id": asked["confirmation_id"], "approved": approved}
            await api.post("/api/v1/confirmations", json=body)
            await tower.services.tower.settled(asked["pid"], 20)
        await run(api, "read nothing.txt")
        left = await run(api, "ask me my name")
        await api.post(f"/api/v1/missions/{left['pid']}/cancel")
        tower.services.clock = _Later(tower.services.clock.now() + 60)
        found = (await looked_at(api))["alignment"]
    assert {name: each["status"] for name, each in found.items()} == dict.fromkeys(found, "holds")
    assert found["risky_calls_confirmed"]["checked"] == 1
    assert found["tool_calls_journaled"]["checked"] >= 4


class _Later:
    """A clock that stands in the future, where every call is old enough to be judged."""

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        """Return Unix seconds."""
        return self._now


async def test_what_was_erased_breaks_no_promise(tmp_path: Path) -> None:
    """Its calls were seen, and nothing of them is meant to be left."""
    async with open_app(tmp_path / "data") as (tower, api):
        for mission in ("calculate 1 + 1", "read nothing.txt", "ask me my name"):
            asked = await run(api, mission)
            erased = await api.delete(f"/api/v1/chat/sessions/{asked['session_id']}?soft=false")
            assert erased.status_code == 204
        await run(api, "calculate 2 + 2")
        tower.services.clock = _Later(tower.services.clock.now() + 60)
        body = await looked_at(api)
    assert "violated" not in {each["status"] for each in body["alignment"].values()}
    assert body["alignment"]["tool_calls_journaled"]["status"] == "holds"
    assert {each["status"] for each in body["memory_layers"]} == {"up"}


async def test_whoever_breaks_a_promise_is_named(tmp_path: Path) -> None:
    """To those who may read everything; a user sees their own violations and no other's."""
    async with open_app(tmp_path / "data", auth="jwt", jwt_secret=SECRET) as (tower, api):
        pids = {}
        for name in ("ada", "bob"):
            body = {"user_message": "calculate 1 + 1"}
            said = await api.post("/api/v1/requests?wait_s=20", json=body, headers=signed(name))
            pids[name] = said.json()["pid"]
        saw(tower, pids["ada"], "99")
        saw(tower, pids["ada"], "1", asks=True)
        for name, role, seen in (("op", "operator", 1), ("ada", "user", 1), ("bob", "user", 0)):
            found = (await looked_at(api, **signed(name, role)))["alignment"]
            unjournaled, unconfirmed = (
                found["tool_calls_journaled"],
                found["risky_calls_confirmed"],
            )
            assert (unjournaled["violations"], unconfirmed["violations"]) == (seen, seen), name
            if seen:
                assert unjournaled["violators"] == [
                    {
                        "mission_id": pids["ada"],
                        "step": "99",
                        "tool": "pay",
                        "why": "no record in the journal",
                    }
                ]


async def test_what_went_wrong_in_a_tool_is_for_those_who_read_everything(tmp_path: Path) -> None:
    """An error may quote another user's arguments: users see that there was one."""
    async with open_app(tmp_path / "data", auth="jwt", jwt_secret=SECRET) as (tower, api):
        health, now = tower.services.oversight.health, tower.services.clock.now()
        for _ in range(5):
            health.record("clock", CallStatus.ERROR, 6_000.0, now, "no ada@example.org")
        path = TOOL.replace("{name}", "clock")
        for who, told in ((signed("op", "viewer"), True), (signed("bob"), False)):
            tool = fits(await api.get(path, headers=who), "GET", TOOL)
            assert (tool["status"], len(tool["recent_errors"])) == ("unhealthy", 5)
            assert tool["issues"]
            assert tool["recommendations"]
            assert tool["last_hour"]["calls"]["error"] == 5
            pages = (path, "/api/v1/governance/health", "/api/v1/governance/tools", DASHBOARD)
            for page in pages:
                assert ("ada@" in (await api.get(page, headers=who)).text) is told, page
        overview = (await api.get("/api/v1/governance/health", headers=signed("bob"))).json()
        assert overview["overall_status"] == "unhealthy"
        assert [each["tool_name"] for each in overview["tools_needing_attention"]] == ["clock"]
        assert len(overview["slow_executions"]) == 5


async def test_health_is_remembered_over_a_restart(tmp_path: Path) -> None:
    """Real calls of the last day count, whichever process made them."""
    path = TOOL.replace("{name}", "calculator")
    async with open_app(tmp_path / "data") as (_, api):
        for number in range(5):
            await run(api, f"calculate {number} + 1")
        before = (await api.get(path)).json()
    async with open_app(tmp_path / "data") as (_, api):
        after = fits(await api.get(path), "GET", TOOL)
    assert (after["status"], after["total_calls"]) == (before["status"], 5)


async def test_decisions_are_listed_newest_first(api: httpx2.AsyncClient) -> None:
    """Who decided what, and when: the history that an auditor reads."""
    decided = []
    for word in ("yes", "no"):
        asked = await run(api, "write a.txt: x; delete a.txt")
        body = {"confirmation_id": asked["confirmation_id"], "user_response": word}
        await api.post("/api/v1/confirmations", json=body)
        decided.append(asked["confirmation_id"])
    query: dict[str, str | int] = {
        "status": "resolved",
        "kind": "confirmation",
        "order": "newest",
        "limit": 1,
    }
    first = (await api.get("/api/v1/interrupts", params=query)).json()
    assert [each["interrupt_id"] for each in first] == decided[:0:-1]
    assert (first[0]["answered_by"], first[0]["answer"]["approved"]) == ("local", False)
    behind = query | {"cursor": decided[1]}
    second = (await api.get("/api/v1/interrupts", params=behind)).json()
    assert [each["interrupt_id"] for each in second] == decided[:1]
    wrong = await api.get("/api/v1/interrupts", params={"order": "best"})
    problem_of(wrong, 422, "invalid_params")


async def test_a_browser_gets_the_page_and_programs_the_data(tmp_path: Path) -> None:
    """By Accept; the page needs no credentials, the data does. Without the page, the data."""
    async with open_app(tmp_path / "data", auth="jwt", jwt_secret=SECRET) as (tower, _):
        page = tower.services.static_dir = tmp_path / "static"
        page.mkdir()
        transport = httpx2.ASGITransport(app=create_app(tower))
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as api:
            html = {"Accept": "text/html,*/*;q=0.8"}
            problem_of(await api.get(DASHBOARD, headers=html), 401, "unauthenticated")
            (page / "governance.html").write_text("<!doctype html>")
            shown = await api.get(DASHBOARD, headers=html)
            assert shown.headers["content-type"].startswith("text/html")
            assert shown.headers["vary"] == "Accept"
            assert "require-trusted-types-for" in shown.headers["content-security-policy"]
            problem_of(await api.get(DASHBOARD), 401, "unauthenticated")
            data = await api.get(DASHBOARD, headers=signed("bob"))
            assert (data.status_code, data.headers["vary"]) == (200, "Accept")
