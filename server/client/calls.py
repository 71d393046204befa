"""Calls in flight, and what a lost connection means for them. Sans I/O.

A call is *repeatable* when making it twice is the same as making it once: reads; commands that
carry an ``idempotency_key``; answers and others for which the server promises the same reply the
second time. Those stay pending over a reconnect and go out again. Any other call that was sent
fails with ``disconnected``, because nobody can know whether it was done. One that was not sent yet
just waits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from events.payloads import JsonObject
from server.client.errors import DISCONNECTED, ClientError

KEYED_METHODS: Final = frozenset({"mission.submit", "message.send"})
"""Commands that get an ``idempotency_key`` when the caller gave none."""

REPEATABLE_METHODS: Final = frozenset(
    {
        "ping",
        "mission.get",
        "mission.explain",
        "mission.list",
        "interrupt.list",
        "session.get",
        "session.list",
        "tower.status",
        "confirm",
        "clarify",
        "interrupt.answer",
        "mission.cancel",
        "mission.set_priority",
        "session.update",
    }
)
"""Methods that may be repeated as they are."""


@dataclass(slots=True)
class Call:
    """A call without a reply. ``sends`` counts how often it went out."""

    id: int
    method: str
    params: JsonObject
    sends: int = 0

    @property
    def repeatable(self) -> bool:
        """See the head of this file."""
        return (
            isinstance(self.params.get("idempotency_key"), str) or self.method in REPEATABLE_METHODS
        )

    def lost(self) -> ClientError:
        """Return the error for one that was sent, and whose reply will not come."""
        return ClientError(
            DISCONNECTED,
            f"{self.method}: the connection was lost before the reply came; whether it was done "
            "is not known.",
            method=self.method,
        )


class CallBook:
    """The calls that have no reply yet, in the order in which they were made.

    Args:
        new_key: makes idempotency keys.
    """

    def __init__(self, new_key: Callable[[], str]) -> None:
        self._new_key = new_key
        self._calls: dict[int, Call] = {}
        self._next = 1

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, method: str, params: JsonObject) -> Call:
        """Note a call; a command that takes a key gets one."""
        if method in KEYED_METHODS and "idempotency_key" not in params:
            params = {**params, "idempotency_key": self._new_key()}
        call = Call(self._next, method, params)
        self._next += 1
        self._calls[call.id] = call
        return call

    def take(self, call_id: object) -> Call | None:
        """Return a call, which is no longer pending; None if there is no such."""
        return self._calls.pop(call_id, None) if isinstance(call_id, int) else None

    def pending(self) -> list[Call]:
        """Return what to send on a new connection: new calls, and those to repeat."""
        return list(self._calls.values())

    def drop(self) -> list[Call]:
        """The connection is lost: take out the calls that can't be sent again."""
        lost = [call for call in self._calls.values() if call.sends and not call.repeatable]
        for call in lost:
            del self._calls[call.id]
        return lost

    def clear(self) -> list[Call]:
        """Take out every call."""
        calls = self.pending()
        self._calls.clear()
        return calls
