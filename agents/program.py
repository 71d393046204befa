"""Programs: whatever a developer registered as an agent, in the form in which the kernel runs it.

An async function runs as it is. An async generator's pieces are streamed and joined. A plain
function or generator runs in a thread, with a :class:`~agents.blocking.BlockingContext`.
"""

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import BaseModel

from agents.blocking import BlockingContext, run_in_thread
from agents.errors import RegistrationError

if TYPE_CHECKING:
    from control_tower.execution.context import Context

Function = Callable[..., Any]


class Form(Enum):
    """How a callable is run."""

    ASYNC = "async function"
    STREAM = "async generator"
    PLAIN = "function in a thread"
    PLAIN_STREAM = "generator in a thread"


def form_of(function: Function) -> Form:
    """Return how ``function`` must be run; callable objects are judged by ``__call__``."""
    while isinstance(function, partial):
        function = function.func
    code = function if inspect.isroutine(function) else type(function).__call__
    if inspect.isasyncgenfunction(code):
        return Form.STREAM
    if inspect.iscoroutinefunction(code):
        return Form.ASYNC
    if inspect.isgeneratorfunction(code):
        return Form.PLAIN_STREAM
    return Form.PLAIN


class AgentProgram:
    """An agent as a :class:`control_tower.ports.Program`.

    Attributes:
        name: the agent's.
        description: one sentence for people.
        function: what was registered.
        origin: the module it came from.
    """

    __slots__ = ("_form", "_name", "description", "function", "origin")

    def __init__(self, name: str, function: Function, description: str, origin: str = "") -> None:
        """Wrap ``function``.

        Raises:
            RegistrationError: if it cannot be called with one argument.
        """
        self._name = name
        self.function = function
        self.description = description
        self.origin = origin
        _takes_context(name, function)
        self._form = form_of(function)

    @property
    def name(self) -> str:
        """The agent's name."""
        return self._name

    async def __call__(self, ctx: "Context") -> object:
        """Run to the result. Cancelled or closed, the function is stopped at its await."""
        try:
            return plain_result(await run_as(self._form, self.function, ctx))
        except SystemExit as error:
            # An agent's sys.exit() ends the agent, not the server that runs it.
            raise RuntimeError("the agent called sys.exit()") from error


async def run_as(form: Form, function: Function, ctx: "Context") -> object:
    """Run ``function`` in ``form``; what it streams goes to ``ctx.delta`` and is its result."""
    match form:
        case Form.ASYNC:
            return await function(ctx)
        case Form.STREAM:
            return await _stream(function(ctx), ctx)
        case Form.PLAIN_STREAM:
            return await run_in_thread(partial(_stream_plain, function), ctx)
        case Form.PLAIN:
            result = await run_in_thread(function, ctx)
            return await result if inspect.isawaitable(result) else result


async def _stream(pieces: AsyncIterator[str], ctx: "Context") -> str:
    text: list[str] = []
    async with contextlib.aclosing(pieces) as streamed:  # type: ignore[type-var]
        async for piece in streamed:
            ctx.delta(_text(piece))
            text.append(piece)
    return "".join(text)


def _stream_plain(
    function: Callable[[BlockingContext], Iterable[str]], ctx: BlockingContext
) -> str:
    text: list[str] = []
    for piece in function(ctx):
        ctx.delta(_text(piece))
        text.append(piece)
    return "".join(text)


def _text(piece: object) -> str:
    if not isinstance(piece, str):
        raise TypeError(f"an agent that yields must yield text, not {type(piece).__name__}")
    return piece


def plain_result(result: object) -> object:
    """Return ``result`` with pydantic models spelled out, which the kernel does not know."""
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json")
    if isinstance(result, msgspec.Struct):
        return msgspec.to_builtins(result)
    return result


def _takes_context(name: str, function: Function) -> None:
    if not callable(function):
        raise RegistrationError(f"The agent {name} is not callable.")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Some callables of C have no signature; they are given the benefit of the doubt.
        return
    try:
        signature.bind(None)
    except TypeError:
        raise RegistrationError(
            f"The agent {name} is called with one argument, its Context; it takes {signature}."
        ) from None
