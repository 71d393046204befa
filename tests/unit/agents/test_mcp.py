"""Tools of MCP servers: found, judged by their annotations, called, and missed when gone."""

import asyncio
import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import RegistrationError, ToolFailed, ToolInvalid, ToolRefused
from agents.mcp import McpServers
from agents.mcp.link import Replies
from agents.mcp.wire import JsonSchemaGate, decode, offered, outcome, risk_of, tool_name
from agents.registry import Registry
from agents.secret import Secret
from tests.unit.agents import mcp_server

SERVER = {"command": sys.executable, "args": [str(Path(mcp_server.__file__))]}
MakeContext = Callable[..., Any]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect at once."""
    monkeypatch.setattr("agents.mcp.servers.FIRST_PAUSE_S", 0.01)


async def until_it_says(ctx: Any, tool: str) -> Any:
    """Return what a tool says once its server is there again; resets its breaker meanwhile."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await ctx.tool(tool, text="again")
            except ToolFailed:
                ctx.executor.reset(tool)
                await asyncio.sleep(0.01)


async def test_a_servers_tools_join_the_registry(registry: Registry) -> None:
    """Over all pages; their risk is that of their annotations, high without any."""
    async with McpServers({"box": SERVER}, registry) as servers:
        assert servers.problems() == {"box": None}
        found = {
            name: (spec.risk, spec.asks, spec.idempotent)
            for name, spec in registry.tools.items()
            if name.startswith("mcp.")
        }
        assert found == {
            "mcp.box.say": ("read_only", False, True),
            "mcp.box.wipe": ("destructive", True, False),
            "mcp.box.odd_name": ("write", False, True),
            "mcp.box.plain": ("high", True, False),
            "mcp.box.environment": ("read_only", False, True),
            "mcp.box.die": ("read_only", False, True),
            "mcp.box.hang": ("read_only", False, True),
            "mcp.box.fail": ("read_only", False, True),
            "mcp.box.structured": ("read_only", False, True),
        }
        say = registry.tools["mcp.box.say"]
        assert say.description == "Say it again.\n\nMore."
        assert say.schema.json_schema["required"] == ["text"]


async def test_tools_are_called(registry: Registry, make_ctx: MakeContext) -> None:
    """Through the executor as any other; a risky one asks first."""
    ctx = make_ctx("x", approvals=["no", True])
    async with McpServers({"box": SERVER}, registry):
        assert await ctx.tool("mcp.box.say", text="hé") == "hé"
        assert await ctx.tool("mcp.box.odd_name") == "did odd/name"
        assert await ctx.tool("mcp.box.structured") == {"answer": 42}
        with pytest.raises(ToolRefused):
            await ctx.tool("mcp.box.wipe", text="x")
        assert await ctx.tool("mcp.box.wipe", text="x") == "did wipe"
        with pytest.raises(ToolFailed, match="it broke"):
            await ctx.tool("mcp.box.fail")
        with pytest.raises(ToolInvalid, match="text: is missing"):
            await ctx.tool("mcp.box.say")
        with pytest.raises(ToolInvalid, match="more: there is no such argument"):
            await ctx.tool("mcp.box.say", text="x", more=1)


