"""Who may open a connection to `/ws`: credentials on the upgrade, and how many there may be."""

from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import Scope

from control_tower.commands import Caller
from control_tower.errors import RateLimited, Unavailable
from server.auth import LOCAL, Gate, bearer
from server.settings import Settings

RETRY_AFTER_S = 5.0


class Connected(Protocol):
    """A connection, as far as it is counted."""

    @property
    def caller(self) -> Caller | None:
        """Who it is, once that is known."""


class Admission:
    """Answers the one question of the endpoint: who is it, and may one more come in?

    Attributes:
        connections: returns those that are open; set once there are any to ask for.
    """

    def __init__(self, settings: Settings, gate: Gate) -> None:
        self._max = settings.max_connections
        self._max_per_user = settings.connections_per_user
        self._gate = gate
        self.connections: Callable[[], Sequence[Connected]] = tuple

    async def authenticate(self, scope: Scope) -> Caller | None:
        """Return the caller; None when the upgrade carried nothing and `hello` must.

        Raises:
            Unauthenticated: for bad credentials.
            Unavailable: when the process has as many connections as it may.
            RateLimited: when the user has.
        """
        if len(self.connections()) >= self._max:
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
        theirs = sum(
            one.caller is not None and one.caller.user_id == user_id for one in self.connections()
        )
        if theirs >= self._max_per_user:
            raise RateLimited(
                f"At most {self._max_per_user} connections a user.", retry_after_s=RETRY_AFTER_S
            )

    async def _caller(self, scope: Scope) -> Caller | None:
        if self._gate.open:
            return LOCAL
        token = bearer(Headers(scope=scope))
        return None if token is None else await self._gate.caller_of(token)
