"""The table of models and the mock provider."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from agents.errors import ModelFailed
from agents.llm.mock import SIGN, MockProvider
from agents.llm.provider import AskedCall, ProviderRequest, ProviderTurn
from agents.llm.table import DEFAULT_OUTPUT_TOKENS, ModelTable
from agents.registry import Registry
from control_tower.execution.results import Reply
from control_tower.ports import EffectContext

ASK = [{"role": "user", "content": "hi there"}]


@pytest.fixture
def table(mock_provider: MockProvider, registry: Registry) -> ModelTable:
    """Return a table with the mock as its default."""
    return ModelTable([mock_provider], "mock:echo", registry)


@pytest.fixture
def effect(make_ctx: Callable[..., Any]) -> EffectContext:
    """Return what an attempt is given."""
    given: EffectContext = make_ctx("x").effect("2.1")
    return given


async def test_a_turn_streams_and_is_charged(table: ModelTable, effect: EffectContext) -> None:
    """Deltas are the text; the output is what the context makes a Reply of."""
    deltas: list[str] = []
    effect.delta = deltas.append
    request = table.plan(ASK, None, (), {"temperature": 0})
    turn = await table.run(request, effect)
    reply = msgspec.convert(turn.output, Reply)
    assert reply.text == f"{SIGN} You said: hi there"
    assert reply.model == "mock:echo"
    assert reply.finish_reason == "stop"
    assert "".join(deltas) == reply.text
    assert turn.usage.llm_calls == 1
    assert turn.usage.input_tokens > 0
    assert turn.usage.output_tokens > 0
    assert turn.usage.cost_usd == 0


def test_a_plan_names_tools_and_keeps_what_is_asked(table: ModelTable, registry: Registry) -> None:
    """Functions become names, so that the journal can keep them."""

    async def mine() -> None:
        """Mine."""

    registry.tool("low")(mine)
    request = table.plan(ASK, "mock:tools", ["calculator", mine], {"max_tokens": 5})
    assert request.model == "mock:tools"
    assert request.messages == ASK
    assert request.tools == ("calculator", "mine")
    assert request.settings == {"max_tokens": 5}


def test_a_text_is_a_users_message(table: ModelTable) -> None:
    """As people write it."""
    text: Any = "hi there"
    assert table.plan(text, None, (), {}).messages == ASK


@pytest.mark.parametrize(
    ("messages", "model", "tools", "settings", "said"),
    [
        (ASK, "nonsense", (), {}, "There is no model nonsense"),
        (ASK, "none:x", (), {}, "one of the providers mock"),
        (ASK, "mock:", (), {}, "There is no model"),
        (ASK, None, ["nonsense"], {}, "nonsense cannot be offered"),
        (ASK, None, [len], {}, "len cannot be offered"),
        (ASK, None, (), {"heat": 1}, "no setting heat"),
        (ASK, None, (), {"stop": object()}, "not JSON"),
        ([{"role": "boss", "content": "x"}], None, (), {}, "needs a role"),
        ([{"role": "user", "content": 5}], None, (), {}, "needs a content"),
        (["x"], None, (), {}, "needs a role"),
        ([{"role": "user", "content": "\0"}], None, (), {}, "contains NUL"),
        ([{"role": "user", "content": object()}], None, (), {}, "not JSON"),
        ([{"role": "user", "content": "x" * (9 * 2**20)}], None, (), {}, "longer than"),
    ],
)
def test_turns_that_cannot_be_made_are_refused(
    *,
    table: ModelTable,
    messages: Any,
    model: str | None,
    tools: Sequence[object],
    settings: dict[str, Any],
    said: str,
) -> None:
    """Before anything is reserved or sent."""
    with pytest.raises(ModelFailed, match=said):
        table.plan(messages, model, tools, settings)


def test_without_a_model_the_way_to_one_is_said() -> None:
    """The message names the setting."""
    with pytest.raises(ModelFailed, match="set TOWER_MODEL"):
        ModelTable([MockProvider()]).plan(ASK, None, (), {})


def test_estimates_cover_the_messages_and_the_answer(table: ModelTable) -> None:
    """What is asked for is an upper bound; without it a default is reserved."""
    short = table.estimate(table.plan(ASK, None, (), {"max_tokens": 7}))
    long = table.estimate(table.plan([*ASK, *ASK], None, ["calculator"], {}))
    assert short.output_tokens == 7
    assert long.output_tokens == DEFAULT_OUTPUT_TOKENS
    assert long.input_tokens > short.input_tokens > len("hi there") / 4


async def test_calls_get_ids_from_the_step(table: ModelTable, effect: EffectContext) -> None:
    """A provider's random ids would make every replay diverge."""
    ask = [{"role": "user", "content": "what is 6*7?"}]
    turn = await table.run(table.plan(ask, "mock:tools", ["calculator"], {}), effect)
    assert turn.output["tool_calls"] == [
        {"id": "call_2_1_1", "name": "calculator", "arguments": {"expression": "6*7"}}
    ]
    assert turn.output["finish_reason"] == "tool_calls"


