"""What the client makes of a server that knows less than another one beside it."""

from typing import Any

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve

from server.client import Client
from server.client.line import SUBPROTOCOL

REPLAYED = (
    '{"method":"event","params":{"type":"replay.done","data":{"topics":["mission:m1"],"offset":4}}}'
)


class LateServer:
    """Says, as often as it is told to, that nothing is active; the mission runs meanwhile."""

    def __init__(self, late: int) -> None:
        self.late = late
        self.subscribed = 0

    async def talk(self, socket: ServerConnection) -> None:
        """Answer one connection."""
        async for text in socket:
            asked = msgspec.json.decode(text)
            result = self.reply(asked["method"])
            await socket.send(msgspec.json.encode({"id": asked["id"], "result": result}).decode())
            if asked["method"] == "subscribe":
                await socket.send(REPLAYED)

    def reply(self, method: str) -> dict[str, Any]:
        """Return what a method answers."""
        match method:
            case "hello":
                return {"epoch": "e1"}
            case "subscribe":
                self.subscribed += 1
                return {"epoch": "e1", "offset": 4, "recovered": True, "snapshot": {"missions": []}}
            case _:
                ended = self.subscribed > self.late
                return {"mission_id": "m1", "state": "terminated" if ended else "running"}


def address(server: Server) -> str:
    """Return where it listens."""
    return f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def test_a_running_mission_is_not_said_to_be_over() -> None:
    """Its row says so, whatever a snapshot lacks; it is waited for again."""
    late = LateServer(2)
    async with (
        serve(late.talk, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL]) as server,
        Client(address(server)) as client,
    ):
        assert (await client.wait("m1"))["state"] == "terminated"
    assert late.subscribed == 3
