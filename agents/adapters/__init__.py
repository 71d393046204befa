"""Agents that were written for something else, made agents of the tower: :func:`adapt`.

What an object is told apart by is its shape, not its class: no framework is imported unless the
object itself came from one. Whatever acts on the world is run in journaled steps.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from agents.adapters.callables import from_callable, from_runner
from agents.adapters.graphs import from_graph
from agents.adapters.pydantic_agents import from_pydantic_agent, is_pydantic_agent
from agents.errors import RegistrationError

if TYPE_CHECKING:
    from control_tower.context import Context

__all__ = ["adapt"]

Adapted = Callable[["Context"], Awaitable[Any]]


def adapt(existing: Any, inputs: "Callable[[Context], Any] | None" = None) -> Adapted:
    """Return ``existing`` as an agent, to be registered: ``agent("mine")(adapt(existing))``.

    Args:
        existing: a pydantic-ai ``Agent``; a compiled LangGraph graph (what has ``astream`` or
            ``ainvoke``); what has an async ``run(text)``; or any callable that takes the
            mission's text, or the context.
        inputs: what a graph or callable is given instead of the mission's text.

    Raises:
        RegistrationError: for anything else.
    """
    name = str(getattr(existing, "name", None) or getattr(existing, "__name__", "agent"))
    if is_pydantic_agent(existing):
        return from_pydantic_agent(existing, name)
    if callable(getattr(existing, "astream", None)) or callable(getattr(existing, "ainvoke", None)):
        return from_graph(existing, inputs)
    if inspect.iscoroutinefunction(getattr(existing, "run", None)):
        return from_runner(existing.run, name, inputs)
    if callable(existing):
        return from_callable(existing, name, inputs)
    raise RegistrationError(
        f"{type(existing).__name__} cannot be adapted: it is neither callable nor an agent or "
        "graph of a kind that is known."
    )
