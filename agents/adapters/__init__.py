"""Agents that were written for something else, made agents of the tower: :func:`adapt`.

What an object is told apart by is its shape, not its class: no framework is imported unless the
object itself came from one. Whatever acts on the world is run in journaled steps.
"""

import inspect
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any

from agents.adapters.callables import from_callable, from_runner
from agents.adapters.graphs import from_graph
from agents.adapters.langgraphs import from_langgraph, is_langgraph
from agents.adapters.pydantic_agents import from_pydantic_agent, is_pydantic_agent
from agents.errors import RegistrationError
from agents.namesake import NO_ROOM

if TYPE_CHECKING:
    from control_tower.execution.context import Context

__all__ = ["adapt"]

Adapted = Callable[["Context"], Awaitable[Any]]


def adapt(
    existing: Any,
    inputs: "Callable[[Context], Any] | None" = None,
    *,
    deps: "Callable[[Context], Any] | None" = None,
    idempotent: bool | Collection[str] = False,
) -> Adapted:
    """Return ``existing`` as an agent, to be registered: ``agent("mine")(adapt(existing))``.

    Args:
        existing: a pydantic-ai ``Agent``; a compiled LangGraph graph, or what else has
            ``astream`` or ``ainvoke``; what has an async ``run(text)``; or any callable that
            takes the mission's text, or the context.
        inputs: what a graph or callable is given instead of the mission's text.
        deps: makes the ``deps`` of a pydantic-ai agent; it is called at each replay.
        idempotent: which of a LangGraph graph's nodes may run again after a crash in the middle
            of them: all, or those named. For any other a person is asked.

    Raises:
        RegistrationError: for anything else.
    """
    name = str(getattr(existing, "name", None) or getattr(existing, "__name__", "agent"))
    if is_pydantic_agent(existing):
        return from_pydantic_agent(existing, name, deps)
    if is_langgraph(existing):
        return from_langgraph(existing, inputs, idempotent)
    if callable(getattr(existing, "astream", None)) or callable(getattr(existing, "ainvoke", None)):
        return from_graph(existing, inputs)
    if inspect.iscoroutinefunction(getattr(existing, "run", None)):
        return from_runner(existing.run, name, inputs)
    if callable(existing):
        return from_callable(existing, name, inputs)
    if hasattr(existing, "handoffs") and hasattr(existing, "instructions"):
        raise RegistrationError(NO_ROOM)
    raise RegistrationError(
        f"{type(existing).__name__} cannot be adapted: it is neither callable nor an agent or "
        "graph of a kind that is known."
    )
