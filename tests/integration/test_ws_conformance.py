"""RFC 6455 on `/ws`, frame by frame, against a real server."""

import asyncio
import struct
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from tests.integration.ws_rig import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    RawClient,
    Rig,
    frame,
    running,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    """One server for all: each test brings connections of its own, and takes them along."""
    async with running() as it:
        yield it


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _hang_up(rig: Rig) -> AsyncIterator[None]:
    """Leave no connection to the next test."""
    yield
    while rig.clients:
        await rig.clients.pop().hang_up()
    await until(lambda: not rig.server.server_state.connections)


@pytest_asyncio.fixture(loop_scope="module")
async def client(rig: Rig) -> RawClient:
    """A client that shook hands."""
    return await rig.connect()


def _echo(text: str, number: int = 1) -> bytes:
    request = {"jsonrpc": "2.0", "id": number, "method": "echo", "params": {"text": text}}
    return msgspec.json.encode(request)


async def test_the_handshake_proves_that_it_was_understood(client: RawClient) -> None:
    """101 with the digest of the key, and no extension."""
    assert client.head.startswith("HTTP/1.1 101 ")
    assert f"sec-websocket-accept: {ACCEPT}".lower() in client.head.lower()
    assert "sec-websocket-extensions" not in client.head.lower()


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [("tower.v1", "tower.v1"), ("chat, tower.v1", "tower.v1"), ("chat", None)],
)
async def test_the_subprotocol_is_agreed_on_when_offered(
    rig: Rig, offered: str, chosen: str | None
) -> None:
    """It is optional, and nothing else is ever chosen."""
    client = await rig.connect(
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Extensions: permessage-deflate",
        f"Sec-WebSocket-Protocol: {offered}",
    )
    lines = [line.lower() for line in client.head.split("\r\n")]
    found = [line.split(": ")[1] for line in lines if line.startswith("sec-websocket-protocol")]
    assert found == ([chosen] if chosen else [])
    assert not any(line.startswith("sec-websocket-extensions") for line in lines)


