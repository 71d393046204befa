"""Who may open a connection to `/ws`, how many there may be, and for how long."""

from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.types import Scope

from control_tower.commands import Caller
from control_tower.errors import RateLimited, Unavailable
from control_tower.ports import Clock
from server.access.auth import LOCAL, Credential, Gate, bearer
from server.errors import Unauthenticated
from server.settings import Settings
from server.wire.close_codes import Close

RETRY_AFTER_S = 5.0
SWEEP_EVERY_S = 2.0
"""An ended credential closes its connections within 5 s."""


class Connected(Protocol):
    """A connection, as far as it is counted and closed."""

    @property
    def caller(self) -> Caller | None:
        """Who it is, once that is known."""

    def close(self, code: int, reason: str = "") -> None:
        """Close it."""


class Admission:
    """Answers the one question of the endpoint: who is it, and may one more come in?

    What it counts and closes is set once there is any of it to ask for.

    Attributes:
        connections: returns those that are open.
        streams: returns what else is open and ends with its credentials.
        count: returns how many connections are open; at once, since every upgrade asks.
        count_of: returns how many of them are a user's; at once, too.
    """

    def __init__(self, settings: Settings, gate: Gate, clock: Clock) -> None:
        self._max = settings.max_connections
        self._max_per_user = settings.connections_per_user
        self._gate = gate
        self._clock = clock
        self.connections: Callable[[], Sequence[Connected]] = tuple
        self.streams: Callable[[], Sequence[Connected]] = tuple
        self.count: Callable[[], int] = int
        self.count_of: Callable[[str], int] = lambda _: 0

    async def authenticate(self, scope: Scope) -> Caller | None:
        """Return the caller; None when the upgrade carried nothing and `hello` must.

        Raises:
            Unauthenticated: for bad credentials.
            Unavailable: when the process has as many connections as it may.
            RateLimited: when the user has.
        """
        if self.count() >= self._max:
            raise Unavailable("There are too many connections.", outcome="rejected")
        caller = await self._caller(scope)
        if caller is not None:
            self.check_user(caller.user_id)
        return caller

    def check_user(self, user_id: str) -> None:
        """Check that the user may have one more connection.

        Raises:
            RateLimited: if not.
        """
        if self._max_per_user is None:
            return
        if self.count_of(user_id) >= self._max_per_user:
            raise RateLimited(
                f"At most {self._max_per_user} connections a user.", retry_after_s=RETRY_AFTER_S
            )

    async def sweep(self) -> None:
        """Close the connections whose credentials have ended: expired, or revoked."""
        open_now = (*self.connections(), *self.streams())
        callers = {one.caller for one in open_now if isinstance(one.caller, Credential)}
        over = set(await self._gate.over(callers, self._clock.now()))
        for one in open_now:
            if one.caller in over:
                one.close(Close.SIGNED_OUT, "these credentials have ended")

    async def _caller(self, scope: Scope) -> Caller | None:
        tickets = parse_qs(scope["query_string"].decode("latin1")).get("ticket", [])
        if len(tickets) > 1:
            raise Unauthenticated("One ticket is enough.")
        if tickets:
            return await self._gate.redeem(tickets[0], self._clock.now())
        if self._gate.open:
            return LOCAL
        token = bearer(Headers(scope=scope))
        return None if token is None else await self._gate.caller_of(token)
