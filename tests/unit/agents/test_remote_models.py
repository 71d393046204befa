"""Providers over the network: what they need, and their turns against a server of the test's own.

The turns need the extra ``llm``; where it is not installed, that it is missing is what is tested.
"""

import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from agents.errors import ModelFailed
from agents.llm.remote import RemoteProvider, _wire_name, remote_providers
from agents.llm.table import ModelTable
from agents.registry import Registry
from control_tower.context import Reply
from control_tower.ports import EffectContext

INSTALLED = importlib.util.find_spec("pydantic_ai") is not None
KEY = "canary-key-12345"
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 6*7?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "call_1", "name": "workspace.list", "arguments": {}}],
    },
    {"role": "tool", "content": "[]", "tool_call_id": "call_1", "name": "workspace.list"},
    {"role": "assistant", "content": "Nothing there."},
    {"role": "user", "content": "Go on."},
]


def provider(name: str, environ: dict[str, str]) -> RemoteProvider:
    """Return one provider."""
    return next(each for each in remote_providers(environ) if each.name == name)


def test_unconfigured_providers_are_no_problem_but_say_what_they_need() -> None:
    """Readiness counts those that somebody means to use."""
    table = ModelTable.from_settings(None, {})
    assert table.availability() == {"mock": None}
    with pytest.raises(ModelFailed, match="openai cannot be used: OPENAI_API_KEY must be set"):
        table.plan(TALK, "openai:gpt", (), {})
    chosen = ModelTable.from_settings("anthropic:claude", {})
    assert chosen.availability()["anthropic"] == "ANTHROPIC_API_KEY must be set"


@pytest.mark.parametrize(
    ("name", "environ", "problem"),
    [
        ("openai", {}, "OPENAI_API_KEY must be set"),
        ("azure", {"AZURE_OPENAI_API_KEY": "x"}, "AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_VER"),
        ("llamacpp", {"TOWER_LLAMACPP_URL": ""}, "TOWER_LLAMACPP_URL must be set"),
    ],
)
def test_what_is_missing_is_named(name: str, environ: dict[str, str], problem: str) -> None:
    """Each variable by its name."""
    assert (provider(name, environ).problem or "").startswith(problem)
    assert provider(name, environ).configured is bool(any(environ.values()))


def test_the_extra_is_named_where_it_is_missing() -> None:
    """With its key set, the library is what is missing."""
    found = provider("openai", {"OPENAI_API_KEY": KEY}).problem
    assert found is None if INSTALLED else "control-tower[llm]" in str(found)


def test_names_of_tools_fit_the_providers() -> None:
    """Without dots, short enough, and still distinct."""
    assert _wire_name("workspace.read") == "workspace__read"
    long = [_wire_name(f"mcp.server.{'x' * 100}{end}") for end in "ab"]
    assert len(set(long)) == 2
    assert all(len(name) == 64 for name in long)


def test_prices_come_from_the_settings() -> None:
    """By provider and model."""
    table = ModelTable.from_settings(None, {}, prices={"openai:gpt": (1.0, 2.0)})
    assert table.priced("openai:gpt")
    assert not table.priced("openai:other")
    assert table.priced("mock:echo")


