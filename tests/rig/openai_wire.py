"""OpenAI's chat completions on the wire: chunks of a stream, tool calls in fragments, usage last.

Source: platform.openai.com, API reference (chat, streaming). llama.cpp and Azure speak the same.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.rig.model_api import Said

HEAD: dict[str, Any] = {"id": "chatcmpl-1", "created": 1, "model": "tiny"}
FRAGMENT = 7
"""Characters of a call's arguments in one chunk, so that JSON is broken in the middle."""


def pieces(said: "Said") -> list[bytes]:
    """Return the pieces of a stream."""
    chunks = [*_chunks(said), _chunk({}, finish_of(said)), _usage(said)]
    made = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
    if said.trouble:
        made.append(f"data: {json.dumps(trouble(said.trouble, 503))}\n\n".encode())
    return [*made, b"data: [DONE]\n\n"]


def whole(said: "Said") -> dict[str, Any]:
    """Return the body of an answer that is not streamed."""
    calls = [_call(number, name, text_of(given)) for number, (name, given) in enumerate(said.calls)]
    message: dict[str, Any] = {"role": "assistant", "content": said.text or None}
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "finish_reason": finish_of(said)}
    return {**HEAD, "object": "chat.completion", "choices": [choice], "usage": _counts(said)}


def trouble(message: str, status: int) -> dict[str, Any]:
    """Return the body of an error."""
    codes = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "code": codes.get(status)}}


def finish_of(said: "Said") -> str:
    """Return why the model stopped."""
    if said.finish == "refusal":
        return "content_filter"
    return said.finish or ("tool_calls" if said.calls else "stop")


def text_of(arguments: dict[str, Any] | str) -> str:
    """Return arguments as the model writes them."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _chunks(said: "Said") -> Iterator[dict[str, Any]]:
    yield _chunk({"role": "assistant", "content": ""})
    for word in said.text.split(" ") if said.text else ():
        yield _chunk({"content": f"{word} "})
    given = [text_of(arguments) for _, arguments in said.calls]
    for number, (name, _) in enumerate(said.calls):
        yield _chunk({"tool_calls": [{"index": number, **_call(number, name, "")}]})
    # The fragments of parallel calls come by turns.
    for start in range(0, max(map(len, given), default=0), FRAGMENT):
        for number, text in enumerate(given):
            if fragment := text[start : start + FRAGMENT]:
                part = {"index": number, "function": {"arguments": fragment}}
                yield _chunk({"tool_calls": [part]})


def _call(number: int, name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": f"random-{number}", "type": "function", "function": function}


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [choice]}


def _usage(said: "Said") -> dict[str, Any]:
    return {**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": _counts(said)}


def _counts(said: "Said") -> dict[str, int]:
    read, wrote = said.tokens
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
