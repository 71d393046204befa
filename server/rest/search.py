"""Search in messages."""

from typing import Annotated, Literal

from pydantic import Field
from starlette.responses import Response

from control_tower.public import hit_json
from control_tower.sessions import QUERY_LIMIT
from server.endpoints import Call, Endpoint, Query, json_reply
from server.rest.shapes import Reply


class SearchQuery(Query):
    """Words to find: each must be in the message. They are words, never query syntax."""

    query: Annotated[str, Field(min_length=1, max_length=QUERY_LIMIT)]
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class HitReply(Reply):
    """A message that was found. ``snippet`` is HTML: escaped text, the words in ``<mark>``."""

    message_id: str
    session_id: str
    session_title: str | None
    role: Literal["user", "assistant"]
    snippet: str
    created_at: str


async def search(call: Call[None, SearchQuery]) -> Response:
    """Find messages that hold every word, the best first.

    A user finds their own; operators and viewers find everybody's.
    """
    query = call.query
    found = await call.services.sessions.search(
        call.caller, query.query, limit=query.limit, offset=query.offset
    )
    return json_reply([hit_json(hit) for hit in found])


ENDPOINTS = (
    Endpoint("GET", "/api/v1/chat/search", search, "Chat", list[HitReply], query=SearchQuery),
)
