"""The context: what a program sees of the tower. Every method is a system call.

Each call has a number, its *step*: ``1``, ``2``, … and within ``parallel`` ``3.1.1`` (first call
of the first branch of step 3). The number is the call's place in the journal, so a program must
make the same calls in the same order each time it is run.
"""

import asyncio
import hashlib
import math
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from control_tower import errors
from control_tower.execution.calls import (
    STEP_NAME_CHARACTERS,
    Artifact,
    Call,
    Clarify,
    Confirm,
    Emit,
    FunctionCall,
    History,
    Join,
    Kind,
    Rejected,
    Request,
    Sleep,
    Spawn,
    check_step_name,
)
from control_tower.execution.results import Decision, Message, Reply
from control_tower.execution.run import Run
from control_tower.ports import Clock, Models, Profile, Tools
from control_tower.quota.quotas import ResourceQuota
from control_tower.records import ProcessControlBlock, StepStatus
from events.payloads import JsonObject
from events.types import Json

PIECE_CHARACTERS = 32 * 1024
"""The most text that is streamed in one event: 192 KiB, if JSON spells every character out."""


@dataclass(slots=True, frozen=True)
class Services:
    """What contexts share."""

    tools: Tools
    models: Models
    clock: Clock


class Child:
    """A child mission that this one started."""

    def __init__(self, ctx: "Context", pid: str) -> None:
        self._ctx = ctx
        self.pid = pid

    async def result(self) -> Json:
        """Wait for the child and return its result.

        Raises:
            ChildFailed: if it did not complete.
        """
        return await self._ctx.call(
            Kind.JOIN, "join", {"child": self.pid}, {"child": self.pid}, Join(self.pid)
        )


