"""A connection's life over drops and restarts: who greets, who waits, who gives up. Sans I/O.

A link is *dialled* until it is *greeted* (``hello`` was answered), lives, and is lost with a close
code. What then happens stands in the server's table of close codes, extended here by the codes
that only networks make. The wait is full jitter under a ceiling that doubles from 0.5 s to 30 s,
on top of what the server asked for.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from events.payloads import JsonObject
from server.client.errors import CLOSED, DISCONNECTED, ClientError
from server.client.messages import Event
from server.wire.close_codes import BASE_S, CAP_S, POLICIES, Policy

HINT_CAP_S: Final = 60.0
SETTLED_S: Final = 5.0
"""A connection that lived this long starts the series of waits anew."""

LOST: Final = 1006
"""A connection that ended without a close frame (RFC 6455, 7.1.5)."""
REFUSED: Final = 1008
OVERLOADED: Final = 1013
SIGNED_OUT: Final = 4401
FLOODING: Final = 4429

NETWORK: Final = MappingProxyType(
    {
        1005: Policy("closed without a code", True, "subscribe from the last offset"),
        LOST: Policy("connection lost", True, "subscribe from the last offset"),
        REFUSED: Policy("refused by policy", False, "mend the client"),
        OVERLOADED: Policy("the server is overloaded", True, "wait", 1.0),
        1014: Policy("a bad gateway", True, "wait", 1.0),
        1015: Policy("TLS failed", True, "wait", 1.0),
    }
)
"""Codes that our server never sends."""

UNKNOWN: Final = Policy("closed", True, "subscribe from the last offset", 1.0)
"""For any other code: to stay away would be the worse fault."""

OF_STATUS: Final = MappingProxyType({401: SIGNED_OUT, 429: FLOODING, 503: OVERLOADED})
"""Close codes that stand for the HTTP status of a refused upgrade."""

_HINT = re.compile(r"retry_after_ms[\"']?\s*[=:]\s*(\d{1,9})")
_FINAL: Final = frozenset({"forbidden", "invalid_params", "conflict", "method_not_found"})


@dataclass(frozen=True, slots=True)
class Wait:
    """The connection is lost; dial again after ``delay_s``."""

    delay_s: float
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Over:
    """The connection is lost, and dialling again is pointless."""

    error: ClientError


Lost: TypeAlias = Wait | Over


class Link:
    """See the head of this file.

    Args:
        random: draws from [0, 1).
        refreshable: whether the next dial may bring another token, so that one refusal of the
            old one does not end the link.
        greeting: parameters of ``hello``.

    Attributes:
        greeting: the same.
        epoch: the log's, once greeted.
        max_frame_bytes: the longest message that the server takes.
    """

    def __init__(
        self,
        random: Callable[[], float],
        *,
        refreshable: bool = False,
        greeting: JsonObject | None = None,
    ) -> None:
        self._random = random
        self._refreshable = refreshable
        self._refused = False
        self._attempt = 0
        self._hint_s = 0.0
        self._live_at: float | None = None
        self.greeting = greeting or {}
        self.hello: JsonObject = {}
        self.max_frame_bytes = 65_536

    @property
    def epoch(self) -> str:
        """The epoch that the server named."""
        return str(self.hello.get("epoch", ""))

    def greeted(self, hello: JsonObject, now: float) -> None:
        """Take the reply of ``hello``: the connection lives."""
        self.hello = hello
        self._live_at = now
        self._refused = False
        limits = hello.get("limits") or {}
        self.max_frame_bytes = int(limits.get("max_frame_bytes", self.max_frame_bytes))

    def heard(self, event: Event) -> None:
        """Note what a draining server asks for, in case its close does not say it again."""
        if event.type == "tower.draining":
            self._hint_s = float(event.data.get("retry_after_ms") or 0) / 1000

    def refused(self, error: ClientError, now: float) -> Lost:
        """Say what follows from an error reply to ``hello`` or ``subscribe``."""
        if error.code == "unauthenticated":
            return self.closed(SIGNED_OUT, error.message, now)
        if error.code in _FINAL or error.code == "not_found":
            return Over(error)
        return self.closed(1011, error.message, now, least_s=error.retry_after_s)

    def closed(self, code: int, reason: str, now: float, *, least_s: float | None = None) -> Lost:
        """Say what follows from a close; ``least_s`` is a hint that came by another way."""
        policy = policy_of(code)
        again = policy.reconnect
        if code == SIGNED_OUT and self._refreshable and not self._refused:
            self._refused = again = True
        if not again:
            return Over(_over(code, reason, policy))
        if self._live_at is not None and now - self._live_at >= SETTLED_S:
            self._attempt = 0
        said = hint_s(reason)
        least = least_s if least_s is not None else said if said is not None else self._hint_s
        delay = delay_s(self._attempt, self._random, max(least, policy.least_wait_s))
        self._attempt += 1
        self._hint_s, self._live_at = 0.0, None
        return Wait(delay, code, policy.meaning if code != LOST or not reason else reason)


def policy_of(code: int) -> Policy:
    """Return what a client does after a close code."""
    for known, policy in POLICIES.items():
        if known == code:
            return policy
    return NETWORK.get(code, UNKNOWN)


def of_status(status: int) -> int:
    """Return the close code that stands for an HTTP status."""
    return OF_STATUS.get(status, 1014 if status >= 500 else REFUSED)


def hint_s(reason: str) -> float | None:
    """Return the server's hint ``retry_after_ms`` in a close reason, in seconds, bounded."""
    found = _HINT.search(reason)
    return min(int(found[1]) / 1000, HINT_CAP_S) if found else None


def delay_s(attempt: int, random: Callable[[], float], least_s: float = 0.0) -> float:
    """Return how long to wait before try number ``attempt`` (from 0), in seconds.

    A hint moves the whole range up, so that a crowd that was given the same one still spreads.
    """
    return least_s + random() * min(CAP_S, BASE_S * 2.0 ** min(attempt, 16))


def _over(code: int, reason: str, policy: Policy) -> ClientError:
    if code == SIGNED_OUT:
        return ClientError("unauthenticated", reason or f"Signed out: {policy.meaning}.")
    said = reason or policy.meaning
    if code == REFUSED:
        return ClientError(CLOSED, f"{said}.")
    return ClientError(CLOSED, f"The connection is closed ({code}): {said}.")


def lost_error(wait: Wait) -> ClientError:
    """Return the error for somebody who does not want to wait."""
    said = wait.reason
    if not said.startswith("http"):  # an address stays as it was given
        said = f"{said[:1].upper()}{said[1:]}"
    return ClientError(DISCONNECTED, f"{said}.")
