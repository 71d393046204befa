"""The tool executor: plans a call, then makes attempts at it.

Planning validates and decides what a person is shown; running resolves secrets, asks the tool's
breaker, calls the function in the loop or in a thread, and notes how it went. Time-outs, retries,
confirmations and the journal are the kernel's: it cancels an attempt that takes too long.
"""

import asyncio
import inspect
import os
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from agents import secret
from agents.bounds import OutOfBounds, clean_text, storable
from agents.breaker import FAILURES, WINDOW_S, Breaker, BreakerState
from agents.errors import ToolDeclined
from agents.health import CallStatus, HealthBook
from agents.planner import Planner, named_values
from agents.program import plain_result
from agents.registry import Registry
from agents.threads import TOOL_THREADS
from agents.tool_context import Search, ToolContext
from agents.tool_spec import ToolSpec
from agents.witness import Sighting, Witness
from agents.workspace import Files, Workspace
from control_tower.errors import (
    AgentError,
    BreakerOpen,
    QuotaExceeded,
    ToolFailed,
    ToolInvalid,
    agent_error,
)
from control_tower.ports import Clock, EffectContext, ToolPlan
from events.payloads import BreakerClosed, BreakerHalfOpened, BreakerOpened
from events.times import rfc3339
from events.types import EventData, Json

log = structlog.get_logger()

MAX_ERROR_CHARACTERS = 2_000
CLOCK_TOLERANCE = 0.98
"""A cut this near to the time-out is the time-out: the wall clock is not the timer's."""

THE_TOWERS_OWN = (BreakerOpen, QuotaExceeded)
"""What only the tower can say. A tool that was called has acted, and whose breaker was open was
not: its call would be made again. And a mission ends with its quota, where nobody catches it."""


def _unheard(_: object) -> None:
    """The default listener."""


@dataclass(slots=True)
class _Attempt:
    """One attempt under way."""

    spec: ToolSpec
    breaker: Breaker
    trial: bool
    began_at: float
    revealed: dict[str, str]