@pytest.mark.parametrize(
    "headers",
    [
        ("Sec-WebSocket-Version: 13",),
        (f"Sec-WebSocket-Key: {KEY}",),
        (f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 8"),
        ("Sec-WebSocket-Key: short", "Sec-WebSocket-Version: 13"),
    ],
)
async def test_a_handshake_that_is_none_is_refused(rig: Rig, headers: tuple[str, ...]) -> None:
    """With an HTTP answer, and the connection ends."""
    client = await rig.connect(*headers)
    assert client.head.startswith("HTTP/1.1 4")
    await client.reader.read()


@pytest.mark.parametrize("lines", [(f"X-Long: {'x' * 9_000}",), ("X-Many: 1",) * 140])
async def test_a_head_that_the_websocket_parser_refuses_ends_the_connection(
    rig: Rig, lines: tuple[str, ...]
) -> None:
    """One parser takes it and the other does not; nothing hangs, and nothing is raised."""
    client = await rig.connect(*lines, f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13")
    assert client.head.startswith("HTTP/1.1 431 ")
    await until(lambda: not rig.server.server_state.connections)


async def test_a_message_is_answered(client: RawClient) -> None:
    """A text frame is a message."""
    client.send(frame(TEXT, _echo("héllo 😀")))
    assert (await client.message())["result"] == "héllo 😀"


async def test_a_message_in_fragments_is_one(client: RawClient) -> None:
    """Cut anywhere, in the middle of a character too, and with a ping between."""
    body = _echo("é" * 50)
    pieces = [frame(TEXT, body[:51], fin=False), frame(CONT, body[51:70], fin=False)]
    client.send(*pieces, frame(PING, b"now"), frame(CONT, body[70:]))
    assert await client.receive() == (PONG, b"now")
    assert (await client.message())["result"] == "é" * 50


async def test_bytes_may_come_one_by_one(client: RawClient) -> None:
    """TCP knows no frames."""
    for byte in frame(TEXT, _echo("x")):
        client.writer.write(bytes([byte]))
        await client.writer.drain()
        await asyncio.sleep(0)
    assert (await client.message())["result"] == "x"


async def test_what_a_client_sends_before_the_answer_is_not_lost(rig: Rig) -> None:
    """It need not wait for the handshake's end."""
    client = await rig.connect(early=frame(TEXT, _echo("early")))
    assert (await client.message())["result"] == "early"
    client.send(frame(TEXT, _echo("then")))
    assert (await client.message())["result"] == "then"


async def test_pings_are_answered_and_pongs_are_not(client: RawClient) -> None:
    """With the ping's own payload."""
    client.send(frame(PONG, b"unasked"), frame(PING, b"x" * 125), frame(PING))
    assert await client.receive() == (PONG, b"x" * 125)
    assert await client.receive() == (PONG, b"")


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (frame(TEXT, b"{}", masked=False), 1002),
        (frame(TEXT, b"{}", bits=0x40), 1002),
        (frame(TEXT, b"{}", bits=0x20), 1002),
        (frame(TEXT, b"{}", bits=0x10), 1002),
        (frame(3, b""), 1002),
        (frame(11, b""), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, b"x", fin=False), 1002),
        (frame(CONT, b"x"), 1002),
        (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
        (frame(CLOSE, b"x"), 1002),
        (frame(CLOSE, struct.pack("!H", 1000) + b"\xff\xfe"), 1007),
        (frame(CLOSE, struct.pack("!H", 1000), fin=False), 1002),
        (frame(CLOSE, struct.pack("!H", 1000) + b"x" * 124), 1002),
        (frame(TEXT, b'"\xc3\x28"'), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(TEXT, b"\xf0\x9f", fin=False) + frame(CONT, b"x"), 1007),
        (frame(BINARY, b"x"), 1003),
        (frame(BINARY, b"x", fin=False) + frame(CONT, b"y"), 1003),
        (frame(TEXT, b"x" * 65_537), 1009),
        (frame(TEXT, b"x" * 40_000, fin=False) + frame(CONT, b"x" * 40_000), 1009),
        # The length alone says so, before a byte of the payload has come.
        (b"\x81" + b"\xff" + struct.pack("!Q", 1 << 40), 1009),
        (b"\x81" + b"\xff" + struct.pack("!Q", (1 << 63) + 1), 1009),
    ],
    # Masks are random: without names of their own the cases would differ between workers.
    ids=lambda value: str(value) if isinstance(value, int) else "frames",
)
async def test_what_breaks_the_protocol_is_closed_with_its_code(
    client: RawClient, broken: bytes, code: int
) -> None:
    """The client sees the code, even while it is still sending."""
    client.send(broken, frame(TEXT, _echo("ignored")))
    assert await client.closed() == code


@pytest.mark.parametrize("pieces", [[b'"\xc3\x28'], [b'"\xc3', b"\x28"], [b"\xf4\x90"]])
async def test_a_fragment_that_can_not_be_utf8_is_not_waited_upon(
    client: RawClient, pieces: list[bytes]
) -> None:
    """The rest of the message need not come."""
    client.send(*[frame(CONT if n else TEXT, each, fin=False) for n, each in enumerate(pieces)])
    assert await client.closed() == 1007


async def test_a_message_of_exactly_the_limit_is_taken(client: RawClient) -> None:
    """64 KiB."""
    body = _echo("x" * (65_536 - len(_echo(""))))
    assert len(body) == 65_536
    client.send(frame(TEXT, body))
    assert len((await client.message())["result"]) == 65_536 - len(_echo(""))


@pytest.mark.parametrize(
    "payload", [b"", struct.pack("!H", 1000), struct.pack("!H", 4999) + "ädé".encode()]
)
async def test_a_close_is_echoed_and_ends_the_connection(
    rig: Rig, client: RawClient, payload: bytes
) -> None:
    """With the same code, and nothing is left of the connection."""
    client.send(frame(CLOSE, payload), frame(TEXT, _echo("ignored")))
    assert await client.receive() == (CLOSE, payload)
    assert await client.ended()
    assert rig.sockets.connections == ()
    assert rig.hub.figures().connections == 0


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999])
async def test_a_code_that_may_be_sent_is_echoed(client: RawClient, code: int) -> None:
    """Those of the registry, of libraries and of applications."""
    client.send(frame(CLOSE, struct.pack("!H", code)))
    assert await client.receive() == (CLOSE, struct.pack("!H", code))
    assert await client.ended()


