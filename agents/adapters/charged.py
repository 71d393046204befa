"""What adapted agents spend: reserved before a step, charged by what their library reports."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from control_tower.execution.calls import FunctionCall, Kind
from control_tower.quota.quotas import ResourceUsage

if TYPE_CHECKING:
    from control_tower.execution.context import Context

TOOL_CALL = ResourceUsage(tool_calls=1)
MODEL_CALL = ResourceUsage(llm_calls=1)


async def charged_step(
    ctx: "Context",
    name: str,
    fn: Callable[[Any], Any],
    argument: Any,
    reserve: ResourceUsage,
    *,
    idempotent: bool = False,
) -> Any:
    """Make ``ctx.step(name, fn, argument)`` with something reserved of the mission's quota.

    Args:
        ctx: the mission's.
        name: the step's.
        fn: what to run; it returns its output, or :class:`~control_tower.execution.calls.Spent`
            to have charged what it used.
        argument: a JSON value.
        reserve: what it will use, as far as can be told.
        idempotent: whether it may run again after a crash in the middle of it.

    Raises:
        StepFailed: if it raised.
        QuotaExceeded: if a person chose *finish* at a limit.
    """
    request = FunctionCall(fn, (argument,), idempotent, reserve)
    return await ctx.call(Kind.STEP, name, [argument], [argument], request)


def reported(result: Any) -> ResourceUsage:
    """Return what a run's result says that its models used; nothing where it says nothing."""
    usage = getattr(result, "usage", None)
    usage = usage() if inspect.ismethod(usage) else usage
    return ResourceUsage(
        llm_calls=_count(usage, "requests"),
        input_tokens=_count(usage, "input_tokens"),
        output_tokens=_count(usage, "output_tokens"),
    )


def _count(usage: Any, name: str) -> int:
    found = getattr(usage, name, None)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0
