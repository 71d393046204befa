"""What happens on `/ws` before and while an upgrade is accepted."""

import asyncio

import msgspec
import pytest

from tests.integration.ws_rig import (
    BINARY,
    CLOSE,
    KEY,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    RawClient,
    frame,
    running,
    until,
)


def _echo(number: int) -> bytes:
    request = {"jsonrpc": "2.0", "id": number, "method": "echo", "params": {"text": "x"}}
    return frame(TEXT, msgspec.json.encode(request))


async def _shortly() -> None:
    await asyncio.sleep(0.1)


async def test_messages_that_come_before_the_accept_are_answered_in_order() -> None:
    """They waited with the upgrade."""
    async with running(before=_shortly) as rig:
        client = await rig.connect(early=_echo(1) + frame(PING, b"p") + _echo(2))
        assert await client.receive() == (PONG, b"p")
        assert [(await client.message())["id"] for _ in range(2)] == [1, 2]
        client.send(_echo(3))
        assert (await client.message())["id"] == 3


@pytest.mark.parametrize("cut", [1, 5, 20, 10_000])
async def test_messages_in_one_piece_with_the_upgrade_are_answered(cut: int) -> None:
    """They should not be there yet; being there, they are read from their first byte on."""
    async with running() as rig:
        client = RawClient(*await asyncio.open_connection("127.0.0.1", rig.port))
        rig.clients.append(client)
        lines = [*UPGRADE, f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13", "", ""]
        message = _echo(1)
        client.writer.write("\r\n".join(lines).encode() + message[:cut])
        await client.writer.drain()
        if cut < len(message):
            await asyncio.sleep(0.02)
            client.writer.write(message[cut:])
        assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
        assert (await client.message())["id"] == 1


@pytest.mark.parametrize(
    ("early", "code"),
    [
        (frame(BINARY, b"x"), 1003),
        (frame(3), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(CLOSE, b"\x03\xe8"), 1000),
    ],
    ids=["binary", "reserved", "not utf-8", "close"],
)
async def test_a_fault_before_the_accept_is_met_behind_it(early: bytes, code: int) -> None:
    """The answer to the upgrade comes first, and nothing is left behind."""
    async with running(before=_shortly) as rig:
        client = await rig.connect(early=early)
        assert client.head.startswith("HTTP/1.1 101 ")
        assert await client.closed() == code
        await until(lambda: not rig.server.server_state.connections)
        assert not rig.sockets.connections


async def test_a_client_that_hangs_up_before_the_accept_leaves_nothing() -> None:
    """The accept comes too late."""
    async with running(before=_shortly) as rig:
        client = RawClient(*await asyncio.open_connection("127.0.0.1", rig.port))
        await client.upgrade()
        await client.hang_up()
        await asyncio.sleep(0.2)
        await until(lambda: not rig.server.server_state.connections)
        assert not rig.sockets.connections
        assert rig.hub.figures().connections == 0


async def test_a_bug_in_the_application_answers_500() -> None:
    """And the connection ends."""

    async def broken() -> None:
        raise RuntimeError("the inside")

    async with running(before=broken) as rig:
        client = await rig.connect()
        assert client.head.startswith("HTTP/1.1 500 ")
        assert b"the inside" not in await client.reader.read()
        await until(lambda: not rig.server.server_state.connections)


async def test_the_server_stops_with_an_upgrade_under_way() -> None:
    """Who waits to be accepted is refused."""
    forever = asyncio.Event()

    async def wait() -> None:
        await forever.wait()

    async with running(before=wait) as rig:
        client = RawClient(*await asyncio.open_connection("127.0.0.1", rig.port))
        rig.clients.append(client)
        await client.upgrade()
        await until(lambda: rig.server.server_state.tasks)
        asyncio.get_running_loop().call_later(0.2, forever.set)
        await rig.stop()
        assert (await client.reader.read()).startswith(b"HTTP/1.1 500 ")
