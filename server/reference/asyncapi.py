"""`/ws` described for programs (AsyncAPI 3.0), from the code's own types.

The parameters are the Structs that decode them, the events the Structs that encode them, the
errors and close codes the tables that map them; only what a method returns is said in words here.
The same for people is ``wire_page.py``.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec

from events.payloads import EPHEMERAL_TYPES, EVENT_TYPES
from server.errors import CODES, HTTP_ONLY
from server.wire.close_codes import POLICIES
from server.wire.rpc_session import Method

Schema: TypeAlias = dict[str, Any]
REF = "#/components/schemas/{name}"
CHANNEL: Schema = {"$ref": "#/channels/ws"}


@dataclass(frozen=True, slots=True)
class About:
    """What a method does and returns, in words."""

    does: str
    returns: str


METHODS: MappingProxyType[str, About] = MappingProxyType(
    {
        "hello": About(
            "Say who you are. Optional while auth is off, or when the upgrade had credentials.",
            "connection_id, user_id, role, server, version, epoch, offset, heartbeat_s, limits",
        ),
        "ping": About(
            "Ask how far you are.",
            "offset: all of your topics up to it has been written to you; resume from there",
        ),
        "subscribe": About(
            "Hear of topics: session:ID, mission:ID (with its descendants), user:ID, system. With "
            "since, everything retained after that offset comes first.",
            "topics, epoch, offset, recovered, reason?, floor?, snapshot",
        ),
        "unsubscribe": About("Let topics go.", "topics: those that remain"),
        "mission.submit": About(
            "Give a mission; with subscribe its events come here, from the first until the last "
            "one. Given again with its idempotency_key, to a connection that was not given them: "
            "replayed, with replay.done; until then mission:ID is one of your topics.",
            "mission_id, session_id, state, offset, duplicate",
        ),
        "mission.get": About("Look at a mission.", "the process control block"),
        "mission.explain": About(
            "Ask why a mission is where it is.", "state, cause, position, waiting_for, eta_s?"
        ),
        "mission.list": About("List missions, newest first.", "missions[], next_cursor"),
        "mission.cancel": About(
            "Stop a mission and its children; an ended one is returned as it is.",
            "the process control block",
        ),
        "mission.pause": About("Hold a mission until it is resumed.", "the process control block"),
        "mission.resume": About("Let a paused mission go on.", "the process control block"),
        "mission.set_priority": About("Change a mission's priority.", "the process control block"),
        "mission.extend_quota": About(
            "Raise a mission's limits by amounts to add.", "the process control block"
        ),
        "confirm": About(
            "Approve or refuse one call of a tool, with other arguments if you like.",
            "the interrupt",
        ),
        "clarify": About("Answer an agent's question.", "the interrupt"),
        "interrupt.answer": About(
            "Decide about a spent quota or an unknown outcome.", "the interrupt"
        ),
        "interrupt.list": About(
            "List what waits on a person, or what was decided.", "interrupts[], next_cursor"
        ),
        "message.send": About(
            "Say something in a session: an answer to its oldest open question, else a mission.",
            "message_id, session_id, mission_id?, answered?",
        ),
        "session.create": About("Make a session.", "the session"),
        "session.get": About("Look at a session.", "the session"),
        "session.list": About("List sessions, newest activity first.", "an array of sessions"),
        "session.update": About("Rename a session, archive it or not.", "the session"),
        "session.delete": About("Delete a session; it can be restored.", "the session"),
        "tower.status": About(
            "See everything at a glance; for operators and viewers.",
            "processes, queues, slots, rates, nodes, clients[]",
        ),
    }
)
"""Every method of the wire."""


def document(methods: Mapping[str, Method], version: str) -> Schema:
    """Return the AsyncAPI document of `/ws`."""
    params = [method.params for method in methods.values()]
    payloads = list(EVENT_TYPES.values())
    _, schemas = msgspec.json.schema_components(
        [*params, *payloads], schema_hook=_any, ref_template=REF
    )
    messages = {
        **{name: _request(name, method) for name, method in methods.items()},
        **{f"{name}.result": _result(name) for name in methods},
        **{f"event.{name}": _event(name) for name in EVENT_TYPES},
        "error": _error(),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Control Tower",
            "version": version,
            "description": "JSON-RPC 2.0 over one WebSocket; one message a text frame.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "ws": {
                "address": "/ws",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "x-close-codes": _close_codes(),
            }
        },
        "operations": {
            **{name: _call(name) for name in methods},
            "event": {
                "action": "send",
                "channel": CHANNEL,
                "summary": "Notifications to the client.",
                "messages": [_in_channel(f"event.{name}") for name in EVENT_TYPES],
            },
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _any(kind: type[Any]) -> Schema:
    """Describe ``object``, which is any JSON value."""
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(kind)


def _in_channel(message: str) -> Schema:
    return {"$ref": f"#/channels/ws/messages/{message}"}


def _call(name: str) -> Schema:
    """Describe a method as what the server receives, and what it answers with."""
    return {
        "action": "receive",
        "channel": CHANNEL,
        "summary": METHODS[name].does,
        "messages": [_in_channel(name)],
        "reply": {
            "channel": CHANNEL,
            "messages": [_in_channel(f"{name}.result"), _in_channel("error")],
        },
    }


def _result(name: str) -> Schema:
    about = METHODS[name]
    return {
        "name": f"{name}.result",
        "summary": f"{name} succeeded.",
        "payload": {
            "type": "object",
            "required": ["jsonrpc", "id", "result"],
            "properties": {
                "jsonrpc": {"const": "2.0"},
                "id": {"type": ["string", "integer"]},
                "result": {"description": about.returns},
            },
        },
    }


def _error() -> Schema:
    """Describe the reply of any call that failed; ``x-codes`` is the table of its numbers."""
    codes = {code: row for code, row in CODES.items() if code not in HTTP_ONLY}
    data: Schema = {
        "type": "object",
        "required": ["code", "details"],
        "properties": {
            "code": {"enum": list(codes)},
            "details": {"type": "object"},
            "retry_after_s": {"type": "number"},
            "outcome": {"enum": ["rejected", "unknown"]},
        },
    }
    error: Schema = {
        "type": "object",
        "required": ["code", "message", "data"],
        "properties": {
            "code": {"enum": sorted({row.rpc for row in codes.values()}, reverse=True)},
            "message": {"type": "string"},
            "data": data,
        },
    }
    return {
        "name": "error",
        "summary": "A call was refused, or failed.",
        "payload": {
            "type": "object",
            "required": ["jsonrpc", "id", "error"],
            "properties": {
                "jsonrpc": {"const": "2.0"},
                "id": {"type": ["string", "integer", "null"]},
                "error": error,
            },
        },
        "x-codes": {code: row.rpc for code, row in codes.items()},
    }


def _close_codes() -> list[Schema]:
    return [
        {
            "code": int(code),
            "meaning": row.meaning,
            "reconnect": row.reconnect,
            "how": row.how,
            "least_wait_s": row.least_wait_s,
        }
        for code, row in POLICIES.items()
    ]


def _ref(kind: type[msgspec.Struct]) -> Schema:
    return {"$ref": REF.format(name=kind.__name__)}


def _request(name: str, method: Method) -> Schema:
    about = METHODS[name]
    return {
        "name": name,
        "summary": about.does,
        "description": f"Returns {about.returns}.",
        "payload": {
            "type": "object",
            "required": ["jsonrpc", "id", "method"],
            "properties": {
                "jsonrpc": {"const": "2.0"},
                "id": {"type": ["string", "integer"]},
                "method": {"const": name},
                "params": _ref(method.params),
            },
        },
    }


def _event(name: str) -> Schema:
    kind = EVENT_TYPES[name]
    required = ["type", "at", "session_id", "mission_id", "user_id", "data"]
    nullable = {"type": ["string", "null"]}
    properties: Schema = {
        "type": {"const": name},
        "at": {"type": "string", "format": "date-time"},
        "session_id": nullable,
        "mission_id": nullable,
        "user_id": nullable,
        "data": _ref(kind),
    }
    if name not in EPHEMERAL_TYPES:
        required.insert(0, "offset")
        properties = {"offset": {"type": "integer", "minimum": 1}, **properties}
    return {
        "name": name,
        "summary": first_line(kind),
        "payload": {
            "type": "object",
            "required": ["jsonrpc", "method", "params"],
            "properties": {
                "jsonrpc": {"const": "2.0"},
                "method": {"const": "event"},
                "params": {"type": "object", "required": required, "properties": properties},
            },
        },
    }


def first_line(kind: type[Any]) -> str:
    """Return what a type's docstring says first, in plain text."""
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[0].replace("``", "")
