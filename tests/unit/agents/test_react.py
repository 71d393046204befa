"""The react agent: it acts, observes and answers, and survives what a model does wrong."""

from collections.abc import Callable
from typing import Any

import pytest

from agents.builtin.react import CUT_OFF, GO_ON, INSTRUCTIONS, MAX_CONTINUED, NUDGE
from agents.errors import ModelFailed, QuotaExceeded
from agents.llm.mock import MockProvider
from agents.llm.provider import AskedCall, ProviderTurn
from agents.llm.table import ModelTable
from agents.registry import Registry
from control_tower.execution.results import Message
from control_tower.ports import Profile


async def react(ctx: Any) -> str:
    """Run the agent as it is registered."""
    return str(await ctx.executor._planner._registry.agents["react"](ctx))


MakeContext = Callable[..., Any]
Scripted = Callable[..., Any]


@pytest.fixture
def scripted(make_ctx: MakeContext, registry: Registry) -> Scripted:
    """Return a maker of contexts whose model gives fixed turns."""

    def make(*turns: ProviderTurn, **fields: Any) -> Any:
        provider = MockProvider(turns=turns)
        models = ModelTable([provider], "mock:script", registry)
        ctx = make_ctx("What is 6*7?", models=models, **fields)
        ctx.provider = provider
        return ctx

    return make


def asks(tool: str, /, **arguments: Any) -> ProviderTurn:
    """Return a turn that asks for a tool."""
    return ProviderTurn("", [AskedCall(tool, arguments)], "tool_calls")


def observed(ctx: Any) -> list[str]:
    """Return what the model was told of its tools in its last turn."""
    return [
        message["content"]
        for message in ctx.provider.requests[-1].messages
        if message["role"] == "tool"
    ]


async def test_it_acts_observes_and_answers(make_ctx: MakeContext) -> None:
    """With the scripted tools model, through a real tool."""
    ctx = make_ctx("What is 6*7?")
    assert await react(ctx) == "[mock model] I observed: 42"
    assert [kind for kind, _ in ctx.calls] == ["step", "history", "llm", "tool", "llm"]
    assert "".join(ctx.deltas).endswith("I observed: 42")


async def test_mistakes_of_the_model_are_observations(scripted: Scripted) -> None:
    """Unknown tools, tools not offered, bad arguments, refusals and failures."""
    ctx = scripted(
        asks("nonsense"),
        asks("calculator", expr="6*7"),
        asks("calculator", expression="1/0"),
        asks("workspace.delete", name="a.txt"),
        ProviderTurn("I give up."),
        approvals=["no"],
    )
    assert await react(ctx) == "I give up."
    unknown, invalid, failed, refused = observed(ctx)
    assert unknown.startswith("Error: there is no tool called nonsense. Use: calculator")
    assert "expression: is missing" in invalid
    assert "divides by zero" in failed
    assert refused == "Error: workspace.delete was refused: no"


async def test_several_calls_of_a_turn_are_made_side_by_side(scripted: Scripted) -> None:
    """Each outcome goes back under its call's id, in the order of the calls."""
    calls = [AskedCall("calculator", {"expression": text}) for text in ("1+1", "2+2")]
    ctx = scripted(ProviderTurn("", calls, "tool_calls"), ProviderTurn("done"))
    assert await react(ctx) == "done"
    assert observed(ctx) == ["2", "4"]
    assert ("parallel", 2) in ctx.calls
    said = ctx.provider.requests[-1].messages
    asked = [call["id"] for call in said[-3]["tool_calls"]]
    assert asked == [message["tool_call_id"] for message in said[-2:]]


async def test_an_empty_answer_is_asked_again_twice(scripted: Scripted) -> None:
    """Then the mission fails, in words."""
    ctx = scripted(ProviderTurn(" "), ProviderTurn("There."))
    assert await react(ctx) == "There."
    assert ctx.provider.requests[-1].messages[-1]["content"] == NUDGE
    with pytest.raises(ModelFailed, match="gave no answer"):
        await react(scripted(*[ProviderTurn("")] * 3))


async def test_a_refusal_without_a_word_fails(scripted: Scripted) -> None:
    """One with words is the answer."""
    with pytest.raises(ModelFailed, match="refused to answer"):
        await react(scripted(ProviderTurn("", finish_reason="content_filter")))
    ctx = scripted(ProviderTurn("I won't.", finish_reason="content_filter"))
    assert await react(ctx) == "I won't."