async def test_a_provider_that_raises_has_failed(registry: Registry, effect: EffectContext) -> None:
    """Whatever its library raises becomes ModelFailed; ours passes."""

    def broken(_: ProviderRequest) -> ProviderTurn:
        raise LookupError("inside")

    table = ModelTable([MockProvider({"broken": broken})], "mock:broken", registry)
    with pytest.raises(ModelFailed, match="mock failed: LookupError: inside"):
        await table.run(table.plan(ASK, None, (), {}), effect)
    with pytest.raises(ModelFailed, match="as its name says"):
        await table.run(table.plan(ASK, "mock:fail", (), {}), effect)
    with pytest.raises(ModelFailed, match="no mock model nobody"):
        await table.run(table.plan(ASK, "mock:nobody", (), {}), effect)


def nested(levels: int) -> list[Any]:
    """Return lists within lists."""
    return [nested(levels - 1)] if levels else []


@pytest.mark.parametrize(
    ("asked", "kept", "malformed"),
    [
        ({"a": "x\0"}, {"a": "x\ufffd"}, None),
        ({"a": [[[[]]]]}, {"a": [[[[]]]]}, None),
        ([1], {}, "[1]"),
        ("text", {}, "text"),
        ({"a": nested(40)}, {}, "(nested deeper than 32 levels)"),
    ],
)
async def test_what_a_model_asks_is_made_fit_for_the_journal(
    registry: Registry, effect: EffectContext, asked: Any, kept: Any, malformed: str | None
) -> None:
    """What is no object, or beyond all bounds, is not run with less than was meant."""
    turn = ProviderTurn("", [AskedCall("clock", asked)], "tool_calls", 1, 1)
    table = ModelTable([MockProvider({"odd": lambda _: turn})], "mock:odd", registry)
    run = await table.run(table.plan(ASK, None, ["clock"], {}), effect)
    call = run.output["tool_calls"][0]
    assert (call["arguments"], call.get("malformed")) == (kept, malformed)


async def test_prices_become_cost(registry: Registry, effect: EffectContext) -> None:
    """By the million tokens, input and output apart; without a price it is not known."""

    class Priced(MockProvider):
        """A mock that costs."""

        def price(self, model: str) -> tuple[float, float] | None:
            """Return a price for one model."""
            return (3.0, 15.0) if model == "dear" else None

    dear = ProviderTurn("x", [], "stop", 1_000_000, 100_000)
    table = ModelTable([Priced(turns=[dear, dear])], "mock:dear", registry)
    turn = await table.run(table.plan(ASK, None, (), {}), effect)
    assert turn.usage.cost_usd == pytest.approx(4.5)
    assert table.priced("mock:dear")
    assert not table.priced("mock:other")
    assert not table.priced("none:dear")


async def test_a_provider_with_a_problem_is_not_used(registry: Registry) -> None:
    """Its problem is said, also by readiness."""

    class Keyless(MockProvider):
        """A provider without its key."""

        problem = "KEY is not set"

    table = ModelTable([Keyless()], "mock:echo", registry)
    assert table.availability() == {"mock": "KEY is not set"}
    with pytest.raises(ModelFailed, match="mock cannot be used: KEY is not set"):
        table.plan(ASK, None, (), {})


async def test_scripted_turns_are_given_in_order(registry: Registry, effect: EffectContext) -> None:
    """A test's own script."""
    provider = MockProvider(turns=[ProviderTurn("one"), ProviderTurn("two")])
    table = ModelTable([provider], "mock:mine", registry)
    texts = [
        (await table.run(table.plan(ASK, None, (), {}), effect)).output["text"] for _ in range(2)
    ]
    assert texts == ["one", "two"]
    assert len(provider.requests) == 2
    with pytest.raises(ModelFailed):
        await table.run(table.plan(ASK, None, (), {}), effect)
