"""pydantic-ai agents: each model turn and each tool call a journaled step.

The agent's own loop runs as it is. Its model and its toolsets are wrapped, so that a replay finds
every answer in the journal; tools that require approval become confirmations.
"""

import asyncio
import functools
import importlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from agents.bounds import storable
from agents.errors import RegistrationError
from agents.llm.library import stream_texts
from events.payloads import JsonObject

if TYPE_CHECKING:
    from control_tower.context import Context

LIBRARY = "pydantic_ai"
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


def from_pydantic_agent(agent: Any, name: str) -> "Callable[[Context], Awaitable[Any]]":
    """Return a library's agent as one of the tower.

    Raises:
        RegistrationError: if it has no model.
    """
    if agent.model is None:
        raise RegistrationError(f"The agent {name} has no model: Agent(model, …).")

    async def adapted(ctx: "Context") -> Any:
        return await _Loop(agent, ctx).run()

    return adapted


@dataclass(slots=True)
class _Loop:
    """One mission of the agent."""

    agent: Any
    ctx: "Context"
    door: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> Any:
        """Run to the agent's output, asking a person whenever it defers."""
        tools = importlib.import_module(f"{LIBRARY}.tools")
        prompt: str | None = self.ctx.mission
        history: Any = None
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
                message_history=history,
                deferred_tool_results=results,
                output_type=[*wanted, tools.DeferredToolRequests],
            )

    async def step(
        self, name: str, make: Callable[[Any], Awaitable[Any]], asked: Any, *, idempotent: bool
    ) -> Any:
        """Make a journaled step; the library's concurrent calls are made one after the other."""
        async with self.door:
            return await self.ctx.step(name, make, asked, idempotent=idempotent)

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


def seen(messages: Sequence[Any]) -> list[Any]:
    """Return what of messages is hashed: roles, texts, tools' names and arguments."""
    return [
        [part.part_kind, *(storable(getattr(part, name, None)) for name in _SEEN[part.part_kind])]
        for message in messages
        for part in message.parts
        if part.part_kind in _SEEN
    ]


@functools.cache
def _classes() -> SimpleNamespace:
    """Return the wrappers; they derive from the library's classes, so are made when it is there."""
    adapter = importlib.import_module(f"{LIBRARY}.messages").ModelMessagesTypeAdapter
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

            async def make(_: Any) -> Any:
                answer = await _streamed(
                    self.wrapped, self._loop.ctx, messages, settings, parameters
                )
                return storable(adapter.dump_python([answer], mode="json")[0])

            name = f"model {self.wrapped.model_name}"
            kept = await self._loop.step(name, make, seen(messages), idempotent=True)
            return adapter.validate_python([kept])[0]

    @dataclass
    class Toolset(wrapper_toolset):  # type: ignore[misc, valid-type]
        """A toolset whose calls are steps."""

        loop: _Loop

        async def call_tool(self, name: str, tool_args: Any, ctx: Any, tool: Any) -> Any:
            """Return the journaled outcome, or the tool's."""

            async def make(_: Any) -> JsonObject:
                try:
                    output = await self.wrapped.call_tool(name, tool_args, ctx, tool)
                    return {"output": storable(output)}
                except errors.ModelRetry as retry:
                    return {"retry": retry.message}
                except errors.ApprovalRequired:
                    return {"approval": True}

            kept = await self.loop.step(f"tool {name}", make, storable(tool_args), idempotent=False)
            if "retry" in kept:
                raise errors.ModelRetry(kept["retry"])
            if "approval" in kept:
                raise errors.ApprovalRequired
            return kept["output"]

    return SimpleNamespace(Model=Model, Toolset=Toolset)


async def _streamed(
    model: Any, ctx: "Context", messages: Any, settings: Any, parameters: Any
) -> Any:
    """Return a model's answer; what can stream, streams its text as deltas."""
    if getattr(model, "stream_function", True) is None:
        return await model.request(messages, settings, parameters)
    async with model.request_stream(messages, settings, parameters) as stream:
        async for text in stream_texts(stream):
            ctx.delta(text)
        return stream.get()
