"""Nodes that commit late and early while their Redis is killed, suspended and cut off."""

import asyncio
import itertools
from collections import deque
from collections.abc import Sequence
from random import Random

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from structlog.testing import capture_logs

from events.bus_ports import BusPorts
from events.bus_redis import RedisBus
from events.hub import Hub
from events.turns import LoopTurns
from events.types import Committed, Ephemeral
from tests.contract.bus.kit import SharedLog, acquainted, delta, until
from tests.rig.redis import OwnRedis, own_redis
from tests.unit.events.fakes import scope_of


class Member:
    """A node whose commits are told a moment after they were made.

    Its ear, a real hub that takes nothing out of order, must not hear of a unit of its own before
    it was delivered.
    """

    _tokens = itertools.count(1)

    def __init__(self, url: str, log: SharedLog, random: Random) -> None:
        self.token = next(self._tokens)
        self.deltas: list[bytes] = []
        self.replies: list[str] = []
        self.hub = Hub(log, LoopTurns())
        self._scope = scope_of(mission=f"m{self.token}")
        self._log = log
        self._random = random
        self._pending: deque[list[Committed]] = deque()
        ports = BusPorts(
            log=log,
            head=lambda: log.head,
            on_reply=lambda call, body: self.replies.append(call),
            own_from=lambda: self._pending[0][0].offset if self._pending else None,
        )
        self.bus = RedisBus(url, token=self.token, receiver=self, seen=log.head, ports=ports)

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Check, then pass on to the hub."""
        undelivered = {each.offset for unit in self._pending for each in unit}
        assert not undelivered.intersection(each.offset for each in events)
        self.hub.publish(events, ())
        for each in after:
            self.publish_ephemeral(each)

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """Note it, and pass on."""
        self.deltas.append(event.body)
        self.hub.publish_ephemeral(event)

    async def work(self, over: asyncio.Event) -> None:
        """Commit, wait, deliver, speak, answer."""
        while not over.is_set():
            self._pending.append(self._log.unit(self._random.randint(1, 4), self._scope))
            await asyncio.sleep(self._random.choice([0, 0.001, 0.005, 0.05]))
            self.bus.reply(self.token + 1, f"c{self._log.head}", b"{}")
            unit = self._pending.popleft()
            self.bus.send(unit, [delta(self._scope)])
            self.bus.send_ephemeral(delta(self._scope))
            await asyncio.sleep(self._random.choice([0, 0.002, 0.01]))


async def harm(redis: OwnRedis, random: Random) -> None:
    """Do one thing to Redis, and undo it."""
    match random.choice(["kill", "suspend", "cut"]):
        case "kill":
            await asyncio.to_thread(redis.stop)
            await asyncio.sleep(random.uniform(0, 1))
            await asyncio.to_thread(redis.start)
        case "suspend":
            redis.suspend()
            await asyncio.sleep(random.uniform(0.1, 4))
            redis.resume()
        case "cut":
            try:
                async with Redis.from_url(redis.url) as client:
                    await client.client_kill_filter(_type="pubsub")
            except RedisError:
                pass  # it is not back yet, which is harm enough


@pytest.mark.timeout(180)
@pytest.mark.parametrize("harms", [3, pytest.param(30, marks=pytest.mark.soak)])
async def test_every_hub_has_every_event(harms: int) -> None:
    """In order, once, its own never too early; and afterwards everything is as before."""
    random, log, over = Random(harms), SharedLog(), asyncio.Event()
    with own_redis() as redis, capture_logs() as logs:
        members = [Member(redis.url, log, random) for _ in range(3)]
        for member in members:
            member.bus.routes.joins("system")
            await member.bus.start()
        work = [asyncio.create_task(member.work(over)) for member in members]
        for _ in range(harms):
            await asyncio.sleep(random.uniform(0.2, 0.6))
            await harm(redis, random)
        over.set()
        await asyncio.gather(*work)
        await until(lambda: all(each.hub.head == log.head for each in members))
        await until(lambda: acquainted([each.bus for each in members]))
        said = delta()
        members[0].bus.send_ephemeral(said)
        await until(lambda: all(said.body in each.deltas for each in members))
        for member in members:
            assert len(member.deltas) == len(set(member.deltas))
            assert len(member.replies) == len(set(member.replies))
            await member.bus.close()
            await member.hub.close()
    assert members[1].replies
    assert not [entry for entry in logs if entry["log_level"] == "error"]
