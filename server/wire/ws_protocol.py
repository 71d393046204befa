"""uvicorn's WebSocket protocol with the raw way in and out, for ten thousand connections.

An ASGI application would keep a task, a queue and several frames of coroutines for each
connection, and build each message anew for each receiver. This subclass is a
:class:`~server.wire.raw_channel.RawChannel` instead, and hands itself to the application as ASGI
extension ``tower.raw``. Once the application has attached its receiver and returned, nothing of
ASGI stays: what arrives is a call on the receiver, and whole WebSocket frames go straight to the
transport.

What holds for every connection here: text only (1003), UTF-8 (1007), bounded messages (1009), no
compression, no keepalive of uvicorn's (the hub sweeps), bounded memory in the kernel, and a close
that takes a bounded time. The transport reports "stuck" as soon as bytes wait in it and "drained"
when none do, since its water marks are that low.
"""

import asyncio
import codecs
import logging
import socket
from asyncio.transports import BaseTransport
from collections.abc import Callable
from typing import Any, Final, cast

from uvicorn._types import ASGISendEvent, WebSocketScope
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame
from websockets.protocol import State
from websockets.server import ServerProtocol

from server.wire.close_codes import RESTART_MS, Close, close_reason
from server.wire.raw_channel import EXTENSION, MAX_MESSAGE_BYTES, RawReceiver

SEND_BUFFER_BYTES: Final = 64 << 10
USER_TIMEOUT_MS: Final = 10_000
CLOSE_TIMEOUT_S: Final = 5.0
LINGER_S: Final = 1.0

_UVICORN_DEFAULT_MAX: Final = 16 << 20
_new_decoder: Final = codecs.getincrementaldecoder("utf-8")
# websockets logs every close at INFO; a connection has its one line elsewhere.
_frames_log = logging.getLogger("server.wire.ws_protocol.frames")
_frames_log.setLevel(logging.WARNING)


