"""An MCP server for the tests, over standard streams. Run as a script; does what it is told to."""

import json
import os
import sys
from typing import Any

OBJECT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
TOOLS = [
    {
        "name": "say",
        "description": "Say it again.\n\nMore.",
        "inputSchema": OBJECT | {"additionalProperties": False},
        "annotations": {"readOnlyHint": True},
    },
    {"name": "wipe", "inputSchema": OBJECT, "annotations": {"destructiveHint": True}},
    {"name": "odd/name", "annotations": {"destructiveHint": False, "idempotentHint": True}},
    {"name": "plain", "inputSchema": OBJECT},
    {"name": "environment", "annotations": {"readOnlyHint": True}},
    {"name": "die", "annotations": {"readOnlyHint": True}},
    {"name": "hang", "annotations": {"readOnlyHint": True}},
    {"name": "fail", "annotations": {"readOnlyHint": True}},
    {"name": "structured", "annotations": {"readOnlyHint": True}},
    {"nonsense": True},
]


def text(said: str, **more: Any) -> dict[str, Any]:
    """Return a result with one block of text."""
    return {"content": [{"type": "text", "text": said}], **more}


def call(name: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """Return a tool's result; None for no reply."""
    match name:
        case "say":
            return text(arguments["text"])
        case "environment":
            return text(json.dumps(dict(os.environ)))
        case "die":
            sys.exit(3)
        case "hang":
            return None
        case "fail":
            return text("it broke", isError=True)
        case "structured":
            image = {"type": "image", "mimeType": "image/png", "data": "xxxx"}
            return {"content": [image], "structuredContent": {"answer": 42}}
        case _:
            return text(f"did {name}")


def answer(message: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result of a request; None for no reply."""
    params = message.get("params") or {}
    match message["method"]:
        case "initialize":
            return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}}
        case "tools/list":
            start = int(params.get("cursor", 0))
            page = {"tools": TOOLS[start : start + 4]}
            return page | ({"nextCursor": str(start + 4)} if start + 4 < len(TOOLS) else {})
        case _:
            return call(params["name"], params["arguments"])


def send(message: dict[str, Any]) -> None:
    """Write a message."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until the input ends."""
    sys.stderr.write("hello from the server\n")
    sys.stderr.flush()
    if "garbage" in sys.argv:
        sys.stdout.write("this is not JSON\n")
        send({"id": "srv", "method": "roots/list"})
        send({"id": "png", "method": "ping"})
        send({"method": "notifications/message"})
    for line in sys.stdin:
        message = json.loads(line)
        if "method" in message and "id" in message:
            result = answer(message)
            if result is not None:
                send({"id": message["id"], "result": result})


if __name__ == "__main__":
    main()
