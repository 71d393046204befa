"""`/ws` over plain ASGI, as any other server speaks it: the same hub, the same answers."""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from control_tower.commands import Caller
from events.hub import Hub, HubLimits
from events.payloads import MissionStarted
from events.turns import LoopTurns
from server.wire.ws import Sockets
from tests.integration.ws_rig import M1, Methods
from tests.unit.events.fakes import MemoryLog


async def _authenticate(_: Scope) -> Caller:
    return Caller("local", "operator")


class App:
    """A hub and its endpoint, made where there is a loop: at a connection."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.hubs: list[Hub] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        hub = Hub(self.log, LoopTurns(), HubLimits())
        self.hubs.append(hub)
        sockets = Sockets(hub, Methods(), authenticate=_authenticate, snapshot=lambda _: [])
        await sockets(scope, receive, send)
        await sockets.close()
        await hub.close()


@pytest.fixture
def app() -> App:
    """An application."""
    return App()


@pytest.fixture
def ws(app: App) -> Iterator[WebSocketTestSession]:
    """A client of it."""
    client = TestClient(Starlette(routes=[WebSocketRoute("/ws", app)]))
    with client.websocket_connect("/ws", subprotocols=["tower.v1"]) as session:
        yield session
    assert all(hub.figures().connections == 0 for hub in app.hubs)


def _close_code(ws: WebSocketTestSession) -> int:
    with pytest.raises(WebSocketDisconnect) as closed:
        ws.receive_json()
    return closed.value.code


def test_calls_are_answered(ws: WebSocketTestSession) -> None:
    """One message each, and the subprotocol is agreed on."""
    chosen: object = ws.accepted_subprotocol
    assert chosen == "tower.v1"
    ws.send_json({"jsonrpc": "2.0", "id": 1, "method": "echo", "params": {"text": "é"}})
    assert ws.receive_json()["result"] == "é"
    ws.send_json({"jsonrpc": "2.0", "id": 2, "method": "ping"})
    assert ws.receive_json() == {"jsonrpc": "2.0", "id": 2, "result": {"offset": 0}}


def test_a_replay_comes_as_messages() -> None:
    """Joined frames are taken apart again, and paced by the server's own sending."""
    app = App()
    for _ in range(3_000):
        app.log.commit(MissionStarted(attempt=1, node="n"), M1)
    client = TestClient(Starlette(routes=[WebSocketRoute("/ws", app)]))
    with client.websocket_connect("/ws") as ws:
        params = {"topics": ["system"], "since": 0}
        ws.send_json({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": params})
        assert ws.receive_json()["result"]["offset"] == 3_000
        offsets = [ws.receive_json()["params"]["offset"] for _ in range(3_000)]
        assert offsets == list(range(1, 3_001))
        assert ws.receive_json()["params"]["type"] == "replay.done"


def test_binary_is_refused(ws: WebSocketTestSession) -> None:
    """1003."""
    ws.send_bytes(b"x")
    assert _close_code(ws) == 1003


def test_a_long_message_is_refused(ws: WebSocketTestSession) -> None:
    """1009; that server has let it in, we do not."""
    ws.send_text("x" * 70_000)
    assert _close_code(ws) == 1009


def test_three_strikes_are_answered_and_closed(ws: WebSocketTestSession) -> None:
    """The answers come before the close."""
    for _ in range(3):
        ws.send_text("nonsense")
    assert [ws.receive_json()["error"]["code"] for _ in range(3)] == [-32700] * 3
    assert _close_code(ws) == 4400
