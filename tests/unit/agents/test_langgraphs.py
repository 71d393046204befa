"""LangGraph's real graphs on the real kernel: journaled, asking people, charged for models."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.language_models.fake_chat_models import (
    FakeMessagesListChatModel,
    GenericFakeChatModel,
)
from langchain_core.messages import AIMessage
from langgraph.channels import DeltaChannel
from langgraph.func import entrypoint
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt

from agents import adapt
from agents.registry import Registry
from control_tower.commands import ClarificationAnswer, ConfirmationAnswer, DecisionAnswer
from control_tower.quota.quotas import ResourceQuota
from tests.rig.tower import ALICE
from tests.unit.agents.test_on_the_tower import Island

Node = Callable[[Any], Any]


@pytest.fixture
async def island(registry: Registry) -> AsyncIterator[Island]:
    """Return a started tower."""
    island = Island(registry)
    await island.tower.start()
    yield island
    await island.tower.stop(0)


def chain(*nodes: Node, **options: Any) -> Any:
    """Return a graph of nodes one after the other."""
    graph: Any = StateGraph(MessagesState)
    names = [node.__name__ for node in nodes]
    for node in nodes:
        graph.add_node(node)
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph.compile(**options)


def saying(name: str, ran: list[str]) -> Node:
    """Return a node that says its name."""

    def node(_: Any) -> Any:
        ran.append(name)
        return {"messages": [AIMessage(name)]}

    node.__name__ = name
    return node


def asking(name: str, ran: list[str], value: Any) -> Node:
    """Return a node that asks a person and says what they answered."""

    def node(_: Any) -> Any:
        answer = interrupt(value)
        ran.append(name)
        return {"messages": [AIMessage(f"{name}: {answer}")]}

    node.__name__ = name
    return node


async def steps(island: Island, pid: str) -> list[str]:
    """Return the names of the steps that a mission made."""
    return [step.name for step in await island.store.steps(pid) if step.kind == "step"]


async def test_a_parked_graph_goes_on_behind_its_last_superstep(
    island: Island, registry: Registry
) -> None:
    """No node that ran is run again; the answer reaches the node that asked."""
    ran: list[str] = []
    graph = chain(saying("one", ran), asking("two", ran, "Which?"), saying("three", ran))
    registry.agent("graph")(adapt(graph))
    pid = await island.submit("go", "graph")
    question = await island.question(pid)
    await island.until_parked(pid)
    await island.tower.answer(ALICE, question, ClarificationAnswer(answer="this"))
    mission = await island.ended(pid)
    assert (mission["outcome"], mission["result"]) == ("completed", "three")
    assert ran == ["one", "two", "three"]
    assert await steps(island, pid) == ["graph one", "graph two", "graph two", "graph three"]


async def test_nodes_side_by_side_ask_side_by_side(island: Island, registry: Registry) -> None:
    """Each gets its own answer; a subgraph's question reaches it, too."""
    ran: list[str] = []
    inner = chain(saying("inner", ran), asking("deep", ran, "Deep?"))
    graph: Any = StateGraph(MessagesState)
    graph.add_node("left", asking("left", ran, {"question": "Left?", "options": ["a", "b"]}))
    graph.add_node("right", inner)
    for name in ("left", "right"):
        graph.add_edge(START, name)
        graph.add_edge(name, END)
    registry.agent("graph")(adapt(graph.compile()))
    pid = await island.submit("go", "graph")
    answered: set[str] = set()
    for _ in range(2):
        question = await island.question(pid, but=answered)
        await island.until_parked(pid)
        record = await island.store.interrupt(question)
        assert record is not None
        answer = ClarificationAnswer(answer=f"to {record.message}")
        await island.tower.answer(ALICE, question, answer)
        answered.add(question)
    mission = await island.ended(pid)
    assert mission["outcome"] == "completed", mission["error"]
    assert sorted(ran) == ["deep", "inner", "left"]
    last = str((await island.store.steps(pid))[-1].output)
    assert "to Left?" in mission["result"] or "to Deep?" in mission["result"], last


