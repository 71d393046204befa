"""The shapes of ``pydantic-ai-slim``: messages, tools, settings and answers.

The library is reached by name only, since it may not be installed.
"""

import hashlib
import importlib
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from agents.llm.provider import AskedCall, ToolOffer
from events.payloads import JsonObject

LIBRARY = "pydantic_ai"
SILENCE_S = 120.0
"""A provider that sends nothing for so long has failed."""

MAX_WIRE_NAME = 64
MAX_MALFORMED_CHARACTERS = 2_000


async def stream_texts(stream: AsyncIterator[Any]) -> AsyncIterator[str]:
    """Yield the pieces of text among a stream's events; thoughts are not part of the answer."""
    async for event in stream:
        if event.event_kind == "part_start" and event.part.part_kind == "text":
            yield event.part.content
        elif event.event_kind == "part_delta" and event.delta.part_delta_kind == "text":
            yield event.delta.content_delta


def library_messages(messages: Iterable[JsonObject]) -> list[Any]:
    """Return messages as the library has them."""
    module = importlib.import_module(f"{LIBRARY}.messages")
    made: list[Any] = []
    for message in messages:
        content = message["content"]
        match message["role"]:
            case "system":
                part = module.SystemPromptPart(content)
            case "user":
                part = module.UserPromptPart(content)
            case "tool":
                part = module.ToolReturnPart(
                    wire_name(str(message.get("name", "tool"))),
                    content,
                    str(message.get("tool_call_id", "")),
                )
            case _:
                made.append(module.ModelResponse(parts=_said(module, message)))
                continue
        if made and isinstance(made[-1], module.ModelRequest):
            made[-1].parts = [*made[-1].parts, part]
        else:
            made.append(module.ModelRequest(parts=[part]))
    return made


def _said(module: Any, message: JsonObject) -> list[Any]:
    """Return the parts of what a model said before."""
    calls = [
        module.ToolCallPart(wire_name(call["name"]), call["arguments"], call["id"])
        for call in message.get("tool_calls", [])
    ]
    text = [module.TextPart(message["content"])] if message["content"] or not calls else []
    return text + calls


def library_tools(offers: Sequence[ToolOffer]) -> list[Any]:
    """Return tools as the library offers them to models."""
    module = importlib.import_module(f"{LIBRARY}.tools")
    return [
        module.ToolDefinition(
            name=wire_name(offer.name),
            description=offer.description,
            parameters_json_schema=offer.schema,
        )
        for offer in offers
    ]


def library_settings(settings: JsonObject) -> JsonObject:
    """Return settings under the library's names."""
    made = {name: value for name, value in settings.items() if name not in ("stop", "timeout_s")}
    if stop := settings.get("stop"):
        made["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    # The clients would try again unseen, and charge nobody for it.
    return {"timeout": SILENCE_S, "max_retries": 0} | made


def wire_name(tool: str) -> str:
    """Return a tool's name as providers take it: without dots, of 64 characters at most."""
    name = tool.replace(".", "__")
    if len(name) <= MAX_WIRE_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: MAX_WIRE_NAME - 9]}_{digest}"


def asked_call(name: str, args: object) -> AskedCall:
    """Return a call of a tool; arguments that are no JSON object are kept as they were written."""
    given = args
    if isinstance(args, str):
        try:
            given = json.loads(args or "{}")
        except (ValueError, RecursionError):
            given = None
    if isinstance(given, dict):
        return AskedCall(name, given)
    return AskedCall(name, {}, str(args)[:MAX_MALFORMED_CHARACTERS])


def finish_of(answer: Any) -> str:
    """Return why a model stopped, in the tower's words, as ``tool_calls`` or ``length``."""
    asks = any(part.part_kind == "tool-call" for part in answer.parts)
    reason = str(answer.finish_reason or ("tool_call" if asks else "stop"))
    return "tool_calls" if reason == "tool_call" else reason
