"""Standing by: what a server says on its port while another one serves the database.

It lives, so liveness is well; it is not ready, so a load balancer sends nobody here. When the other
server ends or dies this one takes over, and its port is the full server's.
"""

import asyncio
import json
import signal
import socket

import structlog

from control_tower.store import Occupant

HEAD_BYTES = 16 * 1024
HEAD_S = 10.0
RETRY_AFTER_S = 2

_UNANSWERED = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
"""Lost or too slow (``TimeoutError`` is an ``OSError``), cut off, too long: closed and no more."""

log = structlog.get_logger(__name__)


def answer(request_line: bytes) -> bytes:
    """Return the whole HTTP answer to a request's first line."""
    parts = request_line.split()
    path = parts[1].split(b"?")[0] if len(parts) == 3 else b""
    if path == b"/health":
        return _http("200 OK", {"status": "healthy", "role": "standby"})
    if path in {b"/ready", b"/health/ready"}:
        return _http("503 Service Unavailable", {"status": "not_ready", "role": "standby"})
    body = {"code": "unavailable", "detail": "This server stands by: another one serves."}
    return _http("503 Service Unavailable", body)


def _http(status: str, body: dict[str, str]) -> bytes:
    text = json.dumps(body).encode()
    retry = "" if status.startswith("200") else f"Retry-After: {RETRY_AFTER_S}\r\n"
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\n{retry}Connection: close\r\n\r\n"
    )
    return head.encode() + text


class Standby:
    """Answers on a listening socket from the first :meth:`note` to :meth:`leave`.

    Attributes:
        told_to_end: SIGTERM came meanwhile, and the task that waits was cancelled for it.
    """

    def __init__(self, listener: socket.socket) -> None:
        self.told_to_end = False
        self._listener = listener
        self._starting: asyncio.Task[asyncio.Server] | None = None

    def note(self, occupant: Occupant) -> None:
        """Say who serves, once, and begin to answer."""
        if self._starting is None:
            log.info("server.standing_by", node=occupant.node, url=occupant.url)
            waiting = asyncio.current_task()
            assert waiting is not None  # noqa: S101 - a coroutine called this
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._end, waiting)
            # The full server gets the listener itself; closing this copy leaves that one open.
            self._starting = asyncio.create_task(
                asyncio.start_server(_serve, sock=self._listener.dup(), limit=HEAD_BYTES)
            )

    async def leave(self) -> None:
        """Stop answering: what is still being read gets no answer, and comes again."""
        if self._starting is not None:
            server = await self._starting
            server.close()
            self._starting = None
            asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)

    def _end(self, waiting: "asyncio.Task[object]") -> None:
        self.told_to_end = True
        waiting.cancel()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(HEAD_S):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(head.split(b"\r\n", 1)[0]))
            await writer.drain()
    except _UNANSWERED:
        pass
    finally:
        writer.close()
