"""The Python client against real servers: drops, kills, restarts, refusals, slow readers."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest

from server.client import Client, ClientError, Event, Gap, Status, Subscription
from tests.integration.conftest import MakeTower
from tests.integration.proxy import Proxy
from tests.integration.tower_process import TowerProcess

pytestmark = pytest.mark.slow

SECRET = "a secret of at least thirty-two bytes"


@pytest.fixture
async def proxy(tower: TowerProcess) -> AsyncIterator[Proxy]:
    """A proxy before the module's server."""
    async with Proxy(tower.url) as made:
        yield made


async def until_end(events: Subscription, mission_id: str) -> list[Event]:
    """Every durable event up to the mission's last."""
    seen: list[Event] = []
    async for event in events:
        assert isinstance(event, Event)
        if event.offset is not None:
            seen.append(event)
        if event.ends(mission_id):
            break
    return seen


async def test_a_mission_is_submitted_watched_and_answered(tower: TowerProcess) -> None:
    """Typed, from end to end."""
    async with Client(tower.url) as client:
        submitted = await client.submit("write a.txt: hi; delete a.txt")
        async with client.follow(submitted) as events:
            seen = []
            async for event in events:
                assert isinstance(event, Event)
                seen.append(event.type)
                if event.type == "interrupt.raised":
                    answered = await client.confirm(event.data["interrupt_id"], True)
                    assert answered["status"] == "resolved"
        assert seen[-1] == "mission.completed"
        block = await client.mission(submitted.mission_id)
        assert block["outcome"] == "completed"
        assert await client.wait(submitted.mission_id) == block
        async with client.follow(submitted, since="now") as events:
            assert [event async for event in events] == []
        assert await client.missions(session_id=submitted.session_id) == [block]


@pytest.mark.parametrize("drops", [10, pytest.param(1_000, marks=pytest.mark.soak)])
async def test_drops_in_mid_stream_lose_and_repeat_nothing(
    tower: TowerProcess, proxy: Proxy, drops: int
) -> None:
    """Every connection breaks after a few kilobytes, in the middle of frames and replays."""
    draw = random.Random(7)
    async with Client(tower.url) as straight, Client(proxy.url, jitter=lambda: 0.0) as client:
        session = (await straight.create_session())["session_id"]
        for count in (1, 2, 3):
            await straight.run(f"work {40 * count} steps", session_id=session)
        while proxy.made < drops:
            last = (await straight.submit("count to 300", session_id=session)).mission_id
            proxy.after_bytes = 6_000
            seen: list[int | None] = []
            async with client.subscribe(f"session:{session}", since="start") as events:
                async for event in events:
                    proxy.after_bytes = draw.randint(2_000, 30_000)
                    assert isinstance(event, Event)
                    if event.offset is not None:
                        seen.append(event.offset)
                    if event.ends(last):
                        break
            async with straight.subscribe(f"session:{session}", since="start") as events:
                told = [event.offset for event in await until_end(events, last)]
            assert seen == told


@pytest.mark.timeout(180)  # three starts of a server, on a machine that may be busy
async def test_restarts_in_mid_stream_lose_and_repeat_nothing(make_tower: MakeTower) -> None:
    """`kill -9` and an orderly stop; a new start at another address, while a call waits for it."""
    process = make_tower()
    url = process.url
    async with Client(lambda: url, jitter=lambda: 0.1) as client:
        submitted = await client.submit("work 150 steps")
        topic = f"mission:{submitted.mission_id}"
        seen: list[int] = []
        async with client.subscribe(topic, since=submitted.offset - 1) as events:
            async for event in events:
                assert isinstance(event, Event)
                if event.offset is not None:
                    seen.append(event.offset)
                if event.ends(submitted.mission_id):
                    break
                if len(seen) in {20, 90}:
                    process.kill() if len(seen) == 20 else process.stop()
                    waiting = asyncio.create_task(client.mission(submitted.mission_id))
                    await asyncio.sleep(0)
                    process = await asyncio.to_thread(make_tower)
                    url = process.url
                    assert (await waiting)["mission_id"] == submitted.mission_id
        async with client.subscribe(topic, since=submitted.offset - 1) as events:
            told = [event.offset for event in await until_end(events, submitted.mission_id)]
        assert seen == told
        block = await client.mission(submitted.mission_id)
        assert block["outcome"] == "completed"
        # At the second one it may have been over there, where this loop is the slower one.
        assert block["attempt"] > 1