class Executor:
    """Implements :class:`control_tower.ports.Tools` over a registry.

    Attributes:
        on_breaker: told of each breaker's change, with the event's payload.
        on_secret: told of each secret's value before a tool is given it, so that logs know it.
        health: how every tool has worked.
        witness: the attempts that were made, for audits of the journal.
    """

    def __init__(
        self,
        registry: Registry,
        store: Files,
        clock: Clock,
        search: Search | None = None,
        secrets: Mapping[str, str] = os.environ,
    ) -> None:
        self._planner = Planner(registry, secrets)
        self._store = store
        self._clock = clock
        self._search = search
        self._secrets = secrets
        self._breakers: dict[str, Breaker] = {}
        self.on_breaker: Callable[[EventData], None] = _unheard
        self.on_secret: Callable[[str], None] = _unheard
        self.health = HealthBook()
        self.witness = Witness()

    def plan(self, tool: object, arguments: Mapping[str, object]) -> ToolPlan:
        """Validate a call; see :meth:`agents.planner.Planner.plan`."""
        return self._planner.plan(tool, arguments)

    def asked(self, arguments: Mapping[str, object]) -> Json:
        """Return what a call asks that can't be planned; see :class:`agents.planner.Planner`."""
        return self._planner.asked(arguments)

    def edit(
        self, tool: str, proposed: Mapping[str, object], arguments: Mapping[str, object]
    ) -> ToolPlan:
        """Validate a person's edit of a call; see :meth:`agents.planner.Planner.edit`."""
        return self._planner.edit(tool, proposed, arguments)

    def blocked_until(self, tool: str, now: float) -> float | None:
        """Return when a call of ``tool`` may be tried; None if it may be made now."""
        breaker = self._breakers.get(tool)
        return None if breaker is None else breaker.blocked_until(now)

    def breaker(self, tool: str) -> Breaker:
        """Return the breaker of ``tool``; look at it, but change it by :meth:`reset` only."""
        if tool not in self._breakers:
            self._breakers[tool] = Breaker()
        return self._breakers[tool]

    def breaker_state(self, tool: str) -> BreakerState:
        """Return where the breaker of ``tool`` stands."""
        return self.breaker(tool).state

    def reset(self, tool: str) -> bool:
        """Close the breaker of ``tool``; whether it was open."""
        breaker = self.breaker(tool)
        changed = breaker.reset()
        if changed:
            self._say(BreakerClosed, tool, breaker)
        return changed

    def refused(self, tool: str, why: str) -> None:
        """Count a call that was not made, because nobody approved it."""
        self.health.record(tool, CallStatus.REJECTED, 0.0, self._clock.now(), why)

    async def run(self, plan: ToolPlan, effect: EffectContext) -> Json:
        """Make one attempt. Cancelled at ``plan.timeout_s``, it counts as a failure.

        A plain function runs in a thread, which a cancellation cannot stop.

        Raises:
            BreakerOpen: without calling the tool, when its breaker lets no call through.
            AgentError: as the call's outcome; any other exception of the tool becomes
                ``ToolFailed`` with its class and message.
        """
        attempt = self._begin(self._planner.find(plan.name))
        self.witness.saw(
            Sighting(
                tool=plan.name,
                pid=effect.pid,
                step=effect.step,
                attempt=effect.attempt,
                asks=plan.confirm,
                at=attempt.began_at,
            )
        )
        try:
            output = await self._call(attempt, plan, effect)
        except (Exception, SystemExit, asyncio.CancelledError) as raised:
            if isinstance(raised, asyncio.CancelledError) and _cancelled_from_outside():
                self._cut(attempt, plan)
                raise
            error = _outcome(raised, attempt)
            self._failed(attempt, error)
            # Its cause is in the log, redacted; chained here it could be shown elsewhere.
            raise error from None
        except BaseException:
            # The run is parked or closed, which says nothing about the tool.
            attempt.breaker.abandoned(attempt.trial)
            raise
        self._end(attempt, CallStatus.SUCCESS)
        return output

    async def _call(self, attempt: _Attempt, plan: ToolPlan, effect: EffectContext) -> Json:
        spec, revealed = attempt.spec, attempt.revealed
        arguments = secret.reveal(plan.arguments, self._secrets, revealed)
        for value in revealed.values():
            self.on_secret(value)
        keywords = spec.schema.keywords(named_values(arguments))
        if spec.schema.context_parameter is not None:
            keywords[spec.schema.context_parameter] = self._context(attempt, effect)
        if spec.in_loop:
            result = await spec.function(**keywords)
        else:
            result = await TOOL_THREADS.run(partial(spec.function, **keywords))
            if inspect.isawaitable(result):
                result = await result
        return storable(plain_result(result), partial(secret.redact, revealed=revealed))

    def _context(self, attempt: _Attempt, effect: EffectContext) -> ToolContext:
        def delta(text: str) -> None:
            effect.delta(secret.redact(clean_text(text), attempt.revealed))

        loop = asyncio.get_running_loop()

        def from_thread(text: str) -> None:
            loop.call_soon_threadsafe(delta, text)

        return ToolContext(
            effect_key=effect.effect_key,
            pid=effect.pid,
            step=effect.step,
            attempt=effect.attempt,
            session_id=effect.session_id,
            user_id=effect.user_id,
            workspace=Workspace(self._store, effect.session_id, attempt.began_at, effect.writes),
            now=attempt.began_at,
            delta=delta if attempt.spec.in_loop else from_thread,
            search=self._search,
        )

    def _begin(self, spec: ToolSpec) -> _Attempt:
        breaker, now = self.breaker(spec.name), self._clock.now()
        until = breaker.blocked_until(now)
        if until is not None:
            raise BreakerOpen(
                f"{spec.name} failed {FAILURES} times within {WINDOW_S / 60:.0f} minutes and is "
                f"not called before {rfc3339(until)}."
            )
        was = breaker.state
        trial = breaker.admit(now)
        if breaker.state is not was:
            self._say(BreakerHalfOpened, spec.name, breaker)
        return _Attempt(spec, breaker, trial, now, {})

    def _failed(self, attempt: _Attempt, error: AgentError) -> None:
        if isinstance(error, ToolInvalid):
            # The function was never called.
            attempt.breaker.abandoned(attempt.trial)
            self._count(attempt, CallStatus.REJECTED, error.message)
        elif isinstance(error, ToolDeclined):
            self._end(attempt, CallStatus.REJECTED, error.message)
        else:
            self._end(attempt, CallStatus.ERROR, error.message)

    def _cut(self, attempt: _Attempt, plan: ToolPlan) -> None:
        """Note a cancellation: a time-out is the tool's failure, a cancelled mission is not."""
        lasted = self._clock.now() - attempt.began_at
        if plan.timeout_s is not None and lasted >= plan.timeout_s * CLOCK_TOLERANCE:
            self._end(attempt, CallStatus.TIMEOUT, f"no answer within {plan.timeout_s:g} s")
        else:
            attempt.breaker.abandoned(attempt.trial)

    def _end(self, attempt: _Attempt, status: CallStatus, error: str | None = None) -> None:
        """Count an attempt, and tell the breaker."""
        self._count(attempt, status, error)
        now, breaker, tool = self._clock.now(), attempt.breaker, attempt.spec.name
        if status in (CallStatus.ERROR, CallStatus.TIMEOUT):
            if breaker.failed(now, attempt.trial):
                self._say(BreakerOpened, tool, breaker)
        elif breaker.succeeded(attempt.trial):
            self._say(BreakerClosed, tool, breaker)

    def _count(self, attempt: _Attempt, status: CallStatus, error: str | None) -> None:
        now = self._clock.now()
        latency_ms = max(0.0, now - attempt.began_at) * 1000
        self.health.record(attempt.spec.name, status, latency_ms, now, error)

    def _say(
        self,
        event: type[BreakerOpened] | type[BreakerHalfOpened] | type[BreakerClosed],
        tool: str,
        breaker: Breaker,
    ) -> None:
        retry_at = None if breaker.retry_at is None else rfc3339(breaker.retry_at)
        failures = breaker.failures(self._clock.now())
        self.on_breaker(event(tool=tool, failures=failures, retry_at=retry_at))


def _cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _outcome(raised: BaseException, attempt: _Attempt) -> AgentError:
    """Return what the program gets for what a tool raised; the log gets the traceback."""
    if isinstance(raised, AgentError) and not isinstance(raised, THE_TOWERS_OWN):
        message = _said(raised.message, attempt)
        if message == raised.message:
            return raised
        return _reworded(raised, message)
    if isinstance(raised, OutOfBounds):
        return ToolFailed(f"What the tool returned cannot be kept: {raised}.")
    trace = "".join(traceback.format_exception(raised))
    log.warning("tool.raised", tool=attempt.spec.name, error=secret.redact(trace, attempt.revealed))
    return ToolFailed(_said(f"{type(raised).__name__}: {raised}", attempt))


def _said(message: str, attempt: _Attempt) -> str:
    return secret.redact(clean_text(message), attempt.revealed)[:MAX_ERROR_CHARACTERS]


def _reworded(error: AgentError, message: str) -> AgentError:
    if isinstance(error, ToolDeclined):
        return ToolDeclined(message)
    return agent_error(error.code, message)
