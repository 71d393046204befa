"""`/ws` under a real uvicorn in this process, over a log in memory, and a client of raw frames."""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import msgspec
import uvicorn
from starlette.types import Scope as AsgiScope

from control_tower.commands import Caller
from control_tower.errors import NotFound
from events.hub import Hub, HubLimits
from events.payloads import MissionStarted
from events.topics import build_filters
from events.turns import LoopTurns
from server.http_protocol import BoundedHttpProtocol
from server.wire.rpc_session import Ack, Method
from server.wire.ws import Connection, Sockets, WsLimits
from server.wire.ws_protocol import TowerProtocol
from tests.rig import waiting
from tests.unit.events.fakes import MemoryLog, scope_of

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
UPGRADE = (
    "GET /ws?ticket=secret HTTP/1.1",
    "Host: 127.0.0.1",
    "Upgrade: websocket",
    "Connection: Upgrade",
)
M1 = scope_of(mission="m1")

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class NoParams(msgspec.Struct, forbid_unknown_fields=True):
    """None."""


class EchoParams(msgspec.Struct, forbid_unknown_fields=True):
    """A text, and whether to wait for the gate."""

    text: str = ""
    wait: bool = False


class SubscribeParams(msgspec.Struct, forbid_unknown_fields=True):
    """Topics and a place."""

    topics: list[str]
    since: int | None = None


class HelloParams(msgspec.Struct, forbid_unknown_fields=True):
    """A token."""

    token: str = ""


