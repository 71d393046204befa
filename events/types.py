"""The events: what may be said, by whom it is seen, and its three lives.

An event is drafted by the kernel (:class:`Draft`, no offset yet), committed by the log
(:class:`Committed`, its offset joined into the ready-to-send JSON) and fanned out by the hub.
An ephemeral event (:class:`Ephemeral`) skips the log and has no offset.

The payload of every type is one frozen Struct whose ``TYPE`` is its name on the wire. The JSON is
made exactly once, when the event is drafted; joining the offset is a concatenation of bytes.

None of these Structs can be part of a cycle, so the garbage collector is told not to look at them
(``gc=False``): thousands of them are held at any time, and each full collection would walk them.
"""

from typing import Any, ClassVar, TypeAlias

import msgspec

from events.times import rfc3339

Json: TypeAlias = dict[str, Any] | list[Any] | str | int | float | bool | None
"""Any JSON value. ``Any`` inside: msgspec encodes it, the log does not look into it."""

BODY_HEAD = b'{"jsonrpc":"2.0","method":"event","params":{"offset":'
EPHEMERAL_HEAD = b'{"jsonrpc":"2.0","method":"event","params":{'

_encode = msgspec.json.Encoder().encode


class EventData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all payloads. A field with default None is left out when it is None."""

    TYPE: ClassVar[str]


class Scope(msgspec.Struct, frozen=True, gc=False):
    """Where an event belongs, made once a mission and shared by all of its events.

    ``lineage`` is the mission's ancestry, root first, itself last; empty outside a mission.
    Two are derived: ``topics`` are all that match the event, ``members`` is the JSON that all
    events of the scope have in common.
    """

    session_id: str | None
    user_id: str | None
    lineage: tuple[str, ...] = ()
    agent: str | None = None
    priority: str | None = None
    topics: tuple[str, ...] = ()
    members: bytes = b""

    def __post_init__(self) -> None:
        topics = ["system"]
        if self.user_id is not None:
            topics.append(f"user:{self.user_id}")
        if self.session_id is not None:
            topics.append(f"session:{self.session_id}")
        topics += [f"mission:{pid}" for pid in self.lineage]
        msgspec.structs.force_setattr(self, "topics", tuple(topics))
        ids = {
            "session_id": self.session_id,
            "mission_id": self.mission_id,
            "user_id": self.user_id,
        }
        msgspec.structs.force_setattr(self, "members", _encode(ids)[1:-1])

    @property
    def mission_id(self) -> str | None:
        """The mission itself, or None outside a mission."""
        return self.lineage[-1] if self.lineage else None


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A durable event before its commit.

    ``tail`` is the JSON from the comma after the offset to the end of the message.
    """

    type: str
    scope: Scope
    tail: bytes

    def body(self, offset: int) -> bytes:
        """Return the whole JSON-RPC message, ready to be stored and sent."""
        return b"%b%d%b" % (BODY_HEAD, offset, self.tail)


class Committed(msgspec.Struct, frozen=True, gc=False):
    """A durable event after its commit. ``body`` is the whole JSON-RPC message in UTF-8."""

    offset: int
    type: str
    scope: Scope
    body: bytes


class Ephemeral(msgspec.Struct, frozen=True, gc=False):
    """An event without an offset, never stored. ``body`` as in :class:`Committed`."""

    type: str
    scope: Scope
    body: bytes


def _members(event_type: str, data: object, scope: Scope, at: float) -> bytes:
    return b'"type":"%b","at":"%b",%b,"data":%b}}' % (
        event_type.encode(),
        rfc3339(at).encode(),
        scope.members,
        _encode(data),
    )


def draft(data: EventData, scope: Scope, at: float) -> Draft:
    """Encode a durable event. ``at`` is in Unix seconds."""
    return Draft(data.TYPE, scope, b"," + _members(data.TYPE, data, scope, at))


def draft_fields(event_type: str, fields: dict[str, Any], scope: Scope, at: float) -> Draft:
    """Encode a durable event whose payload has fields of a program's own choice."""
    return Draft(event_type, scope, b"," + _members(event_type, fields, scope, at))


def ephemeral(data: EventData, scope: Scope, at: float) -> Ephemeral:
    """Encode an ephemeral event. ``at`` is in Unix seconds."""
    return Ephemeral(data.TYPE, scope, EPHEMERAL_HEAD + _members(data.TYPE, data, scope, at))
