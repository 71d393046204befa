"""A node among others: what stands around a tower whose database and bus are shared.

Three stages, as each needs what comes before it. :class:`Membership` is there as soon as the store
is open: it carries events and letters. :class:`Cluster` puts the tower and the sessions behind the
router. :meth:`Cluster.start` lets users come home.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from control_tower.cluster.adoption import Adoption
from control_tower.cluster.calls import Calls, Nothing
from control_tower.cluster.commands import Place
from control_tower.cluster.ports import Node
from control_tower.cluster.residents import Residents
from control_tower.cluster.roster import Roster
from control_tower.cluster.routed import RoutedSessions, RoutedTower, erase_user
from control_tower.cluster.router import Room, Router
from control_tower.cluster.stewardship import Stewardship
from events.bridge import Bridge
from events.bus import Receiver
from events.bus_ports import BusPorts
from events.hub import Hub
from events.types import Committed
from server import told
from server.figures.cluster_oversight import ClusterOversight
from server.figures.cluster_status import ClusterStatus
from server.figures.overview import Overview
from server.over_redis import OverRedis
from server.present import Present
from server.role import Role
from server.services import Services
from server.settings import Settings

if TYPE_CHECKING:
    from control_tower.store.database_nodes import DatabaseNodes
    from control_tower.store.postgres_store import PostgresStore


def _not_yet() -> bool:
    """No node is the steward before it can find out."""
    return False


@dataclass(slots=True)
class Membership:
    """How this node hears from the others, and they from it."""

    store: "PostgresStore"
    nodes: "DatabaseNodes"
    hub: Hub
    redis: OverRedis
    calls: Calls
    roster: Roster
    is_steward: Callable[[], bool] = _not_yet

    @property
    def name(self) -> str:
        """What the others know this node by."""
        return self.nodes.alive()[self.nodes.token].name

    def forget_recent(self) -> None:
        """Drop what memory holds of the recent log, here and at all others."""
        self.hub.forget_recent()
        self.calls.tell_all(told.FORGET_RECENT, Nothing())

    def cluster(
        self, place: Place, role: Role, max_running: int, buried: Callable[[Node], None]
    ) -> "Cluster":
        """Put a tower and its sessions behind the router."""
        cluster = Cluster(self, place, role, max_running, buried)
        self.is_steward = cluster.router.is_steward
        return cluster


@contextlib.asynccontextmanager
async def membership(
    settings: Settings, store: "PostgresStore", bridge: Bridge, receiver: Receiver, hub: Hub
) -> AsyncIterator[Membership]:
    """Connect to the others until the block ends; what is committed goes to them from now on.

    ``receiver`` gets what every node commits, in the log's order, and hands it on to ``hub``. The
    store is closed at the end.
    """
    nodes, post = store.nodes, store.new_post()

    def replied(call: str, body: bytes) -> None:
        calls.take_reply(call, body)

    async def all_replied(within_s: float) -> None:
        await calls.replied(within_s)

    roster = Roster()
    roster.receiver = receiver
    assert settings.redis_url is not None  # noqa: S101 - who shares a database has a bus
    redis = OverRedis(
        settings.redis_url,
        token=nodes.token,
        receiver=roster,
        seen=store.head,
        ports=BusPorts(
            log=store,
            head=lambda: nodes.head,
            on_reply=replied,
            replied=all_replied,
            own_from=store.undelivered_from,
        ),
        submits_per_min=settings.submits_per_min if settings.rate_limits else None,
    )
    calls = Calls(post, nodes.token, nodes.alive, redis.bus)
    bridge.bus = redis.bus
    await post.start(calls.take)
    member = Membership(store, nodes, hub, redis, calls, roster)
    hub.others = Present(store, redis.bus.note_head, lambda: hub.head).reached
    hub.audience = redis.bus.routes
    try:
        await redis.start()
        yield member
    finally:
        await roster.close()
        await calls.close()
        await post.close()
        await store.close()  # the last that is committed is still told to the others
        await redis.close()


class Cluster:
    """A tower and its sessions behind the router.

    Attributes:
        tower, sessions: as every node offers them.
        router: finds homes.
    """

    def __init__(
        self,
        member: Membership,
        place: Place,
        role: Role,
        max_running: int,
        buried: Callable[[Node], None],
    ) -> None:
        local = place.tower
        room = Room(
            open=lambda: role.runs_missions and not local.draining,
            load=local.load,
            max_load=max_running,
        )
        self._member = member
        self._role = role
        self._residents = Residents(member.nodes, local.adopt)
        self.router = Router(member.nodes, member.calls, self._residents, room, place)
        self.tower = RoutedTower(local, self.router, member.roster)
        self.sessions = RoutedSessions(place.sessions, self.router)
        self._adoption = Adoption(member.nodes, self._residents)
        self._stewardship = Stewardship(member.nodes, self.router, member.store)
        member.nodes.load = self.router.load
        member.nodes.on_buried = buried
        member.nodes.on_head = member.redis.bus.note_head

    async def start(self, services: Services, overview: Overview) -> None:
        """Learn what is active anywhere, and let users come home, if missions run here."""
        member = self._member
        services.gate.tickets = member.redis.tickets
        services.rates = member.redis.rates
        services.checks["redis"] = member.redis.check
        services.collectors.append(member.redis.collector)
        services.tell_all = member.calls.tell_all
        services.expect_text = self._expect_text
        services.erase_user = partial(erase_user, self.router, member.store)
        told.hear(member.calls, services)
        oversight = ClusterOversight(services, member.store, member.nodes, member.calls)
        services.oversight = oversight
        overview.counts.ran_here = self.ran_here
        status = ClusterStatus(overview.part, self._role.value, member.nodes, member.calls)
        services.status = status.status
        await member.roster.read(member.store)
        await oversight.recall()
        if self._role.runs_missions:
            self._adoption.start()
        self._stewardship.start()

    def ran_here(self, event: Committed) -> bool:
        """Return whether an event is of a user who is at home with us."""
        return event.scope.user_id in self._residents

    async def _expect_text(self, user_id: str) -> None:
        if user_id not in self._residents:
            await self._member.redis.bus.routes.expects([f"user:{user_id}"])

    async def leave(self) -> None:
        """Take nobody over any more."""
        await self._stewardship.stop()
        await self._adoption.stop()
        await self._residents.close()
