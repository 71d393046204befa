"""Several nodes over a real Redis: what is lost comes from the log, what is late is bounded."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from random import Random

import pytest
from redis.asyncio import Redis

from events.payloads import StepCompleted, StepFailed
from tests.contract.bus.kit import M1, WITHIN_S, Cluster, Hole, delta, until
from tests.rig.redis import OwnRedis, own_redis
from tests.unit.events import fakes
from tests.unit.events.fakes import scope_of


@pytest.fixture
def redis() -> Iterator[OwnRedis]:
    """Return a Redis that may be harmed."""
    with own_redis() as server:
        yield server


@pytest.fixture
async def frail(redis: OwnRedis) -> AsyncIterator[Cluster]:
    """Return a cluster over it."""
    made = Cluster(redis.url)
    yield made
    await made.close()


async def test_three_nodes_hear_one_order(cluster: Cluster) -> None:
    """Whoever commits, all are told the same, and each delta once, behind what it followed."""
    cluster.patience_s = WITHIN_S
    nodes = [await cluster.node() for _ in range(3)]
    random = Random(3)
    last_of: dict[bytes, int] = {}
    for _ in range(400):
        node = random.choice(nodes)
        said = delta()
        node.commit(random.randint(1, 3), [said])
        last_of[said.body] = cluster.log.head
        if random.random() < 0.2:
            await asyncio.sleep(0.002)
    for node in nodes:
        heard = node.ear.heard
        await until(lambda heard=heard: len(heard) == cluster.log.head + 400)  # type: ignore[misc]
        assert node.ear.offsets == list(range(1, cluster.log.head + 1))
        for body, offset in last_of.items():
            assert heard.index(body) > heard.index(offset)


async def test_a_reply_precedes_the_events_behind_it(cluster: Cluster) -> None:
    """The caller's node hears its reply first; nobody else hears it at all."""
    cluster.patience_s = WITHIN_S
    home, caller, other = [await cluster.node() for _ in range(3)]
    caller_token = cluster.buses[1]._token
    for number in range(50):
        cluster.buses[0].reply(caller_token, f"c{number}", b"done")
        home.commit()
        if number % 5 == 0:
            await asyncio.sleep(0.001)
    await until(lambda: len(caller.ear.heard) == 100 and len(other.ear.heard) == 50)
    for number in range(50):
        reply = b"c%d=done" % number
        assert caller.ear.heard.index(reply) < caller.ear.heard.index(number + 1)
    assert other.ear.heard == home.ear.heard == list(range(1, 51))


async def test_a_reply_to_oneself_is_told_at_once(cluster: Cluster) -> None:
    """Who is at home here needs no Redis."""
    node = await cluster.node()
    cluster.buses[0].reply(cluster.token, "c", b"r")
    assert node.ear.heard == [b"c=r"]


async def test_what_redis_lost_is_read_from_the_log(cluster: Cluster) -> None:
    """A node that committed and never told anybody: the next look finds it."""
    quiet, node = await cluster.node(), await cluster.node()
    quiet.log.unit(3)
    await until(lambda: node.ear.offsets == [1, 2, 3])
    assert cluster.buses[1].figures().log_reads >= 1


async def test_nodes_start_without_redis(redis: OwnRedis, frail: Cluster) -> None:
    """They serve themselves and each other by the log, and find Redis when it comes."""
    redis.stop()
    here, there = await frail.node(connected=False), await frail.node(connected=False)
    here.commit(2, [delta()])
    assert len(here.ear.heard) == 3
    await until(lambda: there.ear.offsets == [1, 2])
    assert not frail.buses[0].connected
    redis.start()
    await until(lambda: all(bus.connected for bus in frail.buses))
    said = delta()
    here.bus.send_ephemeral(said)
    await until(lambda: said.body in there.ear.heard)


async def test_redis_stops_and_starts_again_under_load(redis: OwnRedis, frail: Cluster) -> None:
    """No event is lost or doubled, and deltas are back afterwards."""
    here, there = await frail.node(), await frail.node()
    for number in range(300):
        (here, there)[number % 2].commit(1, [delta()])
        if number == 100:
            await asyncio.to_thread(redis.stop)
        if number == 200:
            await asyncio.to_thread(redis.start)
        await asyncio.sleep(0.002)
    for node in (here, there):
        await until(lambda node=node: len(node.ear.events) == 300)  # type: ignore[misc]
        assert node.ear.offsets == list(range(1, 301))
        texts = [each for each in node.ear.heard if isinstance(each, bytes)]
        assert len(texts) == len(set(texts))
    await until(lambda: all(bus.connected for bus in frail.buses))
    said = delta()
    here.bus.send_ephemeral(said)
    await until(lambda: said.body in there.ear.heard)


