"""Agents written for something else, adapted: by their shape, and with the real library."""

import importlib
import importlib.util
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from agents import adapt, namesake
from agents.adapters.graphs import INTERRUPT, MODES
from agents.errors import RegistrationError
from agents.program import AgentProgram
from agents.registry import Registry
from control_tower.commands import ClarificationAnswer, ConfirmationAnswer
from tests.rig.model_api import Refusal, Said, serving
from tests.rig.tower import ALICE
from tests.unit.agents.test_on_the_tower import Island

INSTALLED = importlib.util.find_spec("pydantic_ai") is not None
MakeContext = Callable[..., Any]


@pytest.fixture
async def island(registry: Registry) -> AsyncIterator[Island]:
    """Return a started tower."""
    island = Island(registry)
    await island.tower.start()
    yield island
    await island.tower.stop(0)


async def run(existing: Any, ctx: Any, **options: Any) -> Any:
    """Adapt, register and run."""
    return await AgentProgram("mine", adapt(existing, **options), "")(ctx)


async def shout(text: str) -> str:
    """Shout."""
    return text.upper()


async def stream(text: str) -> AsyncIterator[str]:
    """Stream."""
    for word in text.split():
        yield word


def lazily(text: str) -> Any:
    """Return what must be awaited."""
    return shout(text)


def plain(text: str) -> str:
    """Turn round."""
    return text[::-1]


def plain_stream(text: str) -> Iterator[str]:
    """Stream."""
    yield from text


@pytest.mark.parametrize(
    ("function", "result", "deltas"),
    [
        (shout, "GO ON", []),
        (stream, "goon", ["go", "on"]),
        (plain, "no og", []),
        (plain_stream, "go on", []),
        (lazily, "GO ON", []),
        (len, 5, []),
    ],
)
async def test_a_function_of_a_text_is_one_step(
    make_ctx: MakeContext, function: Any, result: Any, deltas: list[str]
) -> None:
    """It is called once, whatever happens to the server."""
    ctx = make_ctx("go on")
    assert await run(function, ctx) == result
    assert [kind for kind, _ in ctx.calls] == ["step"]
    assert ctx.deltas == deltas


async def test_a_function_of_a_context_is_an_agent_already(make_ctx: MakeContext) -> None:
    """By its parameter's name or annotation."""

    async def named(ctx: Any) -> str:
        return str(ctx.mission)

    async def annotated(given: "Context") -> str:  # type: ignore[name-defined]  # noqa: F821
        return str(given.mission)

    for function in (named, annotated):
        assert adapt(function) is function


async def test_inputs_may_be_chosen(make_ctx: MakeContext) -> None:
    """From the mission's inputs, say."""
    ctx = make_ctx("x", inputs={"numbers": [1, 2]})
    assert await run(sum, ctx, inputs=lambda given: given.inputs["numbers"]) == 3


async def test_what_runs_a_text_gives_its_output(make_ctx: MakeContext) -> None:
    """As many agent libraries have it."""

    class Runner:
        """An agent of some library."""

        name = "runner"

        async def run(self, text: str) -> Any:
            """Run."""
            return SimpleNamespace(output=f"ran {text}")

    ctx = make_ctx("x")
    assert await run(Runner(), ctx) == "ran x"
    assert ctx.calls == [("step", ("runner", False))]


async def test_what_a_run_reports_is_charged(island: Island, registry: Registry) -> None:
    """Calls and tokens, as many libraries have them under ``usage``."""

    class Runner:
        """An agent of some library."""

        async def run(self, text: str) -> Any:
            """Run."""
            usage = SimpleNamespace(requests=3, input_tokens=70, output_tokens=7)
            return SimpleNamespace(output=text, usage=usage)

    registry.agent("runner")(adapt(Runner()))
    mission = await island.ended(await island.submit("go", "runner"))
    usage = mission["usage"]
    assert (usage["llm_calls"], usage["input_tokens"], usage["output_tokens"]) == (3, 70, 7)


def test_an_agent_of_openai_agents_is_told_where_it_can_run() -> None:
    """Its shape is known, its package cannot be here."""
    other = SimpleNamespace(name="triage", instructions="Sort.", handoffs=[])
    with pytest.raises(RegistrationError, match="behind MCP"):
        adapt(other)


