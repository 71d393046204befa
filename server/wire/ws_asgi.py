"""A way out over plain ASGI, for servers that don't hand out the raw one (TestClient is one).

The hub writes frames; here they are taken apart and sent as messages, by one task a connection.
"""

import asyncio
from collections import deque

from starlette.types import Receive, Send

from events.frames import payloads
from server.wire.close_codes import Close, close_reason
from server.wire.raw_channel import RawReceiver


class AsgiChannel:
    """A :class:`server.wire.raw_channel.RawChannel` over ``receive`` and ``send``."""

    def __init__(self, receive: Receive, send: Send, max_message_bytes: int) -> None:
        self._receive = receive
        self._send = send
        self._max = max_message_bytes
        self._receiver: RawReceiver | None = None
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self._reading = asyncio.Event()
        self._reading.set()
        self._closing: tuple[int, str] | None = None
        self._aborted = False

    def attach(self, receiver: RawReceiver) -> None:
        """Take the connection over."""
        self._receiver = receiver

    def write(self, frames: bytes) -> None:
        """Queue whole frames."""
        if self._is_over():
            return
        self._waiting.append(frames)
        self._size += len(frames)
        self._wake.set()
        if len(self._waiting) == 1 and self._receiver is not None:
            self._receiver.stuck()

    def buffered(self) -> int:
        """Return how many bytes are queued."""
        return self._size

    def pause(self) -> None:
        """Stop reading."""
        self._reading.clear()

    def resume(self) -> None:
        """Read again."""
        self._reading.set()

    def close(self, code: int, reason: str) -> None:
        """Close behind what is queued."""
        if not self._is_over():
            self._closing = (code, close_reason(code, reason))
            self._wake.set()
            self._reading.set()
            self._lose(code, reason)

    def abort(self) -> None:
        """Drop what is queued and close."""
        self._aborted = True
        self._waiting.clear()
        self._wake.set()
        self._reading.set()
        self._lose(1006, "")

    async def run(self) -> None:
        """Carry messages both ways until the connection is over."""
        try:
            async with asyncio.TaskGroup() as both:
                writer = both.create_task(self._write())
                await self._read()
                writer.cancel()
        finally:
            self._lose(1006, "")

    async def _read(self) -> None:
        while True:
            await self._reading.wait()
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self._lose(message.get("code", 1005), message.get("reason") or "")
                return
            if self._receiver is None:
                continue
            self._receiver.heard()
            self._take(self._receiver, message.get("text"))

    def _take(self, receiver: RawReceiver, text: str | None) -> None:
        if text is None:
            self.close(Close.NOT_TEXT, "text only")
        elif len(text.encode(errors="replace")) > self._max:
            self.close(Close.TOO_BIG, "message too big")
        else:
            receiver.text_received(text)

    def _is_over(self) -> bool:
        return self._closing is not None or self._aborted

    async def _write(self) -> None:
        try:
            while not self._is_over():
                await self._send_waiting()
                self._wake.clear()
                # It may go on, or close, in this very call.
                if self._receiver is not None:
                    self._receiver.drained()
                if not self._is_over():
                    await self._wake.wait()
            await self._send_waiting()
            code, reason = self._closing or (Close.GOING_AWAY, "")
            await self._send({"type": "websocket.close", "code": int(code), "reason": reason})
        except OSError:
            # ASGI's way to say that the client is gone; the reader hears it, too.
            self._lose(1006, "")

    async def _send_waiting(self) -> None:
        while self._waiting:
            frames = self._waiting[0]
            for is_text, payload in payloads(frames):
                # Pings are for the transport underneath, which has its own.
                if is_text and not self._aborted:
                    await self._send({"type": "websocket.send", "text": payload.decode()})
            if self._waiting:
                self._waiting.popleft()
                self._size -= len(frames)
        self._size = 0

    def _lose(self, code: int, reason: str) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost(code, reason)