@pytest.mark.parametrize(
    "pause_s", [4.0, pytest.param(10.0, marks=pytest.mark.soak)], ids=["short", "long"]
)
async def test_redis_is_suspended(redis: OwnRedis, frail: Cluster, pause_s: float) -> None:
    """A Redis that answers nothing is noticed, and what waited for it harms nobody."""
    here, there = await frail.node(), await frail.node()
    redis.suspend()
    asyncio.get_running_loop().call_later(pause_s, redis.resume)
    while len(there.ear.events) < 20:
        here.commit(1, [delta()])
        await asyncio.sleep(pause_s / 15)
    await until(lambda: all(bus.figures().lost for bus in frail.buses))
    await until(lambda: all(bus.connected for bus in frail.buses))
    here.commit(1, [delta()])
    await until(lambda: there.ear.offsets == here.ear.offsets)
    assert there.ear.offsets == list(range(1, frail.log.head + 1))


async def test_a_half_open_link_is_noticed(redis: OwnRedis, frail: Cluster) -> None:
    """Nobody is told, no error comes; silence is what gives it away."""
    async with Hole(redis.port) as hole:
        here, there = await frail.node(hole.url), await frail.node()
        made = hole.accepted
        hole.swallow()
        there.commit()
        await until(lambda: here.ear.offsets == [1])
        await until(lambda: hole.accepted >= made + 2)
        await until(lambda: frail.buses[0].connected)
        said = delta()
        there.bus.send_ephemeral(said)
        await until(lambda: said.body in here.ear.heard)
        await frail.close()


async def test_an_emptied_redis_is_as_good_as_before(redis: OwnRedis, frail: Cluster) -> None:
    """There is nothing in it that anybody needs."""
    here, there = await frail.node(), await frail.node()
    async with Redis.from_url(redis.url) as client:
        await client.flushall()
    said = delta()
    here.commit(1, [said])
    await until(lambda: there.ear.heard == [1, said.body])


async def test_what_is_no_message_of_ours_is_ignored(cluster: Cluster) -> None:
    """Another version's, and bytes of anybody's; said once each in the log."""
    here, there = await cluster.node(), await cluster.node()
    channel = f"tower:{cluster.log.epoch}"
    async with Redis.from_url(cluster.url) as client:
        for _ in range(3):
            for data in (b"\x03" + b"x" * 40, b"", b"\x02" + b"\xff" * 50):
                await client.publish(channel, data)
    here.commit()
    await until(lambda: there.ear.offsets == [1])
    await until(lambda: all(bus.figures().ignored == 9 for bus in cluster.buses))


async def test_a_large_burst_arrives_in_pieces(cluster: Cluster) -> None:
    """12 MiB at once: more than may wait. What found no room is read from the log."""
    here, there = await cluster.node(), await cluster.node()
    for _ in range(12):
        here.commit(64, padding=16_384)
    await until(lambda: len(there.ear.events) == 768)
    assert there.ear.offsets == list(range(1, 769))
    assert cluster.buses[0].figures().dropped > 0


async def test_a_read_waits_for_a_reply_that_is_due(cluster: Cluster) -> None:
    """While a call is out, what the log knows is held back until its reply is there."""
    come, waiting = asyncio.Event(), asyncio.Event()

    async def replied(within_s: float) -> None:
        waiting.set()
        await asyncio.wait_for(come.wait(), within_s + WITHIN_S)

    cluster.replied = replied
    node = await cluster.node()
    cluster.log.unit()
    cluster.buses[0].note_head(1)
    await waiting.wait()
    await asyncio.sleep(0.05)
    assert cluster.log.reads == []
    come.set()
    await until(lambda: node.ear.offsets == [1])