async def test_a_submit_whose_reply_was_lost_is_made_once(
    tower: TowerProcess, proxy: Proxy
) -> None:
    """The key goes along the second time; a command without one is said to be uncertain."""
    async with Client(tower.url) as straight, Client(proxy.url) as client:
        session = (await straight.create_session())["session_id"]
        # Less than the handshake and hello: it breaks at the next reply, or just before.
        proxy.cut()
        proxy.after_bytes = 900
        submits = [
            asyncio.create_task(client.submit(f"calculate {n}", session_id=session))
            for n in range(12)
        ]
        await asyncio.sleep(0.3)
        proxy.after_bytes = None
        proxy.cut()
        made = {(await submit).mission_id for submit in submits}
        assert len(made) == 12
        there = await straight.missions(session_id=session)
        assert {mission["mission_id"] for mission in there} == made


async def test_a_command_that_can_not_be_repeated_fails_in_a_drop(
    tower: TowerProcess,
) -> None:
    """And says that nobody knows whether it was done."""
    silent = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    async with Proxy(tower.url) as proxy, Client(proxy.url) as client:
        paused = asyncio.create_task(client.pause("m_nobody"))
        await asyncio.sleep(0)
        proxy.cut()
        with pytest.raises(ClientError) as refused:
            await paused
        assert refused.value.code in {"disconnected", "not_found"}
        assert refused.value.outcome_unknown is (refused.value.code == "disconnected")
    silent.close()


async def test_a_slow_loop_holds_up_nothing_else(make_tower: MakeTower) -> None:
    """It gets everything in the end; meanwhile the server is not read from, and calls go on."""
    process = make_tower(TOWER_SEND_BUFFER_BYTES="65536")
    async with Client(process.url) as client:
        submitted = await client.submit("echo", agent="echo", inputs={"tokens": 20_000})
        topic = f"mission:{submitted.mission_id}"
        async with client.subscribe(topic, since=submitted.offset - 1) as events:
            first = await anext(events)
            block = await client.wait(submitted.mission_id)
            assert block["outcome"] == "completed"
            assert events._socket is not None
            # What one read of the socket brings (asyncio's 256 KiB), not all of it.
            assert len(events._socket.recv_messages.frames) < 4_000
            rest = await until_end(events, submitted.mission_id)
        assert isinstance(first, Event)
        assert rest[-1].type == "mission.completed"


async def test_a_cancelled_iteration_loses_nothing(tower: TowerProcess) -> None:
    """As a time-out around it does, at any moment."""
    async with Client(tower.url) as client:
        submitted = await client.submit("work 60 steps")
        topic = f"mission:{submitted.mission_id}"
        seen: list[int] = []
        async with client.subscribe(topic, since=submitted.offset - 1) as events:
            while True:
                try:
                    async with asyncio.timeout(0.001):
                        event = await anext(events)
                except TimeoutError:
                    continue
                assert isinstance(event, Event)
                if event.offset is not None:
                    seen.append(event.offset)
                if event.ends(submitted.mission_id):
                    break
        async with client.subscribe(topic, since=submitted.offset - 1) as events:
            told = [event.offset for event in await until_end(events, submitted.mission_id)]
        assert seen == told


async def test_a_replaced_log_is_seen(tmp_path: Path) -> None:
    """A new data folder at the same address: the gap comes first, then what happens there."""
    first = TowerProcess(tmp_path / "one").start()
    second = TowerProcess(tmp_path / "two").start()
    try:
        async with Proxy(first.url) as proxy, Client(proxy.url) as client:
            await client.run("calculate 1")
            async with client.subscribe("system") as events:
                proxy.aim(second.url)
                proxy.cut()
                item = await anext(events)
                assert isinstance(item, Gap)
                assert item.reason == "epoch_changed"
                assert events.epoch == item.epoch
                await client.submit("calculate 2")
                event = await anext(events)
                assert event.type == "session.created"
    finally:
        first.end()
        second.end()


async def test_a_client_that_is_left_at_once_leaves_nothing(tower: TowerProcess) -> None:
    """Before its reader has begun: the warning about an open socket would fail this."""
    async with Client(tower.url) as client:
        socket = client._first
        async with client.subscribe("system"):
            pass
        assert not client._subscriptions
    assert socket is not None
    assert socket.close_code == 1000


