"""Health, figures and the log, as those who run the server see them."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from control_tower.commands import Caller
from control_tower.errors import RateLimited, Unavailable
from control_tower.store.migrations import SCHEMA
from control_tower.unit import StoreFailed, Unit
from events.topics import build_filters
from server.app import Running
from server.figures.database_check import check_database
from tests.contract.rest_app import open_app, problem_of
from tests.contract.test_rest_auth import SECRET, signed
from tests.contract.test_rest_missions import fits, run

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Database:
    """A store that answers as it is told."""

    head = 7

    def __init__(self, schema: str | None = SCHEMA, refusal: StoreFailed | None = None) -> None:
        self._schema = schema
        self._refusal = refusal

    async def schema(self) -> str | None:
        """See ``Database``."""
        return self._schema

    def submit(self, unit: Unit) -> None:
        """See ``Database``."""
        assert self._refusal is not None
        asyncio.get_running_loop().call_soon(unit.refused, self._refusal)


async def test_the_database_is_read_and_written(
    opened: tuple[Running, httpx2.AsyncClient],
) -> None:
    """Connection, schema and a write, of the real one."""
    tower, api = opened
    body = fits(await api.get("/ready"), "GET", "/ready")
    database = body["components"]["database"]
    assert database["status"] == "up"
    assert f"schema {SCHEMA}" in database["message"]
    assert {"database", "llm", "event_loop", "disk", "draining"} <= set(body["components"])
    before = tower.services.log.head
    await api.get("/ready")
    assert tower.services.log.head == before


@pytest.mark.parametrize(
    ("database", "status"),
    [
        (Database(schema="0000"), "down"),
        (Database(schema=None), "down"),
        (Database(refusal=StoreFailed("full", outcome="rejected", disk_full=True)), "degraded"),
        (Database(refusal=StoreFailed("locked", outcome="rejected")), "down"),
    ],
)
async def test_a_database_that_does_not_work_says_so(database: Database, status: str) -> None:
    """An old schema, a full disk (reads go on), a lock."""
    assert (await check_database(database)).status == status


async def test_what_is_down_makes_it_not_ready(tmp_path: Path) -> None:
    """503 with Retry-After; what is degraded does not; nothing of the inside is told."""
    async with open_app(tmp_path / "data") as (tower, api):

        async def fails() -> Any:
            raise RuntimeError("/secret/path")

        tower.services.checks["redis"] = fails
        for path in ("/ready", "/health/ready"):
            answer = await api.get(path)
            assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["components"]["redis"]["status"] == "down"
            assert "secret" not in answer.text
        assert (await api.get("/health")).status_code == 200
        tower.services.tower._a.residence.draining = True
        ready = (await api.get("/ready")).json()
        assert ready["components"]["draining"]["status"] == "down"


async def test_prometheus_reads_the_figures(
    opened: tuple[Running, httpx2.AsyncClient],
) -> None:
    """Every family has help, a unit where one belongs, and only counters end in total."""
    tower, api = opened
    await run(api, "calculate 5 * 5")
    await api.get("/nowhere")
    text = (await api.get("/metrics")).text
    families = {each.name: each for each in text_string_to_metric_families(text)}
    for name, family in families.items():
        assert name.startswith("tower_"), name
        assert family.documentation, name
        assert not name.endswith(("_ms", "_milliseconds")), name
        totals = [each.name.endswith("_total") for each in family.samples]
        assert any(totals) == (family.type == "counter" and bool(totals)), name
    routes = {each.labels["route"] for each in families["tower_http_requests"].samples}
    assert {"/api/v1/requests", "none"} <= routes
    assert not any("m_" in route for route in routes)
    # A node tells Prometheus of itself; the JSON is of all nodes.
    calls = families["tower_tool_calls"].samples[0].value
    assert calls == tower.services.tools.witness.total
    body = (await api.get("/api/v1/metrics")).json()
    assert body["unanswered"] == []
    assert body["tool_calls"] >= max(calls, 1)
    if body["nodes"] == 1:
        assert body["tool_calls"] == calls


async def test_a_request_gets_one_line_of_the_log(tmp_path: Path) -> None:
    """With its id, its route, its user and how it ended; probes and files stay quiet."""
    async with open_app(tmp_path / "data", auth="jwt", jwt_secret=SECRET) as (_, api):
        with structlog.testing.capture_logs(
            processors=[structlog.contextvars.merge_contextvars]
        ) as lines:
            headers = signed("ada") | {"X-Request-ID": "mine"}
            await api.get("/api/v1/missions/m_none?surprise=hidden", headers=headers)
            await api.get("/health")
        told = [line for line in lines if line["event"] == "http.answered"]
        (line,) = [each for each in told if each["log_level"] == "info"]
        assert line["request_id"] == "mine"
        assert (line["method"], line["route"]) == ("GET", "/api/v1/missions/{pid}")
        assert (line["status"], line["user_id"]) == (422, "ada")
        assert line["path"] == "/api/v1/missions/m_none"
        assert line["duration_ms"] >= 0
        assert "hidden" not in str(lines)
        assert len(told) == 2


async def test_a_path_can_not_break_the_log(api: httpx2.AsyncClient) -> None:
    """It is written as it came, escapes and all."""
    with structlog.testing.capture_logs() as lines:
        await api.get("/a%0a%1b[31mforged%20line")
    (line,) = [each for each in lines if each["event"] == "http.answered"]
    assert line["path"] == "/a%0a%1b[31mforged%20line"


async def test_streams_are_bounded(tmp_path: Path) -> None:
    """For a user and for the process, as connections are; and nothing is submitted in vain."""
    async with open_app(
        tmp_path / "data", auth="jwt", jwt_secret=SECRET, max_connections=3,
        max_connections_per_user=2,
    ) as (tower, api):  # fmt: skip
        streams = tower.services.streams

        async def opened(name: str) -> Any:
            return await streams.open(Caller(name, "user"), build_filters([f"user:{name}"]), None)

        for _ in range(2):
            await opened("ada")
        with pytest.raises(RateLimited):
            await opened("ada")
        before = tower.services.log.head
        body = {"mission": "calculate 1 + 1"}
        refused = await api.post("/api/v1/execute/stream", json=body, headers=signed("ada"))
        problem_of(refused, 429, "rate_limited")
        assert refused.headers["retry-after"] == "5"
        assert tower.services.log.head == before
        await opened("bob")
        with pytest.raises(Unavailable):
            await opened("eve")
        streams.end_all()
