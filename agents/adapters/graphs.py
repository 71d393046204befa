"""LangGraph graphs, or what is shaped like one: run from question to question.

Between two of its interrupts a graph runs in one step: its nodes are its own to journal, with its
checkpointer, under the mission's id as ``thread_id``. Its messages stream as deltas; its interrupts
become confirmations and questions.
"""

import importlib
import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agents.bounds import OutOfBounds, storable
from events.payloads import JsonObject

if TYPE_CHECKING:
    from control_tower.context import Context

MODES = ["messages", "updates", "values"]
INTERRUPT = "__interrupt__"


@dataclass(slots=True)
class _Stretch:
    """What a graph did until its end or its next interrupts."""

    nodes: list[str] = field(default_factory=list)
    interrupts: list[Any] = field(default_factory=list)
    state: Any = None

    def as_json(self) -> JsonObject:
        return {
            "nodes": self.nodes,
            "interrupts": [storable(value) for value in self.interrupts],
            "result": None if self.interrupts else _result(self.state),
        }


def from_graph(
    graph: Any, inputs: "Callable[[Context], Any] | None"
) -> "Callable[[Context], Awaitable[Any]]":
    """Return a graph as an agent. It is given ``{"messages": [the mission]}`` by default."""

    async def adapted(ctx: "Context") -> Any:
        given: Any = inputs(ctx) if inputs else _message(ctx.mission)

        async def run(kept: Any) -> JsonObject:
            stretch = _Stretch()
            config = {"configurable": {"thread_id": ctx.pid}}
            async for mode, chunk in _chunks(graph, _command(kept), config):
                _take(stretch, ctx, mode, chunk)
            return stretch.as_json()

        asked: JsonObject = {"input": given}
        while True:
            done: Any = await ctx.step("graph", run, asked)
            if done["nodes"]:
                await ctx.emit("graph", nodes=done["nodes"])
            if not done["interrupts"]:
                return done["result"]
            answers = [await _answer(ctx, value) for value in done["interrupts"]]
            asked = {"resume": answers[0] if len(answers) == 1 else answers}

    return adapted


def _message(mission: str) -> JsonObject:
    return {"messages": [{"role": "user", "content": mission}]}


def _command(kept: JsonObject) -> Any:
    """Return what the graph is run with: its input, or the answers it waits for."""
    if "input" in kept:
        return kept["input"]
    if importlib.util.find_spec("langgraph") is None:
        return {"resume": kept["resume"]}
    return importlib.import_module("langgraph.types").Command(resume=kept["resume"])


async def _chunks(graph: Any, given: Any, config: JsonObject) -> AsyncIterator[tuple[str, Any]]:
    if callable(getattr(graph, "astream", None)):
        async for mode, chunk in graph.astream(given, config, stream_mode=MODES):
            yield mode, chunk
        return
    yield "values", await graph.ainvoke(given, config)


def _take(stretch: _Stretch, ctx: "Context", mode: str, chunk: Any) -> None:
    match mode:
        case "messages":
            message = chunk[0] if isinstance(chunk, tuple | list) and chunk else chunk
            if text := _text(message):
                ctx.delta(text)
        case "updates" if isinstance(chunk, Mapping):
            stretch.nodes += [name for name in chunk if name != INTERRUPT]
            stretch.interrupts += [_value(one) for one in chunk.get(INTERRUPT, ())]
        case "values":
            stretch.state = chunk
            if not stretch.interrupts and isinstance(chunk, Mapping):
                stretch.interrupts += [_value(one) for one in chunk.get(INTERRUPT, ())]


def _value(interrupt: Any) -> Any:
    return getattr(interrupt, "value", interrupt)


def _result(state: Any) -> Any:
    """Return the last message's text where there are messages, else the state."""
    messages = state.get("messages") if isinstance(state, Mapping) else None
    if messages and (text := _text(messages[-1])):
        return text
    try:
        return storable(state)
    except OutOfBounds:
        return str(state)


def _text(message: Any) -> str:
    content = message.get("content") if isinstance(message, Mapping) else None
    content = getattr(message, "content", content)
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(
        str(block.get("text", "")) if isinstance(block, Mapping) else str(block) for block in blocks
    )


async def _answer(ctx: "Context", value: Any) -> Any:
    """Ask a person what a graph waits for; return it in the form in which the graph takes it."""
    if isinstance(value, Mapping) and isinstance(value.get("action_requests"), list):
        decisions = [await _decide(ctx, action) for action in value["action_requests"]]
        return {"decisions": decisions}
    if isinstance(value, Mapping):
        question = value.get("question") or value.get("message") or value.get("description")
        options = value.get("options")
        chosen = [str(one) for one in options] if isinstance(options, list) else None
        return await ctx.clarify(str(question or storable(value)), chosen)
    return await ctx.clarify(str(value))


async def _decide(ctx: "Context", action: Any) -> JsonObject:
    """Ask whether an action may be made; return the decision as LangChain's middleware has it."""
    name, arguments = str(action.get("name", "action")), action.get("args") or {}
    message = str(action.get("description") or f"Run {name}?")
    decision = await ctx.confirm(message, tool=name, arguments=arguments)
    if not decision.approved:
        return {"type": "reject", "message": decision.message or "A person refused."}
    edited = decision.arguments.get("arguments", arguments)
    if edited != arguments:
        return {"type": "edit", "edited_action": {"name": name, "args": edited}}
    return {"type": "approve"}