def test_openai_agents_beside_us_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named with its version; without it there is none."""
    assert namesake.problem() is None
    monkeypatch.setattr(namesake, "distribution", lambda _: SimpleNamespace(version="1.2"))
    assert "openai-agents 1.2 is installed" in str(namesake.problem())


class Graph:
    """What is shaped like a compiled LangGraph graph. ``script`` gives its chunks by run."""

    def __init__(self, *script: list[tuple[str, Any]]) -> None:
        self.script = list(script)
        self.given: list[Any] = []

    async def astream(
        self, given: Any, config: Any, stream_mode: list[str]
    ) -> AsyncIterator[tuple[str, Any]]:
        """Stream."""
        assert config == {"configurable": {"thread_id": "m_1"}}
        assert stream_mode == MODES
        self.given.append(getattr(given, "resume", given))
        for chunk in self.script.pop(0):
            yield chunk


def interrupted(*values: Any) -> tuple[str, Any]:
    """Return the chunk of an interrupt."""
    return "updates", {INTERRUPT: tuple(SimpleNamespace(value=value) for value in values)}


async def test_a_graph_streams_and_answers(make_ctx: MakeContext) -> None:
    """Its messages are deltas, its last message the result, its nodes an event."""
    graph = Graph(
        [
            ("messages", (SimpleNamespace(content="It "), {})),
            ("messages", (SimpleNamespace(content=[{"type": "text", "text": "is."}]), {})),
            ("updates", {"answer": {"messages": []}}),
            ("values", {"messages": [{"content": "go"}, {"content": "It is."}]}),
        ]
    )
    ctx = make_ctx("go")
    assert await run(graph, ctx) == "It is."
    assert ctx.deltas == ["It ", "is."]
    assert graph.given == [{"messages": [{"role": "user", "content": "go"}]}]
    assert [kind for kind, _ in ctx.calls] == ["history", "step", "emit"]


async def test_a_graphs_questions_are_asked(make_ctx: MakeContext) -> None:
    """A text, an object with a question, and several at once; then it goes on."""
    graph = Graph(
        [interrupted("Who?")],
        [interrupted({"question": "Which?", "options": ["a", "b"]}, "And?")],
        [("values", {"done": True})],
    )
    ctx = make_ctx("go", replies=["Ada", "a", "so"])
    assert await run(graph, ctx, inputs=lambda _: {"text": "go"}) == {"done": True}
    first, second, third = graph.given
    assert first == {"text": "go"}
    assert second in ("Ada", {"resume": "Ada"})
    assert third in (["a", "so"], {"resume": ["a", "so"]})
    assert ("clarify", ("Which?", ["a", "b"], False)) in ctx.calls


@pytest.mark.parametrize(
    ("approval", "decision"),
    [
        (True, {"type": "approve"}),
        ("not now", {"type": "reject", "message": "not now"}),
    ],
)
async def test_a_graphs_approvals_are_confirmations(
    make_ctx: MakeContext, approval: Any, decision: dict[str, Any]
) -> None:
    """In the form of LangChain's middleware."""
    request = {"action_requests": [{"name": "pay", "args": {"euros": 5}}]}
    graph = Graph([interrupted(request)], [("values", {"messages": [{"content": "done"}]})])
    assert await run(graph, make_ctx("go", approvals=[approval])) == "done"
    answer = {"decisions": [decision]}
    assert graph.given[1] in (answer, {"resume": answer})


async def test_a_graph_that_only_invokes(make_ctx: MakeContext) -> None:
    """Its state is the result, or its interrupts are questions."""

    class Invoked:
        """A graph without streams."""

        states: list[Any] = [{INTERRUPT: ["Who?"]}, {"n": 1}]

        async def ainvoke(self, given: Any, config: Any) -> Any:
            """Invoke."""
            return self.states.pop(0)

    assert await run(Invoked(), make_ctx("go", replies=["me"])) == {"n": 1}


def test_what_has_no_known_shape_is_refused() -> None:
    """With its class."""
    with pytest.raises(RegistrationError, match="int cannot be adapted"):
        adapt(5)


