"""What a node shares with the others over Redis: the bus, tickets, submit rates, and its health.

Only where ``TOWER_REDIS_URL`` is set; a server that is alone never imports this.
"""

from functools import partial

from events.bus import Receiver
from events.bus_ports import BusPorts
from events.bus_redis import RedisBus
from server.access.limits import SubmitRates
from server.access.rates import OwnRates, Rates
from server.access.redis_rates import RedisRates
from server.access.redis_tickets import RedisTickets
from server.access.shared_redis import SharedRedis
from server.figures.bus_metrics import BusCollector
from server.figures.health import Check
from server.figures.redis_check import check_redis


class OverRedis:
    """Everything of a node that goes over Redis.

    Args:
        url: of Redis, which need not be there.
        token: of this node and of this start of it.
        receiver: the hub, or what stands before it.
        seen: the hub's head.
        ports: what the bus asks of the node.
        submits_per_min: of each user; None is no limit.

    Attributes:
        bus: for the bridge, and the way of replies.
        tickets: for the gate.
        rates: for submits.
        check: for readiness.
        collector: for Prometheus.
    """

    def __init__(
        self,
        url: str,
        *,
        token: int,
        receiver: Receiver,
        seen: int,
        ports: BusPorts,
        submits_per_min: int | None,
    ) -> None:
        self.bus = RedisBus(url, token=token, receiver=receiver, seen=seen, ports=ports)
        self._shared = SharedRedis(url, f"tower:{ports.log.epoch}")
        self.tickets = RedisTickets(self._shared)
        own = SubmitRates(submits_per_min)
        self.rates: Rates = OwnRates(own)
        if submits_per_min is not None:
            self.rates = RedisRates(self._shared, submits_per_min, own)
        self.collector = BusCollector(self.bus.figures)
        self.check: Check = partial(check_redis, self._shared, self.bus)

    async def start(self) -> None:
        """Begin to send and receive. Does not wait for Redis."""
        await self.bus.start()

    async def close(self) -> None:
        """Say what is still to be said, and let go of Redis."""
        await self.bus.close()
        await self._shared.close()
