"""Clients of `/ws` that read slowly, or never, or say nothing; and how connections end."""

import asyncio
import contextlib
import gc
import time

import msgspec
import pytest
from websockets.server import ServerProtocol

from events.hub import HubLimits
from events.liveness import LivenessLimits
from events.subscribers import Subscriber
from server.wire.ws import WsLimits
from server.wire.ws_protocol import TowerProtocol
from tests.integration.ws_rig import CLOSE, PING, PONG, TEXT, frame, running, until

FAST = LivenessLimits(sweep_every_s=0.1, ping_every_s=0.3, pong_within_s=0.3, stall_s=0.5)
UNBOUNDED = WsLimits(rate=None)
HELD = (TowerProtocol, ServerProtocol, Subscriber)


async def test_a_client_that_never_reads_is_cut_off_and_nobody_waits_for_it() -> None:
    """Within its bound of bytes, and while the others get everything at once."""
    bounds = HubLimits(buffer_bytes=300_000, liveness=FAST)
    async with running(bounds, UNBOUNDED) as rig:
        stuck = await rig.stuck_client()
        readers = [await rig.connect() for _ in range(3)]
        for client in readers:
            client.call("subscribe", 1, topics=["system"])
            await client.message()
        await until(lambda: len(rig.sockets.connections) == 4)
        worst = 0.0
        for number in range(1, 41):
            rig.publish(20_000)
            began = time.monotonic()
            for client in readers:
                while (await client.receive())[0] != TEXT:
                    client.send(frame(PONG))
            worst = max(worst, time.monotonic() - began)
            assert rig.hub.head == number
            buffered = [one.status().buffered_bytes for one in rig.sockets.connections]
            assert max(buffered) <= 300_000
        assert worst < 1
        await until(lambda: len(rig.sockets.connections) == 3)
        stuck.close()


async def test_a_stalled_client_is_aborted_below_its_bound() -> None:
    """Its bytes do not move: it is gone after the stall, however few they are."""
    async with running(HubLimits(liveness=FAST), UNBOUNDED) as rig:
        stuck = await rig.stuck_client()
        await until(lambda: rig.sockets.connections and rig.sockets.connections[0].topics)
        for _ in range(20):
            rig.publish(20_000)
        await asyncio.sleep(0)
        began = time.monotonic()
        await until(lambda: not rig.sockets.connections)
        assert 0.3 < time.monotonic() - began < 3
        assert rig.hub.figures().dead_aborted == 1
        stuck.close()


async def test_a_replay_is_paced_by_its_reader() -> None:
    """A slow reader of a long past holds little memory, and gets all of it."""
    bounds = HubLimits(buffer_bytes=200_000)
    async with running(bounds, UNBOUNDED, past=20_000) as rig:
        client = await rig.connect()
        client.call("subscribe", 1, topics=["system"], since=0)
        await client.message()
        for offset in range(1, 20_001):
            assert (await client.message())["params"]["offset"] == offset
            if offset % 500 == 0:
                assert rig.sockets.connections[0].status().buffered_bytes <= 200_000
                await asyncio.sleep(0.001)
        assert (await client.message())["params"]["type"] == "replay.done"


async def test_a_silent_client_is_aborted_and_one_that_answers_is_not() -> None:
    """A half-open connection looks just like the silent one."""
    async with running(HubLimits(liveness=FAST)) as rig:
        silent = await rig.connect()
        lively = await rig.connect()
        await until(lambda: len(rig.sockets.connections) == 2)
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            assert await lively.receive() == (PING, b"")
            lively.send(frame(PONG))
        assert len(rig.sockets.connections) == 1
        with contextlib.suppress(ConnectionResetError):
            await silent.reader.read()
        lively.call("ping")


