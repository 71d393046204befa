"""Nothing but ``os.write`` of a frame built once, in a loop over the sockets; from Python."""

import asyncio
import os
import socket

from events.frames import text_frame
from tests.benchmarks.fanout.bursts import orders_of
from tests.benchmarks.fanout.clients import ACCEPTED
from tests.benchmarks.fanout.messages import Offsets
from tests.benchmarks.obey import obey, run


async def serve() -> None:
    """Serve until the end of input."""
    clients: list[socket.socket] = []
    files: list[int] = []
    offsets = Offsets()
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)

    async def accept() -> None:
        while True:
            client, _ = await loop.sock_accept(listener)
            await loop.sock_recv(client, 4096)
            client.setblocking(True)
            client.sendall(ACCEPTED)
            clients.append(client)
            files.append(client.fileno())

    async def send(burst: int) -> None:
        for body in offsets.burst(burst):
            frame = text_frame(body)
            for file in files:
                os.write(file, frame)

    accepting = asyncio.create_task(accept())
    await obey(listener.getsockname()[1], orders_of(send, lambda: len(files)))
    accepting.cancel()


if __name__ == "__main__":
    run(serve)
