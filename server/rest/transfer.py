"""Sessions out of the server and into it: export and import."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from typing import IO, Literal

from starlette.responses import Response, StreamingResponse

from control_tower.errors import InvalidParams, Unavailable
from control_tower.public import session_json
from control_tower.records import MessageRecord
from control_tower.sight import require_writer
from server.endpoints import (
    Body,
    Call,
    Endpoint,
    Query,
    body_chunks,
    json_reply,
    parsed,
    require_json,
)
from server.imports import ImportedMessage, ImportedSession
from server.json_pieces import Pieces
from server.rest.chat import SessionReply
from server.transcript import MEDIA_TYPES, Kind, written

MOST_BYTES = 64 * 1024 * 1024
MOST_MESSAGE_BYTES = 16 * 1024 * 1024
MOST_REST_BYTES = 64 * 1024
UPLOAD_S = 600.0
CHUNK = 64 * 1024
SLICE = 8 * 1024
"""Bytes that are looked through at a stretch: nothing else runs meanwhile, and a text that is all
brackets takes a microsecond a byte."""


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


class ImportBody(Body):
    """What an export wrote as JSON."""

    format: Literal["control-tower/session"]
    version: Literal[1]
    session: ImportedSession
    messages: list[ImportedMessage]


async def import_session(call: Call[None, Query]) -> Response:
    """Make a new session of an export, with the same messages.

    The session is the caller's; it and its messages get new ids. At most 64 MiB.
    """
    require_writer(call.caller)
    require_json(call.request)
    services = call.services
    await services.rates.take(call.caller.user_id, services.clock.now())
    try:
        with tempfile.TemporaryFile(dir=services.settings.data_dir) as file:
            body = await _received(call, file)
            file.seek(0)
            session = await services.imports.run(call.caller.user_id, body.session, _messages(file))
    except OSError as error:
        raise Unavailable(
            "There is no room for the upload now.", outcome="rejected", disk_full=True
        ) from error
    location = {"Location": f"/api/v1/chat/sessions/{session.session_id}"}
    return json_reply(session_json(session), 201, location)


async def _received(call: Call[None, Query], file: IO[bytes]) -> ImportBody:
    """Put the upload into ``file``, all of it checked; return what stands beside its messages."""
    pieces, count = _pieces(), 0
    async for chunk in body_chunks(call.request, MOST_BYTES, UPLOAD_S):
        await asyncio.to_thread(file.write, chunk)
        for at in range(0, len(chunk), SLICE):
            for piece in pieces.feed(chunk[at : at + SLICE]):
                parsed(piece, ImportedMessage, f"messages.{count}.")
                count += 1
            await asyncio.sleep(0)
    body = parsed(pieces.rest(), ImportBody)
    if body.messages:  # the list's name was spelled with escapes, so it was not seen
        raise InvalidParams("Spell messages plainly.", field="messages")
    return body


async def _messages(file: IO[bytes]) -> AsyncIterator[ImportedMessage]:
    pieces = _pieces()
    while chunk := await asyncio.to_thread(file.read, CHUNK):
        for piece in pieces.feed(chunk):
            yield parsed(piece, ImportedMessage)


def _pieces() -> Pieces:
    return Pieces("messages", MOST_MESSAGE_BYTES, MOST_REST_BYTES)


ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v1/chat/sessions/import",
        import_session,
        "Chat",
        SessionReply,
        201,
        ImportBody,
        errors=("forbidden", "rate_limited"),
        gives={"Location": "The session."},
        upload=MOST_BYTES,
    ),
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