class Api(BaseHTTPRequestHandler):
    """Speaks enough of both APIs, as streams."""

    asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []
    status = 200
    events: list[tuple[str | None, Any]] = []

    def do_POST(self) -> None:
        """Note the request and send the prepared events."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Api.asked.append((self.path, body, dict(self.headers.items())))
        self.send_response(Api.status)
        self.send_header("Content-Type", "text/event-stream" if Api.status == 200 else "text/plain")
        self.end_headers()
        if Api.status != 200:
            self.wfile.write(f'{{"error": {{"message": "bad key {KEY}"}}}}'.encode())
            return
        for kind, data in Api.events:
            if kind:
                self.wfile.write(f"event: {kind}\n".encode())
            text = data if isinstance(data, str) else json.dumps(data)
            self.wfile.write(f"data: {text}\n\n".encode())

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def api() -> Iterator[str]:
    """Serve both APIs on loopback; give the address."""
    Api.asked.clear()
    Api.status = 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def effect(make_ctx: Callable[..., Any]) -> EffectContext:
    """Return what an attempt is given."""
    given: EffectContext = make_ctx("x").effect("1")
    return given


def openai_chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    """Return one piece of a chat completion."""
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "tiny",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


OPENAI_EVENTS: list[tuple[str | None, Any]] = [
    (None, openai_chunk({"role": "assistant", "content": "It "})),
    (None, openai_chunk({"content": "is:"})),
    (
        None,
        openai_chunk(
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "random-id",
                        "type": "function",
                        "function": {"name": "workspace__read", "arguments": '{"name": "a.txt"}'},
                    }
                ]
            }
        ),
    ),
    (None, openai_chunk({}, "tool_calls")),
    (
        None,
        {
            "id": "c1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "tiny",
            "choices": [],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        },
    ),
    (None, "[DONE]"),
]

ANTHROPIC_EVENTS: list[tuple[str | None, Any]] = [
    (
        "message_start",
        {
            "type": "message_start",
            "message": {
                "id": "m1",
                "type": "message",
                "role": "assistant",
                "model": "tiny",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 11, "output_tokens": 1},
            },
        },
    ),
    (
        "content_block_start",
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        },
    ),
    *[
        (
            "content_block_delta",
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": text},
            },
        )
        for text in ("It ", "is:")
    ],
    ("content_block_stop", {"type": "content_block_stop", "index": 0}),
    (
        "content_block_start",
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {
                "type": "tool_use",
                "id": "random-id",
                "name": "workspace__read",
                "input": {},
            },
        },
    ),
    (
        "content_block_delta",
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": '{"name": "a.txt"}'},
        },
    ),
    ("content_block_stop", {"type": "content_block_stop", "index": 1}),
    (
        "message_delta",
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 7},
        },
    ),
    ("message_stop", {"type": "message_stop"}),
]

PROVIDERS = [
    ("llamacpp:tiny", {"TOWER_LLAMACPP_URL": "{api}/v1"}, OPENAI_EVENTS),
    ("openai:tiny", {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "{api}/v1"}, OPENAI_EVENTS),
    (
        "azure:tiny",
        {
            "AZURE_OPENAI_ENDPOINT": "{api}",
            "AZURE_OPENAI_API_KEY": KEY,
            "AZURE_OPENAI_API_VERSION": "2026-01-01",
        },
        OPENAI_EVENTS,
    ),
    ("anthropic:tiny", {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": "{api}"}, ANTHROPIC_EVENTS),
]


if INSTALLED:

    @pytest.mark.parametrize(("model", "environ", "events"), PROVIDERS)
    async def test_a_turn_over_the_network(
        *,
        api: str,
        effect: EffectContext,
        registry: Registry,
        model: str,
        environ: dict[str, str],
        events: list[tuple[str | None, Any]],
    ) -> None:
        """Text streams, calls come back under our names and ids, tokens and cost are charged."""
        Api.events = events
        deltas: list[str] = []
        effect.delta = deltas.append
        table = ModelTable.from_settings(
            model,
            {name: value.format(api=api) for name, value in environ.items()},
            registry,
            prices={model: (1_000_000.0, 2_000_000.0)},
        )
        settings = {"temperature": 0.5, "max_tokens": 99, "stop": "END"}
        request = table.plan(TALK, None, ["workspace.read", "calculator"], settings)
        turn = await table.run(request, effect)
        assert deltas == ["It ", "is:"]
        reply = msgspec.convert(turn.output, Reply)
        assert reply.text == "It is:"
        assert [(call.id, call.name, call.arguments) for call in reply.tool_calls] == [
            ("call_1_1", "workspace.read", {"name": "a.txt"})
        ]
        assert (turn.usage.input_tokens, turn.usage.output_tokens) == (11, 7)
        assert turn.usage.cost_usd == pytest.approx(25)
        said = json.dumps(Api.asked[0][1])
        for sent in ("Be brief.", "Nothing there.", "call_1", "workspace__list", "0.5", "END"):
            assert sent in said
        assert "workspace.read" not in said

    @pytest.mark.parametrize(("model", "environ", "events"), PROVIDERS)
    async def test_a_provider_that_refuses_has_failed(
        *,
        api: str,
        effect: EffectContext,
        registry: Registry,
        model: str,
        environ: dict[str, str],
        events: list[tuple[str | None, Any]],
    ) -> None:
        """The error says what it said, without the key."""
        Api.events, Api.status = events, 401
        table = ModelTable.from_settings(
            model, {name: value.format(api=api) for name, value in environ.items()}, registry
        )
        with pytest.raises(ModelFailed, match="401") as raised:
            await table.run(table.plan(TALK, None, (), {}), effect)
        if "_KEY" in str(environ):
            assert KEY not in str(raised.value)
