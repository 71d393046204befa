"""pydantic-ai agents: each model turn and each tool call a journaled call of its own.

The agent's own loop runs as it is. Its model and its toolsets are wrapped, so that a replay finds
every answer in the journal and all of it is charged to the mission; tools that require approval
become confirmations.
"""

import asyncio
import contextlib
import functools
import importlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from agents.adapters.answers import earlier
from agents.adapters.charged import TOOL_CALL, charged_step
from agents.bounds import storable
from agents.errors import RegistrationError
from agents.llm.failures import failure_of
from agents.llm.library import LIBRARY, finish_of, library_messages, stream_texts
from agents.llm.turns import MODEL_RETRIES, Brought, BroughtTurn
from control_tower.errors import AgentError, agent_error
from control_tower.execution.calls import Kind, Spent
from control_tower.ports import EffectContext
from events.payloads import JsonObject

if TYPE_CHECKING:
    from control_tower.execution.context import Context

_SEEN = {
    "system-prompt": ("content",),
    "user-prompt": ("content",),
    "tool-return": ("tool_name", "content"),
    "retry-prompt": ("tool_name", "content"),
    "text": ("content",),
    "tool-call": ("tool_name", "args"),
}
"""What of a message's parts tells two turns apart: never their ids and times."""


def is_pydantic_agent(existing: Any) -> bool:
    """Whether an object is an agent of the library, judged without importing it."""
    family = (each.__module__.partition(".")[0] for each in type(existing).__mro__)
    return LIBRARY in family and hasattr(existing, "run") and hasattr(existing, "toolsets")


def from_pydantic_agent(
    agent: Any, name: str, deps: "Callable[[Context], Any] | None" = None
) -> "Callable[[Context], Awaitable[Any]]":
    """Return a library's agent as one of the tower.

    Args:
        agent: the library's.
        name: its name, for people.
        deps: makes the agent's ``deps``.

    Raises:
        RegistrationError: if it has no model.
    """
    if agent.model is None:
        raise RegistrationError(f"The agent {name} has no model: Agent(model, …).")

    async def adapted(ctx: "Context") -> Any:
        return await _Loop(agent, ctx, deps(ctx) if deps else None).run()

    return adapted


@dataclass(slots=True)
class _Loop:
    """One mission of the agent."""

    agent: Any
    ctx: "Context"
    deps: Any
    door: asyncio.Lock = field(default_factory=asyncio.Lock)
    failures: list[AgentError] = field(default_factory=list)

    async def run(self) -> Any:
        """Run to the agent's output, asking a person whenever it defers."""
        tools = importlib.import_module(f"{LIBRARY}.tools")
        prompt: str | None = self.ctx.mission
        history: Any = library_messages(await earlier(self.ctx)) or None
        results: Any = None
        while True:
            result = await self._stretch(tools, prompt, history, results)
            if not isinstance(result.output, tools.DeferredToolRequests):
                return result.output
            results = await self._ask(tools, result.output)
            prompt, history = None, result.all_messages()

    async def _stretch(self, tools: Any, prompt: Any, history: Any, results: Any) -> Any:
        made = _classes()
        model = made.Model(self.agent.model, self)
        toolsets = [
            toolset.visit_and_replace(lambda leaf: made.Toolset(leaf, self))
            for toolset in self.agent.toolsets
        ]
        output = self.agent.output_type
        wanted = list(output) if isinstance(output, Sequence) else [output]
        with self.agent.override(model=model, toolsets=toolsets, tools=[]):
            return await self.agent.run(
                prompt,
                deps=self.deps,
                message_history=history,
                deferred_tool_results=results,
                output_type=[*wanted, tools.DeferredToolRequests],
            )

    async def turn(self, model: Any, messages: Any, settings: Any, parameters: Any) -> Any:
        """Return the journaled answer of a model, or the model's."""
        adapter = importlib.import_module(f"{LIBRARY}.messages").ModelMessagesTypeAdapter
        asked = seen(messages)

        async def make(effect: EffectContext) -> Brought:
            answer = await _answer(model, effect, messages, settings, parameters)
            kept: Any = storable(adapter.dump_python([answer], mode="json")[0])
            return _brought(answer, kept)

        name = f"{model.system}:{model.model_name}"
        request = BroughtTurn(model=name, messages=asked, retries=MODEL_RETRIES, make=make)
        async with self.door:
            output: Any = await self.ctx.call(Kind.LLM, name, asked, asked, request)
        return adapter.validate_python([output["response"]])[0]

    async def step(self, name: str, make: Callable[[Any], Awaitable[Any]], asked: Any) -> Any:
        """Make a journaled call of a tool; the library's concurrent ones follow each other.

        Once one fails, those that wait behind it fail alike: the library gives them up, and may
        not find one of them begun.
        """
        before = len(self.failures)
        async with self.door:
            if len(self.failures) > before:
                raise agent_error(self.failures[-1].code, self.failures[-1].message)
            try:
                return await charged_step(self.ctx, name, make, asked, TOOL_CALL)
            except AgentError as error:
                self.failures.append(error)
                raise

    async def _ask(self, tools: Any, requests: Any) -> Any:
        results = tools.DeferredToolResults()
        for call in requests.approvals:
            arguments = call.args_as_dict()
            decision = await self.ctx.confirm(
                f"Run {call.tool_name}?", tool=call.tool_name, arguments=arguments
            )
            if decision.approved:
                edited = decision.arguments.get("arguments", arguments)
                override = None if edited == arguments else edited
                verdict = tools.ToolApproved(override_args=override)
            else:
                verdict = tools.ToolDenied(decision.message or "A person refused.")
            results.approvals[call.tool_call_id] = verdict
        for call in requests.calls:
            question = f"What does {call.tool_name} return for {call.args_as_dict()}?"
            results.calls[call.tool_call_id] = await self.ctx.clarify(question)
        return results


