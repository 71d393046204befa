"""What every peer of the fan-out benchmark sends: one event of the tower, of about 300 bytes."""

import struct
from typing import Final

from events.frames import text_frame
from events.payloads import StepCompleted
from events.types import Committed, Scope, draft

SCOPE: Final = Scope("s_" + "0" * 26, "local", ("m_" + "0" * 26,))
STEP: Final = StepCompleted(step="3", kind="tool", name="calculator", output="4", duration_ms=1.2)

FIRST_OFFSET: Final = 1_000_000
"""So that every offset of a run has as many digits, and every frame is as long."""


def make_event(offset: int) -> Committed:
    """Return the event with this offset."""
    return Committed(offset, STEP.TYPE, SCOPE, draft(STEP, SCOPE, 1.7e9).body(offset))


BODY: Final = make_event(FIRST_OFFSET).body
FRAME_BYTES: Final = len(text_frame(BODY))


class Offsets:
    """Gives the offsets of a peer's run."""

    def __init__(self) -> None:
        self._last = FIRST_OFFSET

    def burst(self, count: int) -> list[bytes]:
        """Return the JSON of the next ``count`` events."""
        first = self._last + 1
        self._last += count
        return [make_event(offset).body for offset in range(first, first + count)]


def masked_text(body: bytes) -> bytes:
    """Return a client's text frame; its mask is zero, so the body stays as it is."""
    if len(body) < 126:
        return bytes((0x81, 0x80 | len(body), 0, 0, 0, 0)) + body
    return struct.pack("!BBHI", 0x81, 0x80 | 126, len(body), 0) + body
