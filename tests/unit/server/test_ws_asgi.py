"""The way over plain ASGI, with a server that is a queue each way."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from events.frames import PING, text_frame
from server.wire.ws_asgi import AsgiChannel


class Server:
    """What an ASGI server does for one connection; ``gate`` holds its sending back."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False

    async def receive(self) -> Any:
        """Hand the next message in."""
        return await self.incoming.get()

    async def send(self, message: Any) -> None:
        """Take a message out."""
        await self.gate.wait()
        if self.broken:
            raise OSError("the client is gone")
        self.sent.append(message)

    def hang_up(self) -> None:
        """The client leaves."""
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})


class Receiver:
    """Notes what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def heard(self) -> None:
        """Bytes came."""

    def frame_received(self) -> None:
        """A frame came."""

    def text_received(self, text: str) -> None:
        """A message came."""
        self.told.append(text)

    def stuck(self) -> None:
        """Bytes wait."""
        self.told.append("stuck")

    def drained(self) -> None:
        """None wait."""
        self.told.append("drained")

    def lost(self, code: int, reason: str) -> None:
        """It is over."""
        self.told.append((code, reason))


class Rig:
    """A channel between the two."""

    def __init__(self) -> None:
        self.server, self.receiver = Server(), Receiver()
        self.channel = AsgiChannel(self.server.receive, self.server.send, 100)
        self.channel.attach(self.receiver)
        self.running = asyncio.create_task(self.channel.run())

    async def settle(self) -> None:
        """Let everything happen that can."""
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A channel that runs until the client leaves."""
    it = Rig()
    await it.settle()
    it.receiver.told.clear()
    yield it
    it.server.gate.set()
    it.server.hang_up()
    await it.running


async def test_frames_become_messages_and_pings_are_left_to_the_server(rig: Rig) -> None:
    """In order, and the receiver hears when they have gone."""
    rig.channel.write(text_frame(b"a") + PING + text_frame("é".encode()))
    rig.channel.write(text_frame(b"c"))
    await rig.settle()
    assert [one["text"] for one in rig.server.sent] == ["a", "é", "c"]
    assert rig.receiver.told == ["stuck", "drained"]
    assert rig.channel.buffered() == 0


async def test_what_the_server_does_not_take_waits(rig: Rig) -> None:
    """And is counted."""
    rig.server.gate.clear()
    rig.channel.write(text_frame(b"x" * 50))
    await rig.settle()
    assert rig.channel.buffered() == 52
    assert rig.receiver.told == ["stuck"]
    rig.server.gate.set()
    await rig.settle()
    assert rig.receiver.told == ["stuck", "drained"]


async def test_a_close_goes_behind_what_waits(rig: Rig) -> None:
    """Nothing is written after it, and the receiver is told once."""
    rig.channel.write(text_frame(b"last"))
    rig.channel.close(4413, "slow")
    rig.channel.close(1000, "again")
    rig.channel.write(text_frame(b"too late"))
    await rig.settle()
    assert [one["type"] for one in rig.server.sent] == ["websocket.send", "websocket.close"]
    closed = rig.server.sent[1]
    assert (closed["type"], closed["code"]) == ("websocket.close", 4413)
    assert json.loads(closed["reason"]) == {"retry_after_ms": 1_000, "reason": "slow"}
    assert rig.receiver.told == ["stuck", (4413, "slow")]


async def test_a_close_while_something_is_sent_is_not_forgotten(rig: Rig) -> None:
    """It comes when that has gone."""
    rig.server.gate.clear()
    rig.channel.write(text_frame(b"a"))
    await rig.settle()
    rig.channel.close(1012, "")
    rig.server.gate.set()
    await rig.settle()
    assert [one["type"] for one in rig.server.sent] == ["websocket.send", "websocket.close"]


async def test_an_abort_drops_what_waits(rig: Rig) -> None:
    """The server is only told to close."""
    rig.server.gate.clear()
    rig.channel.write(text_frame(b"a"))
    rig.channel.write(text_frame(b"b"))
    await rig.settle()
    rig.channel.abort()
    rig.server.gate.set()
    await rig.settle()
    assert [one["type"] for one in rig.server.sent] == ["websocket.send", "websocket.close"]
    assert rig.receiver.told == ["stuck", (1006, "")]


async def test_reading_can_be_paused(rig: Rig) -> None:
    """What was asked for already still comes."""
    rig.channel.pause()
    for text in ("one", "two", "three"):
        rig.server.incoming.put_nowait({"type": "websocket.receive", "text": text})
    await rig.settle()
    assert rig.receiver.told == ["one"]
    rig.channel.resume()
    await rig.settle()
    assert rig.receiver.told == ["one", "two", "three"]


async def test_a_server_that_can_not_send_has_lost_its_client(rig: Rig) -> None:
    """ASGI says so with an OSError."""
    rig.server.broken = True
    rig.channel.write(text_frame(b"a"))
    await rig.settle()
    assert rig.receiver.told == ["stuck", (1006, "")]


async def test_the_end_is_told_with_its_code() -> None:
    """When the client leaves, and when the server gives up."""
    left = Rig()
    await left.settle()
    left.server.hang_up()
    await left.running
    assert left.receiver.told[-1] == (1001, "")
    cancelled = Rig()
    await cancelled.settle()
    cancelled.running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled.running
    assert cancelled.receiver.told[-1] == (1006, "")
