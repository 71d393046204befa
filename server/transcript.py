"""A session and all its messages as a text: for programs (JSON), for people (Markdown, plain).

The text comes piece by piece, so that a long session never stands in memory whole.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal, TypeAlias

import msgspec

from control_tower.public import message_json, session_json
from control_tower.records import MessageRecord, SessionRecord
from events.times import rfc3339

FORMAT = "control-tower/session"
VERSION = 1

Kind: TypeAlias = Literal["json", "md", "txt"]

MEDIA_TYPES: dict[Kind, str] = {
    "json": "application/json",
    "md": "text/markdown; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}

Read: TypeAlias = Callable[[int, int], Awaitable[Sequence[MessageRecord]]]
"""Reads a page of the session's messages, oldest first: ``read(limit, offset)``."""

PAGE = 100
"""Messages of the first page; a later one has more when they are short, fewer when long: the
store counts its way to each page, and a page stands in memory whole."""
FEWEST, MOST = 10, 4_000
FEW_CHARACTERS, MANY_CHARACTERS = 256 * 1024, 1024 * 1024

OVERLAP = 50
"""Messages read twice, since those deleted meanwhile pull later ones into the page before."""

_SPEAKERS = {"user": "You", "assistant": "Assistant"}
_encode = msgspec.json.Encoder().encode


async def every_message(read: Read) -> AsyncIterator[MessageRecord]:
    """Yield a session's messages, each once."""
    size = PAGE
    page = await read(size, 0)
    upto = len(page)
    while page:
        for message in page:
            yield message
        told = {message.message_id for message in page}
        size = _next_size(size, page)
        overlap = min(OVERLAP, len(page), size)
        following = await read(size + overlap, upto - overlap)
        upto += len(following) - overlap
        page = [message for message in following if message.message_id not in told]


def _next_size(size: int, page: Sequence[MessageRecord]) -> int:
    """Return how many messages the next page may have."""
    characters = sum(len(each.content) + len(each.original_content or "") for each in page)
    if characters < FEW_CHARACTERS:
        return min(2 * size, MOST)
    if characters > MANY_CHARACTERS:
        return max(size // 4, FEWEST)
    return size


async def written(kind: Kind, session: SessionRecord, read: Read) -> AsyncIterator[bytes]:
    """Yield the whole text of a session."""
    messages = every_message(read)
    match kind:
        case "json":
            async for piece in _as_json(session, messages):
                yield piece
        case "md":
            yield f"# {_title(session)}\n\nBegun {rfc3339(session.created_at)}\n".encode()
            async for message in messages:
                yield f"\n## {_speaker(message)}, {_when(message)}\n\n{message.content}\n".encode()
        case "txt":
            yield f"{_title(session)}\nBegun {rfc3339(session.created_at)}\n".encode()
            async for message in messages:
                yield f"\n[{_when(message)}] {_speaker(message)}:\n{message.content}\n".encode()


async def _as_json(
    session: SessionRecord, messages: AsyncIterator[MessageRecord]
) -> AsyncIterator[bytes]:
    head = {"format": FORMAT, "version": VERSION, "session": session_json(session)}
    yield _encode(head)[:-1] + b',"messages":['
    separator = b"\n"
    async for message in messages:
        yield separator + _encode(message_json(message))
        separator = b",\n"
    yield b"\n]}\n"


def _title(session: SessionRecord) -> str:
    return " ".join((session.title or "").split()) or "Untitled session"


def _speaker(message: MessageRecord) -> str:
    return _SPEAKERS.get(message.role, message.role)


def _when(message: MessageRecord) -> str:
    edited = "" if message.edited_at is None else ", edited"
    return rfc3339(message.created_at) + edited