class TowerProtocol(WebSocketsSansIOProtocol):
    """To be passed as ``ws=`` to :class:`uvicorn.Config`.

    Attributes:
        write: sends whole frames; the transport's own method, since one more call in Python is
            a twentieth of what a delivery costs. Nothing may be written once closing has begun:
            the receiver is told that it lost the connection in that very step.
    """

    write: Callable[[bytes], None]
    _utf8: codecs.IncrementalDecoder
    """Of the message whose fragments are coming."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        limit = config.ws_max_size
        self._unloop()  # the one that uvicorn made
        self.conn = ServerProtocol(
            max_size=MAX_MESSAGE_BYTES if limit == _UVICORN_DEFAULT_MAX else limit,
            logger=_frames_log,
        )
        self._receiver: RawReceiver | None = None
        self._attached = False
        self._deaf = False
        self._early = b""
        self._end_timer: asyncio.TimerHandle | None = None

    # The application's side.

    def attach(self, receiver: RawReceiver) -> None:
        """Take the connection over; after accept, with nothing awaited in between."""
        self._attached = True
        self._receiver = receiver
        # Nothing of ASGI is used from here on; for an idle connection it is most of its memory.
        del self.queue, self.writable, self.request, self.response
        self.scope = cast("WebSocketScope", None)
        if self.read_paused and not self._early:
            self.resume()

    def buffered(self) -> int:
        """Return how many bytes wait in the transport."""
        return self.transport.get_write_buffer_size()

    def pause(self) -> None:
        """Stop reading."""
        if not self.read_paused and not self.transport.is_closing():
            self.read_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self.read_paused and not self.transport.is_closing():
            self.read_paused = False
            self.transport.resume_reading()

    def close(self, code: int, reason: str, within_s: float = CLOSE_TIMEOUT_S) -> None:
        """Close behind what was written; abort if that takes longer than ``within_s``."""
        if self.close_sent or self.transport.is_closing():
            return
        self.close_sent = True
        if self.conn.state is State.OPEN:
            self.conn.send_close(code, close_reason(code, reason))
            self._flush()
        self._end_within(within_s)
        self._lose(code, reason)
        # Its answer to our close must be read.
        self.resume()

    def abort(self) -> None:
        """Drop the connection with all that waits."""
        self.close_sent = True
        self.transport.abort()
        self._lose(1006, "")

    # The transport's side.

    def connection_made(self, transport: BaseTransport) -> None:
        """Bound what the kernel and the transport may hold."""
        super().connection_made(transport)
        opened = transport.get_extra_info("socket")
        if opened is not None and opened.family in {socket.AF_INET, socket.AF_INET6}:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        # Not 0: over TLS the transports pause at the mark, not above it, and would never resume.
        self.transport.set_write_buffer_limits(high=1, low=0)
        self.write = self.transport.write

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None
        if not self._attached:
            super().connection_lost(exc)
            return
        self.connections.discard(self)
        self.disconnected = self.close_sent = True
        self._lose(1006, "")
        self._unloop()
        if exc is None:
            self.transport.close()

    def pause_writing(self) -> None:
        """Bytes wait."""
        if not self._attached:
            super().pause_writing()
        elif self._receiver is not None:
            self._receiver.stuck()

    def resume_writing(self) -> None:
        """No bytes wait any more."""
        if not self._attached:
            super().resume_writing()
        elif self._receiver is not None:
            self._receiver.drained()

    def start_keepalive(self) -> None:
        """Nothing: the hub pings all connections in one sweep."""

    def shutdown(self) -> None:
        """The server stops: whoever is still here is told to come back."""
        if self._attached:
            self.close(Close.RESTART, close_reason(Close.RESTART, "", RESTART_MS), LINGER_S)
        elif self._deaf:
            self.transport.abort()
        else:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Take bytes in; those after a failure or a close are read and thrown away."""
        if self._deaf:
            return
        if self.handshake_initiated and not self.handshake_complete:
            # Frames are for later: an answer to one would precede the answer to the upgrade.
            self._early += data
            self.pause()
            return
        if self._receiver is not None:
            self._receiver.heard()
        self.conn.receive_data(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse_head()
            return
        # Also before a failure: what was complete until then counts.
        self.handle_events()
        if self.conn.parser_exc is not None and not self._deaf:
            self.handle_parser_exception()

    def eof_received(self) -> None:
        """The client will send nothing more; without its half there is no WebSocket."""
        self._deaf = True

    # What arrives.

    def handle_cont(self, event: Frame) -> None:
        """Add a fragment."""
        if not event.fin and not self._fits(event):
            return
        super().handle_cont(event)

    def handle_text(self, event: Frame) -> None:
        """Begin a message."""
        if not event.fin:
            self._utf8 = _new_decoder()
            if not self._fits(event):
                return
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:  # noqa: ARG002 - uvicorn's signature
        """Refuse it."""
        self._fail(Close.NOT_TEXT, "text only")

    def send_receive_event_to_app(self) -> None:
        """A message is complete."""
        if not self._attached:
            super().send_receive_event_to_app()
            return
        parts, self.frames = self.frames, []
        if self._receiver is None or self._deaf:
            return
        try:
            text = b"".join(parts).decode()
        except UnicodeDecodeError:
            self._fail(Close.BAD_UTF8, "not UTF-8")
        else:
            self._receiver.text_received(text)

    def handle_ping(self) -> None:
        """Answer, but not a client that does not read: its pongs would pile up."""
        if self._deaf:
            return  # in the same segment as a fault, behind which our half is shut
        pong = b"".join(self.conn.data_to_send())
        if not self.transport.is_closing() and not self.buffered():
            self.transport.write(pong)
        if self._receiver is not None:
            self._receiver.frame_received()

    def handle_pong(self, event: Frame) -> None:  # noqa: ARG002 - uvicorn's signature
        """Life; that bytes came was noted already."""
        if self._receiver is not None:
            self._receiver.frame_received()

    def handle_close(self, event: Frame) -> None:
        """The client closes, or answers our close."""
        if not self._attached:
            super().handle_close(event)
            return
        self._deaf = True
        received = self.conn.close_rcvd
        self._flush()
        self.close_sent = True
        self._end_within(LINGER_S)
        self.transport.close()
        self._lose(received.code if received else 1005, received.reason if received else "")

    def handle_parser_exception(self) -> None:
        """What came is not to be had: no WebSocket, no text, or too much."""
        sent = self.conn.close_sent
        self._end_with(sent.code if sent else 1006, sent.reason if sent else "")

    def _fits(self, fragment: Frame) -> bool:
        """Count a fragment; fail at the first that is not UTF-8, without waiting for the last."""
        if self._receiver is not None:
            self._receiver.frame_received()
        try:
            self._utf8.decode(fragment.data)
        except UnicodeDecodeError:
            self._fail(Close.BAD_UTF8, "not UTF-8")
            return False
        return True

    async def run_asgi(self) -> None:
        """Run the application up to the attachment, or to its end when it attaches nothing."""
        # uvicorn logs the query of its own scope, and a ticket is a secret.
        scope = cast("WebSocketScope", {**self.scope})
        self.scope["query_string"] = b""
        scope["extensions"] = {**(scope["extensions"] or {}), EXTENSION: cast("Any", self)}
        try:
            await self.app(scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except Exception:
            self.logger.exception("Exception in ASGI application")
            self._give_up()
        else:
            refused = self.initial_response is not None or self.close_sent
            if not self.handshake_complete and not refused:
                self.logger.error("The application returned without accepting or refusing.")
                self.send_500_response()
        if not self._attached and self.close_timer is None:
            self.transport.close()

    def _refuse_head(self) -> None:
        """Refuse an upgrade whose head uvicorn took and websockets does not: it has less room."""
        self._deaf = True
        self.close_sent = self.handshake_complete = True
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
            b"content-length: 0\r\nconnection: close\r\n\r\n"
        )
        self.transport.close()
        self._end_within(LINGER_S)

    async def send(self, message: ASGISendEvent) -> None:
        """As uvicorn's; with an accept, what came early is taken in behind it."""
        await super().send(message)
        if self._early and self.handshake_complete:
            self.loop.call_soon(self._take_early)

    def _take_early(self) -> None:
        early, self._early = self._early, b""
        self.resume()
        if early and not self.disconnected:
            self.data_received(early)

    def _give_up(self) -> None:
        if self._attached:
            self.close(Close.INTERNAL, "")
        else:
            self.send_500_response()
            self.transport.close()

    def _fail(self, code: int, reason: str) -> None:
        self.conn.fail(code, reason)
        # Behind a fault that the parser had met already, the code is that of the first.
        self.handle_parser_exception()

    def _end_with(self, code: int, reason: str) -> None:
        """Send the close frame that is due, and then read on for a moment.

        Closing at once would answer bytes that are still on their way with a reset, and the
        client would never see the code.
        """
        if self._deaf:
            return
        self._deaf = True
        self._flush()
        self.close_sent = True
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
            self._end_within(LINGER_S)
        else:
            self.transport.close()
            self._end_within(LINGER_S)
        if self._attached:
            self._lose(code, reason)
        else:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    def _flush(self) -> None:
        output = b"".join(self.conn.data_to_send())
        if output and not self.transport.is_closing():
            self.transport.write(output)

    def _unloop(self) -> None:
        """End the parser, which holds what holds it.

        Else thousands of connections that go at once wait for the garbage collector.
        """
        self.conn.parser.close()

    def _end_within(self, delay_s: float) -> None:
        if self._end_timer is None:
            self._end_timer = self.loop.call_later(delay_s, self.transport.abort)

    def _lose(self, code: int, reason: str) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost(code, reason)
