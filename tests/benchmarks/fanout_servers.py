"""Servers that send the same events to all of their clients, each in its own way.

Run as ``python -m tests.benchmarks.fanout_servers <kind>``. Prints its port, then obeys lines on
its standard input: ``run <rounds> <burst> <gap_ms>`` answers with the CPU and wall seconds that it
took, ``memory`` with its resident bytes, ``count`` with its connections; the end of input ends it.
"""

import asyncio
import base64
import gc
import hashlib
import os
import re
import resource
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Final

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.server import ServerConnection, broadcast, serve

from control_tower.commands import Caller
from events.frames import text_frame
from events.hub import Hub
from events.log import Page
from events.payloads import StepCompleted
from events.topics import Filter
from events.turns import LoopTurns
from events.types import Committed, Scope, draft
from server.rpc_session import Method
from server.ws import Connection, Sockets
from server.ws_protocol import TowerProtocol

SCOPE: Final = Scope("s_" + "0" * 26, "local", ("m_" + "0" * 26,))
STEP: Final = StepCompleted(step="3", kind="tool", name="calculator", output="4", duration_ms=1.2)

Send = Callable[[int], Awaitable[None]]
Count = Callable[[], int]
Started = Callable[[int, Send, Count], Awaitable[None]]
Serve = Callable[[Started], Coroutine[None, None, None]]


def make_event(offset: int) -> Committed:
    """Return an event of about 256 bytes."""
    return Committed(offset, STEP.TYPE, SCOPE, draft(STEP, SCOPE, 1.7e9).body(offset))


class EmptyLog:
    """The hub's log, of which this benchmark reads nothing."""

    epoch = "e"
    head = 0

    async def read(self, *_: object) -> Page:
        """Never called: nobody is behind."""
        raise NotImplementedError

    async def floor(self, *_: object) -> int:
        """Everything is there."""
        return 0


class NoMethods:
    """A table without methods."""

    def find(self, name: str) -> Method | None:
        """Return None."""
        return None


class _Watching(Sockets):
    """Sockets that subscribe every connection to everything."""

    def _open(self, channel: object, caller: Caller | None) -> None:
        super()._open(channel, caller)  # type: ignore[arg-type]
        newest: Connection = next(reversed(self._connections))
        call = newest.subscribe([Filter("system")], None, None, lambda _: None)
        try:
            call.send(None)
        except StopIteration:
            return


async def hub_server(started: Started) -> None:
    """Serve with the hub."""
    hub = Hub(EmptyLog(), LoopTurns())

    async def authenticate(_: object) -> Caller:
        return Caller("local", "operator")

    sockets = _Watching(hub, NoMethods(), authenticate=authenticate, snapshot=lambda _: [])
    offset = 0

    async def send(burst: int) -> None:
        nonlocal offset
        for _ in range(burst):
            offset += 1
            hub.publish([make_event(offset)])

    await _under_uvicorn(sockets, TowerProtocol, started, send, lambda: len(sockets.connections))
    await hub.close()


async def starlette_server(started: Started) -> None:
    """Serve with Starlette as its documentation shows it: a loop of ``send_text``."""
    clients: set[WebSocket] = set()
    offset = 0

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        clients.add(websocket)
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            clients.discard(websocket)

    async def send(burst: int) -> None:
        nonlocal offset
        for _ in range(burst):
            offset += 1
            text = make_event(offset).body.decode()
            for client in clients:
                await client.send_text(text)

    app = Starlette(routes=[WebSocketRoute("/ws", endpoint)])
    await _under_uvicorn(app, "websockets-sansio", started, send, lambda: len(clients))


async def _under_uvicorn(
    app: object,
    ws: object,
    started: Started,
    send: Send,
    count: Count,
) -> None:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        port=0,
        ws=ws,  # type: ignore[arg-type]
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        lifespan="off",
        log_level="error",
        loop="uvloop",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    await started(server.servers[0].sockets[0].getsockname()[1], send, count)
    server.should_exit = True
    await task


async def websockets_server(started: Started) -> None:
    """Serve with websockets and its ``broadcast``."""
    clients: set[ServerConnection] = set()
    offset = 0

    async def endpoint(connection: ServerConnection) -> None:
        clients.add(connection)
        await connection.wait_closed()
        clients.discard(connection)

    async def send(burst: int) -> None:
        nonlocal offset
        for _ in range(burst):
            offset += 1
            broadcast(clients, make_event(offset).body.decode())

    async with serve(endpoint, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        await started(port, send, lambda: len(clients))


def _raw_server(*, joined: bool) -> Serve:
    async def run(started: Started) -> None:
        """Serve with nothing: accept, and ``write(2)`` to each descriptor in a loop."""
        files: list[int] = []
        sockets: list[socket.socket] = []
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        listener.setblocking(False)
        offset = 0

        async def accept() -> None:
            while True:
                client, _ = await loop.sock_accept(listener)
                request = await loop.sock_recv(client, 4096)
                key = re.search(rb"(?i)sec-websocket-key: (\S+)", request)
                digest = hashlib.sha1(
                    (key[1] if key else b"") + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
                ).digest()
                answer = base64.b64encode(digest)
                client.send(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + answer + b"\r\n\r\n"
                )
                sockets.append(client)
                files.append(client.fileno())

        async def send(burst: int) -> None:
            nonlocal offset
            frames = []
            for _ in range(burst):
                offset += 1
                frames.append(text_frame(make_event(offset).body))
            for frame in [b"".join(frames)] if joined else frames:
                for file in files:
                    os.write(file, frame)

        task = asyncio.create_task(accept())
        await started(listener.getsockname()[1], send, lambda: len(files))
        task.cancel()

    return run


KINDS: Final[dict[str, Serve]] = {
    "hub": hub_server,
    "starlette": starlette_server,
    "websockets": websockets_server,
    "write": _raw_server(joined=False),
    "write-joined": _raw_server(joined=True),
}


async def _obey(port: int, send: Send, count: Count) -> None:
    loop = asyncio.get_running_loop()
    print(port, flush=True)
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).split():
        match line:
            case ["run", rounds, burst, gap_ms]:
                cpu, wall = await _run(send, int(rounds), int(burst), float(gap_ms) / 1000)
                print(cpu, wall, flush=True)
            case ["count"]:
                print(count(), flush=True)
            case ["memory"]:
                gc.collect()
                pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
                print(pages * resource.getpagesize(), flush=True)


async def _run(send: Send, rounds: int, burst: int, gap_s: float) -> tuple[float, float]:
    """Send ``rounds`` bursts, one every ``gap_s``, and return CPU and wall seconds."""
    await asyncio.sleep(0.05)
    loop = asyncio.get_running_loop()
    cpu, wall = time.process_time(), time.perf_counter()
    due = loop.time()
    for _ in range(rounds):
        await send(burst)
        due += gap_s
        # Never less than a quarter: a server that lags must not get two bursts in one tick.
        await asyncio.sleep(max(gap_s / 4, due - loop.time()))
    # What was begun is part of the cost.
    await asyncio.sleep(0.2)
    return time.process_time() - cpu, time.perf_counter() - wall


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(KINDS[sys.argv[1]](_obey))