@dataclass
class Methods:
    """A few methods, some of them ill-mannered."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: int = 0

    def find(self, name: str) -> Method | None:
        """Find one."""
        return {
            "hello": Method(HelloParams, self.hello),
            "ping": Method(NoParams, self.ping),
            "echo": Method(EchoParams, self.echo),
            "subscribe": Method(SubscribeParams, self.subscribe),
            "fail": Method(NoParams, self.fail),
            "acked": Method(NoParams, self.acked),
        }.get(name)

    async def hello(self, connection: Connection, params: HelloParams, _: Ack) -> Any:
        """Admit whoever has a token."""
        if not params.token:
            raise NotFound("No such user.")
        connection.admit(Caller(params.token, "user"))
        return {"connection_id": connection.connection_id}

    async def ping(self, connection: Connection, _params: object, _: Ack) -> Any:
        """Say how far it is."""
        return {"offset": connection.offset()}

    async def echo(self, _connection: object, params: EchoParams, _: Ack) -> Any:
        """Say it again, maybe later."""
        if params.wait:
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return params.text

    async def subscribe(self, connection: Connection, params: SubscribeParams, ack: Ack) -> Any:
        """Subscribe."""
        return await connection.subscribe(build_filters(params.topics), params.since, None, ack)

    async def fail(self, *_: object) -> Any:
        """Be a bug."""
        raise RuntimeError("the inside")

    async def acked(self, _connection: object, _params: object, ack: Ack) -> Any:
        """Answer, then fail."""
        ack({"first": True})
        raise RuntimeError("too late")


@dataclass
class Rig:
    """A running server with what is behind it."""

    port: int
    log: MemoryLog
    hub: Hub
    sockets: Sockets
    methods: Methods
    server: uvicorn.Server
    serving: asyncio.Task[None]
    clients: list["RawClient"] = field(default_factory=list)

    async def connect(self, *headers: str, early: bytes = b"") -> "RawClient":
        """Connect a client that is hung up at the end."""
        client = await RawClient.connect(self.port, *headers, early=early)
        self.clients.append(client)
        return client

    async def stop(self) -> None:
        """Stop the server."""
        self.server.should_exit = True
        await self.serving

    async def stuck_client(self) -> socket.socket:
        """Return a client with a small window that subscribes and never reads again."""
        loop = asyncio.get_running_loop()
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", self.port))
        lines = [*UPGRADE, f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13", "", ""]
        await loop.sock_sendall(client, "\r\n".join(lines).encode())
        await loop.sock_recv(client, 4_096)
        body = b'{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"topics":["system"]}}'
        await loop.sock_sendall(client, frame(TEXT, body))
        return client

    def publish(self, size: int = 10) -> None:
        """Publish an event of about ``size`` bytes."""
        data = MissionStarted(attempt=1, node="n" * size)
        self.hub.publish([self.log.commit(data, M1)])


@contextlib.asynccontextmanager
async def running(
    hub_limits: HubLimits | None = None,
    limits: WsLimits | None = None,
    *,
    known: bool = True,
    past: int = 0,
    before: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[Rig]:
    """Serve on a free port of the loopback. ``before`` is awaited before an upgrade is accepted."""
    log = MemoryLog()
    for _ in range(past):
        log.commit(MissionStarted(attempt=1, node="n"), M1)
    hub = Hub(log, LoopTurns(), hub_limits)
    hub.start()
    methods = Methods()

    async def authenticate(_: AsgiScope) -> Caller | None:
        if before is not None:
            await before()
        return Caller("local", "operator") if known else None

    sockets = Sockets(hub, methods, authenticate=authenticate, snapshot=lambda _: [], limits=limits)
    config = uvicorn.Config(
        sockets,
        port=0,
        http=BoundedHttpProtocol,
        ws=TowerProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    rig = Rig(port, log, hub, sockets, methods, server, task)
    try:
        yield rig
    finally:
        for client in rig.clients:
            await client.hang_up()
        await rig.stop()
        await sockets.close()
        await hub.close()


until = partial(waiting.until, within_s=10)


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, bits: int = 0, masked: bool = True
) -> bytes:
    """Build a client's frame, or something like one."""
    head = bytes([(0x80 if fin else 0) | bits | opcode])
    flag = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head += bytes([flag | size])
    elif size < 65_536:
        head += struct.pack("!BH", flag | 126, size)
    else:
        head += struct.pack("!BQ", flag | 127, size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class RawClient:
    """A client that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.head = ""

    @classmethod
    async def connect(cls, port: int, *headers: str, early: bytes = b"") -> Self:
        """Connect and shake hands; ``early`` is sent before the answer is read."""
        client = cls(*await asyncio.open_connection("127.0.0.1", port))
        await client.upgrade(*headers, early=early)
        async with asyncio.timeout(10):
            head = await client.reader.readuntil(b"\r\n\r\n")
        client.head = head.decode()
        return client

    async def upgrade(self, *headers: str, early: bytes = b"") -> None:
        """Ask for a WebSocket."""
        lines = [
            *UPGRADE,
            *(headers or (f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13")),
        ]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        if early:
            await self.writer.drain()
            await asyncio.sleep(0.01)
            self.writer.write(early)

    def send(self, *frames: bytes) -> None:
        """Send frames in one piece."""
        self.writer.write(b"".join(frames))

    def call(self, method: str, number: int = 1, **params: Any) -> None:
        """Send a request."""
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self.send(frame(TEXT, msgspec.json.encode(request)))

    async def receive(self) -> tuple[int, bytes]:
        """Return the next frame's opcode and payload."""
        async with asyncio.timeout(10):
            head, size = await self.reader.readexactly(2)
            assert not size & 0x80, "a server does not mask"
            assert not head & 0x70, "no extension was agreed on"
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return head & 15, await self.reader.readexactly(size)

    async def message(self) -> dict[str, Any]:
        """Return the next text message."""
        opcode, payload = await self.receive()
        assert opcode == TEXT, (opcode, payload)
        return dict(msgspec.json.decode(payload))

    async def closed(self) -> int:
        """Return the code of the close frame, and check that nothing follows."""
        while True:
            opcode, payload = await self.receive()
            if opcode == CLOSE:
                self.send(frame(CLOSE, payload))
                break
        assert await self.ended()
        return int(struct.unpack("!H", payload[:2])[0]) if payload else 1005

    async def ended(self) -> bool:
        """Whether the connection ends without another byte."""
        async with asyncio.timeout(10):
            return await self.reader.read(1) == b""

    async def hang_up(self) -> None:
        """Close the TCP connection."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
