"""What a server says while it stands by."""

import asyncio
import contextlib
import json
import os
import signal
import socket

import pytest

from control_tower.store import Occupant
from server.serving import listen
from server.standby import HEAD_BYTES, Standby, answer

OTHER = Occupant(1, "other", "http://127.0.0.1:1", "alone", True, 0, 9.0)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /health HTTP/1.1", 200),
        (b"GET /ready HTTP/1.1", 503),
        (b"GET /health/ready?x=1 HTTP/1.1", 503),
        (b"POST /api/v1/requests HTTP/1.1", 503),
        (b"GET /ws HTTP/1.1", 503),
        (b"nonsense", 503),
        (b"", 503),
    ],
)
def test_it_lives_and_is_not_ready(line: bytes, status: int) -> None:
    """Whole answers, with a length, and when to come again unless all is well."""
    head, _, body = answer(line).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert f"Content-Length: {len(body)}".encode() in head
    assert (b"Retry-After" in head) == (status == 503)
    assert isinstance(json.loads(body), dict)


async def ask(port: int, text: bytes) -> bytes:
    """Send bytes and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    await writer.drain()
    if not text.endswith(b"\r\n\r\n"):
        writer.write_eof()
    said = await reader.read()
    writer.close()
    await writer.wait_closed()
    return said


async def test_it_answers_on_the_port_until_it_takes_over() -> None:
    """What is too long or cut off gets no answer; afterwards the listener is another's."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    standby = Standby(listener)
    standby.note(OTHER)
    standby.note(OTHER)
    assert standby._starting is not None
    await standby._starting
    assert (await ask(port, b"GET /health HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert await ask(port, b"GET /health") == b""
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: unhandled.append(told))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * (2 * HEAD_BYTES))
    with contextlib.suppress(ConnectionError):  # closed with bytes unread is a reset
        assert await reader.read() == b""
    writer.close()
    assert unhandled == []
    await standby.leave()
    await standby.leave()
    assert listener.getsockname()[1] == port
    reply = asyncio.get_running_loop().create_task(ask(port, b"GET / HTTP/1.1\r\n\r\n"))
    accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
    accepted.shutdown(socket.SHUT_RDWR)
    accepted.close()
    listener.close()
    await asyncio.gather(reply, return_exceptions=True)


async def test_sigterm_ends_the_waiting() -> None:
    """In order: the command that waits knows that it was told to end."""
    listener = listen("127.0.0.1", 0)
    standby = Standby(listener)

    async def wait() -> None:
        standby.note(OTHER)
        await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert standby.told_to_end
    await standby.leave()
    listener.close()
