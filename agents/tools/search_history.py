"""``search_history``: finds earlier messages of the user."""

from typing import Annotated

from pydantic import Field

from agents.errors import ToolDeclined
from agents.registry import Registry
from agents.tool_context import ToolContext
from events.payloads import JsonObject


async def search_history(
    ctx: ToolContext,
    query: Annotated[str, Field(min_length=1, max_length=500)],
    limit: Annotated[int, Field(ge=1, le=50)] = 10,
) -> list[JsonObject]:
    """Search the user's earlier messages.

    Args:
        ctx: given by the executor.
        query: words to look for.
        limit: how many to return at most.
    """
    if ctx.search is None:
        raise ToolDeclined("This server has no search.")
    return await ctx.search(ctx.user_id, query, limit)


def register(registry: Registry) -> None:
    """Register the tool."""
    registry.tool("read_only", idempotent=True)(search_history)
