"""Starlette as its documentation shows it: a loop of ``send_text``, under uvicorn."""

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.benchmarks.fanout.bursts import orders_of
from tests.benchmarks.fanout.messages import Offsets
from tests.benchmarks.obey import obey_under_uvicorn, run


async def serve() -> None:
    """Serve until the end of input."""
    clients: set[WebSocket] = set()
    offsets = Offsets()

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        clients.add(websocket)
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            clients.discard(websocket)

    async def send(burst: int) -> None:
        for body in offsets.burst(burst):
            text = body.decode()
            for client in clients:
                await client.send_text(text)

    app = Starlette(routes=[WebSocketRoute("/ws", endpoint)])
    await obey_under_uvicorn(app, "websockets-sansio", orders_of(send, lambda: len(clients)))


if __name__ == "__main__":
    run(serve)
