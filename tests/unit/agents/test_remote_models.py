"""Providers over the network: what they need, and their turns against a server of the rig."""

import importlib.util
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agents.errors import ModelBusy, ModelFailed
from agents.llm.library import wire_name
from agents.llm.remote import RemoteProvider, remote_providers
from agents.llm.table import ModelTable
from agents.registry import Registry
from control_tower.execution.results import Reply
from control_tower.ports import EffectContext
from tests.rig.model_api import KEY, Answer, ModelApi, Raw, Refusal, Said, serving

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


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its key set, the library is what is missing."""
    openai = provider("openai", {"OPENAI_API_KEY": KEY})
    assert openai.problem is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "[llm]" in str(openai.problem)


def test_names_of_tools_fit_the_providers() -> None:
    """Without dots, short enough, and still distinct."""
    assert wire_name("workspace.read") == "workspace__read"
    long = [wire_name(f"mcp.server.{'x' * 100}{end}") for end in "ab"]
    assert len(set(long)) == 2
    assert all(len(name) == 64 for name in long)


def test_prices_come_from_the_settings_then_from_the_makers_list() -> None:
    """By provider and model; what nobody knows has none."""
    table = ModelTable.from_settings(None, {}, prices={"openai:gpt-4o": (1.0, 2.0)})
    assert table.usage("openai:gpt-4o", 1_000_000, 1_000_000).cost_usd == 3
    assert table.priced("anthropic:claude-sonnet-4-5")
    assert table.usage("anthropic:claude-sonnet-4-5", 1_000, 0).cost_usd > 0
    assert not table.priced("openai:no-such-model")
    assert table.priced("mock:echo")


@pytest.fixture
def effect(make_ctx: Callable[..., Any]) -> EffectContext:
    """Return what an attempt is given."""
    given: EffectContext = make_ctx("x").effect("1")
    return given


PROVIDERS = ("openai", "anthropic", "azure", "llamacpp")


def table_of(api: ModelApi, name: str, registry: Registry, **settings: Any) -> ModelTable:
    """Return a table with one provider that can be used."""
    return ModelTable.from_settings(f"{name}:tiny", api.settings(name), registry, **settings)


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_turn_over_the_network(
    effect: EffectContext, registry: Registry, name: str
) -> None:
    """Text streams, calls come back under our names and ids, tokens and cost are charged."""
    calls = [("workspace__read", {"name": "a.txt"}), ("calculator", {"expression": "6*7"})]
    deltas: list[str] = []
    effect.delta = deltas.append
    async with serving([Said("It is", calls)]) as api:
        prices = {f"{name}:tiny": (1_000_000.0, 2_000_000.0)}
        table = table_of(api, name, registry, prices=prices)
        settings = {"temperature": 0.5, "max_tokens": 99, "stop": "END"}
        request = table.plan(TALK, None, ["workspace.read", "calculator"], settings)
        turn = await table.run(request, effect)
        asked = api.requests[0]
    assert deltas == ["It ", "is "]
    reply = msgspec.convert(turn.output, Reply)
    assert (reply.text, reply.finish_reason) == ("It is ", "tool_calls")
    assert [(call.id, call.name, call.arguments) for call in reply.tool_calls] == [
        ("call_1_1", "workspace.read", {"name": "a.txt"}),
        ("call_1_2", "calculator", {"expression": "6*7"}),
    ]
    assert (turn.usage.input_tokens, turn.usage.output_tokens) == (11, 7)
    assert turn.usage.cost_usd == pytest.approx(25)
    assert asked.tools == ["workspace__read", "calculator"]
    said = json.dumps(asked.body)
    for sent in ("Be brief.", "Nothing there.", "call_1", "workspace__list", "0.5", "END"):
        assert sent in said
    assert "workspace.read" not in said


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_provider_that_refuses_has_failed(
    effect: EffectContext, registry: Registry, name: str
) -> None:
    """At once, with what it said, without the key."""
    async with serving([Refusal(401, f"Incorrect API key: {KEY}.")]) as api:
        table = table_of(api, name, registry)
        with pytest.raises(ModelFailed) as raised:
            await table.run(table.plan(TALK, None, (), {}), effect)
        assert len(api.requests) == 1
    shown = (
        KEY if name == "llamacpp" else f"[{name.upper().replace('AZURE', 'AZURE_OPENAI')}_API_KEY]"
    )
    assert raised.value.message == f"{name} answered 401: Incorrect API key: {shown}."
    assert not isinstance(raised.value, ModelBusy)


@pytest.mark.parametrize("name", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("answer", "wait_s"),
    [
        (Refusal(429, headers={"Retry-After": "7"}), 7.0),
        (Refusal(429), None),
        (Refusal(500), None),
        (Refusal(503), None),
        (Refusal(529, "Overloaded"), None),
        (Said("It is long", trouble="Overloaded"), None),
        (Said("It is long", cut_after=2), None),
    ],
)
async def test_what_may_pass_says_so_and_is_not_repeated_unseen(
    effect: EffectContext, registry: Registry, name: str, answer: Answer, wait_s: float | None
) -> None:
    """Limited, down, overloaded (in mid-stream, too), cut off: one request, and when to retry."""
    async with serving([answer]) as api:
        table = table_of(api, name, registry)
        with pytest.raises(ModelBusy) as raised:
            await table.run(table.plan(TALK, None, (), {}), effect)
        assert len(api.requests) == 1
    assert raised.value.retry_after_s == wait_s
    beginnings = f"{name} answered", f"{name} broke off", f"The connection to {name} failed"
    assert raised.value.message.startswith(beginnings)


async def test_nobody_waits_for_ever_at_a_providers_wish(
    effect: EffectContext, registry: Registry
) -> None:
    """Ten minutes of patience are a failure."""
    async with serving([Refusal(429, headers={"Retry-After": "600"})]) as api:
        table = table_of(api, "openai", registry)
        with pytest.raises(ModelFailed, match="600 s of patience") as raised:
            await table.run(table.plan(TALK, None, (), {}), effect)
    assert not isinstance(raised.value, ModelBusy)


async def test_a_server_that_is_not_there_may_come_back(
    effect: EffectContext, registry: Registry
) -> None:
    """A connection that is refused is worth another try."""
    async with serving([Said("x")]) as api:
        table = table_of(api, "llamacpp", registry)
    with pytest.raises(ModelBusy, match="The connection to llamacpp failed"):
        await table.run(table.plan(TALK, None, (), {}), effect)


@pytest.mark.parametrize("name", ["openai", "anthropic"])
async def test_a_slow_model_is_cut_at_the_turns_time(
    effect: EffectContext, registry: Registry, name: str
) -> None:
    """And not asked again: the time was the program's to set."""
    async with serving([Said("late", first_s=30)]) as api:
        table = table_of(api, name, registry)
        with pytest.raises(ModelFailed, match=f"{name} did not answer in time") as raised:
            await table.run(table.plan(TALK, None, (), {"timeout_s": 0.3}), effect)
    assert not isinstance(raised.value, ModelBusy)