def seen(messages: Sequence[Any]) -> list[JsonObject]:
    """Return what of messages is hashed: roles, texts, tools' names and arguments."""
    return [
        {"part": part.part_kind}
        | {name: storable(getattr(part, name, None)) for name in _SEEN[part.part_kind]}
        for message in messages
        for part in message.parts
        if part.part_kind in _SEEN
    ]


@functools.cache
def _classes() -> SimpleNamespace:
    """Return the wrappers; they derive from the library's classes, so are made when it is there."""
    errors = importlib.import_module(f"{LIBRARY}.exceptions")
    wrapper_model = importlib.import_module(f"{LIBRARY}.models.wrapper").WrapperModel
    wrapper_toolset = importlib.import_module(f"{LIBRARY}.toolsets").WrapperToolset

    class Model(wrapper_model):  # type: ignore[misc, valid-type]
        """A model whose turns are steps."""

        def __init__(self, wrapped: Any, loop: _Loop) -> None:
            super().__init__(wrapped)
            self._loop = loop

        async def request(self, messages: Any, settings: Any, parameters: Any) -> Any:
            """Return the journaled answer, or the model's."""
            return await self._loop.turn(self.wrapped, messages, settings, parameters)

    @dataclass
    class Toolset(wrapper_toolset):  # type: ignore[misc, valid-type]
        """A toolset whose calls are steps."""

        loop: _Loop

        async def call_tool(self, name: str, tool_args: Any, ctx: Any, tool: Any) -> Any:
            """Return the journaled outcome, or the tool's."""

            async def make(_: Any) -> Spent:
                called = self.wrapped.call_tool(name, tool_args, ctx, tool)
                return Spent(await _kept(errors, called), TOOL_CALL)

            asked = storable(tool_args)
            return _as_it_ended(errors, await self.loop.step(f"tool {name}", make, asked))

    return SimpleNamespace(Model=Model, Toolset=Toolset)


async def _kept(errors: Any, called: Awaitable[Any]) -> JsonObject:
    """Return how a tool's call ended as the journal keeps it; any other error fails the step."""
    try:
        return {"output": storable(await called)}
    except errors.ModelRetry as retry:
        return {"retry": retry.message}
    except errors.ToolFailed as failure:
        return {"failed": failure.message}
    except errors.ApprovalRequired:
        return {"approval": True}
    except errors.CallDeferred as deferred:
        return {"deferred": deferred.kind}


def _as_it_ended(errors: Any, kept: Any) -> Any:
    """Return what a tool returned, or raise what the library is to hear of it."""
    match kept:
        case {"retry": message}:
            raise errors.ModelRetry(message)
        case {"failed": message}:
            raise errors.ToolFailed(message)
        case {"approval": _}:
            raise errors.ApprovalRequired
        case {"deferred": kind}:
            raise errors.CallDeferred(kind=kind)
        case _:
            return kept["output"]


async def _answer(
    model: Any, effect: EffectContext, messages: Any, settings: Any, parameters: Any
) -> Any:
    """Return a model's answer; what can stream, streams its text as deltas.

    Raises:
        ModelFailed: when the provider failed.
        ModelBusy: when another attempt may end otherwise.
    """
    try:
        if getattr(model, "stream_function", True) is not None:
            with contextlib.suppress(NotImplementedError):  # some providers' models have no streams
                async with model.request_stream(messages, settings, parameters) as stream:
                    async for text in stream_texts(stream):
                        effect.delta(text)
                    return stream.get()
        return await model.request(messages, settings, parameters)
    except AgentError:
        raise
    except Exception as error:  # every provider's client has classes of its own
        raise failure_of(model.system, error, {}) from error


def _brought(answer: Any, kept: JsonObject) -> Brought:
    """Return a turn as the journal keeps it: in the words of ``ctx.llm``, and in the library's."""
    try:
        cost_usd = float(answer.cost().total_price)
    except (AssertionError, LookupError, ValueError):
        cost_usd = None
    return Brought(
        output={
            "text": "".join(part.content for part in answer.parts if part.part_kind == "text"),
            "tool_calls": [
                {"id": part.tool_call_id, "name": part.tool_name, "arguments": storable(part.args)}
                for part in answer.parts
                if part.part_kind == "tool-call"
            ],
            "finish_reason": finish_of(answer),
            "response": kept,
        },
        input_tokens=answer.usage.input_tokens,
        output_tokens=answer.usage.output_tokens,
        cost_usd=cost_usd,
    )