if INSTALLED:
    ai: Any = importlib.import_module("pydantic_ai")
    test_models: Any = importlib.import_module("pydantic_ai.models.test")
    function_models: Any = importlib.import_module("pydantic_ai.models.function")

    def weather_agent(model: Any, **options: Any) -> Any:
        """Return an agent of the library with a tool; ``agent.seen`` are the tool's calls."""
        agent = ai.Agent(model, name="weather", **options)
        agent.seen = []

        @agent.tool_plain  # type: ignore[untyped-decorator]
        def degrees(city: str) -> int:
            """Tell the temperature."""
            agent.seen.append(city)
            if len(agent.seen) == 1 and city == "retry":
                raise ai.ModelRetry("another city, please")
            return 21

        return agent

    async def test_a_library_agent_runs_in_steps(island: Island, registry: Registry) -> None:
        """Each turn and each tool call is one; the text streams."""
        agent = weather_agent(test_models.TestModel(custom_output_text="It is 21 degrees."))
        registry.agent("weather")(adapt(agent))
        pid = await island.submit("how warm is it?", "weather")
        mission = await island.ended(pid)
        assert (mission["outcome"], mission["result"]) == ("completed", "It is 21 degrees.")
        steps = [(step.kind, step.name) for step in await island.store.steps(pid)]
        assert steps == [
            ("history", "history"),
            ("llm", "test:test"),
            ("step", "tool degrees"),
            ("llm", "test:test"),
        ]
        usage = mission["usage"]
        assert (usage["llm_calls"], usage["tool_calls"]) == (2, 1)
        assert usage["input_tokens"] > 0
        assert agent.seen == ["a"]
        streamed = "".join(
            event["data"]["text"] for event in island.ledger.deltas if event["type"] == "llm.delta"
        )
        assert streamed == "It is 21 degrees."

    @pytest.mark.parametrize("approved", [True, False])
    async def test_its_approvals_are_confirmations_that_survive_a_park(
        island: Island, registry: Registry, approved: bool
    ) -> None:
        """Replayed, nothing it did is done again."""
        agent = weather_agent(test_models.TestModel())
        paid: list[int] = []

        @agent.tool_plain(requires_approval=True)  # type: ignore[untyped-decorator]
        def pay(euros: int) -> str:
            """Pay."""
            paid.append(euros)
            return "paid"

        registry.agent("weather")(adapt(agent))
        pid = await island.submit("pay", "weather")
        question = await island.question(pid)
        await island.until_parked(pid)
        raised = island.ledger.last(pid, "interrupt.raised")["data"]
        assert raised["arguments"] == {"tool": "pay", "arguments": {"euros": 0}}
        answer = ConfirmationAnswer(approved=approved, message="no")
        await island.tower.answer(ALICE, question, answer)
        mission = await island.ended(pid)
        assert mission["outcome"] == "completed"
        assert paid == ([0] if approved else [])
        assert agent.seen == ["a"]

    async def test_its_retries_and_outputs_are_kept(make_ctx: MakeContext) -> None:
        """A tool that asks for another try is journaled as such; an output type is spelled out."""

        def model(messages: list[Any], info: Any) -> Any:
            calls = ["retry", "Vienna"]
            turn = sum(isinstance(message, ai.ModelResponse) for message in messages)
            if turn < len(calls):
                part = ai.ToolCallPart("degrees", {"city": calls[turn]})
            else:
                part = ai.ToolCallPart(info.output_tools[0].name, {"degrees": 21})
            return ai.ModelResponse(parts=[part])

        pydantic = importlib.import_module("pydantic")
        answer = pydantic.create_model("Answer", degrees=int)
        agent = weather_agent(function_models.FunctionModel(model), output_type=answer)
        ctx = make_ctx("how warm?")
        assert await run(agent, ctx) == {"degrees": 21}
        assert agent.seen == ["retry", "Vienna"]
        assert [what for kind, what in ctx.calls if kind == "step"] == [
            ("tool degrees", False),
            ("tool degrees", False),
        ]

    async def test_it_has_its_deps_and_the_talk_so_far(island: Island, registry: Registry) -> None:
        """The dependencies are made from the context; what was said before comes first."""
        seen: list[list[str]] = []

        def model(messages: list[Any], _: Any) -> Any:
            said = [part.content for each in messages for part in each.parts]
            seen.append(said)
            return ai.ModelResponse(parts=[ai.TextPart("noted")])

        agent = ai.Agent(function_models.FunctionModel(model), deps_type=str)

        @agent.system_prompt  # type: ignore[untyped-decorator]
        def whose(run: Any) -> str:
            return f"You serve {run.deps}."

        registry.agent("mine")(adapt(agent, deps=lambda ctx: ctx.user_id))
        first = await island.ended(await island.submit("I am Ada", "mine"))
        again = await island.submit("who am I?", "mine", session_id=first["session_id"])
        assert (await island.ended(again))["result"] == "noted"
        assert seen[0] == ["You serve alice.", "I am Ada"]
        assert seen[1] == ["I am Ada", "noted", "who am I?"]

    async def test_its_model_is_tried_again_and_fails_in_words(
        island: Island, registry: Registry
    ) -> None:
        """As the tower's own: a step for each attempt."""
        async with serving(
            [
                Refusal(503, headers={"retry-after-ms": "10"}),
                Said("well"),
                Refusal(401, "who are you"),
            ]
        ) as api:
            client: Any = importlib.import_module("pydantic_ai.models.openai")
            providers: Any = importlib.import_module("pydantic_ai.providers.openai")
            openai: Any = importlib.import_module("openai")
            asking = openai.AsyncOpenAI(base_url=f"{api.url}/v1", api_key="x", max_retries=0)
            provider = providers.OpenAIProvider(openai_client=asking)
            agent = ai.Agent(client.OpenAIChatModel("tiny", provider=provider))
            registry.agent("mine")(adapt(agent))
            pid = await island.submit("go", "mine")
            assert (await island.ended(pid))["result"] == "well "
            failed = island.ledger.last(pid, "step.failed")["data"]
            assert failed["will_retry"] is True
            pid = await island.submit("go", "mine")
            mission = await island.ended(pid)
            await asking.close()
        assert mission["error"] == {
            "code": "model_failed",
            "message": "openai answered 401: who are you.",
        }

    async def test_a_model_that_cannot_stream_is_asked_whole(make_ctx: MakeContext) -> None:
        """Some providers' models have no streams."""

        class Whole(test_models.TestModel):  # type: ignore[misc]
            """A model that leaves out what the library does not demand of it."""

            request_stream = importlib.import_module("pydantic_ai.models").Model.request_stream

        agent = ai.Agent(Whole(custom_output_text="well"))
        assert await run(agent, make_ctx("go")) == "well"

    def asking_for(*tools: str) -> Any:
        """Return a model that asks for tools at once, then says what it was told."""

        def model(messages: list[Any], _: Any) -> Any:
            told = [
                part.content
                for message in messages
                for part in message.parts
                if part.part_kind == "tool-return"
            ]
            if told:
                return ai.ModelResponse(parts=[ai.TextPart(f"I was told: {told[0]}")])
            return ai.ModelResponse(parts=[ai.ToolCallPart(name, {}) for name in tools])

        return function_models.FunctionModel(model)

    async def test_a_tool_that_breaks_lets_none_beside_it_begin(
        island: Island, registry: Registry
    ) -> None:
        """The library gives up those that wait; the mission fails with what was raised."""
        agent = ai.Agent(asking_for("broken", "other"))
        began: list[str] = []

        @agent.tool_plain  # type: ignore[untyped-decorator]
        async def broken() -> None:
            raise ValueError("no such thing")

        @agent.tool_plain  # type: ignore[untyped-decorator]
        async def other() -> None:
            began.append("other")

        registry.agent("mine")(adapt(agent))
        mission = await island.ended(await island.submit("go", "mine"))
        assert mission["error"] == {
            "code": "step_failed",
            "message": "ValueError: no such thing",
        }
        assert began == []
        assert mission["usage"]["tool_calls"] == 1

    async def test_a_tools_failure_may_be_the_models_to_know(
        island: Island, registry: Registry
    ) -> None:
        """As the library has it: such a failure is an observation."""
        agent = ai.Agent(asking_for("find"))

        @agent.tool_plain  # type: ignore[untyped-decorator]
        async def find() -> None:
            raise ai.ToolFailed("there is no such order")

        registry.agent("mine")(adapt(agent))
        mission = await island.ended(await island.submit("go", "mine"))
        assert mission["result"] == "I was told: there is no such order"

    async def test_a_call_that_a_tool_defers_is_a_persons_to_answer(
        island: Island, registry: Registry
    ) -> None:
        """What they say is what it returned."""
        agent = ai.Agent(asking_for("elsewhere"))

        @agent.tool_plain  # type: ignore[untyped-decorator]
        async def elsewhere() -> None:
            raise ai.CallDeferred

        registry.agent("mine")(adapt(agent))
        pid = await island.submit("go", "mine")
        answer = ClarificationAnswer(answer="done there")
        await island.tower.answer(ALICE, await island.question(pid), answer)
        assert (await island.ended(pid))["result"] == "I was told: done there"

    def test_an_agent_without_a_model_is_refused() -> None:
        """At registration."""
        with pytest.raises(RegistrationError, match="has no model"):
            adapt(ai.Agent(name="none"))
