"""The parts of a tower as the settings want them. ``app.py`` plugs them together."""

import asyncio
import contextlib
import html
import importlib
import os
from collections import ChainMap
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from types import ModuleType

import structlog

from agents import AgentCatalog, ModelTable, Registry, default_registry, namesake
from agents.catalog import default_agent
from agents.executor import Executor
from agents.extras import install_command
from agents.loading import load_app, load_entry_points
from agents.mcp import McpServers
from agents.tool_context import Search
from control_tower.limits import TowerLimits
from control_tower.patience import patiently
from control_tower.ports import Clock, Store
from control_tower.public import hit_json
from control_tower.store import ALONE, SHARED, Occupant, SqliteStore, ThreadedStore
from control_tower.tasks import end
from events.log import Publish
from events.payloads import JsonObject
from server import logging
from server.access.auth import Verifier
from server.access.auth_jwt import JwtVerifier
from server.access.auth_keys import Keyring
from server.figures.database_check import check_database
from server.figures.health import Check, Finding, LoopLag, check_disk
from server.services import Services
from server.settings import Settings, SettingsError

RECALLED_CALLS = 20_000
"""The most tool calls of the last day that are read at start: about 50 ms."""

log = structlog.get_logger(__name__)


def postgres() -> ModuleType:
    """Return the module of the store over PostgreSQL, which an extra of the package is needed for.

    Raises:
        SettingsError: when it is not installed.
    """
    try:
        return importlib.import_module("control_tower.store.postgres_store")
    except ModuleNotFoundError as missing:
        if missing.name != "psycopg":
            raise
        raise SettingsError(
            f"TOWER_DATABASE_URL needs the driver: {install_command('postgres')}"
        ) from None


async def open_store(
    settings: Settings,
    *,
    publish: Publish,
    clock: Clock,
    url: str,
    on_fatal: Callable[[BaseException], None],
    standing_by: Callable[[Occupant], None] | None = None,
    runs_missions: bool = False,
) -> ThreadedStore:
    """Open the store that the settings name; see the ``open`` of each.

    With a bus, the database is shared; ``runs_missions`` says whether users may come home then.
    """
    if settings.database_url is None:
        return await SqliteStore.open(
            settings.data_dir, publish=publish, clock=clock, url=url, on_fatal=on_fatal
        )
    store: ThreadedStore = await postgres().PostgresStore.open(
        settings.database_url,
        settings.data_dir,
        publish=publish,
        clock=clock,
        url=url,
        on_fatal=on_fatal,
        standing_by=standing_by,
        mode=ALONE if settings.redis_url is None else SHARED,
        runs_missions=runs_missions,
    )
    return store


def load_registry(apps: Iterable[str]) -> Registry:
    """Return the registry with the built-in agents, those of installed packages, and ``apps``."""
    if problem := namesake.problem():
        log.warning("agents.namesake", problem=problem)
    registry = default_registry()
    load_entry_points(registry)
    for app in apps:
        loaded = load_app(app, registry)
        log.info("app.loaded", app=loaded.source, agents=loaded.agents, tools=loaded.tools)
    return registry


def limits(settings: Settings) -> TowerLimits:
    """Return the kernel's bounds and times."""
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


def catalog(settings: Settings, registry: Registry) -> AgentCatalog:
    """Return what may be run: the registry's agents under the settings' profiles."""
    profiles = {
        name: table.model_dump(exclude_none=True) for name, table in settings.profiles.items()
    }
    return AgentCatalog(registry, profiles, default_agent(settings.model))


@contextlib.asynccontextmanager
async def models(settings: Settings, registry: Registry) -> AsyncIterator[ModelTable]:
    """Give the table of models that the environment configures, with the settings' prices.

    The default model's library is imported meanwhile, so that no mission need wait for that.
    """
    prices = {
        name: (price.input_per_million_usd, price.output_per_million_usd)
        for name, price in settings.prices.items()
    }
    table = ModelTable.from_settings(settings.model, os.environ, registry, prices)
    opening = asyncio.create_task(table.open())
    try:
        yield table
    finally:
        await end(opening)


def secrets(settings: Settings) -> Mapping[str, str]:
    """Return what ``Secret(NAME)`` stands for: the environment's, else the settings file's."""
    ours = {name: secret.get_secret_value() for name, secret in settings.secrets.items()}
    return ChainMap(os.environ, ours)


def mcp_servers(settings: Settings, registry: Registry, version: str) -> McpServers:
    """Return the settings' MCP servers, not yet connected.

    Raises:
        RegistrationError: for a bad name, or a server with neither command nor URL, or both.
    """
    tables = {name: table.model_dump() for name, table in settings.mcp.items()}
    return McpServers(tables, registry, version)


def search(store: Store) -> Search:
    """Return what the tool ``search_history`` finds messages with; its snippets are plain text."""

    async def found(user_id: str, query: str, limit: int) -> list[JsonObject]:
        hits = await store.search_messages(query, user_id, limit, 0)
        return [hit_json(hit) | {"snippet": _plain(hit.snippet)} for hit in hits]

    return found


def _plain(snippet: str) -> str:
    """Return a snippet without its marks and escapes: no page shows this one."""
    return html.unescape(snippet.replace("<mark>", "").replace("</mark>", ""))


def executor(
    settings: Settings, registry: Registry, store: ThreadedStore, clock: Clock
) -> Executor:
    """Return what runs the tools; the log learns each secret before a tool is given it."""
    tools = Executor(registry, store, clock, search(store), secrets(settings))
    tools.on_secret = logging.learn
    return tools


async def recall_health(store: ThreadedStore, tools: Executor, clock: Clock) -> None:
    """Tell the executor how its tools worked before the start: a restart forgets nothing.

    Waits for a database that is away.
    """
    newest = await patiently(partial(store.newest_tool_calls, RECALLED_CALLS))
    tools.health.recall(reversed(newest), clock.now())


def checks(
    services: Services, store: ThreadedStore, models: ModelTable, servers: McpServers, lag: LoopLag
) -> dict[str, Check]:
    """Return what readiness asks, by the component's name."""

    async def llm() -> Finding:
        problems = {name: said for name, said in models.availability().items() if said}
        if not problems:
            return Finding("up", f"default model: {models.default_model or 'none, demo agent'}")
        return Finding("degraded", "; ".join(f"{name}: {said}" for name, said in problems.items()))

    async def mcp() -> Finding:
        problems = servers.problems()
        away = [name for name, problem in problems.items() if problem is not None]
        if away:
            # Why, the log says: it may hold paths, and readiness is open to everybody.
            return Finding("degraded", f"not connected: {', '.join(away)}; the log says why")
        return Finding("up", f"connected: {', '.join(problems)}")

    async def draining() -> Finding:
        if services.tower.draining:
            return Finding("down", "the server is going down")
        return Finding("up", "takes missions")

    return {
        "database": lambda: check_database(store),
        "llm": llm,
        **({"mcp": mcp} if servers.servers else {}),
        "event_loop": lag.check,
        "disk": lambda: check_disk(services.settings.data_dir),
        "draining": draining,
    }


def verifier(settings: Settings, clock: Clock, keyring: Keyring) -> Verifier | None:
    """Return who checks credentials; None when auth is off."""
    match settings.auth:
        case "off":
            return None
        case "jwt":
            return JwtVerifier(settings, clock)
        case "keys":
            return keyring
