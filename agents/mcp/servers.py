"""The MCP servers of the settings: kept connected, their tools kept in the registry."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import structlog

from agents.errors import RegistrationError
from agents.mcp.http import HttpLink
from agents.mcp.link import Link, LinkBroken
from agents.mcp.stdio import StdioLink
from agents.mcp.wire import (
    MAX_TOOLS,
    PROTOCOL_VERSION,
    JsonSchemaGate,
    OfferedTool,
    initialize_params,
    offered,
    outcome,
    tool_name,
)
from agents.registry import Registry
from agents.tool_spec import ToolSpec
from control_tower.errors import ToolFailed
from events.payloads import JsonObject
from events.types import Json

GREETING_S = 20.0
"""How long a server may take to start and list its tools."""
START_S = 5.0
"""How long the start of the tower waits for them; a slower one joins later."""
CALL_S = 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
_NAME = re.compile(r"[A-Za-z0-9_-]{1,50}")

log = structlog.get_logger()


@dataclass(slots=True)
class McpServer:
    """One server, started as a command or reached at a URL.

    Attributes:
        problem: why its tools cannot be called; None when they can.
    """

    name: str
    registry: Registry
    version: str
    command: str | None = None
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    problem: str | None = "not yet connected"
    _link: Link | None = None
    _greeted: asyncio.Event = field(default_factory=asyncio.Event)

    def trouble(self) -> str | None:
        """Return what to say of its tools while they can't be called."""
        return self.problem and f"the MCP server {self.name} is not there: {self.problem}"

    async def keep(self) -> None:
        """Stay connected until cancelled; each time the tools are listed anew."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._connect()
                pause_s = FIRST_PAUSE_S
                self._greeted.set()
                if self._link is not None:
                    await self._link.until_broken()
                self.problem = "it has gone away"
            except (ToolFailed, TimeoutError, RegistrationError) as error:
                self.problem = str(error) or "it does not answer"
            finally:
                await self._disconnect()
            self._greeted.set()
            log.warning("mcp.unavailable", server=self.name, problem=self.problem)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def greeted(self) -> None:
        """Return when the first attempt to connect has ended, well or not."""
        await self._greeted.wait()

    async def call(self, tool: str, arguments: JsonObject) -> Json:
        """Call a tool of the server.

        Raises:
            ToolFailed: when it fails, or the server is not there.
        """
        link = self._link
        if link is None or self.problem is not None:
            raise LinkBroken(f"The MCP server {self.name} is not there: {self.problem}.")
        params = {"name": tool, "arguments": arguments}
        return outcome(await link.request("tools/call", params))

    async def _connect(self) -> None:
        async with asyncio.timeout(GREETING_S):
            if self.url is not None:
                self._link = HttpLink(self.name, self.url)
            else:
                command = self.command or ""
                self._link = await StdioLink.open(self.name, command, self.args, self.env)
            greeting = await self._link.request("initialize", initialize_params(self.version))
            self._link.agreed(str(greeting.get("protocolVersion", PROTOCOL_VERSION)))
            await self._link.notify("notifications/initialized")
            tools = await self._tools(self._link)
        self._register(tools)
        self.problem = None
        log.info("mcp.connected", server=self.name, tools=len(tools))

    async def _disconnect(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _tools(self, link: Link) -> list[OfferedTool]:
        found: list[OfferedTool] = []
        cursor: object = None
        while len(found) < MAX_TOOLS:
            page = await link.request("tools/list", {"cursor": cursor} if cursor else {})
            listed = page.get("tools")
            listed = listed if isinstance(listed, list) else []
            found += [one for one in map(offered, listed) if one is not None]
            following = page.get("nextCursor")
            if not isinstance(following, str) or not listed or following == cursor:
                break
            cursor = following
        return found[:MAX_TOOLS]

    def _register(self, tools: Sequence[OfferedTool]) -> None:
        """Put the tools in the place of those that the server had before."""
        origin = f"the MCP server {self.name}"
        self.registry.forget(origin)
        for tool in tools:
            name = tool_name(self.name, tool.name)
            if name in self.registry.tools:
                log.warning("mcp.tool_twice", server=self.name, tool=tool.name)
                continue
            self.registry.add_tool(self._spec(name, tool, origin))

    def _spec(self, name: str, tool: OfferedTool, origin: str) -> ToolSpec:
        async def call(arguments: JsonObject) -> Json:
            return await self.call(tool.name, arguments)

        return ToolSpec(
            name=name,
            function=call,
            risk=tool.risk,
            idempotent=tool.idempotent,
            timeout_s=CALL_S,
            origin=origin,
            schema=JsonSchemaGate(name, tool.schema),
            about=tool.description,
            tags=("mcp", self.name),
            trouble=lambda: self.problem and f"The MCP server {self.name} is not there.",
        )


class McpServers:
    """All servers of the settings; an async context manager that keeps them connected."""

    def __init__(
        self, tables: Mapping[str, Mapping[str, Any]], registry: Registry, version: str = "0"
    ) -> None:
        """Read the settings.

        Args:
            tables: by name: ``command`` with ``args`` and ``env``, or ``url``.
            registry: where the tools go.
            version: ours, told to the servers.

        Raises:
            RegistrationError: for a bad name, or a server with neither command nor URL, or both.
        """
        self.servers = [_server(name, table, registry, version) for name, table in tables.items()]
        for server in self.servers:
            registry.expect(tool_name(server.name, ""), server.trouble)
        self._keeping: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Connect; return when each server has answered, or a moment later without them."""
        self._keeping = [asyncio.create_task(server.keep()) for server in self.servers]
        greetings = [asyncio.create_task(server.greeted()) for server in self.servers]
        if greetings:
            _, late = await asyncio.wait(greetings, timeout=START_S)
            for greeting in late:
                greeting.cancel()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let every server go."""
        for keeping in self._keeping:
            keeping.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)

    def problems(self) -> dict[str, str | None]:
        """Return each server's problem by name, for readiness; None for one that is there."""
        return {server.name: server.problem for server in self.servers}


def _server(name: str, table: Mapping[str, Any], registry: Registry, version: str) -> McpServer:
    command, url = table.get("command"), table.get("url")
    if not _NAME.fullmatch(name):
        raise RegistrationError(f"{name!r} is not a name for an MCP server.")
    if bool(command) == bool(url):
        raise RegistrationError(f"The MCP server {name} needs a command or a url, not both.")
    return McpServer(
        name=name,
        registry=registry,
        version=version,
        command=command,
        args=tuple(table.get("args", ())),
        env=dict(table.get("env", {})),
        url=url,
    )
