"""Where everything is plugged together, and the only place that is.

:class:`Running` is a tower that works: store, hub, kernel and user land over one data folder. The
ASGI application is a thin skin over it (:func:`create_app`).
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from agents import AgentCatalog, Executor, ModelTable, Registry, default_registry
from agents.catalog import default_agent
from agents.loading import load_app, load_entry_points
from control_tower.limits import TowerLimits
from control_tower.sessions import Sessions
from control_tower.store import SqliteStore
from control_tower.tower import Tower
from control_tower.unit import Unit
from events.bridge import Bridge
from events.bus import LocalBus
from events.hub import Hub, HubLimits
from events.payloads import JsonObject, NodeJoined, NodeLeft
from events.turns import LoopTurns
from events.types import EventData, Scope, draft
from server import asyncapi, openapi
from server.admission import Admission
from server.auth import Gate, Nobody
from server.clock import SystemClock, UlidIds
from server.endpoints import routes
from server.guard import Guard
from server.health import Check, Finding, LoopLag, check_disk
from server.limits import SubmitRates
from server.metrics import Counting, Counts, figures
from server.pages import Front, PageFiles, Reference, static_dir
from server.rest import ENDPOINTS
from server.rpc import MethodTable
from server.rpc_session import RateBound
from server.services import Services
from server.settings import Settings
from server.sse import EventStreams
from server.ws import Sockets, WsLimits

NOWHERE = Scope(None, None)
RETRY_AFTER_DRAIN_MS = 1_000
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
    """

    services: Services
    methods: MethodTable
    sockets: Sockets
    node: str
    token: str

    async def drain(self, hurry: asyncio.Event) -> None:
        """Say that the server goes down, and leave every mission in order for the next start."""
        tower, drain_s = self.services.tower, self.services.settings.drain_s
        stopping = asyncio.create_task(tower.stop(drain_s))
        hurrying = asyncio.create_task(hurry.wait())
        await asyncio.wait({stopping, hurrying}, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not stopping.done():
            stopping.cancel()
            await asyncio.wait({stopping})
            await tower.stop(0)
        self.services.streams.end_all()
        spread_s = 0.0 if hurry.is_set() else SPREAD_S
        await self.sockets.drain(self.node, RETRY_AFTER_DRAIN_MS, spread_s)


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    *,
    url: str,
    on_fatal: Callable[[BaseException], None],
    apps: Iterable[str] = (),
) -> AsyncIterator[Running]:
    """Open the data folder and run a tower over it.

    Args:
        settings: checked.
        url: where the server will be reached; written into the lock file.
        on_fatal: called when the disk fails; must end the process.
        apps: files and modules that register agents and tools, beside the settings' own.

    Raises:
        DataFolderLocked: when another process serves the folder.
        SchemaTooNew: when a newer version made it.
        AppLoadError: when an app can't be imported.
    """
    registry = load_registry([*settings.apps, *apps])
    clock, ids, counts = SystemClock(), UlidIds(), Counts()
    # The hub needs the open store, and the store somebody to publish to: nothing is committed
    # before the hub is put behind the counter.
    counting = Counting(counts)
    bridge = Bridge(LocalBus(counting))
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    store = await SqliteStore.open(
        settings.data_dir, publish=bridge, clock=clock, url=url, on_fatal=on_fatal
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        hub = counting.receiver = Hub(
            store, LoopTurns(), HubLimits(buffer_bytes=settings.send_buffer_bytes)
        )
        hub.start()
        stack.push_async_callback(hub.close)
        node = f"{socket.gethostname()}:{os.getpid()}"
        tools = Executor(registry, store, clock)
        catalog = _catalog(settings, registry)
        models = ModelTable.from_settings(settings.model, os.environ, registry)
        tower = Tower(
            store=store,
            catalog=catalog,
            tools=tools,
            models=models,
            publisher=bridge,
            clock=clock,
            ids=ids,
            node=node,
            limits=_limits(settings),
        )

        def say(data: EventData) -> None:
            store.submit(Unit(drafts=[draft(data, NOWHERE, clock.now())], critical=False))

        tools.on_breaker = say
        lag = LoopLag()
        lag.start()
        stack.callback(lag.stop)
        services = Services(
            settings=settings,
            gate=Gate(store.operator_token, None if settings.auth == "off" else Nobody()),
            tower=tower,
            store=store,
            sessions=Sessions(store, clock, ids),
            hub=hub,
            log=store,
            streams=EventStreams(hub),
            registry=registry,
            catalog=catalog,
            tools=tools,
            rates=SubmitRates(settings.submits_per_min if settings.rate_limits else None),
            clock=clock,
            static_dir=static_dir(),
            started_at=clock.now(),
            version=package_version(),
        )
        methods = MethodTable(services)
        sockets = _sockets(services, methods)
        stack.push_async_callback(sockets.close)
        services.status = lambda: _status(services, sockets)
        services.figures = lambda: {
            **figures(counts, tower.status(), len(sockets.connections)),
            "loop_lag_seconds": lag.worst_ms / 1000,
        }
        services.documents["openapi"] = openapi.document(ENDPOINTS, services.version)
        services.documents["asyncapi"] = asyncapi.document(methods.methods, services.version)
        services.checks.update(_checks(services, store, models, lag))
        say(NodeJoined(node=node))
        await tower.start(watch=True)
        yield Running(services, methods, sockets, node, store.operator_token)
        await tower.stop(0)
        say(NodeLeft(node=node))


def load_registry(apps: Iterable[str]) -> Registry:
    """Return the registry with the built-in agents, those of installed packages, and ``apps``."""
    registry = default_registry()
    load_entry_points(registry)
    for app in apps:
        loaded = load_app(app, registry)
        log.info("app.loaded", app=loaded.source, agents=loaded.agents, tools=loaded.tools)
    return registry


def create_app(running: Running) -> Starlette:
    """Return the ASGI application over a running tower."""
    services = running.services
    static = services.static_dir
    pages: list[BaseRoute] = [
        WebSocketRoute("/ws", running.sockets),
        Route("/", Front(static, services.version).answer, methods=["GET"]),
        *Reference(static, asyncapi.page(running.methods.methods)).routes(),
        Mount("/static", PageFiles(directory=static, check_dir=False)),
    ]
    app = Starlette(
        routes=[*pages, *routes(ENDPOINTS)],
        middleware=[Middleware(Guard, settings=services.settings)],
        exception_handlers={HTTPException: _to_the_guard},
    )
    app.router.redirect_slashes = False
    app.state.services = services
    return app


async def _to_the_guard(_request: Request, error: Exception) -> Response:
    """Let the guard answer Starlette's own errors, as it answers all others."""
    raise error


def _sockets(services: Services, methods: MethodTable) -> Sockets:
    settings, hub = services.settings, services.hub
    admission = Admission(settings, services.gate)

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
    return sockets


def _status(services: Services, sockets: Sockets) -> JsonObject:
    """Return what ``tower.status`` shows."""
    clients = [msgspec.to_builtins(each.status()) for each in sockets.connections]
    status = services.tower.status()
    return status | {"nodes": [status["node"]], "offset": services.hub.head, "clients": clients}


def _limits(settings: Settings) -> TowerLimits:
    return TowerLimits(
        max_running=settings.max_running,
        max_running_per_user=settings.running_per_user,
        max_queued_per_user=settings.max_queued_per_user,
        missions_per_day=settings.missions_per_day,
        tokens_per_day=settings.tokens_per_day,
        cost_per_day_usd=settings.cost_per_day_usd,
        park_after_s=settings.park_after_s,
        confirmation_ttl_s=settings.confirmation_ttl_s,
        clarification_ttl_s=settings.clarification_ttl_s,
    )


def _catalog(settings: Settings, registry: Registry) -> AgentCatalog:
    profiles = {
        name: table.model_dump(exclude_none=True) for name, table in settings.profiles.items()
    }
    return AgentCatalog(registry, profiles, default_agent(settings.model))


def _checks(
    services: Services, store: SqliteStore, models: ModelTable, lag: LoopLag
) -> dict[str, Check]:
    async def database() -> Finding:
        before = store.head
        await store.mission("m_none")
        return Finding("up", f"answers; {before} events")

    async def llm() -> Finding:
        problems = {name: said for name, said in models.availability().items() if said}
        if not problems:
            return Finding("up", f"default model: {models.default_model or 'none, demo agent'}")
        return Finding("degraded", "; ".join(f"{name}: {said}" for name, said in problems.items()))

    async def draining() -> Finding:
        if services.tower.draining:
            return Finding("down", "the server is going down")
        return Finding("up", "takes missions")

    return {
        "database": database,
        "llm": llm,
        "event_loop": lag.check,
        "disk": lambda: check_disk(services.settings.data_dir),
        "draining": draining,
    }