@pytest.mark.parametrize("approved", [True, False])
@pytest.mark.parametrize("where", [{"interrupt_before": ["two"]}, {"interrupt_after": ["one"]}])
async def test_a_breakpoint_is_a_confirmation(
    island: Island, registry: Registry, approved: bool, where: dict[str, Any]
) -> None:
    """Refused, the graph ends with what it has."""
    ran: list[str] = []
    graph = chain(saying("one", ran), saying("two", ran), **where)
    registry.agent("graph")(adapt(graph))
    pid = await island.submit("go", "graph")
    question = await island.question(pid)
    record = await island.store.interrupt(question)
    assert record is not None
    assert record.message == "Go on with two?"
    await island.tower.answer(ALICE, question, ConfirmationAnswer(approved=approved))
    mission = await island.ended(pid)
    assert mission["result"] == ("two" if approved else "one")
    assert ran == (["one", "two"] if approved else ["one"])


@pytest.mark.parametrize("idempotent", [("one",), True, False])
async def test_a_node_in_doubt_is_a_persons_to_decide(
    island: Island, registry: Registry, idempotent: Any
) -> None:
    """After a crash in the middle of it; one that may run again does."""
    ran: list[str] = []

    async def one(_: Any) -> Any:
        ran.append("one")
        if len(ran) == 1:
            await asyncio.Event().wait()
        return {"messages": [AIMessage("done")]}

    registry.agent("graph")(adapt(chain(one), idempotent=idempotent))
    pid = await island.submit("go", "graph")
    await island.until(pid, lambda _: bool(ran))
    await island.crash()
    if idempotent is False:
        question = await island.question(pid)
        assert ran == ["one"]
        await island.tower.answer(ALICE, question, DecisionAnswer(decision="retry"))
    assert (await island.ended(pid))["result"] == "done"
    assert ran == ["one", "one"]


def told(text: str) -> AIMessage:
    """Return what a model says, with what it used."""
    return AIMessage(
        text,
        usage_metadata={"input_tokens": 1_000, "output_tokens": 500, "total_tokens": 1_500},
        response_metadata={"model_name": "gpt-4o"},
    )


def speaking(island: Island) -> Any:
    """Return a graph whose node asks a model twice."""
    model = GenericFakeChatModel(messages=iter([told("well"), told("hello there")]))

    async def talk(state: Any) -> Any:
        await model.ainvoke(state["messages"])
        return {"messages": [await model.ainvoke(state["messages"])]}

    return chain(talk)


async def test_what_its_models_use_is_charged(island: Island, registry: Registry) -> None:
    """Calls, tokens and the listed price; its words stream."""
    registry.agent("graph")(adapt(speaking(island)))
    pid = await island.submit("hi", "graph")
    mission = await island.ended(pid)
    assert mission["result"] == "hello there"
    usage = mission["usage"]
    assert usage["llm_calls"] == 2
    streamed = "".join(event["data"]["text"] for event in island.ledger.deltas)
    assert streamed == "wellhello there"


@pytest.mark.parametrize(
    ("named", "priced", "cost_usd"),
    [
        ("gpt-4o", "openai:gpt-4o", 2.5),
        ("gpt-4o-2024-08-06", "openai:gpt-4o", 2.5),
        ("claude-sonnet-4-20250514", "anthropic:claude-sonnet-4", 2.5),
        ("own-model", "llamacpp:own-model", 2.5),
        ("gpt-4o-mini", "openai:gpt-4o", 0.00045),
        ("never-heard-of", "openai:gpt-4o", 0.0),
    ],
)
async def test_a_price_of_the_settings_goes_before_the_listed_one(
    registry: Registry, named: str, priced: str, cost_usd: float
) -> None:
    """By the name that the library has for the model, which lacks its provider."""
    island = Island(registry, prices={priced: (2_000.0, 1_000.0)})
    await island.tower.start()
    answer = told("hello")
    answer.response_metadata["model_name"] = named
    model = FakeMessagesListChatModel(responses=[answer])

    async def talk(state: Any) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    registry.agent("graph")(adapt(chain(talk)))
    usage = (await island.ended(await island.submit("hi", "graph")))["usage"]
    assert usage["cost_usd"] == pytest.approx(cost_usd)
    await island.tower.stop(0)


