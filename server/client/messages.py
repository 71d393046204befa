"""What comes over the wire, decoded: events, replies, and gaps in what a client was told."""

from typing import Any, ClassVar, Literal

import msgspec

from events.payloads import EPHEMERAL_TYPES, TERMINAL_TYPES, JsonObject


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event.

    Attributes:
        type: as ``mission.completed``. More types may come with a newer server.
        at: RFC 3339, UTC.
        data: what is particular to the type; ``events.payloads`` has a Struct for each.
        offset: its place in the log; None for ephemeral ones, which nobody stores.
    """

    type: str
    at: str = ""
    data: JsonObject = {}
    offset: int | None = None
    session_id: str | None = None
    mission_id: str | None = None
    user_id: str | None = None

    @property
    def ephemeral(self) -> bool:
        """Whether it is not stored, and so can't be replayed."""
        return self.type in EPHEMERAL_TYPES

    def ends(self, mission_id: str) -> bool:
        """Whether it is the last event of this mission."""
        return self.mission_id == mission_id and self.type in TERMINAL_TYPES


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Events that can't be had any more stand between the item before and the one after.

    What was derived from events is to be read anew, starting with ``snapshot``.

    Attributes:
        type: always ``gap``, so that it can be told from events by the same attribute.
        reason: ``history_gap`` (the server keeps no events that old) or ``epoch_changed`` (the
            log was replaced, as by a restore: old offsets mean nothing).
        since: the offset that was asked for; None for the start.
        floor: events up to it are gone; a subscription from it gets all that are left.
        offset: where the events that follow begin.
        epoch: of the log that they come from.
        snapshot: the active missions of the topics, exact as of ``offset``.
    """

    type: ClassVar[Literal["gap"]] = "gap"
    reason: str
    since: int | None
    floor: int | None
    offset: int
    epoch: str
    snapshot: JsonObject


class Incoming(msgspec.Struct):
    """One message of the server: a reply or an event."""

    id: Any = None
    method: str | None = None
    params: Event | None = None
    result: Any = None
    error: JsonObject | None = None


_decode = msgspec.json.Decoder(Incoming).decode
_encode = msgspec.json.Encoder().encode


def decode(text: str | bytes) -> Incoming:
    """Return a message.

    Raises:
        msgspec.MsgspecError: if it is none of this protocol.
    """
    return _decode(text)


def encode(request_id: int, method: str, params: JsonObject) -> str:
    """Return a request as text."""
    message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
    return _encode(message).decode()
