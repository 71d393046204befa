"""Who calls: from credentials to a :class:`~control_tower.commands.Caller`.

With auth off (loopback only) everybody is ``local``, an operator. The token in the data folder's
lock file, which only the owner of the process can read, is an operator's in every mode: the
command line uses it. A ticket stands for its caller once, within 30 s, and may be in a URL.
"""

import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from starlette.datastructures import Headers
from starlette.types import Scope

from control_tower.commands import Caller
from control_tower.errors import Forbidden, RateLimited
from server.errors import Unauthenticated

LOCAL = Caller("local", "operator")
NOBODY = Caller("", "user")

Role: TypeAlias = Literal["viewer", "user", "operator"]

TICKET_S = 30.0
MAX_TICKETS = 10_000


class Credential(Caller, frozen=True):
    """A caller by credentials that end. ``key_id`` names the API key, if it is one."""

    expires_at: float | None = None
    key_id: str | None = None

    def ended(self, now: float) -> bool:
        """Return whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now


class Verifier(Protocol):
    """Checks the credentials of one mode of authentication."""

    async def verify(self, token: str) -> Credential | None:
        """Return whose token it is, or None if it is nobody's or has expired."""

    async def ended(self, key_ids: Collection[str]) -> Collection[str]:
        """Return those of the API keys, by their ids, that open nothing any more."""


@dataclass(slots=True, frozen=True)
class _Ticket:
    caller: Caller
    until: float


class TicketOffice(Protocol):
    """Single-use stand-ins for credentials, for browsers, whose WebSocket can send no header."""

    async def issue(self, caller: Caller, now: float) -> str:
        """Return a fresh ticket for ``caller``.

        Raises:
            RateLimited: if there are too many that nobody has used.
            Unavailable: if none can be issued now.
        """

    async def redeem(self, ticket: str, now: float) -> Caller:
        """Return whose ticket it is; it is used up.

        Raises:
            Unauthenticated: if it is none, was used, or is too old.
            Unavailable: if nobody can tell now.
        """


class Tickets:
    """The tickets of a process that is alone: see :class:`TicketOffice`."""

    def __init__(self) -> None:
        self._tickets: dict[str, _Ticket] = {}

    async def issue(self, caller: Caller, now: float) -> str:
        """Return a fresh ticket for ``caller``.

        Raises:
            RateLimited: if there are too many that nobody has used.
        """
        if len(self._tickets) >= MAX_TICKETS:
            self._tickets = {k: each for k, each in self._tickets.items() if each.until > now}
            if len(self._tickets) >= MAX_TICKETS:
                raise RateLimited("Too many tickets are out.", retry_after_s=TICKET_S)
        ticket = secrets.token_urlsafe(32)
        self._tickets[ticket] = _Ticket(caller, now + TICKET_S)
        return ticket

    async def redeem(self, ticket: str, now: float) -> Caller:
        """Return whose ticket it is; it is used up.

        Raises:
            Unauthenticated: if it is none, was used, or is too old.
        """
        found = self._tickets.pop(ticket, None)
        if found is None or found.until <= now:
            raise Unauthenticated("This ticket is not valid, or no longer.")
        return found.caller


class Gate:
    """Turns credentials into callers.

    Args:
        process_token: the operator token of this process.
        verifier: of the configured mode; None when auth is off.
        shared_token: the operator token of all processes that share our port, if any do.

    Attributes:
        tickets: those that are out; of all nodes, when there are several.
    """

    def __init__(
        self,
        process_token: str,
        verifier: Verifier | None = None,
        shared_token: str | None = None,
    ) -> None:
        self._operator_tokens = [t.encode() for t in (process_token, shared_token) if t]
        self._verifier = verifier
        self.tickets: TicketOffice = Tickets()

    @property
    def open(self) -> bool:
        """Whether auth is off."""
        return self._verifier is None

    async def caller_of(self, token: str | None) -> Caller:
        """Return the caller with ``token``; without one, ``local`` when auth is off.

        Raises:
            Unauthenticated: for no token or a bad one.
        """
        if self._verifier is None:
            # Nobody issued any token, and one grants nothing that its absence doesn't.
            return LOCAL
        if token is None:
            raise Unauthenticated("Credentials are needed: Authorization: Bearer …")
        if any(hmac.compare_digest(token.encode(), each) for each in self._operator_tokens):
            return LOCAL
        caller = await self._verifier.verify(token)
        if caller is None:
            raise Unauthenticated("These credentials are not valid, or no longer.")
        return caller

    async def redeem(self, ticket: str, now: float) -> Caller:
        """Return whose ticket it is; it is used up.

        Raises:
            Unauthenticated: as :class:`TicketOffice`, or if what it stands for has ended.
            Unavailable: likewise.
        """
        caller = await self.tickets.redeem(ticket, now)
        if await self.over([caller], now):
            raise Unauthenticated("These credentials are not valid any longer.")
        return caller

    async def over(self, callers: Collection[Caller], now: float) -> list[Caller]:
        """Return those of the callers whose credentials have ended."""
        known = [one for one in callers if isinstance(one, Credential)]
        key_ids = {one.key_id for one in known if one.key_id is not None}
        revoked = await self._verifier.ended(key_ids) if self._verifier and key_ids else ()
        return [one for one in known if one.ended(now) or one.key_id in revoked]

    async def caller(self, scope: Scope, *, public: bool = False) -> Caller:
        """Return who makes an HTTP request or a WebSocket upgrade.

        Raises:
            Unauthenticated: as :meth:`caller_of`, unless the endpoint is ``public``.
        """
        if public:
            return NOBODY
        return await self.caller_of(bearer(Headers(scope=scope)))


def acting_as(caller: Caller, user_id: str | None) -> Caller:
    """Return who acts when a request names ``user_id``.

    Raises:
        Forbidden: unless it is the caller or the caller is an operator.
    """
    if user_id is None or user_id == caller.user_id:
        return caller
    if caller.role != "operator":
        raise Forbidden("user_id is not yours.", field="user_id")
    role: Literal["user"] = "user"
    if isinstance(caller, Credential):
        return Credential(user_id, role, expires_at=caller.expires_at, key_id=caller.key_id)
    return Caller(user_id, role)


def bearer(request: Headers) -> str | None:
    """Return the bearer token of a request, or None if it has no Authorization header.

    Raises:
        Unauthenticated: for another scheme, or more than one header.
    """
    given = request.getlist("authorization")
    if not given:
        return None
    scheme, _, token = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Only Authorization: Bearer … is understood.")
    return token.strip()