@pytest.mark.parametrize(
    "code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]
)
async def test_a_code_that_may_not_be_sent_is_a_fault(client: RawClient, code: int) -> None:
    """Those that are reserved, and those outside of every range."""
    client.send(frame(CLOSE, struct.pack("!H", code)))
    assert await client.closed() == 1002


@pytest.mark.parametrize("cut", range(1, 4))
async def test_a_character_may_be_cut_by_fragments(client: RawClient, cut: int) -> None:
    """At any of its bytes, with empty fragments before, between and behind."""
    body = _echo("😀")
    at = body.index("😀".encode()) + cut
    pieces = [(TEXT, b""), (CONT, body[:at]), (CONT, b""), (CONT, body[at:]), (CONT, b"")]
    frames = [
        frame(opcode, piece, fin=number == len(pieces))
        for number, (opcode, piece) in enumerate(pieces, 1)
    ]
    client.send(*frames)
    assert (await client.message())["result"] == "😀"


async def test_a_message_in_fragments_of_one_byte_is_one(client: RawClient) -> None:
    """With a control frame after each: they may stand anywhere."""
    body = _echo("é")
    frames = []
    for number, byte in enumerate(body, 1):
        opcode, fin = (TEXT if number == 1 else CONT), number == len(body)
        frames += [frame(opcode, bytes([byte]), fin=fin), frame(PONG, b"x")]
    client.send(*frames[:-1])
    assert (await client.message())["result"] == "é"


@pytest.mark.parametrize("size", [0, 1, 124, 125])
async def test_a_ping_of_any_size_has_its_pong(client: RawClient, size: int) -> None:
    """Byte for byte; 125 is the most that a control frame holds."""
    payload = bytes(range(256))[:size]
    client.send(frame(PING, payload))
    assert await client.receive() == (PONG, payload)


@pytest.mark.parametrize("size", [125, 126, 127, 65_535])
async def test_every_form_of_the_length_is_understood(client: RawClient, size: int) -> None:
    """Of 7 bits and of 16, on both sides of where they change, both ways."""
    body = _echo("x" * (size - len(_echo(""))))
    assert len(body) == size
    client.send(frame(TEXT, body))
    assert (await client.message())["result"] == "x" * (size - len(_echo("")))


async def test_a_length_of_64_bits_is_understood(client: RawClient) -> None:
    """Also where fewer would have done: nothing depends on it."""
    body = _echo("x")
    mask = b"\x00\x00\x00\x00"
    client.send(b"\x81\xff" + struct.pack("!Q", len(body)) + mask + body)
    assert (await client.message())["result"] == "x"


async def test_a_message_in_the_middle_of_a_ping_flood_is_answered(client: RawClient) -> None:
    """Pongs come in the order of their pings."""
    client.send(*[frame(PING, b"%d" % n) for n in range(20)], frame(TEXT, _echo("x")))
    assert [await client.receive() for _ in range(20)] == [(PONG, b"%d" % n) for n in range(20)]
    assert (await client.message())["result"] == "x"


async def test_complete_messages_before_a_fault_still_count(client: RawClient) -> None:
    """In the same segment; what comes behind does not."""
    client.send(frame(TEXT, _echo("first")), frame(3))
    code = await client.closed()
    assert code == 1002


@pytest.mark.parametrize(
    "fault", [frame(BINARY, b"x"), frame(TEXT, b"\xff")], ids=["bytes", "text"]
)
async def test_a_ping_behind_a_fault_has_no_pong(
    client: RawClient, fault: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """In the same segment: our half is shut by then, and nothing can be written to it."""
    client.send(fault, frame(PING, b"late"))
    assert await client.closed() in {1003, 1007}
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
