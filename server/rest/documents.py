"""The documents that describe the server."""

from typing import Any

from starlette.responses import Response

from server.endpoints import Call, Endpoint, Query, json_reply


async def openapi(call: Call[None, Query]) -> Response:
    """Return this document."""
    return json_reply(call.services.documents["openapi"])


async def asyncapi(call: Call[None, Query]) -> Response:
    """Return the AsyncAPI document of `/ws`."""
    return json_reply(call.services.documents["asyncapi"])


ENDPOINTS = (
    Endpoint("GET", "/openapi.json", openapi, "Documents", dict[str, Any]),
    Endpoint("GET", "/asyncapi.json", asyncapi, "Documents", dict[str, Any]),
)
