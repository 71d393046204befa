"""The library websockets, and its ``broadcast``."""

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.asyncio.server import serve as serve_websockets

from tests.benchmarks.fanout.bursts import orders_of
from tests.benchmarks.fanout.messages import Offsets
from tests.benchmarks.obey import obey, run


async def serve() -> None:
    """Serve until the end of input."""
    clients: set[ServerConnection] = set()
    offsets = Offsets()

    async def endpoint(connection: ServerConnection) -> None:
        clients.add(connection)
        await connection.wait_closed()
        clients.discard(connection)

    async def send(burst: int) -> None:
        for body in offsets.burst(burst):
            broadcast(clients, body.decode())

    async with serve_websockets(
        endpoint, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=1024
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        await obey(port, orders_of(send, lambda: len(clients)))


if __name__ == "__main__":
    run(serve)
