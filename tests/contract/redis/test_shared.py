"""What nodes share over a real Redis, and what becomes of it while that is away."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from control_tower.commands import Caller
from control_tower.errors import RateLimited, Unavailable
from events.bus_ports import BusPorts
from server.access import redis_rates, redis_tickets
from server.access.auth import LOCAL, Credential, Gate
from server.access.limits import SubmitRates
from server.access.redis_rates import RedisRates
from server.access.redis_tickets import RedisTickets
from server.access.shared_redis import RedisAway, SharedRedis
from server.errors import Unauthenticated
from server.figures.health import readiness
from server.figures.metrics import prometheus_text
from server.over_redis import OverRedis
from tests.contract.bus.kit import Ear, SharedLog, until
from tests.rig.redis import OwnRedis, own_redis, server_url

NOW = 1_800_000_000.0
ADA = Credential("ada", "user", expires_at=NOW + 3_600, key_id="k1")


@pytest.fixture
async def pair(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[SharedRedis, SharedRedis]]:
    """Return what two nodes share, over a Redis that may take its time."""
    monkeypatch.setattr(redis_rates, "WITHIN_S", 30.0)
    space = f"tower:{secrets.token_hex(8)}"
    async with AsyncExitStack() as stack:
        nodes = [SharedRedis(server_url(), space) for _ in range(2)]
        for node in nodes:
            stack.push_async_callback(node.close)
        yield nodes[0], nodes[1]


@pytest.fixture
def redis() -> Iterator[OwnRedis]:
    """Return a Redis that may be harmed."""
    with own_redis() as server:
        yield server


@pytest.fixture
async def frail(redis: OwnRedis) -> AsyncIterator[SharedRedis]:
    """Return a client of it."""
    node = SharedRedis(redis.url, "tower:test")
    yield node
    await node.close()


async def test_a_ticket_opens_on_any_node_once(pair: tuple[SharedRedis, SharedRedis]) -> None:
    """Whoever it stands for is the same there, with the end of their credentials."""
    here, there = RedisTickets(pair[0]), RedisTickets(pair[1])
    for caller in (ADA, LOCAL, Caller("bob", "viewer")):
        ticket = await here.issue(caller, NOW)
        found = await there.redeem(ticket, NOW)
        assert found == caller
        assert type(found) is type(caller)
        for node in (here, there):
            with pytest.raises(Unauthenticated):
                await node.redeem(ticket, NOW)
    with pytest.raises(Unauthenticated):
        await here.redeem("none\udcff", NOW)


async def test_of_many_who_redeem_at_once_one_does(
    pair: tuple[SharedRedis, SharedRedis],
) -> None:
    """Over all nodes."""
    nodes = [RedisTickets(each) for each in pair]
    ticket = await nodes[0].issue(ADA, NOW)
    outcomes = await asyncio.gather(
        *(nodes[n % 2].redeem(ticket, NOW) for n in range(40)), return_exceptions=True
    )
    assert [each for each in outcomes if not isinstance(each, Unauthenticated)] == [ADA]


async def test_a_ticket_ends_by_itself_and_is_not_readable(
    pair: tuple[SharedRedis, SharedRedis],
) -> None:
    """Redis keeps a hash, for 30 s."""
    ticket = await RedisTickets(pair[0]).issue(ADA, NOW)
    async with Redis.from_url(server_url()) as client:
        keys = [key async for key in client.scan_iter(f"{pair[0]._space}:*")]
        assert len(keys) == 1
        assert ticket.encode() not in keys[0]
        assert 25_000 < await client.pttl(keys[0]) <= 30_000


async def test_a_gate_may_use_the_tickets_of_all_nodes(
    pair: tuple[SharedRedis, SharedRedis],
) -> None:
    """As it uses its own."""
    gate = Gate("process")
    gate.tickets = RedisTickets(pair[0])
    assert await gate.redeem(await gate.tickets.issue(LOCAL, NOW), NOW) == LOCAL


async def test_tickets_out_are_bounded(
    pair: tuple[SharedRedis, SharedRedis], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each node, in 30 s."""
    monkeypatch.setattr(redis_tickets, "MAX_TICKETS", 3)
    tickets = RedisTickets(pair[0])
    for _ in range(3):
        await tickets.issue(LOCAL, NOW)
    with pytest.raises(RateLimited):
        await tickets.issue(LOCAL, NOW + 29)
    assert await tickets.issue(LOCAL, NOW + 30)


async def test_without_redis_no_ticket_is_taken(redis: OwnRedis, frail: SharedRedis) -> None:
    """Nor issued; and what was out before is not good afterwards by accident."""
    tickets = RedisTickets(frail)
    ticket = await tickets.issue(ADA, NOW)
    redis.stop()
    with pytest.raises(Unavailable):
        await tickets.redeem(ticket, NOW)
    with pytest.raises(Unavailable):
        await tickets.issue(ADA, NOW)
    redis.start()
    with pytest.raises(Unauthenticated):
        await tickets.redeem(ticket, NOW)
    again = await tickets.issue(ADA, NOW)
    assert await tickets.redeem(again, NOW) == ADA


