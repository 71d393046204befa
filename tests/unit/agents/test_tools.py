"""The other built-in tools: the clock and the search."""

from collections.abc import Callable
from typing import Any

import pytest

from agents.errors import ToolFailed, ToolInvalid
from agents.executor import Executor
from agents.registry import Registry
from events.payloads import JsonObject

MakeContext = Callable[..., Any]


async def test_the_clock_tells_the_time_of_a_zone(make_ctx: MakeContext) -> None:
    """UTC by default."""
    ctx = make_ctx("x")
    assert await ctx.tool("clock") == {
        "time": "2027-01-15T08:00:00+00:00",
        "weekday": "Friday",
        "timezone": "UTC",
    }
    vienna = await ctx.tool("clock", timezone="Europe/Vienna")
    assert vienna["time"] == "2027-01-15T09:00:00+01:00"


@pytest.mark.parametrize("timezone", ["Nowhere", "../../etc/passwd", "", "x" * 1000])
async def test_an_unknown_zone_is_declined(make_ctx: MakeContext, timezone: str) -> None:
    """Also one that is a path."""
    with pytest.raises(ToolFailed, match="no time zone called"):
        await make_ctx("x").tool("clock", timezone=timezone)


async def test_search_is_the_users_own(
    registry: Registry, files: Any, clock: Any, make_ctx: MakeContext
) -> None:
    """The user comes from the mission, never from the arguments."""
    asked: list[Any] = []

    async def search(user_id: str, query: str, limit: int) -> list[JsonObject]:
        asked.append((user_id, query, limit))
        return [{"snippet": "found"}]

    ctx = make_ctx("x", executor=Executor(registry, files, clock, search=search))
    assert await ctx.tool("search_history", query="milk", limit=3) == [{"snippet": "found"}]
    assert asked == [("local", "milk", 3)]
    with pytest.raises(ToolInvalid):
        await ctx.tool("search_history", query="", limit=3)
    with pytest.raises(ToolInvalid):
        await ctx.tool("search_history", query="milk", limit=1000)


async def test_without_search_it_is_declined(make_ctx: MakeContext) -> None:
    """A server without an index says so."""
    with pytest.raises(ToolFailed, match="no search"):
        await make_ctx("x").tool("search_history", query="milk")
