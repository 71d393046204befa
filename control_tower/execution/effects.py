"""Effects: the one place where a call touches the world, one attempt at a time.

An attempt never raises: whatever happens becomes an
:class:`~control_tower.execution.syscalls.EffectEnd`. Only cancellation passes through, when the
mission has ended.
"""

import asyncio
import functools
import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from control_tower.errors import AgentError, KernelBug, ModelFailed, ToolTimeout
from control_tower.execution.calls import Call, FunctionCall, History, Kind, Spent
from control_tower.execution.canonical import sha256_hex
from control_tower.execution.outcomes import agent_error_of, as_json
from control_tower.execution.run import being_closed
from control_tower.execution.syscalls import EffectEnd
from control_tower.execution.tenure import Hold, call_in_thread
from control_tower.patience import patiently
from control_tower.ports import EffectContext, ModelRequest, Models, Store, ToolPlan, Tools
from control_tower.quota.quotas import ResourceUsage
from control_tower.records import ProcessControlBlock, StepRecord
from events.times import rfc3339
from events.types import Json

TOOL_CALL = ResourceUsage(tool_calls=1)

_CHARGES = {Kind.TOOL: TOOL_CALL, Kind.LLM: ResourceUsage(llm_calls=1)}


@dataclass(slots=True, frozen=True)
class Attempts:
    """Makes attempts of tools, model turns, steps and history reads."""

    tools: Tools
    models: Models
    store: Store

    async def make(
        self,
        pcb: ProcessControlBlock,
        call: Call,
        record: StepRecord,
        delta: Callable[[str], None],
        wanted: Callable[[], bool],
    ) -> EffectEnd:
        """Make one attempt and return how it ended; see ``runs.EffectRunner``."""
        effect = EffectContext(
            pid=pcb.pid,
            session_id=pcb.session_id,
            user_id=pcb.user_id,
            step=call.step,
            attempt=record.attempt,
            effect_key=sha256_hex(pcb.pid, call.step, call.sha256)[:32],
            delta=delta,
        )
        began, task = time.perf_counter(), asyncio.current_task()
        charge = _charge_of(call)
        hold = Hold(self.store.lease_left_s, wanted)
        await hold.begin()
        try:
            end = await hold.make(self._make(pcb, call, record, effect))
        except _TimedOut:
            message = f"{call.name} did not answer in time."
            end = EffectEnd(error=ToolTimeout(message), unknown=True, usage=charge)
        except AgentError as error:
            end = EffectEnd(error=error, usage=charge)
        except KeyboardInterrupt:
            raise
        except BaseException as raised:
            # User land may raise anything, SystemExit and CancelledError among it: that is the
            # call's outcome. Only a cancellation of ours ends the attempt.
            if isinstance(raised, asyncio.CancelledError) and _cancelled():
                raise
            if being_closed(task, raised):
                raise
            end = EffectEnd(error=agent_error_of(raised, call.kind), usage=charge)
        latency_ms = round((time.perf_counter() - began) * 1000, 3)
        writes = tuple(effect.writes) if end.error is None else ()
        return replace(end, latency_ms=latency_ms, writes=writes)

    async def _make(
        self, pcb: ProcessControlBlock, call: Call, record: StepRecord, effect: EffectContext
    ) -> EffectEnd:
        match call.request:
            case ToolPlan() as plan:
                if record.arguments != plan.arguments:
                    plan = self.tools.edit(plan.name, plan.arguments, _edited(record))
                async with _Deadline(plan.timeout_s):
                    output = as_json(await self.tools.run(plan, effect))
                return EffectEnd(output=output, usage=TOOL_CALL)
            case ModelRequest(model=model) if self._unpriced(pcb, model):
                refusal = f"The price of {model} is not known, so max_cost_usd can't be kept."
                return EffectEnd(error=ModelFailed(refusal))
            case ModelRequest() as request:
                turn = await self.models.run(request, effect)
                return EffectEnd(output=as_json(turn.output), usage=turn.usage)
            case FunctionCall() as request:
                result = await _call_function(request)
                if isinstance(result, Spent):
                    output = as_json(result.output)
                    return EffectEnd(output=output, usage=self._used(result), error=result.error)
                return EffectEnd(output=as_json(result))
            case History(limit=limit):
                return EffectEnd(output=await self._history(pcb.session_id, limit))
            case other:
                raise KernelBug(f"{type(other).__name__} has no effect")

    def _used(self, spent: Spent) -> ResourceUsage:
        turns = (
            self.models.turn_usage(each.model, each.input_tokens, each.output_tokens)
            for each in spent.turns
        )
        return functools.reduce(ResourceUsage.plus, turns, spent.usage)

    def _unpriced(self, pcb: ProcessControlBlock, model: str) -> bool:
        return pcb.quota.max_cost_usd is not None and not self.models.priced(model)

    async def _history(self, session_id: str, limit: int) -> Json:
        return [
            {
                "role": message.role,
                "content": message.content,
                "created_at": rfc3339(message.created_at),
            }
            for message in await patiently(partial(self.store.recent_messages, session_id, limit))
        ]


def _charge_of(call: Call) -> ResourceUsage:
    """Return what an attempt is charged that failed: it was made all the same."""
    if isinstance(call.request, FunctionCall):
        return call.request.reserve
    return _CHARGES.get(call.kind, ResourceUsage())


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class _TimedOut(Exception):
    """The attempt's time is over."""


class _Deadline:
    """``asyncio.timeout`` whose expiry is told from a TimeoutError that the tool raised."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout = asyncio.timeout(timeout_s)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, kind: object, raised: BaseException | None, trace: object) -> None:
        if isinstance(raised, TimeoutError):
            await self._timeout.__aexit__(None, None, None)
            raise agent_error_of(raised, Kind.TOOL) from raised
        kind_ = None if raised is None else type(raised)
        try:
            await self._timeout.__aexit__(kind_, raised, None)
        except TimeoutError as expired:
            raise _TimedOut from expired


async def _call_function(request: FunctionCall) -> object:
    if inspect.iscoroutinefunction(request.function):
        awaited: Awaitable[object] = request.function(*request.args)
        return await awaited
    result: object = await asyncio.to_thread(
        call_in_thread, partial(request.function, *request.args)
    )
    return await result if inspect.isawaitable(result) else result


def _edited(record: StepRecord) -> dict[str, object]:
    if not isinstance(record.arguments, dict):
        raise KernelBug("a tool's arguments are an object")
    return record.arguments
