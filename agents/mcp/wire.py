"""The Model Context Protocol's messages about tools, and what is made of them. A core.

Source: modelcontextprotocol.io, specification 2025-06-18 (lifecycle, tools, pagination).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from agents.bounds import MAX_ARGUMENTS_BYTES, OutOfBounds, check_inside, encoded, jsonable
from agents.schema import Checked
from control_tower.errors import ToolFailed, ToolInvalid
from events.payloads import JsonObject
from events.types import Json

PROTOCOL_VERSION = "2025-06-18"
METHOD_NOT_FOUND = -32601
MAX_TOOLS = 500
MAX_TEXT_CHARACTERS = 1_000_000
MAX_ABOUT_CHARACTERS = 10_000
"""A description is shown to people, and to models at each turn."""
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}

Risk = Literal["read_only", "write", "destructive", "high"]


@dataclass(slots=True, frozen=True)
class OfferedTool:
    """A tool as its server describes it."""

    name: str
    description: str
    schema: JsonObject
    risk: Risk
    idempotent: bool


def initialize_params(version: str) -> JsonObject:
    """Return what the client says first."""
    return {
        "protocolVersion": PROTOCOL_VERSION,
        "capabilities": {},
        "clientInfo": {"name": "control-tower", "version": version},
    }


def offered(tool: object) -> OfferedTool | None:
    """Return a tool of a server's list; None for one that makes no sense."""
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str) or not tool["name"]:
        return None
    schema = tool.get("inputSchema")
    annotations = tool.get("annotations")
    hints = annotations if isinstance(annotations, dict) else {}
    risk = risk_of(hints)
    return OfferedTool(
        name=tool["name"],
        description=str(tool.get("description") or tool.get("title") or "")[:MAX_ABOUT_CHARACTERS],
        schema=schema if isinstance(schema, dict) else {"type": "object"},
        risk=risk,
        idempotent=risk == "read_only" or hints.get("idempotentHint") is True,
    )


def risk_of(hints: Mapping[str, object]) -> Risk:
    """Return a tool's risk from its annotations; without any it is high, so a person is asked."""
    if hints.get("destructiveHint") is True:
        return "destructive"
    if hints.get("readOnlyHint") is True:
        return "read_only"
    return "write" if hints.get("destructiveHint") is False else "high"


def tool_name(server: str, tool: str) -> str:
    """Return the name of a server's tool in the registry."""
    return f"mcp.{server}.{re.sub(r'[^A-Za-z0-9_.-]', '_', tool)}"[:200]


def outcome(result: object) -> Json:
    """Return what a call returned: its structured content, else its texts.

    Raises:
        ToolFailed: when the server says that the tool failed.
    """
    if not isinstance(result, dict):
        raise ToolFailed("The MCP server's answer makes no sense.")
    content = result.get("content")
    blocks = content if isinstance(content, list) else []
    text = "\n".join(_shown(block) for block in blocks)[:MAX_TEXT_CHARACTERS]
    if result.get("isError") is True:
        raise ToolFailed(text or "The tool failed without saying why.")
    structured = result.get("structuredContent")
    return structured if isinstance(structured, dict) else text


def _shown(block: object) -> str:
    """Return a block of content as text; what is no text is named, not carried."""
    if not isinstance(block, dict):
        return ""
    if isinstance(block.get("text"), str):
        return str(block["text"])
    resource = block.get("resource")
    if isinstance(resource, dict) and isinstance(resource.get("text"), str):
        return str(resource["text"])
    where = block.get("uri") or block.get("mimeType") or "unnamed"
    return f"[{block.get('type', 'content')}: {where}]"


class JsonSchemaGate:
    """The gate of a tool whose schema is its server's.

    What it checks is the first level (names, and types that are plainly said); the rest is the
    server's own to check. Arguments are bounded as every tool's.
    """

    context_parameter: str | None = None

    def __init__(self, label: str, schema: JsonObject) -> None:
        self._label = label
        self.json_schema: JsonObject = schema
        properties = schema.get("properties")
        self._properties = properties if isinstance(properties, dict) else {}
        required = schema.get("required")
        self._required = [
            name
            for name in (required if isinstance(required, list) else [])
            if isinstance(name, str)
        ]

    def check(self, arguments: Mapping[str, object]) -> Checked:
        """Validate arguments; see :class:`agents.tool_spec.Gate`."""
        try:
            plain = {name: jsonable(value) for name, value in arguments.items()}
            check_inside(plain)
            encoded(plain, MAX_ARGUMENTS_BYTES)
        except OutOfBounds as error:
            raise self._refusal(str(error)) from error
        wrong = [*self._missing(plain), *self._unknown(plain), *self._ill_typed(plain)]
        if wrong:
            raise self._refusal("; ".join(wrong[:5]))
        return Checked(given=plain, complete=plain)

    def keywords(self, arguments: JsonObject) -> dict[str, Any]:
        """Return the arguments for a function that takes them as one object."""
        return {"arguments": self.check(arguments).complete}

    def _missing(self, plain: JsonObject) -> list[str]:
        return [f"{name}: is missing" for name in self._required if name not in plain]

    def _unknown(self, plain: JsonObject) -> list[str]:
        if self.json_schema.get("additionalProperties") is not False:
            return []
        unknown = (name for name in plain if name not in self._properties)
        return [f"{name[:100]}: there is no such argument" for name in unknown]

    def _ill_typed(self, plain: JsonObject) -> list[str]:
        wrong = []
        for name, value in plain.items():
            schema = self._properties.get(name)
            kind = schema.get("type") if isinstance(schema, dict) else None
            wanted = _TYPES.get(kind) if isinstance(kind, str) else None
            if wanted and not (
                isinstance(value, wanted) and isinstance(value, bool) <= (kind == "boolean")
            ):
                wrong.append(f"{name[:100]}: must be {kind}")
        return wrong

    def _refusal(self, said: str) -> ToolInvalid:
        return ToolInvalid(f"{self._label} cannot take these arguments: {said}.")


def decode(line: bytes) -> JsonObject | None:
    """Return a message; None for what is none."""
    try:
        message = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