async def test_a_call_given_up_leaves_its_answer_to_nobody(
    redis: OwnRedis, frail: SharedRedis
) -> None:
    """The next caller on the same client gets its own ticket's holder, not another's."""
    tickets = RedisTickets(frail)
    given_up, wanted = await tickets.issue(ADA, NOW), await tickets.issue(LOCAL, NOW)
    redis.suspend()
    calls = [asyncio.create_task(tickets.redeem(given_up, NOW)) for _ in range(3)]
    await asyncio.sleep(0.1)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    redis.resume()
    assert await tickets.redeem(wanted, NOW) == LOCAL


async def test_all_nodes_fill_one_bucket(pair: tuple[SharedRedis, SharedRedis]) -> None:
    """A user has as many submits as the setting says, wherever they come in."""
    nodes = [RedisRates(each, 6, SubmitRates(6)) for each in pair]
    for number in range(6):
        await nodes[number % 2].take("ada", NOW)
    for node in nodes:
        with pytest.raises(RateLimited) as refused:
            await node.take("ada", NOW)
        assert 0 < (refused.value.retry_after_s or 0) <= 10
    await nodes[0].take("bob", NOW)


async def test_a_bucket_fills_evenly(pair: tuple[SharedRedis, SharedRedis]) -> None:
    """One every tenth of a second, at 600 a minute."""
    rates = RedisRates(pair[0], 600, SubmitRates(600))

    async def use_up() -> None:
        for _ in range(10_000):
            await rates.take("ada", NOW)

    with pytest.raises(RateLimited) as refused:
        await use_up()
    wait_s = refused.value.retry_after_s or 0
    assert 0 < wait_s <= 0.1
    await asyncio.sleep(wait_s + 0.01)
    await rates.take("ada", NOW)


async def test_submits_of_a_user_keep_their_order(pair: tuple[SharedRedis, SharedRedis]) -> None:
    """However many there are at once."""
    rates, order = RedisRates(pair[0], 600, SubmitRates(600)), []

    async def submit(number: int) -> None:
        await rates.take("ada", NOW)
        order.append(number)

    await asyncio.gather(*(submit(number) for number in range(50)))
    assert order == list(range(50))
    assert not rates._turns


async def test_without_redis_each_node_counts(redis: OwnRedis, frail: SharedRedis) -> None:
    """The bound holds a node, and Redis is not waited for each time."""
    rates = RedisRates(frail, 3, SubmitRates(3))
    redis.suspend()
    for _ in range(3):
        await rates.take("ada", NOW)
    with pytest.raises(RateLimited):
        await rates.take("ada", NOW)
    redis.resume()
    rates._away_until = 0.0
    await rates.take("ada", NOW)


async def test_rates_are_asked_again_later(
    redis: OwnRedis, frail: SharedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for each submit, while it is away."""
    monkeypatch.setattr(redis_rates, "LEFT_ALONE_S", 3_600.0)
    asked = 0
    run = frail.run

    async def counting(*args: object, **named: object) -> object:
        nonlocal asked
        asked += 1
        return await run(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(frail, "run", counting)
    rates = RedisRates(frail, 10, SubmitRates(10))
    redis.stop()
    for _ in range(5):
        await rates.take("ada", NOW)
    assert asked == 1


async def test_a_wrong_type_is_as_good_as_away(pair: tuple[SharedRedis, SharedRedis]) -> None:
    """Somebody wrote into our keys."""
    await pair[0].put("rate:ada", b"x", 10)
    with pytest.raises(RedisAway):
        await pair[0].run("return redis.call('HGET', KEYS[1], 'left')", "rate:ada", within_s=5)


async def test_readiness_says_how_redis_is(redis: OwnRedis) -> None:
    """Degraded when it is away, never down: everything is still served."""
    log = SharedLog()
    ports = BusPorts(log=log, head=lambda: log.head, on_reply=lambda call, body: None)
    over = OverRedis(redis.url, token=1, receiver=Ear(), seen=0, ports=ports, submits_per_min=None)
    try:
        before = await readiness({"redis": over.check}, NOW)
        assert (before[0], before[1]["redis"]["status"]) == (True, "degraded")
        await over.start()
        await until(lambda: over.bus.connected)
        ready, components = await readiness({"redis": over.check}, NOW)
        assert ready
        assert components["redis"]["status"] == "up"
        text = prometheus_text(over.collector).decode()
        assert "tower_bus_connected 1.0" in text
        assert "tower_bus_sent_total" in text
        redis.suspend()
        ready, components = await readiness({"redis": over.check}, NOW)
        assert ready
        assert components["redis"]["status"] == "degraded"
    finally:
        redis.resume()
        await over.close()
