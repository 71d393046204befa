"""Tickets: a browser's way to open an authenticated WebSocket."""

from starlette.responses import Response

from server.access.auth import TICKET_S
from server.endpoints import Call, Endpoint, Query, json_reply
from server.rest.shapes import Reply


class TicketReply(Reply):
    """A ticket for ``/ws?ticket=…``: good once, for ``expires_in`` seconds."""

    ticket: str
    expires_in: float


async def issue(call: Call[None, Query]) -> Response:
    """Return a single-use ticket that opens one WebSocket as the caller."""
    ticket = await call.services.gate.tickets.issue(call.caller, call.services.clock.now())
    return json_reply({"ticket": ticket, "expires_in": TICKET_S}, 201)


ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v1/ws-tickets",
        issue,
        "Sign-in",
        TicketReply,
        201,
        errors=("rate_limited",),
    ),
)
