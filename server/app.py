"""Where everything is plugged together, and the only place that is.

:class:`Running` is a tower that works: store, hub, kernel and user land over one data folder. The
ASGI application is a thin skin over it (:mod:`server.asgi`).
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, cast

import structlog

from agents import Registry
from control_tower.cluster.commands import Place
from control_tower.cluster.ports import Node
from control_tower.sessions import Sessions
from control_tower.store import Occupant, ThreadedStore
from control_tower.tasks import end
from control_tower.tower import Tower
from control_tower.unit import Unit
from events.bridge import Bridge
from events.bus import LocalBus
from events.hub import Hub, HubLimits
from events.payloads import BreakerClosed, JsonObject, NodeJoined, NodeLeft
from events.turns import LoopTurns
from events.types import EventData, Scope, draft
from server import parts
from server.access.admission import SWEEP_EVERY_S, Admission
from server.access.auth import Gate
from server.access.auth_keys import Keyring
from server.access.limits import SubmitRates
from server.access.rates import OwnRates
from server.clock import SystemClock, UlidIds
from server.figures.health import LoopLag
from server.figures.metrics import CountedModels, Counting, Counts, figures
from server.figures.overview import Overview
from server.imports import Importer
from server.leaving import ending_what_begins
from server.pages import static_dir
from server.reference import asyncapi, openapi
from server.rest import ENDPOINTS
from server.role import Role
from server.services import Services
from server.settings import Settings
from server.sse import EventStreams
from server.upkeep import upkeep
from server.wire.close_codes import RESTART_MS
from server.wire.rpc import MethodTable
from server.wire.rpc_session import RateBound
from server.wire.ws import Sockets, WsLimits

if TYPE_CHECKING:
    from control_tower.store.postgres_store import PostgresStore
    from server.cluster import Cluster, Membership

NOWHERE = Scope(None, None)
SPREAD_S = 1.0
"""Over which connections are closed at a drain, so that they do not all come back at once."""

log = structlog.get_logger(__name__)


def package_version() -> str:
    """Return the version of the installed package."""
    try:
        return version("control-tower")
    except PackageNotFoundError:
        return "0+unknown"


@dataclass(slots=True)
class Running:
    """A tower that works. Made by :func:`running`.

    Attributes:
        token: this process's operator token.
        role: what this process does.
    """

    services: Services
    methods: MethodTable
    sockets: Sockets
    node: str
    token: str
    role: Role
    cluster: "Cluster | None" = None

    async def drain(self, hurry: asyncio.Event) -> None:
        """Say that the server goes down, and leave every mission in order for the next start."""
        tower, drain_s = self.services.tower, self.services.settings.drain_s
        self.sockets.warn(self.node, RESTART_MS)
        if self.cluster is not None:
            await self.cluster.leave()
        stopping = asyncio.create_task(tower.stop(drain_s))
        hurrying = asyncio.create_task(hurry.wait())
        await asyncio.wait({stopping, hurrying}, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not stopping.done():
            await end(stopping)
            await tower.stop(0)
        self.services.streams.end_all()
        spread_s = 0.0 if hurry.is_set() else SPREAD_S
        await self.sockets.drain(RESTART_MS, spread_s)


def _breaker_changed(say: Callable[[EventData], None], tower: Tower, data: EventData) -> None:
    """Tell of it; one that has closed lets those go on who wait for it."""
    say(data)
    if isinstance(data, BreakerClosed):
        tower.try_again(data.tool)


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    *,
    url: str,
    on_fatal: Callable[[BaseException], None],
    apps: Iterable[str] = (),
    standing_by: Callable[[Occupant], None] | None = None,
    role: Role = Role.ALL,
    shared_token: str | None = None,
    alone: bool = False,
) -> AsyncIterator[Running]:
    """Open the data folder, or the database, and run a tower over it.

    Args:
        settings: checked.
        url: where the server will be reached; written into the lock file.
        on_fatal: called when the disk fails, or another tower has taken the database over; must
            end the process.
        apps: files and modules that register agents and tools, beside the settings' own.
        standing_by: told who serves the database while we wait for it; without it nobody waits.
        role: what this process does.
        shared_token: the operator token of all processes that share our port.
        alone: whether all that is made on this loop meanwhile is this tower's: then its tasks are
            ended before others may have the store, a tool's that swallow their cancellation too.

    Raises:
        DataFolderLocked: when another process serves the folder.
        DataFolderUnusable: when it can't be opened.
        SeatTaken: when another tower serves the database.
        DatabaseUnusable: when that can't be reached or must be upgraded.
        SchemaTooNew: when a newer version made it.
        AppLoadError: when an app can't be imported.
        RegistrationError: when the settings describe an MCP server wrongly.
    """
    registry = parts.load_registry([*settings.apps, *apps])
    counts = Counts()
    # The hub needs the open store, and the store somebody to publish to: nothing is committed
    # before the hub is put behind the counter.
    counting = Counting(counts)
    bridge = Bridge(LocalBus(counting))
    clock = SystemClock()
    store = await parts.open_store(
        settings,
        publish=bridge,
        clock=clock,
        url=url,
        on_fatal=on_fatal,
        standing_by=standing_by,
        runs_missions=role.runs_missions,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        if alone:
            await stack.enter_async_context(ending_what_begins())
        hub = counting.receiver = Hub(
            store, LoopTurns(), HubLimits(buffer_bytes=settings.send_buffer_bytes)
        )
        hub.start()
        stack.push_async_callback(hub.close)
        ground = _Ground(settings, registry, clock, counts, store, hub, bridge, role, shared_token)
        if settings.redis_url is not None:
            # What a server that is alone never needs: the clients of Redis and PostgreSQL.
            from server.cluster import membership  # noqa: PLC0415

            ground.member = await stack.enter_async_context(
                membership(settings, cast("PostgresStore", store), bridge, counting, hub)
            )
        yield await stack.enter_async_context(_at_work(ground))


@dataclass(slots=True)
class _Ground:
    """What a tower stands on."""

    settings: Settings
    registry: Registry
    clock: SystemClock
    counts: Counts
    store: ThreadedStore
    hub: Hub
    bridge: Bridge
    role: Role
    shared_token: str | None
    member: "Membership | None" = None

    def say(self, data: EventData) -> None:
        """Commit an event of the tower's own."""
        event = draft(data, NOWHERE, self.clock.now())
        self.store.submit(Unit(drafts=[event], critical=False))

    def has_gone(self, node: Node) -> None:
        """Say that another node is gone for good."""
        self.say(NodeLeft(node=node.name))


