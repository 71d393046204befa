"""WebSocket frames as a server sends them: unmasked, uncompressed, one frame a message.

A frame is built once for all of its receivers (RFC 6455, section 5.2). :func:`payloads` is the
way back, for transports that want whole messages instead of bytes.
"""

import struct
from collections.abc import Iterator
from functools import lru_cache

_TEXT = 0x81
_CLOSE = 0x88
_PING = 0x89
_SHORT = 126
_MEDIUM = 1 << 16

PING = bytes((_PING, 0))
"""A ping without payload."""


def text_frame(body: bytes) -> bytes:
    """Return one text message. ``body`` is UTF-8."""
    return frame_head(len(body)) + body


@lru_cache(maxsize=4096)
def frame_head(size: int) -> bytes:
    """Return the header of a text message of ``size`` bytes; kept, as few sizes make up most."""
    if size < _SHORT:
        return bytes((_TEXT, size))
    if size < _MEDIUM:
        return struct.pack("!BBH", _TEXT, 126, size)
    return struct.pack("!BBQ", _TEXT, 127, size)


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close message; a reason over 123 bytes is cut at a character."""
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return struct.pack("!BBH", _CLOSE, 2 + len(text), code) + text


def payloads(frames: bytes) -> Iterator[tuple[bool, bytes]]:
    """Split what :func:`text_frame` and its like built: pairs of (is text, payload)."""
    at = 0
    while at < len(frames):
        head, size = frames[at], frames[at + 1]
        at += 2
        if size == 126:
            (size,) = struct.unpack_from("!H", frames, at)
            at += 2
        elif size == 127:
            (size,) = struct.unpack_from("!Q", frames, at)
            at += 8
        yield head == _TEXT, frames[at : at + size]
        at += size