async def test_an_answer_that_was_cut_off_goes_on(scripted: Scripted) -> None:
    """Joined where it stopped; for ever it does not."""
    cut = ProviderTurn("one, ", finish_reason="length")
    ctx = scripted(cut, ProviderTurn("two."))
    assert await react(ctx) == "one, two."
    assert ctx.provider.requests[-1].messages[-1]["content"] == GO_ON
    endless = scripted(*[cut] * (MAX_CONTINUED + 1))
    assert await react(endless) == "one, " * MAX_CONTINUED + "one," + CUT_OFF


async def test_arguments_that_are_no_json_are_not_run(scripted: Scripted) -> None:
    """A call that was cut off might else run with less than was meant."""
    broken = AskedCall("workspace.list", {}, '{"na')
    ctx = scripted(ProviderTurn("", [broken], "length"), ProviderTurn("done"))
    assert await react(ctx) == "done"
    assert "not a JSON object. Your answer was cut off" in observed(ctx)[0]
    assert "tool" not in [kind for kind, _ in ctx.calls]


async def test_it_asks_the_person_where_it_is_unsure(scripted: Scripted) -> None:
    """With options or without; nobody answering, or no question, is an observation."""
    ctx = scripted(
        asks("ask_person", question="Which?", options=["a", "b"]),
        asks("ask_person", question="Who?"),
        asks("ask_person"),
        ProviderTurn("done"),
        replies=["a", None],
    )
    assert await react(ctx) == "done"
    answered, expired, invalid = observed(ctx)
    assert answered == "a"
    assert expired == "Error: Nobody answered in time."
    assert "question: is missing" in invalid
    assert ("clarify", ("Which?", ["a", "b"], False)) in ctx.calls


@pytest.mark.parametrize(
    ("after", "said"), [(2, "I had to stop"), (3, "Looking."), (4, "Looking.")]
)
async def test_at_the_quota_it_answers_with_what_it_has(
    scripted: Scripted, after: int, said: str
) -> None:
    """In a model turn and in a tool call alike: a person chose *finish*."""
    looking = ProviderTurn("Looking.", [AskedCall("clock", {})], "tool_calls")
    quota = QuotaExceeded("used up")
    ctx = scripted(looking, looking, quota=quota, quota_after=after)
    assert said in await react(ctx)


async def test_a_provider_that_fails_ends_the_mission(make_ctx: MakeContext) -> None:
    """There is no answer without a model."""
    with pytest.raises(ModelFailed):
        await react(make_ctx("x", models=ModelTable([MockProvider()], "mock:fail")))


async def test_history_and_profile_shape_the_opening(scripted: Scripted) -> None:
    """The mission's own message is not said twice; the profile's prompt and tools count."""
    messages = [
        Message("user", "hello", ""),
        Message("assistant", "hi", ""),
        Message("user", "What is 6*7?", ""),
    ]
    profile = Profile("p", "react", system_prompt="Be brief.", tools=("clock",))
    ctx = scripted(ProviderTurn("42"), messages=messages, profile=profile)
    await react(ctx)
    request = ctx.provider.requests[0]
    assert [(message["role"], message["content"]) for message in request.messages] == [
        ("system", "Be brief."),
        ("user", "hello"),
        ("assistant", "hi"),
        ("user", "What is 6*7?"),
    ]
    assert [offer.name for offer in request.tools] == ["clock", "ask_person"]


async def test_without_a_profile_it_has_instructions_and_the_registered_tools(
    scripted: Scripted, registry: Registry
) -> None:
    """Also an app's; among the built-in ones is one that asks."""

    @registry.tool("read_only")
    async def mine() -> str:
        """Mine."""
        return ""

    ctx = scripted(ProviderTurn("42"))
    await react(ctx)
    request = ctx.provider.requests[0]
    assert request.messages[0] == {"role": "system", "content": INSTRUCTIONS}
    assert {"workspace.delete", "mine"} <= {offer.name for offer in request.tools}


async def test_long_observations_are_cut(scripted: Scripted) -> None:
    """The model is told how much there was."""
    ctx = scripted(
        asks("workspace.write", name="a", text="x" * 30_000),
        asks("workspace.read", name="a"),
        ProviderTurn("done"),
    )
    await react(ctx)
    assert observed(ctx)[1].endswith("… (30000 characters in all)")
