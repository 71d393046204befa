"""Functions of a text, run in one step."""

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from agents.adapters.charged import MODEL_CALL, charged_step, reported
from agents.bounds import storable
from agents.program import Form, form_of
from agents.threads import AGENT_THREADS
from control_tower.execution.calls import Spent

if TYPE_CHECKING:
    from control_tower.execution.context import Context


def from_callable(
    function: Callable[..., Any], name: str, inputs: "Callable[[Context], Any] | None"
) -> "Callable[[Context], Awaitable[Any]]":
    """Return ``function`` as an agent: called once, in a step, with the mission's text.

    A function whose parameter is called ``ctx``, or is annotated as a context, is one already.
    """
    if _takes_context(function):
        return function

    async def adapted(ctx: "Context") -> Any:
        async def call(given: Any) -> Any:
            return storable(await _called(function, given, ctx))

        return await ctx.step(name, call, inputs(ctx) if inputs else ctx.mission)

    return adapted


def from_runner(
    run: Callable[[Any], Awaitable[Any]],
    name: str,
    inputs: "Callable[[Context], Any] | None",
) -> "Callable[[Context], Awaitable[Any]]":
    """Return an agent whose ``run(text)`` returns a result with an ``output``.

    What the result says under ``usage`` (``requests``, ``input_tokens``, ``output_tokens``) is
    charged to the mission.
    """

    async def adapted(ctx: "Context") -> Any:
        async def call(given: Any) -> Spent:
            result = await run(given)
            return Spent(storable(getattr(result, "output", result)), reported(result))

        given = inputs(ctx) if inputs else ctx.mission
        return await charged_step(ctx, name, call, given, MODEL_CALL)

    return adapted


async def _called(function: Callable[..., Any], given: Any, ctx: "Context") -> Any:
    match form_of(function):
        case Form.ASYNC:
            return await function(given)
        case Form.STREAM:
            pieces = []
            async for piece in function(given):
                ctx.delta(str(piece))
                pieces.append(str(piece))
            return "".join(pieces)
        case Form.PLAIN_STREAM:
            return await AGENT_THREADS.run(lambda: "".join(map(str, function(given))))
        case Form.PLAIN:
            result = await AGENT_THREADS.run(lambda: function(given))
            return await result if inspect.isawaitable(result) else result


def _takes_context(function: Callable[..., Any]) -> bool:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    if not parameters:
        return False
    annotation = parameters[0].annotation
    said = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return parameters[0].name == "ctx" or said.rpartition(".")[2] in ("Context", "BlockingContext")
