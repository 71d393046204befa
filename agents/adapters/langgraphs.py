"""LangGraph's compiled graphs: each superstep (the nodes that run at once) a journaled step.

The graph runs on a checkpointer of ours, in memory; what that holds after a superstep is part of
the step's output, so that a replay goes on behind the last superstep that the journal has, and no
node runs twice. Messages stream as deltas; interrupts become questions, breakpoints confirmations.
"""

import functools
import importlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agents.adapters.answers import answer_to, message_text, opening, result_of
from agents.adapters.charged import MODEL_CALL, charged_step
from agents.adapters.checkpoints import keeps_differences, new_memory, packed, unpack
from agents.bounds import MAX_OUTPUT_BYTES, storable
from control_tower.errors import StepFailed
from control_tower.execution.calls import Kind, LibraryTurn, Spent
from control_tower.execution.outcomes import agent_error_of
from events.payloads import JsonObject

if TYPE_CHECKING:
    from control_tower.execution.context import Context

MODES = ["messages", "updates"]
INTERRUPT = "__interrupt__"
START = "__start__"


def is_langgraph(existing: Any) -> bool:
    """Whether an object is a compiled graph of the library, judged without importing it."""
    family = (each.__module__.partition(".")[0] for each in type(existing).__mro__)
    return "langgraph" in family and callable(getattr(existing, "aupdate_state", None))


def from_langgraph(
    graph: Any,
    inputs: "Callable[[Context], Any] | None",
    idempotent: bool | Collection[str],
) -> "Callable[[Context], Awaitable[Any]]":
    """Return a graph as an agent; see :func:`agents.adapt`."""

    async def adapted(ctx: "Context") -> Any:
        given = inputs(ctx) if inputs else {"messages": await opening(ctx)}
        return await _Walk(graph, ctx, idempotent).run(given)

    return adapted


@dataclass(slots=True)
class _Superstep:
    """What happened in one: the nodes that ran, and each turn of their models."""

    nodes: list[str] = field(default_factory=list)
    turns: list[LibraryTurn] = field(default_factory=list)