class Context:
    """A program's (or a branch's) door to the tower. It has one call in flight at a time.

    Attributes:
        ran: the arguments with which the last call ran: those that a person approved, where
            they edited what the program had asked for.
    """

    def __init__(
        self,
        pcb: ProcessControlBlock,
        run: Run,
        services: Services,
        profile: Profile | None = None,
        prefix: str = "",
    ) -> None:
        self._pcb = pcb
        self._profile = profile
        self._run = run
        self._services = services
        self._prefix = prefix
        self._count = 0
        self.ran: Json = None
        self._calling = False

    @property
    def mission(self) -> str:
        """The mission's text."""
        return self._pcb.mission

    @property
    def inputs(self) -> JsonObject:
        """What the caller gave beside the text."""
        return self._pcb.inputs

    @property
    def session_id(self) -> str:
        """The session."""
        return self._pcb.session_id

    @property
    def user_id(self) -> str:
        """The user for whom the mission runs."""
        return self._pcb.user_id

    @property
    def pid(self) -> str:
        """The mission's id."""
        return self._pcb.pid

    @property
    def attempt(self) -> int:
        """Which attempt this is: 1, and one more after each crash."""
        return self._pcb.attempt

    @property
    def replaying(self) -> bool:
        """Whether the next outcome comes from the journal."""
        return self._run.journal.replaying

    @property
    def profile(self) -> Profile | None:
        """The profile of the request, as it is configured now."""
        return self._profile

    async def history(self, limit: int = 50) -> list[Message]:
        """Return the session's newest messages, oldest of them first."""
        output = await self.call(
            Kind.HISTORY, "history", {"limit": limit}, {"limit": limit}, History(limit)
        )
        return msgspec.convert(output, list[Message])

    async def llm(
        self,
        messages: Sequence[JsonObject],
        model: str | None = None,
        tools: Sequence[object] | None = None,
        **settings: Any,
    ) -> Reply:
        """Make one model turn; its text streams out as it comes.

        Raises:
            ModelFailed: if the provider failed for good.
            QuotaExceeded: if a person chose *finish* at a limit.
        """
        chosen = model or (self._profile.model if self._profile else None)
        try:
            request = self._services.models.plan(messages, chosen, tools or (), settings)
        except errors.AgentError as error:
            said: JsonObject = {"error": error.message}
            return msgspec.convert(
                await self._refused(Kind.LLM, chosen or "model", said, said, error), Reply
            )
        asked: JsonObject = {
            "model": request.model,
            "messages": list(request.messages),
            "tools": list(request.tools),
            "settings": request.settings,
        }
        return msgspec.convert(
            await self.call(Kind.LLM, request.model, asked, asked, request), Reply
        )

    async def tool(self, tool: object, /, **arguments: Any) -> Json:
        """Call a tool, asking a person first where its risk demands it.

        Args:
            tool: a registered function or its name.
            arguments: as its schema has them.

        Raises:
            ToolRefused, ToolFailed, ToolTimeout, ToolInvalid, BreakerOpen, QuotaExceeded
        """
        try:
            plan = self._services.tools.plan(tool, arguments)
        except errors.AgentError as error:
            name = tool if isinstance(tool, str) else getattr(tool, "__name__", "tool")
            # Not the error: the tool may come, or go, before the program is run again.
            asked = self._services.tools.asked(arguments)
            shown: JsonObject = {"arguments": sorted(arguments), "error": error.message}
            return await self._refused(Kind.TOOL, name, asked, shown, error)
        return await self.call(Kind.TOOL, plan.name, plan.identity, plan.arguments, plan)

    async def confirm(self, message: str, **details: Any) -> Decision:
        """Ask a person yes or no. Nobody answering in time is a no.

        Raises:
            ValueError: for more than 252 KiB of JSON.
        """
        asked: JsonObject = {"message": message, "details": details}
        output = await self.call(Kind.CONFIRM, "confirm", asked, asked, Confirm(message, details))
        return msgspec.convert(output, Decision)

    async def clarify(
        self, question: str, options: Sequence[str] | None = None, strict: bool = False
    ) -> str:
        """Ask a person for words; with ``strict``, for one of ``options``.

        Raises:
            ClarificationExpired: if nobody answered in time.
            ValueError: for more than 252 KiB of JSON.
        """
        chosen = None if options is None else tuple(options)
        asked: JsonObject = {"question": question, "options": chosen, "strict": strict}
        request = Clarify(question, chosen, strict)
        return str(await self.call(Kind.CLARIFY, "clarify", asked, asked, request))

    async def step(
        self, name: str, fn: Callable[..., Any], /, *args: Any, idempotent: bool = False
    ) -> Json:
        """Run a function once and keep what it returned (a JSON value).

        Args:
            name: the step's name, for people and the journal.
            fn: ``def`` (runs in a thread) or ``async def``.
            args: JSON values, given to ``fn``.
            idempotent: whether it may run again after a crash in the middle of it.

        Raises:
            StepFailed: if it raised.
            ValueError: for a name of more than 1 000 characters.
        """
        check_step_name(name)
        arguments = list(args)
        request = FunctionCall(fn, args, idempotent)
        return await self.call(Kind.STEP, name, arguments, arguments, request)

    async def sleep(self, seconds: float) -> None:
        """Sleep; a restart of the server does not prolong it."""
        if not math.isfinite(seconds):
            raise ValueError("a sleep ends: seconds is a finite number")
        asked: JsonObject = {"seconds": seconds}
        await self.call(Kind.SLEEP, "sleep", asked, asked, Sleep(seconds))

    async def spawn(
        self, agent: str, mission: str, quota: ResourceQuota | Mapping[str, object] | None = None
    ) -> Child:
        """Start a child mission beside this one.

        Args:
            agent: its name.
            mission: what the child is to do.
            quota: limits of its own, out of this mission's; None shares this mission's.
        """
        asked: JsonObject = {"agent": agent, "mission": mission}
        limits = None
        if quota is not None:
            limits = msgspec.convert(msgspec.to_builtins(quota), ResourceQuota)
            asked["quota"] = msgspec.to_builtins(limits)
        output = await self.call(Kind.SPAWN, agent, asked, asked, Spawn(agent, mission, limits))
        return Child(self, str(output))

    async def parallel(self, *branches: Callable[["Context"], Awaitable[Any]]) -> list[Any]:
        """Run branches side by side, each with its own context; return their results in order.

        Raises:
            Exception: the first error in branch order, once all branches have ended.
        """
        step = self._enter("parallel")
        self._calling = True
        try:
            return await self._run.fan_out(
                [
                    _bind(branch, self._branch(f"{step}.{number}."))
                    for number, branch in enumerate(branches, 1)
                ]
            )
        except asyncio.CancelledError:
            self._run.cancelled_from_outside(step)
            raise
        finally:
            self._calling = False

    def _branch(self, prefix: str) -> "Context":
        return type(self)(self._pcb, self._run, self._services, self._profile, prefix)

    def now(self) -> float:
        """Return the time in Unix seconds, the same in each replay."""
        clock = self._services.clock.now
        return float(self._run.instant(self._next(), Kind.NOW, clock, clock()))

    def random(self) -> float:
        """Return a random number in [0, 1), the same in each replay."""
        now = self._services.clock.now()
        return float(self._run.instant(self._next(), Kind.RANDOM, random.random, now))

    def uuid(self) -> str:
        """Return a random UUID, the same in each replay."""
        now = self._services.clock.now()
        return str(self._run.instant(self._next(), Kind.UUID, lambda: str(uuid.uuid4()), now))

    def delta(self, text: str) -> None:
        """Stream a piece of text now. It is not stored: return the whole as the result."""
        for at in range(0, len(text), PIECE_CHARACTERS):
            self._run.stream(text[at : at + PIECE_CHARACTERS])

    async def emit(self, name: str, **fields: Any) -> None:
        """Say something lasting: a ``mission.progress`` event.

        Raises:
            ValueError: for more than 252 KiB of JSON.
        """
        asked: JsonObject = {"name": name, "fields": fields}
        await self.call(Kind.EMIT, name, asked, asked, Emit(name, fields))

    async def artifact(
        self, name: str, content: str | bytes, media_type: str = "text/plain"
    ) -> None:
        """Store a named result that people can open; one of the same name is replaced.

        Raises:
            ValueError: for a name that is no part of a path, or a media type that is none.
        """
        body = content.encode() if isinstance(content, str) else content
        digest = hashlib.sha256(body).hexdigest()
        asked: JsonObject = {"name": name, "media_type": media_type, "sha256": digest}
        await self.call(Kind.ARTIFACT, name, asked, asked, Artifact(name, body, media_type))

    async def _refused(
        self, kind: Kind, name: str, asked: Json, shown: Json, error: errors.AgentError
    ) -> Json:
        """Journal a call that can't be made, so that its error is an outcome like any other.

        One that was made before, when it could be, has the outcome that is recorded.
        """
        name = name[:STEP_NAME_CHARACTERS]
        return await self.call(kind, name, asked, shown, Rejected(error.code, error.message))

    def _next(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count}"

    def _enter(self, what: str) -> str:
        if self._calling:
            raise errors.ConcurrentCall(
                f"{what} was called while another call of this context is in flight; "
                "use ctx.parallel, which gives each branch a context of its own"
            )
        return self._next()

    async def call(
        self, kind: Kind, name: str, identity: Json, arguments: Json, request: Request
    ) -> Json:
        """Make a system call of any kind; the other methods are its spellings."""
        if self._run.closed:
            await self._run.suspend()
        step = self._enter(kind)
        outcome = asyncio.get_running_loop().create_future()
        call = Call(step, kind, name, identity, arguments, request, outcome)
        self._calling = True
        try:
            record = await self._run.call(call)
        except asyncio.CancelledError:
            self._run.cancelled_from_outside(step)
            raise
        finally:
            self._calling = False
        self.ran = record.arguments
        if record.status is StepStatus.FAILED and record.error is not None:
            raise errors.agent_error(record.error["code"], record.error["message"])
        return record.output


def _bind(
    branch: Callable[[Context], Awaitable[Any]], ctx: Context
) -> Callable[[], Awaitable[Any]]:
    return lambda: branch(ctx)