async def test_our_own_units_are_not_taken_from_the_log(cluster: Cluster) -> None:
    """They are committed, but their callers are not answered: until then they are not told."""
    node = await cluster.node()
    others, ours, later = cluster.log.unit(2), cluster.log.unit(), cluster.log.unit()
    cluster.own_from = ours[0].offset
    cluster.buses[0].note_head(cluster.log.head)
    await until(lambda: node.ear.events == others)
    await asyncio.sleep(0.1)
    assert node.ear.events == others
    cluster.own_from = None
    said = delta()
    node.bus.send(ours, [said])
    await until(lambda: node.ear.events == [*others, *ours, *later])
    assert node.ear.heard == [1, 2, 3, said.body, 4]


async def test_who_comes_late_is_told_the_text_so_far(cluster: Cluster) -> None:
    """What streams by then, and what goes on behind it; nothing of a step that is over."""
    cluster.patience_s = WITHIN_S
    here = await cluster.node()
    for at, text in enumerate("abc"):
        here.bus.send_ephemeral(fakes.delta(M1, at, text))
    over = scope_of(mission="m2")
    here.bus.send_ephemeral(fakes.delta(over, 0, "over"))
    failed = StepFailed(step="1", kind="llm", name="m", error={}, will_retry=False)
    here.bus.send([cluster.log.commit(failed, over)], ())
    told = len(here.ear.heard)
    late = await cluster.node()
    await until(lambda: late.ear.shown() == {"m1": "abc"})
    here.bus.send_ephemeral(fakes.delta(M1, 3, "d"))
    await until(lambda: late.ear.shown() == {"m1": "abcd"})
    assert len(here.ear.heard) == told + 1


async def test_a_text_has_no_hole_after_redis_was_away(redis: OwnRedis, frail: Cluster) -> None:
    """What streamed meanwhile is made up for."""
    here, there = await frail.node(), await frail.node()
    here.bus.send_ephemeral(fakes.delta(M1, 0, "a"))
    await until(lambda: there.ear.shown() == {"m1": "a"})
    await asyncio.to_thread(redis.stop)
    here.bus.send_ephemeral(fakes.delta(M1, 1, "b"))
    await until(lambda: not any(bus.connected for bus in frail.buses))
    await asyncio.to_thread(redis.start)
    await until(lambda: all(bus.connected for bus in frail.buses))
    here.bus.send_ephemeral(fakes.delta(M1, 2, "c"))

    await until(lambda: there.ear.shown() == {"m1": "abc"})


async def test_a_text_that_came_too_late_has_no_hole(redis: OwnRedis, frail: Cluster) -> None:
    """The log was faster than a Redis that hung, but broke no connection: what goes on is whole."""
    here, there = await frail.node(), await frail.node()
    here.commit()
    here.bus.send_ephemeral(fakes.delta(M1, 0, "a", step=None))
    await until(lambda: there.ear.shown() == {"m1": "a"})
    redis.suspend()
    here.bus.send_ephemeral(fakes.delta(M1, 1, "b", step=None))
    ended = StepCompleted(step="1", kind="tool", name="t", output=1, duration_ms=1.0)
    here.bus.send([here.log.commit(ended, M1)], ())
    await until(lambda: there.ear.offsets == [1, 2])
    redis.resume()
    here.bus.send_ephemeral(fakes.delta(M1, 2, "c", step=None))
    await until(lambda: there.ear.shown() == {"m1": "abc"})


async def test_our_own_text_that_was_forgotten_is_said_again(cluster: Cluster) -> None:
    """More than may wait waited for an event of another node."""
    here = await cluster.node()
    cluster.log.close_gate()
    cluster.log.unit()
    here.commit()
    here.bus.send_ephemeral(fakes.delta(M1, 0, "a"))
    for _ in range(10):
        here.bus.send_ephemeral(fakes.delta(scope_of(mission="m2"), 0, "x" * 1_000_000))
    cluster.log.open_gate()
    here.bus.send_ephemeral(fakes.delta(M1, 1, "b"))
    await until(lambda: here.ear.shown().get("m1") == "ab")


async def test_text_goes_only_where_it_is_read(cluster: Cluster) -> None:
    """Events go to all; a delta to who wants one of its topics."""
    cluster.patience_s = WITHIN_S
    here, other = await cluster.node(wants=()), await cluster.node(wants=["mission:other"])
    reader = await cluster.node(wants=["user:u1"])
    said, last = delta(), delta(scope_of(mission="other", user="u2"))
    here.commit(2, [said])
    here.commit()
    here.bus.send_ephemeral(last)
    await until(lambda: other.ear.heard == [1, 2, 3, last.body])
    await until(lambda: reader.ear.heard == [1, 2, said.body, 3])


