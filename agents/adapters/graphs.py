"""What is shaped like a graph, as one behind a network: run from question to question.

Between two of its interrupts it runs in one step: what happens within is its own to remember, under
the mission's id as ``thread_id``. Its messages stream as deltas, its interrupts become
confirmations and questions. A graph of LangGraph in this process has a room of its own.
"""

import importlib
import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agents.adapters.answers import answer_to, message_text, opening, result_of
from agents.bounds import storable
from events.payloads import JsonObject

if TYPE_CHECKING:
    from control_tower.execution.context import Context

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
            "result": None if self.interrupts else result_of(self.state),
        }


def from_graph(
    graph: Any, inputs: "Callable[[Context], Any] | None"
) -> "Callable[[Context], Awaitable[Any]]":
    """Return a graph as an agent. It is given the talk's messages by default."""

    async def adapted(ctx: "Context") -> Any:
        given: Any = inputs(ctx) if inputs else {"messages": await opening(ctx)}

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
            answers = [await answer_to(ctx, value) for value in done["interrupts"]]
            asked = {"resume": answers[0] if len(answers) == 1 else answers}

    return adapted


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
            if text := message_text(message, spoken=True):
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