@contextlib.asynccontextmanager
async def _at_work(ground: _Ground) -> AsyncIterator[Running]:
    """Run a tower until the block ends."""
    settings, store, hub, clock = ground.settings, ground.store, ground.hub, ground.clock
    ids, counts, member = UlidIds(), ground.counts, ground.member
    node = f"{socket.gethostname()}:{os.getpid()}" if member is None else member.name
    tools = parts.executor(settings, ground.registry, store, clock)
    catalog = parts.catalog(settings, ground.registry)
    async with contextlib.AsyncExitStack() as stack:
        models = await stack.enter_async_context(parts.models(settings, ground.registry))
        mcp = await stack.enter_async_context(
            parts.mcp_servers(settings, ground.registry, package_version())
        )
        tower = Tower(
            store=store,
            catalog=catalog,
            tools=tools,
            models=CountedModels(models, counts),
            publisher=ground.bridge,
            clock=clock,
            ids=ids,
            node=node,
            limits=parts.limits(settings),
        )
        sessions = Sessions(store, clock, ids)
        eraser = await stack.enter_async_context(
            upkeep(
                settings,
                store,
                clock,
                tower,
                forget=hub.forget_recent if member is None else member.forget_recent,
                turn=None if member is None else member.is_steward,
            )
        )
        cluster = None
        if member is not None:
            place = Place(tower, sessions, eraser)
            cluster = member.cluster(place, ground.role, settings.max_running, ground.has_gone)
        tools.on_breaker = partial(_breaker_changed, ground.say, tower)
        keyring = Keyring(store, clock)
        verifier = parts.verifier(settings, clock, keyring)
        services = Services(
            settings=settings,
            gate=Gate(store.operator_token, verifier, ground.shared_token),
            keyring=keyring,
            eraser=eraser,
            tower=tower if cluster is None else cluster.tower,
            store=store,
            sessions=sessions if cluster is None else cluster.sessions,
            imports=Importer(store, clock, ids),
            hub=hub,
            log=store,
            streams=EventStreams(hub, settings.max_connections, settings.connections_per_user),
            registry=ground.registry,
            catalog=catalog,
            tools=tools,
            rates=OwnRates(SubmitRates(settings.submits_per_min if settings.rate_limits else None)),
            clock=clock,
            static_dir=static_dir(),
            started_at=clock.now(),
            version=package_version(),
        )
        methods = MethodTable(services)
        sockets, admission = _sockets(services, methods)
        stack.push_async_callback(sockets.close)
        lag = LoopLag()
        lag.start()
        stack.callback(lag.stop)
        overview = _overlook(services, sockets, counts, lag)
        stack.push_async_callback(end, asyncio.create_task(_sweep(admission, overview)))
        services.documents |= _documents(services, methods)
        if member is None:
            await parts.recall_health(store, tools, clock)
        services.checks.update(parts.checks(services, store, models, mcp, lag))
        ground.say(NodeJoined(node=node))
        stack.callback(ground.say, NodeLeft(node=node))
        stack.push_async_callback(tower.stop, 0)
        await tower.start(watch=True, restore=cluster is None)
        if cluster is not None:
            stack.push_async_callback(cluster.leave)
            await cluster.start(services, overview)
        yield Running(services, methods, sockets, node, store.operator_token, ground.role, cluster)


