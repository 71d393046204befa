"""What graphs are given and say: the talk so far, the texts of messages, and people's answers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agents.bounds import OutOfBounds, storable
from events.payloads import JsonObject

if TYPE_CHECKING:
    from control_tower.execution.context import Context

MAX_HISTORY = 20
SPOKEN = ("ai", "AIMessageChunk")
"""Types of messages that a model says; what people and tools say is not streamed."""


async def earlier(ctx: "Context") -> list[JsonObject]:
    """Return what was said in the session before the mission."""
    messages = [
        {"role": message.role, "content": message.content}
        for message in await ctx.history(MAX_HISTORY)
    ]
    if messages and messages[-1] == {"role": "user", "content": ctx.mission}:
        messages.pop()
    return messages


async def opening(ctx: "Context") -> list[JsonObject]:
    """Return the talk so far, the mission last."""
    return [*await earlier(ctx), {"role": "user", "content": ctx.mission}]


def message_text(message: Any, *, spoken: bool = False) -> str:
    """Return a message's text; with ``spoken``, only of what a model says."""
    if spoken and getattr(message, "type", SPOKEN[0]) not in SPOKEN:
        return ""
    content = message.get("content") if isinstance(message, Mapping) else None
    content = getattr(message, "content", content)
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(
        str(block.get("text", "")) if isinstance(block, Mapping) else str(block) for block in blocks
    )


def result_of(state: Any) -> Any:
    """Return the last message's text where there are messages, else the state."""
    messages = state.get("messages") if isinstance(state, Mapping) else None
    if messages and (text := message_text(messages[-1])):
        return text
    try:
        return storable(state)
    except OutOfBounds:
        return str(state)


async def answer_to(ctx: "Context", value: Any) -> Any:
    """Ask a person what a graph waits for; return it in the form in which the graph takes it."""
    if isinstance(value, Mapping) and isinstance(value.get("action_requests"), list):
        decisions = [await _decide(ctx, action) for action in value["action_requests"]]
        return {"decisions": decisions}
    if isinstance(value, Mapping):
        question = value.get("question") or value.get("message") or value.get("description")
        options = value.get("options")
        chosen = [str(one) for one in options] if isinstance(options, list) else None
        return await ctx.clarify(str(question or storable(value)), chosen)
    return await ctx.clarify(str(value))


async def _decide(ctx: "Context", action: Any) -> JsonObject:
    """Ask whether an action may be made; return the decision as LangChain's middleware has it."""
    name, arguments = str(action.get("name", "action")), action.get("args") or {}
    message = str(action.get("description") or f"Run {name}?")
    decision = await ctx.confirm(message, tool=name, arguments=arguments)
    if not decision.approved:
        return {"type": "reject", "message": decision.message or "A person refused."}
    edited = decision.arguments.get("arguments", arguments)
    if edited != arguments:
        return {"type": "edit", "edited_action": {"name": name, "args": edited}}
    return {"type": "approve"}