async def test_a_server_sees_nothing_of_our_environment(
    registry: Registry, make_ctx: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But the few names it needs to start, and what the settings give it."""
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    table = SERVER | {"env": {"GIVEN": "yes"}}
    async with McpServers({"box": table}, registry):
        seen = json.loads(await make_ctx("x").tool("mcp.box.environment"))
    assert seen["GIVEN"] == "yes"
    assert "PATH" in seen
    assert "canary" not in seen.values()


async def test_a_server_that_dies_is_started_again(
    registry: Registry, make_ctx: MakeContext
) -> None:
    """The call in flight fails, and the next ones go to the new process."""
    ctx = make_ctx("x")
    async with McpServers({"box": SERVER}, registry) as servers:
        with pytest.raises(ToolFailed, match="gone"):
            await ctx.tool("mcp.box.die")
        assert await until_it_says(ctx, "mcp.box.say") == "again"
        assert servers.problems() == {"box": None}


async def test_a_call_that_is_cancelled_leaves_the_link_whole(
    registry: Registry, make_ctx: MakeContext
) -> None:
    """As at a time-out."""
    ctx = make_ctx("x")
    async with McpServers({"box": SERVER}, registry):
        call = asyncio.ensure_future(ctx.tool("mcp.box.hang"))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await ctx.tool("mcp.box.say", text="x") == "x"


async def test_garbage_and_questions_of_the_server_are_survived(
    registry: Registry, make_ctx: MakeContext
) -> None:
    """Lines that are no messages, requests, notifications."""
    table = SERVER | {"args": [*SERVER["args"], "garbage"]}
    async with McpServers({"box": table}, registry):
        assert await make_ctx("x").tool("mcp.box.say", text="x") == "x"


async def test_a_server_that_cannot_be_started_is_a_problem_not_an_end(
    registry: Registry, make_ctx: MakeContext
) -> None:
    """The tower starts without it, and readiness says so."""
    tables = {"none": {"command": "/nowhere/at-all"}, "quits": {"command": "true"}}
    async with McpServers(tables, registry) as servers:
        problems = servers.problems()
    assert "cannot be started" in str(problems["none"])
    assert problems["quits"] is not None


@pytest.mark.parametrize("stubborn", [False, True])
async def test_what_a_server_has_started_ends_with_it(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stubborn: bool
) -> None:
    """A launcher ends when its input does; its child, which reads none of it, is told to."""
    monkeypatch.setattr("agents.mcp.stdio.END_S", 0.2)
    started = tmp_path / "pid"
    trap = "trap '' TERM; " if stubborn else ""
    child = f"({trap}echo > {started}.up; while :; do sleep 0.1; done) & echo $! > {started}"
    command = f"{child}; exec {sys.executable} {SERVER['args'][0]}"
    table = {"command": "sh", "args": ["-c", command]}
    async with McpServers({"box": table}, registry) as servers:
        assert servers.problems() == {"box": None}
        async with asyncio.timeout(10):
            while not Path(f"{started}.up").exists():
                await asyncio.sleep(0.01)
        assert is_alive(int(started.read_text()))
    assert not is_alive(int(started.read_text()))


def is_alive(pid: int) -> bool:
    """Whether a process runs, rather than having ended with nobody to bury it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_call_is_the_same_whether_its_server_is_there_or_not(
    registry: Registry, make_ctx: MakeContext, secrets: dict[str, str]
) -> None:
    """A replay compares what was asked; who finds no tool is told why."""
    secrets["KEY"] = "canary"
    asked = {"text": "x", "more": [1, {"a": 2.5}], "key": Secret("KEY")}
    ctx = make_ctx("x")
    async with McpServers({"box": SERVER}, registry):
        plan = ctx.executor.plan("mcp.box.plain", asked)
    assert plan.identity == ctx.executor.asked(asked)
    assert "canary" not in str(plan.identity)
    McpServers({"later": SERVER}, registry)
    with pytest.raises(ToolInvalid, match="the MCP server later is not there: not yet connected"):
        ctx.executor.plan("mcp.later.say", {})
    odd = {"b": object(), "a": "\ud800"}
    assert ctx.executor.asked(odd) == ["a", "b"]


async def test_a_slow_server_does_not_hold_up_the_start(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It joins later."""
    monkeypatch.setattr("agents.mcp.servers.START_S", 0.05)
    monkeypatch.setattr("agents.mcp.stdio.END_S", 0.05)
    async with McpServers({"slow": {"command": "sleep", "args": ["30"]}}, registry) as servers:
        assert servers.problems() == {"slow": "not yet connected"}


@pytest.mark.parametrize(
    ("name", "table"),
    [("a b", {"command": "x"}), ("a", {}), ("a", {"command": "x", "url": "http://x"})],
)
def test_wrong_settings_are_named(registry: Registry, name: str, table: dict[str, str]) -> None:
    """At the start."""
    with pytest.raises(RegistrationError, match="MCP server"):
        McpServers({name: table}, registry)


class Http(BaseHTTPRequestHandler):
    """The same server over streamable HTTP, with a session; every other reply is a stream."""

    asked: list[dict[str, str]] = []
    forgetful = False

    def do_POST(self) -> None:
        """Answer one message."""
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Http.asked.append(dict(self.headers.items()))
        if Http.forgetful and message["method"] == "tools/call":
            Http.forgetful = False
            self.reply(404, "text/plain", b"")
        elif "id" not in message:
            self.reply(202, "text/plain", b"")
        elif message.get("params", {}).get("name") == "hang":
            self.drip()
        elif message.get("params", {}).get("name") == "fail":
            self.reply(400, "text/plain", b"")
        else:
            self.answer(message)

    def answer(self, message: dict[str, Any]) -> None:
        """Send a reply."""
        result = mcp_server.answer(message)
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        if message["id"] % 2:
            self.reply(200, "application/json", body)
        else:
            note = b'data: {"jsonrpc":"2.0","method":"notifications/message"}\r\n\r\n'
            self.reply(200, "text/event-stream", note + b"event: message\ndata: " + body + b"\n\n")

    def reply(self, status: int, kind: str, body: bytes) -> None:
        """Send it."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Mcp-Session-Id", "session-1")
        self.end_headers()
        self.wfile.write(body)

    def drip(self) -> None:
        """Say that we live until nobody listens, and never more."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b": still here\n")
                time.sleep(0.02)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    """Serve over HTTP on loopback."""
    Http.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Http)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/mcp"
    server.shutdown()
    server.server_close()
    thread.join()


async def test_a_server_at_a_url(registry: Registry, make_ctx: MakeContext, url: str) -> None:
    """Replies as JSON and as streams; the session's id goes with every later message."""
    async with McpServers({"far": {"url": url}}, registry) as servers:
        assert servers.problems() == {"far": None}
        ctx = make_ctx("x")
        assert await ctx.tool("mcp.far.say", text="one") == "one"
        assert await ctx.tool("mcp.far.say", text="two") == "two"
    assert "Mcp-Session-Id" not in Http.asked[0]
    assert all(headers["Mcp-Session-Id"] == "session-1" for headers in Http.asked[1:])


async def test_a_forgotten_session_is_begun_anew(
    registry: Registry, make_ctx: MakeContext, url: str
) -> None:
    """The call fails, the next one has a session again."""
    ctx = make_ctx("x")
    async with McpServers({"far": {"url": url}}, registry) as servers:
        Http.forgetful = True
        with pytest.raises(ToolFailed, match="forgotten our session"):
            await ctx.tool("mcp.far.say", text="x")
        async with asyncio.timeout(10):
            while servers.problems() == {"far": None}:
                await asyncio.sleep(0)
        assert await until_it_says(ctx, "mcp.far.say") == "again"
        assert servers.problems() == {"far": None}


async def test_a_refused_request_is_that_calls_failure_only(
    registry: Registry, make_ctx: MakeContext, url: str
) -> None:
    """Everybody else's calls go on in the same session."""
    ctx = make_ctx("x")
    async with McpServers({"far": {"url": url}}, registry) as servers:
        with pytest.raises(ToolFailed, match="refused: HTTP 400"):
            await ctx.tool("mcp.far.fail")
        assert await ctx.tool("mcp.far.say", text="on") == "on"
        assert servers.problems() == {"far": None}


async def test_a_link_that_breaks_as_we_end_does_not_keep_us(
    registry: Registry, make_ctx: MakeContext, url: str
) -> None:
    """What keeps the server connected is cancelled at the moment when it would connect anew."""
    async with asyncio.timeout(10):
        async with McpServers({"far": {"url": url}}, registry):
            Http.forgetful = True
            with pytest.raises(ToolFailed, match="forgotten our session"):
                await make_ctx("x").tool("mcp.far.say", text="x")


async def test_a_server_that_only_drips_is_hung_up_on(
    registry: Registry, make_ctx: MakeContext, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread is free again, however alive the server seems."""
    async with McpServers({"far": {"url": url}}, registry):
        monkeypatch.setattr("agents.mcp.http.TIMEOUT_S", 0.3)
        with pytest.raises(ToolFailed, match="gave no reply"):
            await make_ctx("x").tool("mcp.far.hang")


@pytest.mark.parametrize("tools", [5, {"a": 1}, "say", [None, 5, {"name": []}]])
async def test_a_list_of_tools_that_makes_no_sense_is_empty(
    registry: Registry, url: str, monkeypatch: pytest.MonkeyPatch, tools: Any
) -> None:
    """The server is kept; it may mend its ways."""
    monkeypatch.setattr(
        mcp_server, "answer", lambda message: {"tools": tools, "protocolVersion": "1"}
    )
    async with McpServers({"far": {"url": url}}, registry) as servers:
        assert servers.problems() == {"far": None}
    assert not [name for name in registry.tools if name.startswith("mcp.")]


async def test_a_url_that_does_not_answer_is_a_problem(registry: Registry) -> None:
    """So is one that is none."""
    odd = {"odd": "ftp://x", "none": "http://[", "far": "http://x:99999/"}
    tables = {name: {"url": url} for name, url in odd.items()}
    async with McpServers(tables | {"off": {"url": "http://127.0.0.1:9/"}}, registry) as servers:
        problems = servers.problems()
    assert "does not answer" in str(problems["off"])
    assert all("not one of http or https" in str(problems[name]) for name in odd)


@pytest.mark.parametrize(
    ("hints", "risk"),
    [
        ({}, "high"),
        ({"readOnlyHint": True}, "read_only"),
        ({"destructiveHint": True}, "destructive"),
        ({"destructiveHint": False}, "write"),
        ({"readOnlyHint": True, "destructiveHint": True}, "destructive"),
        ({"readOnlyHint": "yes"}, "high"),
    ],
)
def test_risk_is_read_cautiously(hints: dict[str, Any], risk: str) -> None:
    """The worse of two hints counts, and only a plain true is one."""
    assert risk_of(hints) == risk


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"n": 1}, True),
        ({"n": 1.5}, False),
        ({"n": True}, False),
        ({"n": "1"}, False),
        ({"n": 1, "x": 2.5}, True),
        ({"n": 1, "x": "2"}, False),
        ({"n": 1, "list": [1]}, True),
        ({"n": 1, "list": {}}, False),
        ({"n": 1, "any": {"deep": [1]}}, True),
        ({"n": 1, "flag": 1}, False),
        ({"n": 1, "flag": False}, True),
        ({"n": 1, "unknown": 1}, True),
        ({}, False),
        ({"n": "\0"}, False),
    ],
)
def test_the_first_level_is_checked(value: dict[str, Any], fits: bool) -> None:
    """Names and plain types; what else there is, the server checks."""
    gate = JsonSchemaGate(
        "t",
        {
            "properties": {
                "n": {"type": "integer"},
                "x": {"type": "number"},
                "list": {"type": "array"},
                "flag": {"type": "boolean"},
                "any": {},
            },
            "required": ["n"],
        },
    )
    if fits:
        assert gate.keywords(value) == {"arguments": value}
    else:
        with pytest.raises(ToolInvalid):
            gate.check(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_any_answer_of_a_server_is_survived(value: Any) -> None:
    """What makes no sense is a failed call or no tool, never another error."""
    offered(value)
    try:
        outcome(value)
        outcome({"content": value, "structuredContent": value})
        outcome({"content": [value], "isError": value})
    except ToolFailed:
        pass
    if isinstance(value, dict):
        Replies().take(value)
    assert decode(json.dumps(value).encode()) == (value if isinstance(value, dict) else None)


@given(JSON)
def test_any_schema_of_a_server_is_survived(value: Any) -> None:
    """What it demands that makes no sense is not demanded."""
    with contextlib.suppress(ToolInvalid):
        JsonSchemaGate("t", {"properties": value, "required": value}).check({"n": 1})


@given(st.text())
def test_any_name_becomes_one_for_the_registry(name: str) -> None:
    """With signs that a name may have, within its length."""
    assert Registry().tools.get(tool_name("box", name)) is None
    assert len(tool_name("box", name)) <= 200
    assert all(sign.isalnum() or sign in "_.-" for sign in tool_name("box", name))