@pytest.mark.parametrize("name", ["openai", "anthropic"])
async def test_arguments_that_are_no_object_are_kept_as_written(
    effect: EffectContext, registry: Registry, name: str
) -> None:
    """Cut off in the middle, or no object at all."""
    calls = [("calculator", '{"expression": "6*'), ("clock", "[1]")]
    async with serving([Said("", calls, finish="length")]) as api:
        table = table_of(api, name, registry)
        turn = await table.run(table.plan(TALK, None, ["calculator", "clock"], {}), effect)
    reply = msgspec.convert(turn.output, Reply)
    assert reply.finish_reason == "length"
    assert [(call.arguments, call.malformed) for call in reply.tool_calls] == [
        ({}, '{"expression": "6*'),
        ({}, "[1]"),
    ]


OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: "


@pytest.mark.parametrize("name", ["openai", "anthropic"])
@pytest.mark.parametrize(
    "data",
    [
        OK + b"text/html\r\nContent-Length: 6\r\n\r\n<html>",
        OK + b"text/event-stream\r\n\r\ndata: {nope\n\n",
        OK + b"text/event-stream\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"this is no HTTP\r\n\r\n",
        b"",
    ],
)
async def test_nonsense_is_a_failure_in_a_sentence(
    effect: EffectContext, registry: Registry, name: str, data: bytes
) -> None:
    """Another server than was meant, say."""
    async with serving([Raw(data)]) as api:
        table = table_of(api, name, registry)
        with pytest.raises(ModelFailed) as raised:
            await table.run(table.plan(TALK, None, (), {}), effect)
    assert name in raised.value.message
    assert len(raised.value.message) <= 300


@pytest.mark.parametrize("name", ["openai", "anthropic"])
async def test_a_refusal_is_told_by_its_finish(
    effect: EffectContext, registry: Registry, name: str
) -> None:
    """Both providers' words become one."""
    async with serving([Said("", finish="refusal")]) as api:
        table = table_of(api, name, registry)
        turn = await table.run(table.plan(TALK, None, (), {}), effect)
    assert turn.output["finish_reason"] == "content_filter"