class _Walk:
    """One mission of a graph."""

    def __init__(self, graph: Any, ctx: "Context", idempotent: bool | Collection[str]) -> None:
        self._memory = new_memory()
        self._history = keeps_differences(graph)
        self._graph = graph.copy(update={"checkpointer": self._memory})
        self._ctx = ctx
        self._idempotent = idempotent
        self._thread: JsonObject = {"configurable": {"thread_id": ctx.pid}}

    async def run(self, given: Any) -> Any:
        """Run to the graph's end, asking a person at its interrupts and breakpoints."""
        coming = await self._enter(given)
        # What no graph of states says beforehand, its first superstep will.
        asked: JsonObject = {"input": storable(given)} | ({} if coming else {"whole": True})
        done: Any = {"result": None, "next": coming, "stops": self._stops((), coming)}
        while asked or done["next"]:
            if done["stops"] and not await self._may_go_on(done["next"]):
                break
            done = await self._superstep(asked, done["next"], given)
            unpack(self._memory, done["kept"])
            answers = [
                [each["id"], await answer_to(self._ctx, each["value"])]
                for each in done["interrupts"]
            ]
            asked = {"resume": answers} if answers else {}
        return done["result"]

    async def _enter(self, given: Any) -> list[str]:
        """Give a graph of states its input; return the nodes that come first.

        What is no graph of states (an entrypoint) takes its input only as it runs: none is told.
        """
        if not hasattr(self._graph, "builder"):
            return []
        await self._graph.aupdate_state(self._thread, given, as_node=START)
        return list((await self._graph.aget_state(self._thread)).next)

    async def _superstep(self, asked: JsonObject, nodes: Sequence[str], given: Any) -> Any:
        async def make(kept: Any) -> Spent:
            done = _Superstep()
            try:
                await self._walk(done, _given(kept, given))
            except Exception as error:  # noqa: BLE001 - a node's: it is the step's outcome
                failure = agent_error_of(error, Kind.STEP)
                return Spent(None, error=failure, turns=done.turns)
            state = await self._graph.aget_state(self._thread)
            waiting = [each for task in state.tasks for each in task.interrupts]
            stops = not waiting and self._stops(done.nodes, state.next)
            kept = packed(self._memory, within=bool(waiting), history=self._history)
            if too_large := _too_large(kept):
                return Spent(None, error=too_large, turns=done.turns)
            output = {
                "nodes": done.nodes,
                "next": list(state.next),
                "interrupts": [{"id": one.id, "value": storable(one.value)} for one in waiting],
                "stops": stops,
                "result": result_of(state.values) if stops or not state.next else None,
                "kept": kept,
            }
            return Spent(output, turns=done.turns)

        name = " ".join(["graph", *nodes])
        return await charged_step(
            self._ctx, name, make, asked, MODEL_CALL, idempotent=self._repeatable(nodes)
        )

    async def _walk(self, done: _Superstep, given: Any) -> None:
        config = self._thread | {"callbacks": [_meters()(done.turns)]}
        # One superstep; where the graph itself wants to stop is seen to between them.
        stream = self._graph.astream(
            given, config, stream_mode=MODES, interrupt_before=[], interrupt_after="*"
        )
        async for mode, chunk in stream:
            if mode == "messages":
                if text := message_text(chunk[0], spoken=True):
                    self._ctx.delta(text)
            else:
                done.nodes += [name for name in chunk if name != INTERRUPT]

    def _repeatable(self, nodes: Sequence[str]) -> bool:
        if isinstance(self._idempotent, bool):
            return self._idempotent
        return bool(nodes) and set(nodes) <= set(self._idempotent)

    def _stops(self, ran: Sequence[str], coming: Sequence[str]) -> bool:
        """Whether the graph was compiled to stop behind what ran, or before what comes."""
        after, before = self._graph.interrupt_after_nodes, self._graph.interrupt_before_nodes
        return bool(coming) and (_among(ran, after) or _among(coming, before))

    async def _may_go_on(self, nodes: Sequence[str]) -> bool:
        decision = await self._ctx.confirm(f"Go on with {', '.join(nodes)}?", nodes=list(nodes))
        return decision.approved


def _too_large(kept: str) -> StepFailed | None:
    """Return why what a graph holds can't be journaled with each of its supersteps, if so."""
    if len(kept) <= MAX_OUTPUT_BYTES:
        return None
    return StepFailed(
        f"The graph's state is {len(kept) / 2**20:.1f} MiB, and is kept after each superstep: at "
        f"most {MAX_OUTPUT_BYTES // 2**20} MiB. Keep large things elsewhere, and in the state what "
        "they are called."
    )


def _among(nodes: Sequence[str], named: str | Sequence[str]) -> bool:
    return bool(nodes) and (named == "*" or not set(named).isdisjoint(nodes))


def _given(kept: JsonObject, given: Any) -> Any:
    """Return what a superstep is run with: answers, the input, or nothing at all."""
    if "resume" in kept:
        command = importlib.import_module("langgraph.types").Command
        return command(resume=dict(kept["resume"]))
    return given if kept.get("whole") else None


@functools.cache
def _meters() -> Any:
    """Return the class of what counts, made when the library that it derives from is there."""
    base = importlib.import_module("langchain_core.callbacks").BaseCallbackHandler

    class Meter(base):  # type: ignore[misc, valid-type]
        """Notes what chat models say that they used; nodes side by side, each in a thread."""

        def __init__(self, turns: list[LibraryTurn]) -> None:
            self._turns = turns

        def on_llm_end(self, response: Any, **_: Any) -> None:
            """Note a turn."""
            for generations in response.generations:
                self._turns += [_turn(getattr(one, "message", None)) for one in generations]

    return Meter


def _turn(message: Any) -> LibraryTurn:
    used = getattr(message, "usage_metadata", None) or {}
    told = getattr(message, "response_metadata", None) or {}
    model = str(told.get("model_name", ""))
    return LibraryTurn(model, used.get("input_tokens", 0), used.get("output_tokens", 0))
