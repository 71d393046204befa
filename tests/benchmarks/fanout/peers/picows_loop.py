"""picows, whose frames and transport are in Cython: a loop of ``send``."""

from picows import WSListener, WSMsgType, WSTransport, ws_create_server

from tests.benchmarks.fanout.bursts import orders_of
from tests.benchmarks.fanout.messages import Offsets
from tests.benchmarks.obey import obey, run


async def serve() -> None:
    """Serve until the end of input."""
    clients: set[WSTransport] = set()
    offsets = Offsets()

    class Listener(WSListener):  # type: ignore[misc]
        """One client."""

        def on_ws_connected(self, transport: WSTransport) -> None:
            """Take it in."""
            clients.add(transport)

        def on_ws_disconnected(self, transport: WSTransport) -> None:
            """Forget it."""
            clients.discard(transport)

    async def send(burst: int) -> None:
        for body in offsets.burst(burst):
            for client in clients:
                client.send(WSMsgType.TEXT, body)

    server = await ws_create_server(
        lambda _: Listener(), "127.0.0.1", 0, enable_auto_ping=False, backlog=1024
    )
    await obey(server.sockets[0].getsockname()[1], orders_of(send, lambda: len(clients)))


if __name__ == "__main__":
    run(serve)
