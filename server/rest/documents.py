"""The documents that describe the server."""

from typing import Any

from starlette.responses import Response

from server.endpoints import Call, Endpoint, Query, json_reply


async def openapi(call: Call[None, Query]) -> Response:
    """Return this document."""
    return json_reply(call.services.documents["openapi"])


ENDPOINTS = (Endpoint("GET", "/openapi.json", openapi, "Documents", dict[str, Any]),)