async def test_a_token_that_can_not_be_had_is_a_lost_connection(tower: TowerProcess) -> None:
    """Whoever fetches it may be cut off as we may."""

    async def token() -> str:
        raise OSError("no way there")

    with pytest.raises(ClientError, match="no way there") as refused:
        async with Client(tower.url, token):
            pass
    assert refused.value.code == "disconnected"


async def test_a_refused_subscription_says_so_at_once(tower: TowerProcess) -> None:
    """Where it is made; an unreachable server, too, and what is no server."""
    async with Client(tower.url) as client:
        with pytest.raises(ClientError, match="No such") as refused:
            async with client.subscribe("session:s_nobody"):
                pass
        assert refused.value.code == "not_found"
        with pytest.raises(ClientError) as refused:
            await client.call("mission.fly")
        assert refused.value.code == "method_not_found"
        with pytest.raises(ClientError) as refused:
            await client.submit("é" * 9_000, inputs={"x": "y" * 60_000})
        assert refused.value.code == "too_large"
    with pytest.raises(ClientError) as refused:
        await client.mission("m_1")
    assert refused.value.code == "closed"
    with pytest.raises(ClientError, match="Connection refused"):
        async with Client("http://127.0.0.1:1"):
            pass
    with pytest.raises(ClientError, match="answered HTTP 403"):
        async with Client(tower.url + "/nowhere"):
            pass


async def test_closing_ends_an_iteration_that_waits(tower: TowerProcess) -> None:
    """From another task, whether it is attached or dials."""
    async with Client(tower.url) as client, client.subscribe("system") as events:
        loop = asyncio.create_task(until_end(events, "never"))
        await asyncio.sleep(0)
        await events.close()
        await loop


async def test_a_listener_that_fails_leaves_no_call_waiting(tower: TowerProcess) -> None:
    """The connection for calls ends with it, and says so to those who wait."""

    def told(status: Status) -> None:
        if status.state == "lost":
            raise ValueError("no room")

    async with Proxy(tower.url) as proxy, Client(proxy.url, on_status=told) as client:
        proxy.cut()
        with pytest.raises(ClientError, match="no room") as refused:
            await client.sessions()
        assert refused.value.code == "closed"
        with pytest.raises(ValueError, match="no room"):
            await client._runner  # type: ignore[misc]


@pytest.mark.parametrize("by_client", [False, True])
async def test_closing_ends_an_iteration_that_dials(tower: TowerProcess, by_client: bool) -> None:
    """At once, however long a dial may take; what it would have reached is not read on."""
    dialling, slow = asyncio.Event(), asyncio.Event()

    async def token() -> None:
        if slow.is_set():
            dialling.set()
            await asyncio.Event().wait()

    async with Client(tower.url, token) as client:
        slow.set()
        events = client.subscribe("system", since="start")
        loop = asyncio.create_task(until_end(events, "never"))
        await dialling.wait()
        if not by_client:
            await events.close()
    async with asyncio.timeout(30):
        assert await loop == []


async def test_closing_ends_an_iteration_that_subscribes(tower: TowerProcess) -> None:
    """The connection that it was about to use is closed with it."""
    async with Client(tower.url) as client:
        events = client.subscribe("system", since="start")
        request, subscribing = events._feed.request, asyncio.Event()

        def told(epoch: str) -> dict[str, object]:
            subscribing.set()
            return request(epoch)

        events._feed.request = told  # type: ignore[method-assign]
        loop = asyncio.create_task(until_end(events, "never"))
        await subscribing.wait()
        await events.close()
        async with asyncio.timeout(30):
            assert await loop == []
        assert events._socket is None


async def test_a_fresh_token_is_asked_for(make_tower: MakeTower) -> None:
    """At each connect; and a client whose token is refused says so."""
    process = make_tower(TOWER_AUTH="jwt", TOWER_JWT_SECRET=SECRET)
    given: list[str] = []

    def token() -> str:
        claims = {"sub": "ada", "role": "user", "exp": 4_000_000_000}
        # The first one is worth nothing.
        given.append(jwt.encode(claims, SECRET if given else SECRET[::-1]))
        return given[-1]

    said: list[Status] = []
    async with Client(process.url, token, patience_s=30, on_status=said.append) as client:
        assert client.hello["user_id"] == "ada"
        assert [status.state for status in said] == ["lost", "live"]
        async with client.subscribe("user:ada") as events:
            await client.submit("calculate 1")
            assert (await anext(events)).type == "session.created"
    with pytest.raises(ClientError) as refused:
        async with Client(process.url, "no token"):
            pass
    assert refused.value.code == "unauthenticated"
