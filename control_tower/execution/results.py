"""What the calls of a context return, where that is more than JSON."""

import msgspec

from events.payloads import JsonObject


class Decision(msgspec.Struct, frozen=True):
    """A person's answer to ``confirm``. ``arguments`` are the details as they approved them."""

    approved: bool
    message: str | None = None
    arguments: JsonObject = {}


class ToolRequest(msgspec.Struct, frozen=True):
    """A tool call that a model asks for.

    Attributes:
        malformed: what it wrote as arguments, where that is no JSON object; they are ``{}`` then.
    """

    id: str
    name: str
    arguments: JsonObject
    malformed: str | None = None


class Reply(msgspec.Struct, frozen=True):
    """One turn of a model."""

    text: str = ""
    tool_calls: list[ToolRequest] = []
    model: str = ""
    finish_reason: str = "stop"


class Message(msgspec.Struct, frozen=True):
    """A message of the session. ``role`` is ``user`` or ``assistant``."""

    role: str
    content: str
    created_at: str
