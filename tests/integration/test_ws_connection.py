"""Connections of `/ws` in good days: order, calls, hello, and what is too much."""

import asyncio
import socket
from typing import Any

import msgspec
import pytest

from server.wire.rpc_session import RateBound
from server.wire.ws import WsLimits
from tests.integration.ws_rig import PING, TEXT, frame, running, until


async def test_nothing_of_asgi_stays_for_a_connection() -> None:
    """No task, while it is open and answers."""
    async with running() as rig:
        clients = [await rig.connect() for _ in range(5)]
        await until(lambda: len(rig.sockets.connections) == 5)
        await until(lambda: not rig.server.server_state.tasks)
        clients[0].call("ping")
        assert (await clients[0].message())["result"] == {"offset": 0}
        assert not rig.server.server_state.tasks
        for client in clients:
            await client.hang_up()
        await until(lambda: not rig.sockets.connections)
        assert rig.hub.figures().connections == 0


async def test_accepted_sockets_are_bounded_in_the_kernel() -> None:
    """A small send buffer, and an end to unacknowledged bytes."""
    async with running() as rig:
        await rig.connect()
        await until(lambda: rig.sockets.connections)
        (protocol,) = rig.server.server_state.connections
        opened: socket.socket = protocol.transport.get_extra_info("socket")
        # Linux doubles what it is asked for.
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 65_536
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        # At a high mark of 0, transports over TLS would pause for good.
        assert protocol.transport.get_write_buffer_limits() == (0, 1)


async def test_a_ticket_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Not by uvicorn's line about the upgrade either."""
    caplog.set_level("DEBUG")
    async with running() as rig:
        client = await rig.connect()
        await client.hang_up()
        await until(lambda: not rig.sockets.connections)
    assert "secret" not in caplog.text


async def test_calls_are_answered_side_by_side() -> None:
    """A slow one does not hold the next one up."""
    async with running() as rig:
        client = await rig.connect()
        client.call("echo", 1, text="slow", wait=True)
        client.call("echo", 2, text="fast")
        assert (await client.message())["id"] == 2
        rig.methods.gate.set()
        assert (await client.message())["id"] == 1


async def test_a_bounded_number_of_calls_is_in_flight() -> None:
    """The next ones wait unread, and are all answered in the end."""
    async with running(limits=WsLimits(max_in_flight=4, rate=None)) as rig:
        client = await rig.connect()
        for number in range(4):
            client.call("echo", number, wait=True)
        for number in range(4, 300):
            client.call("echo", number)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.message()
        rig.methods.gate.set()
        answers = {(await client.message())["id"] for _ in range(300)}
        assert answers == set(range(300))


async def test_a_lost_connection_cancels_its_calls() -> None:
    """Nobody would hear the answer."""
    async with running() as rig:
        client = await rig.connect()
        for number in range(3):
            client.call("echo", number, wait=True)
        client.call("ping", 9)
        await client.message()
        await client.hang_up()
        await until(lambda: rig.methods.cancelled == 3)


async def test_a_bug_is_internal_and_the_connection_goes_on() -> None:
    """Without a word of the inside; a result that was acknowledged stands."""
    async with running() as rig:
        client = await rig.connect()
        client.call("fail", 1)
        opcode, payload = await client.receive()
        assert opcode == TEXT
        assert b"the inside" not in payload
        assert msgspec.json.decode(payload)["error"]["data"]["code"] == "internal"
        client.call("acked", 2)
        client.call("ping", 3)
        assert (await client.message())["result"] == {"first": True}
        assert (await client.message())["id"] == 3


async def test_a_subscribe_is_answered_before_what_it_brings() -> None:
    """Reply, replay, replay.done, live."""
    async with running(past=3) as rig:
        client = await rig.connect()
        client.call("subscribe", 1, topics=["system"], since=1)
        reply = (await client.message())["result"]
        assert reply == {
            "topics": ["system"],
            "epoch": "e1",
            "offset": 3,
            "recovered": True,
            "snapshot": {"missions": []},
        }
        kinds = [(await client.message())["params"] for _ in range(3)]
        assert [one.get("offset") for one in kinds] == [2, 3, None]
        assert kinds[2]["type"] == "replay.done"
        rig.publish()
        assert (await client.message())["params"]["offset"] == 4


@pytest.mark.parametrize(
    ("params", "code"),
    [({"topics": ["nonsense"]}, "invalid_params"), ({"topics": []}, "invalid_params")],
)
async def test_one_bad_topic_refuses_the_call(params: dict[str, Any], code: str) -> None:
    """And nothing of it takes effect."""
    async with running() as rig:
        client = await rig.connect()
        client.call("subscribe", 1, **params)
        error = (await client.message())["error"]
        assert (error["code"], error["data"]["code"]) == (-32602, code)
        assert error["data"]["details"] == {"field": "topics"}
        assert rig.sockets.connections[0].topics == []


async def test_who_brought_no_credentials_says_hello_first() -> None:
    """Everything else is refused until then; saying hello stops the clock."""
    async with running(limits=WsLimits(hello_within_s=0.3), known=False) as rig:
        client = await rig.connect()
        client.call("ping", 1)
        assert (await client.message())["error"]["data"]["code"] == "unauthenticated"
        client.call("hello", 2)
        assert (await client.message())["error"]["data"]["code"] == "not_found"
        client.call("hello", 3, token="ada")
        await client.message()
        await asyncio.sleep(0.5)
        client.call("ping", 4)
        assert (await client.message())["result"] == {"offset": 0}
        (status,) = [one.status() for one in rig.sockets.connections]
        assert status.user_id == "ada"


async def test_who_never_says_hello_is_closed_with_4408() -> None:
    """In time, whatever else it says."""
    async with running(limits=WsLimits(hello_within_s=0.2), known=False) as rig:
        client = await rig.connect()
        client.call("ping", 1)
        await client.message()
        assert await client.closed() == 4408


async def test_flooding_is_warned_of_and_then_closed() -> None:
    """Replies first; the last thing said is the code."""
    limits = WsLimits(rate=RateBound(per_s=10, burst=20, patience=10))
    async with running(limits=limits) as rig:
        client = await rig.connect()
        for number in range(60):
            client.call("ping", number)
        answers = []
        while (received := await client.receive())[0] == TEXT:
            answers.append(msgspec.json.decode(received[1]))
        refused = [one["error"]["data"] for one in answers if "error" in one]
        assert len(refused) >= 8
        assert all(one["code"] == "rate_limited" for one in refused)
        assert all(one["details"]["retry_after_s"] > 0 for one in refused)
        assert int.from_bytes(received[1][:2], "big") == 4429


async def test_a_flood_of_pings_is_a_flood() -> None:
    """Control frames are not free."""
    limits = WsLimits(rate=RateBound(per_s=10, burst=20, patience=10))
    async with running(limits=limits) as rig:
        client = await rig.connect()
        client.send(*[frame(PING, b"x") for _ in range(200)])
        assert await client.closed() == 4429


async def test_three_strikes_are_answered_and_closed_with_4400() -> None:
    """The third answer comes before the close."""
    async with running() as rig:
        client = await rig.connect()
        client.send(*[frame(TEXT, b"nonsense") for _ in range(3)])
        codes = [(await client.message())["error"]["code"] for _ in range(3)]
        assert codes == [-32700] * 3
        assert await client.closed() == 4400
