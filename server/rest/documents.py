"""The documents that describe the server."""

from typing import Any, Literal

from starlette.responses import Response

from server.endpoints import Call, Endpoint, Query, json_reply
from server.rest.shapes import Reply

LINKS = {
    "chat": "/",
    "operator": "/operator",
    "governance": "/governance",
    "websocket": "/ws",
    "requests": "/api/v1/requests",
    "missions": "/api/v1/missions",
    "health": "/health",
    "ready": "/ready",
    "docs": "/docs",
    "openapi": "/openapi.json",
    "asyncapi": "/asyncapi.json",
}


class FrontReply(Reply):
    """What this is, and where to go on."""

    service: Literal["control-tower"]
    version: str
    links: dict[str, str]


async def front(call: Call[None, Query]) -> Response:
    """Return the service's name and links; a browser gets the chat."""
    body = {"service": "control-tower", "version": call.services.version, "links": LINKS}
    return json_reply(body, headers={"Vary": "Accept"})


async def openapi(call: Call[None, Query]) -> Response:
    """Return this document."""
    return json_reply(call.services.documents["openapi"])


async def asyncapi(call: Call[None, Query]) -> Response:
    """Return the AsyncAPI document of `/ws`."""
    return json_reply(call.services.documents["asyncapi"])


ENDPOINTS = (
    Endpoint("GET", "/", front, "Documents", FrontReply, public=True, page="index.html"),
    Endpoint("GET", "/openapi.json", openapi, "Documents", dict[str, Any]),
    Endpoint("GET", "/asyncapi.json", asyncapi, "Documents", dict[str, Any]),
)