async def test_a_client_that_ignores_our_close_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A close takes a bounded time."""
    close = TowerProtocol.close
    monkeypatch.setattr(TowerProtocol, "close", lambda it, code, text: close(it, code, text, 0.2))
    async with running() as rig:
        client = await rig.connect()
        await until(lambda: rig.sockets.connections)
        rig.sockets.connections[0].close(4401, "signed out")
        assert (await client.receive())[0] == CLOSE
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await client.receive()
        await until(lambda: not rig.server.server_state.connections)


async def test_draining_tells_everybody_and_closes_one_by_one() -> None:
    """``tower.draining``, then 1012 with a hint when to come back."""
    async with running() as rig:
        clients = [await rig.connect() for _ in range(4)]
        await until(lambda: len(rig.sockets.connections) == 4)
        rig.sockets.warn("n1", 1_500)
        await rig.sockets.drain(1_500, spread_s=0.2)
        for client in clients:
            told = (await client.message())["params"]
            assert told["type"] == "tower.draining"
            assert told["data"] == {"node": "n1", "retry_after_ms": 1_500}
            opcode, payload = await client.receive()
            assert opcode == CLOSE
            assert int.from_bytes(payload[:2], "big") == 1012
            assert msgspec.json.decode(payload[2:]) == {"retry_after_ms": 1_500}
            client.send(frame(CLOSE, payload))
            assert await client.ended()


async def test_a_drain_is_staggered() -> None:
    """So that they do not all come back at once: in the middle of it some are still there."""
    async with running() as rig:
        clients = [await rig.connect() for _ in range(6)]
        await until(lambda: len(rig.sockets) == 6)
        draining = asyncio.create_task(rig.sockets.drain(1_500, spread_s=0.6))
        seen: set[int] = set()
        while not draining.done():
            seen.add(len(rig.sockets))
            await asyncio.sleep(0.01)
        assert len(seen) > 3
        assert [await client.closed() for client in clients] == [1012] * 6


async def test_who_came_during_the_drain_is_told_when_to_come_back() -> None:
    """Uvicorn's own shutdown closes with the hint, too."""
    async with running() as rig:
        client = await rig.connect()
        await until(lambda: len(rig.sockets) == 1)
        stopping = asyncio.create_task(rig.stop())
        opcode, payload = await client.receive()
        client.send(frame(CLOSE, payload))
        assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, 1012)
        assert msgspec.json.decode(payload[2:]) == {"retry_after_ms": 1_000}
        await stopping


async def test_who_reads_too_slowly_is_told_so_and_when_to_come_back() -> None:
    """4413 behind everything that was written before; what it costs stays within the bound."""
    async with running(HubLimits(buffer_bytes=300_000), UNBOUNDED) as rig:
        stuck = await rig.stuck_client()
        await until(lambda: rig.sockets.connections and rig.sockets.connections[0].topics)
        while rig.sockets.connections:
            rig.publish(20_000)
            await asyncio.sleep(0)
            assert all(one.status().buffered_bytes <= 300_000 for one in rig.sockets.connections)
        received = b""
        with contextlib.closing(stuck):
            while piece := await asyncio.get_running_loop().sock_recv(stuck, 65_536):
                received += piece
        at = received.rindex(b"\x88")
        assert int.from_bytes(received[at + 2 : at + 4], "big") == 4413
        assert msgspec.json.decode(received[at + 4 :])["retry_after_ms"] == 1_000


async def test_nothing_is_left_of_connections_that_are_gone() -> None:
    """Whether they said goodbye, broke the protocol or just left."""
    async with running() as rig:
        for number in range(30):
            client = await rig.connect()
            client.call("subscribe", 1, topics=["system", f"session:{number}"])
            await client.message()
            client.send((b"", frame(CLOSE), frame(3))[number % 3])
            await client.hang_up()
        await until(lambda: not rig.server.server_state.connections)
        await asyncio.sleep(0)
        gc.collect()
        left = [one for one in gc.get_objects() if isinstance(one, TowerProtocol | Subscriber)]
        assert left == []
        assert rig.hub.figures().views == 0


async def test_connections_that_are_gone_do_not_wait_for_the_garbage_collector() -> None:
    """When thousands go at once, what they held is free at once."""
    async with running() as rig:
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                client = await rig.connect()
                client.call("subscribe", 1, topics=["system"])
                await client.message()
                await client.hang_up()
            await until(lambda: not rig.server.server_state.connections)
            await until(lambda: not any(isinstance(one, HELD) for one in gc.get_objects()))
        finally:
            gc.enable()


async def test_the_server_stops_with_clients_that_do_not_answer() -> None:
    """Their closes are bounded, too."""
    async with running() as rig:
        await rig.connect()
        stuck = await rig.stuck_client()
        await until(lambda: len(rig.sockets.connections) == 2)
        rig.publish(500_000)
        began = time.monotonic()
        await rig.stop()
        assert time.monotonic() - began < 3
        assert not rig.sockets.connections
        stuck.close()
