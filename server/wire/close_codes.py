"""Why a WebSocket was closed, and what a client does about it: one table for code and docs.

A client reconnects with full jitter: it waits ``random() * min(30 s, 0.5 s * 2**n)`` before try
*n*, on top of the row's ``least_wait_s`` or of ``retry_after_ms`` in the close reason, which is a
JSON object then.
"""

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

import msgspec

BASE_S = 0.5
CAP_S = 30.0
RESTART_MS = 1_000
"""What those are told to wait who are closed because this process goes down."""


class Close(IntEnum):
    """The codes that this server closes with."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    NOT_TEXT = 1003
    BAD_UTF8 = 1007
    TOO_BIG = 1009
    INTERNAL = 1011
    RESTART = 1012
    UNPARSABLE = 4400
    SIGNED_OUT = 4401
    NO_HELLO = 4408
    SLOW = 4413
    FLOODING = 4429


@dataclass(frozen=True, slots=True)
class Policy:
    """One row.

    Attributes:
        meaning: what happened.
        reconnect: whether the client should come back by itself.
        how: what else it should do.
        least_wait_s: added to the jitter.
    """

    meaning: str
    reconnect: bool
    how: str
    least_wait_s: float = 0.0


POLICIES: MappingProxyType[Close, Policy] = MappingProxyType(
    {
        Close.NORMAL: Policy("closed on request", False, "nothing is wrong"),
        Close.GOING_AWAY: Policy("the server goes away", True, "subscribe from the last offset"),
        Close.PROTOCOL_ERROR: Policy("not WebSocket (RFC 6455)", False, "mend the client"),
        Close.NOT_TEXT: Policy("a binary message", False, "send text"),
        Close.BAD_UTF8: Policy("a message that is not UTF-8", False, "send UTF-8"),
        Close.TOO_BIG: Policy("a message over the limit", False, "send smaller messages"),
        Close.INTERNAL: Policy(
            "a fault of the server", True, "subscribe from the last offset", 1.0
        ),
        Close.RESTART: Policy(
            "the server restarts", True, "wait retry_after_ms; subscribe from the last offset"
        ),
        Close.UNPARSABLE: Policy("three messages that are not JSON", False, "mend the client"),
        Close.SIGNED_OUT: Policy(
            "the token was revoked, has expired or was not valid", False, "get a new token first"
        ),
        Close.NO_HELLO: Policy("no hello in time", True, "send hello with a token first of all"),
        Close.SLOW: Policy(
            "too much was waiting to be read", True, "subscribe from the last offset", 1.0
        ),
        Close.FLOODING: Policy("too many messages, after a warning", True, "send fewer", 5.0),
    }
)
"""Every code with its row. A connection that is lost without any is to be made again, too."""


def close_reason(code: int, words: str, retry_after_ms: int = 0) -> str:
    """Return the reason of a close frame: ``words``, or JSON with the hint where there is one.

    Args:
        code: of the close; its row says how long to wait when ``retry_after_ms`` does not.
        words: a few, for people: a close frame has 123 bytes for all of it.
        retry_after_ms: 0 for no hint but the row's.
    """
    row = POLICIES[Close(code)] if code in set(Close) else None
    hint_ms = retry_after_ms or round(row.least_wait_s * 1000 if row is not None else 0)
    if not hint_ms:
        return words
    told: dict[str, object] = {"retry_after_ms": hint_ms}
    if words:
        told["reason"] = words
    return msgspec.json.encode(told).decode()
