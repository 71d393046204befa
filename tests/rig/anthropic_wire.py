"""Anthropic's messages on the wire: named events of a stream, blocks of text and of tool use.

Source: docs.anthropic.com, API reference (messages, streaming, errors).
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tests.rig.openai_wire import FRAGMENT, text_of

if TYPE_CHECKING:
    from tests.rig.model_api import Said

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def pieces(said: "Said") -> list[bytes]:
    """Return the pieces of a stream."""
    return [
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in _events(said)
    ]


def whole(said: "Said") -> dict[str, Any]:
    """Return the body of an answer that is not streamed."""
    read, wrote = said.tokens
    blocks: list[dict[str, Any]] = [{"type": "text", "text": said.text}] if said.text else []
    blocks += [
        {**_use(number, name), "input": json.loads(text_of(given))}
        for number, (name, given) in enumerate(said.calls)
    ]
    return _message(read, wrote) | {"content": blocks, "stop_reason": stop_of(said)}


def trouble(message: str, status: int) -> dict[str, Any]:
    """Return the body of an error."""
    return {
        "type": "error",
        "error": {"type": KINDS.get(status, "api_error"), "message": message},
    }


def stop_of(said: "Said") -> str:
    """Return why the model stopped."""
    named = {"length": "max_tokens", "refusal": "refusal"}
    return named.get(said.finish) or ("tool_use" if said.calls else "end_turn")


def _events(said: "Said") -> Iterator[dict[str, Any]]:
    read, wrote = said.tokens
    yield {"type": "message_start", "message": _message(read, 1)}
    index = 0
    if said.text:
        words = [{"type": "text_delta", "text": f"{word} "} for word in said.text.split(" ")]
        yield from _block(index, {"type": "text", "text": ""}, words)
        index += 1
    for number, (name, given) in enumerate(said.calls):
        text = text_of(given)
        fragments = [
            {"type": "input_json_delta", "partial_json": text[at : at + FRAGMENT]}
            for at in range(0, len(text), FRAGMENT)
        ]
        yield from _block(index, _use(number, name), fragments)
        index += 1
    if said.trouble:
        yield trouble(said.trouble, 529)
        return
    stop = {"stop_reason": stop_of(said), "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": wrote}}
    yield {"type": "message_stop"}


def _block(
    index: int, block: dict[str, Any], deltas: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    yield {"type": "content_block_start", "index": index, "content_block": block}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _use(number: int, name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"random-{number}", "name": name, "input": {}}


def _message(read: int, wrote: int) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "tiny",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": read, "output_tokens": wrote},
    }
