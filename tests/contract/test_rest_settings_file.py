"""What the settings file's tables do: MCP servers' tools, prices, and what was spent."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from server.app import Running
from server.settings import McpTable, PriceTable
from tests.contract.rest_app import open_app, problem_of
from tests.contract.test_rest_auth import SECRET, signed
from tests.contract.test_rest_missions import fits
from tests.unit.agents import mcp_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

USAGE = "/api/v1/governance/usage"
BOX = McpTable(command=sys.executable, args=(str(Path(mcp_server.__file__)),))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Running, httpx2.AsyncClient]]:
    """A tower with an MCP server that works, one that does not, a model and its price."""
    price = PriceTable(input_per_million_usd=1_000_000, output_per_million_usd=0)
    async with open_app(
        tmp_path_factory.mktemp("rest") / "data",
        auth="jwt",
        jwt_secret=SECRET,
        model="mock:echo",
        mcp={"box": BOX, "gone": McpTable(command="/nowhere/at/all")},
        prices={"mock:echo": price},
    ) as both:
        yield both


async def test_tools_of_mcp_servers_are_in_the_catalog(api: httpx2.AsyncClient) -> None:
    """With their risk, as any other."""
    catalog = (await api.get("/api/v1/agents", headers=signed("ada"))).json()
    found = {tool["name"]: tool["confirm"] for tool in catalog["tools"]}
    assert (found["mcp.box.say"], found["mcp.box.wipe"]) == (False, True)


async def test_readiness_names_the_server_that_is_away(api: httpx2.AsyncClient) -> None:
    """Degraded, not down; and not what only the log should say."""
    answer = await api.get("/ready")
    assert answer.status_code == 200
    mcp = answer.json()["components"]["mcp"]
    assert (mcp["status"], "gone" in mcp["message"]) == ("degraded", True)
    assert "box" not in mcp["message"]
    assert "nowhere" not in answer.text


async def spend(api: httpx2.AsyncClient, user_id: str) -> None:
    """Have the model say something."""
    answer = await api.post(
        "/api/v1/requests?wait_s=20", json={"user_message": "hello"}, headers=signed(user_id)
    )
    assert answer.json()["status"] == "completed", answer.text


async def test_usage_is_shown_by_user_and_day(api: httpx2.AsyncClient) -> None:
    """In the settings' prices; a user sees their own, an operator everybody's."""
    await spend(api, "ada")
    await spend(api, "bob")

    async def usage(headers: dict[str, str], **query: Any) -> list[dict[str, Any]]:
        answer = await api.get(USAGE, params=query, headers=headers)
        found: list[dict[str, Any]] = fits(answer, "GET", USAGE)
        return found

    own = await usage(signed("ada"))
    assert [each["user_id"] for each in own] == ["ada"]
    assert (own[0]["missions"], own[0]["llm_calls"]) == (1, 1)
    assert own[0]["cost_usd"] == own[0]["input_tokens"] > 0
    everybody = await usage(signed("op", "operator"))
    assert [each["user_id"] for each in everybody] == ["ada", "bob"]
    assert own[0] in everybody
    day = own[0]["day"]
    assert await usage(signed("vic", "viewer"), day=day, limit=1, offset=1) == everybody[1:]
    assert await usage(signed("op", "operator"), day="2020-02-29") == []
    assert (await usage(signed("ada"), day="2020-02-29"))[0]["missions"] == 0


@pytest.mark.parametrize("day", ["2026-02-30", "yesterday", "", "2026-11-21T00:00:01"])
async def test_a_day_that_is_none_is_named(api: httpx2.AsyncClient, day: str) -> None:
    """Not taken for today."""
    answer = await api.get(USAGE, params={"day": day}, headers=signed("ada"))
    problem = problem_of(answer, 422, "invalid_params")
    assert [each["field"] for each in problem["errors"]] == ["day"]