def _overlook(services: Services, sockets: Sockets, counts: Counts, lag: LoopLag) -> Overview:
    """Let the services tell how all is going."""
    overview = Overview(services, sockets, counts)
    services.status = overview.status
    services.figures = lambda: {
        **figures(
            counts,
            services.tower.status(),
            tool_calls=services.tools.witness.total,
            connections=len(sockets),
            streams=len(services.streams),
        ),
        "loop_lag_seconds": lag.worst_ms / 1000,
    }
    return overview


def _documents(services: Services, methods: MethodTable) -> dict[str, JsonObject]:
    """Return what describes the server to programs, by name."""
    return {
        "openapi": openapi.document(ENDPOINTS, services.version),
        "asyncapi": asyncapi.document(methods.methods, services.version),
    }


def _sockets(services: Services, methods: MethodTable) -> tuple[Sockets, Admission]:
    settings, hub = services.settings, services.hub
    admission = Admission(settings, services.gate, services.clock)

    def snapshot(topics: Sequence[str]) -> list[JsonObject]:
        active = services.tower.snapshot(topics)
        return [each | {"partial_text": hub.partial_text(each["mission_id"])} for each in active]

    sockets = Sockets(
        hub,
        methods,
        authenticate=admission.authenticate,
        snapshot=snapshot,
        limits=WsLimits(
            max_message_bytes=settings.max_frame_bytes,
            rate=RateBound() if settings.rate_limits else None,
        ),
    )
    admission.connections = lambda: sockets.connections
    admission.count, admission.count_of = sockets.__len__, sockets.of_user
    admission.streams = services.streams.open_now
    services.admit = admission.check_user
    return sockets, admission


async def _sweep(admission: Admission, overview: Overview) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        overview.note()
        try:
            await admission.sweep()
        except Exception:  # a read that failed; who is to be closed, the next sweep will find
            log.exception("admission.sweep_failed")
