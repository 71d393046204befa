"""The decorators: how a developer's functions become agents and tools of the default registry."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from agents.defaults import current_registry
from agents.registry import Risk

F = TypeVar("F", bound=Callable[..., Any])


def agent(name: str, description: str = "") -> Callable[[F], F]:
    """Register a callable as the agent ``name``.

    Args:
        name: letters, digits, dots, dashes and underscores; free in the registry.
        description: one sentence for people; by default the docstring's first line.

    Returns:
        A decorator that leaves the function as it is. The function takes one argument, its
        ``Context``. An async function is awaited; an async generator's texts are streamed and
        joined; a plain function runs in a thread, where the context's calls block.

    Raises:
        RegistrationError: for a name that is bad or taken, or a callable that takes something
            else than a context.
    """
    return current_registry().agent(name, description)


def tool(
    risk: Risk,
    *,
    idempotent: bool = False,
    timeout_s: float | None = 10,
    retries: int = 0,
    confirm: bool | None = None,
    tags: tuple[str, ...] = (),
    on_open: Literal["wait", "fail"] = "wait",
    name: str | None = None,
) -> Callable[[F], F]:
    """Register a function as a tool.

    Its arguments' schema comes from the signature and the Google-style docstring. A parameter
    annotated ``ToolContext`` is given by the executor and is no argument.

    Args:
        risk: ``destructive``, ``high`` and ``critical`` ask a person before each call.
        idempotent: whether a call may safely be made twice. One that may not and times out, or
            is cut by a crash, becomes a question to a person.
        timeout_s: bound of one attempt.
        retries: further attempts after a failure; needs ``idempotent=True``.
        confirm: True or False overrules what the risk says about asking.
        tags: free labels.
        on_open: while its breaker is open, a call makes the mission ``wait`` or ``fail``s with
            ``BreakerOpen``.
        name: the function's name by default.

    Returns:
        A decorator that leaves the function as it is.

    Raises:
        RegistrationError: for options that contradict each other, a name that is taken, or a
            signature that has no JSON schema.
    """
    return current_registry().tool(
        risk,
        idempotent=idempotent,
        timeout_s=timeout_s,
        retries=retries,
        confirm=confirm,
        tags=tags,
        on_open=on_open,
        name=name,
    )
