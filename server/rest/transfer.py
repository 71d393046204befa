"""Sessions out of the server and into it: export and import."""

from starlette.responses import Response, StreamingResponse

from control_tower.records import MessageRecord
from server.endpoints import Call, Endpoint, Query
from server.transcript import MEDIA_TYPES, Kind, written


class ExportQuery(Query):
    """As what. ``json`` can be imported again."""

    format: Kind = "json"


async def export(call: Call[None, ExportQuery]) -> Response:
    """Return a session with all its messages, to be saved."""
    store, kind = call.services.store, call.query.format
    session = await call.services.sessions.get(call.caller, call.path["id"])

    async def read(limit: int, offset: int) -> list[MessageRecord]:
        return await store.messages(session.session_id, limit, offset)

    name = f"{session.session_id}.{kind}"
    return StreamingResponse(
        written(kind, session, read),
        media_type=MEDIA_TYPES[kind],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/chat/sessions/{id}/export",
        export,
        "Chat",
        bytes,
        query=ExportQuery,
        errors=("not_found",),
        media="*/*",
    ),
)
