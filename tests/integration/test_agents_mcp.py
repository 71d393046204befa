"""Tools of real MCP servers, of the protocol's own library, that are killed and started again."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.integration.conftest import MakeTower
from tests.integration.tower_process import ROOT, Wire, eventually, wire

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

BOX = str(ROOT / "tests/rig/mcp_box.py")
APP = """
from agents import Context, agent

@agent("caller", description="Calls the tool that it is told to.")
async def caller(ctx: Context) -> object:
    return await ctx.tool(ctx.inputs["tool"], **ctx.inputs.get("arguments", {}))
"""


class Remote:
    """The server over HTTP, on a port of its own."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, BOX, str(self.port)], stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@pytest.fixture
def remote() -> Iterator[Remote]:
    """Return the server, started."""
    server = Remote()
    server.start()
    yield server
    server.kill()


def tool(url: str, name: str) -> dict[str, Any]:
    """Return what governance says of a tool; nothing for one that is not there."""
    answer = httpx2.get(f"{url}/api/v1/governance/tools/{name}", timeout=20)
    return dict(answer.json()) if answer.status_code == 200 else {}


def ready(url: str) -> str:
    """Return how readiness sees the servers."""
    return str(httpx2.get(f"{url}/ready", timeout=20).json()["components"]["mcp"]["status"])


async def call(ws: Wire, tool: str, **arguments: Any) -> None:
    """Let a mission call a tool."""
    await ws.call(
        "mission.submit",
        mission="call",
        agent="caller",
        inputs={"tool": tool, "arguments": arguments},
    )


async def test_servers_by_both_transports_die_and_come_back(
    make_tower: MakeTower, tmp_path: Path, remote: Remote
) -> None:
    """Found and judged; down, their tools are degraded; back, they work, and nothing is lost."""
    app, config = tmp_path / "app.py", tmp_path / "tower.toml"
    app.write_text(APP)
    config.write_text(
        f'[mcp.near]\ncommand = "{sys.executable}"\nargs = ["{BOX}"]\n'
        f'[mcp.far]\nurl = "http://127.0.0.1:{remote.port}/mcp"\n'
    )
    tower = make_tower(str(app), TOWER_CONFIG=str(config))
    url = tower.url
    await eventually(lambda: ready(url) == "up", 60)
    listed = httpx2.get(f"{url}/api/v1/agents").json()["tools"]
    risks = {each["name"]: each["risk"] for each in listed if each["name"].startswith("mcp.")}
    assert risks == {
        f"mcp.{server}.{name}": risk
        for server in ("near", "far")
        for name, risk in (("whoami", "read_only"), ("wipe", "destructive"), ("plain", "high"))
    }
    async with wire(tower.ws_url) as ws:
        for server in ("near", "far"):
            await call(ws, f"mcp.{server}.wipe", name="disk")
            asked = await ws.event("interrupt.raised")
            assert asked["data"]["arguments"] == {"name": "disk"}
            number = asked["data"]["interrupt_id"]
            await ws.call("confirm", confirmation_id=number, approved=True)
            last = await ws.ended()
            assert "wiped disk" in str(last["data"]["result"])
        await call(ws, "mcp.near.whoami")
        first = digits((await ws.ended())["data"]["result"])
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: tool(url, "mcp.near.whoami")["status"] == "unknown", 60)
        await eventually(lambda: ready(url) == "up", 60)
        await call(ws, "mcp.near.whoami")
        assert digits((await ws.ended())["data"]["result"]) != first

        remote.kill()
        await eventually(lambda: tool(url, "mcp.far.whoami")["status"] == "degraded", 60)
        assert tool(url, "mcp.far.whoami")["issues"] == ["The MCP server far is not there."]
        assert ready(url) == "degraded"
        await call(ws, "mcp.far.whoami")
        last = await ws.ended()
        assert last["type"] == "mission.failed"
        assert "The MCP server far is not there" in last["data"]["error"]["message"]
        remote.start()
        await eventually(lambda: ready(url) == "up", 90)
        await call(ws, "mcp.far.whoami")
        assert (await ws.ended())["type"] == "mission.completed"


def digits(result: Any) -> int:
    """Return the number in a result: the library wraps texts in an object."""
    return int(result["result"] if isinstance(result, dict) else result)