async def test_who_begins_to_read_is_told_the_text_so_far(cluster: Cluster) -> None:
    """It is there when it is expected, and goes on behind it; once, on however many topics."""
    cluster.patience_s = WITHIN_S
    here, there = await cluster.node(wants=()), await cluster.node(wants=())
    for at, text in enumerate("abc"):
        here.bus.send_ephemeral(fakes.delta(M1, at, text))
    here.commit()
    await until(lambda: there.ear.heard == [1])
    audience = cluster.buses[1].routes
    await audience.expects(["mission:m1"])
    assert there.ear.shown() == {"m1": "abc"}
    audience.joins("mission:m1")
    await audience.expects(["user:u1", "system"])
    here.bus.send_ephemeral(fakes.delta(M1, 3, "d"))
    await until(lambda: there.ear.shown() == {"m1": "abcd"})
    assert len(there.ear.heard) == 3


async def test_text_that_found_no_room_is_told_again(cluster: Cluster) -> None:
    """More than may wait at once; nobody is left with a hole."""
    cluster.patience_s = WITHIN_S
    here, there = await cluster.node(), await cluster.node()
    many = {f"m{number}": "x" * 20_000 for number in range(600)}
    for mission, text in many.items():
        here.bus.send_ephemeral(fakes.delta(scope_of(mission=mission), 0, text))
    await until(lambda: there.ear.shown() == many)


async def test_nobody_waits_for_who_does_not_answer(redis: OwnRedis, frail: Cluster) -> None:
    """A subscribe takes a moment longer then, or none while Redis is known to be away."""
    await frail.node(wants=())
    there = await frail.node(wants=())
    redis.suspend()
    try:
        await frail.buses[1].routes.expects(["mission:m1"])
        await until(lambda: not frail.buses[1].connected)
        await frail.buses[1].routes.expects(["mission:m2"])
        frail.buses[1].routes.joins("mission:m2")
    finally:
        redis.resume()
    await until(frail.acquainted)
    frail.buses[0].send_ephemeral(said := delta(scope_of(mission="m2")))
    await until(lambda: there.ear.heard == [said.body])


async def test_what_a_node_wants_is_learnt_by_the_next_message(cluster: Cluster) -> None:
    """A change that was lost on its way is asked for again."""
    here, there = await cluster.node(wants=()), await cluster.node(wants=())
    audience = cluster.buses[1].routes
    audience._outbox.is_open = False
    audience.joins("mission:m1")
    audience._outbox.is_open = True
    await until(cluster.acquainted)
    said = delta()
    here.bus.send_ephemeral(said)
    await until(lambda: there.ear.heard == [said.body])


async def test_a_log_that_fails_is_read_again(cluster: Cluster) -> None:
    """The database is away for a moment."""
    node = await cluster.node()
    cluster.log.failures = 2
    cluster.log.unit(2)
    cluster.buses[0].note_head(2)
    await until(lambda: node.ear.offsets == [1, 2])


async def test_a_bug_while_waiting_for_replies_is_outlived(cluster: Cluster) -> None:
    """What was to be read is read all the same, a moment later."""
    failures = [ValueError("a bug")]

    async def replied(within_s: float) -> None:
        if failures:
            raise failures.pop()

    cluster.replied = replied
    node = await cluster.node()
    cluster.log.unit(2)
    cluster.buses[0].note_head(2)
    await until(lambda: node.ear.offsets == [1, 2])


async def test_last_words_are_heard(cluster: Cluster) -> None:
    """What was sent just before the end leaves first."""
    here, there = await cluster.node(), await cluster.node()
    said = delta()
    here.commit(3, [said])
    await cluster.buses[0].close()
    await until(lambda: there.ear.heard == [1, 2, 3, said.body])


async def test_a_receiver_that_fails_stops_nobody(cluster: Cluster) -> None:
    """A bug beyond the bus costs what it is about, and no later message."""
    here, there = await cluster.node(), await cluster.node()
    first, second = delta(), delta()
    hears = there.ear.publish_ephemeral

    def fail_once(event: object) -> None:
        there.ear.publish_ephemeral = hears  # type: ignore[method-assign]
        raise ValueError(event)

    there.ear.publish_ephemeral = fail_once  # type: ignore[method-assign]
    here.bus.send_ephemeral(first)
    here.bus.send_ephemeral(second)
    await until(lambda: there.ear.heard == [second.body])