async def test_a_state_too_large_for_the_journal_is_said_to_be(
    island: Island, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be kept after every superstep; the mission fails, and says what to do."""
    monkeypatch.setattr("agents.adapters.langgraphs.MAX_OUTPUT_BYTES", 2**20)

    def hoard(_: Any) -> Any:
        return {"messages": [AIMessage("x" * 2**20)]}

    registry.agent("graph")(adapt(chain(hoard)))
    mission = await island.ended(await island.submit("hi", "graph"))
    assert mission["outcome"] == "failed"
    assert "is 1.3 MiB" in mission["error"]["message"]
    assert "Keep large things elsewhere" in mission["error"]["message"]
    made = (await island.store.steps(mission["mission_id"]))[-1]
    assert (made.name, made.status, made.output) == ("graph hoard", "failed", None)


async def test_no_superstep_is_made_without_room_in_the_quota(
    island: Island, registry: Registry
) -> None:
    """What might ask a model needs a model call left."""
    registry.agent("graph")(adapt(speaking(island)))
    quota = ResourceQuota(max_llm_calls=0, on_limit="fail")
    pid = await island.submit("hi", "graph", quota=quota)
    assert (await island.ended(pid))["outcome"] == "quota_exceeded"


async def test_an_entrypoint_is_run_whole(island: Island, registry: Registry) -> None:
    """A graph of functions takes its input as it runs; its questions are asked all the same."""

    @entrypoint()
    async def flow(given: Any) -> str:
        name = interrupt("Who?")
        return f"{given['messages'][-1]['content']}, {name}"

    registry.agent("flow")(adapt(flow))
    pid = await island.submit("hello", "flow")
    question = await island.question(pid)
    await island.until_parked(pid)
    await island.tower.answer(ALICE, question, ClarificationAnswer(answer="Ada"))
    assert (await island.ended(pid))["result"] == "hello, Ada"


async def test_a_graph_knows_the_talk_so_far(island: Island, registry: Registry) -> None:
    """Each mission of a session is given what was said before."""
    seen: list[list[str]] = []

    def look(state: Any) -> Any:
        seen.append([message.content for message in state["messages"]])
        return {"messages": [AIMessage("noted")]}

    registry.agent("graph")(adapt(chain(look)))
    first = await island.ended(await island.submit("I am Ada", "graph"))
    again = await island.submit("who am I?", "graph", session_id=first["session_id"])
    await island.ended(again)
    assert seen == [["I am Ada"], ["I am Ada", "noted", "who am I?"]]


async def test_a_state_of_differences_is_kept_whole(island: Island, registry: Registry) -> None:
    """A channel whose checkpoints have only what changed needs all of them."""

    def gather(state: list[str], writes: Sequence[Any]) -> list[str]:
        return [*state, *(each for write in writes for each in write)]

    class State(TypedDict):
        """Words."""

        words: Annotated[list[str], DeltaChannel(gather)]

    def first(_: Any) -> Any:
        return {"words": ["one"]}

    def second(_: Any) -> Any:
        return {"words": [interrupt("And?")]}

    graph: Any = StateGraph(State)
    graph.add_node(first)
    graph.add_node(second)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    registry.agent("graph")(adapt(graph.compile(), inputs=lambda _: {"words": ["none"]}))
    pid = await island.submit("go", "graph")
    question = await island.question(pid)
    await island.until_parked(pid)
    await island.tower.answer(ALICE, question, ClarificationAnswer(answer="two"))
    assert (await island.ended(pid))["result"] == {"words": ["none", "one", "two"]}


async def test_a_graph_that_fails_fails_its_mission(island: Island, registry: Registry) -> None:
    """With the error's class and message."""

    def broken(_: Any) -> Any:
        raise ValueError("no such thing")

    registry.agent("graph")(adapt(chain(broken)))
    mission = await island.ended(await island.submit("go", "graph"))
    assert mission["outcome"] == "failed"
    assert mission["error"]["message"] == "ValueError: no such thing"


async def test_what_a_failed_superstep_used_is_charged(island: Island, registry: Registry) -> None:
    """Its models were asked all the same."""
    model = GenericFakeChatModel(messages=iter([told("one"), told("two")]))

    async def broken(_: Any) -> Any:
        await model.ainvoke("one")
        await model.ainvoke("two")
        raise ValueError("no such thing")

    registry.agent("graph")(adapt(chain(broken)))
    mission = await island.ended(await island.submit("go", "graph"))
    assert mission["error"]["message"] == "ValueError: no such thing"
    assert mission["usage"]["llm_calls"] == 2
