"""Tickets that any node issues and any other redeems, once in the whole cluster.

Redis keeps whose a ticket is under the ticket's hash, so that reading Redis opens no connection.
Removing it is what redeems it. When Redis does not answer, nobody knows whether a ticket was used,
so it is refused for now: never is it taken twice.
"""

import hashlib
import secrets
from collections import deque

import msgspec

from control_tower.commands import Caller
from control_tower.errors import RateLimited, Unavailable
from server.access.auth import MAX_TICKETS, TICKET_S, Credential, Role
from server.access.shared_redis import RedisAway, SharedRedis
from server.errors import Unauthenticated


class _Holder(msgspec.Struct, frozen=True):
    user_id: str
    role: Role
    ends: bool
    expires_at: float | None = None
    key_id: str | None = None


_decode = msgspec.json.Decoder(_Holder).decode


class RedisTickets:
    """A :class:`~server.access.auth.TicketOffice` that all nodes share."""

    def __init__(self, redis: SharedRedis) -> None:
        self._redis = redis
        self._issued: deque[float] = deque()

    async def issue(self, caller: Caller, now: float) -> str:
        """Return a fresh ticket for ``caller``.

        Raises:
            RateLimited: if this node issued as many as it may in 30 s.
            Unavailable: if Redis is away.
        """
        while self._issued and self._issued[0] <= now - TICKET_S:
            self._issued.popleft()
        if len(self._issued) >= MAX_TICKETS:
            raise RateLimited("Too many tickets are out.", retry_after_s=TICKET_S)
        self._issued.append(now)
        ticket = secrets.token_urlsafe(32)
        try:
            await self._redis.put(_key(ticket), _encoded(caller), TICKET_S)
        except RedisAway as error:
            raise Unavailable("No ticket can be issued now.", outcome="rejected") from error
        return ticket

    async def redeem(self, ticket: str, now: float) -> Caller:  # noqa: ARG002 - Redis's clock ends it
        """Return whose ticket it is; it is used up.

        Raises:
            Unauthenticated: if it is none, was used, or is too old.
            Unavailable: if Redis is away. The ticket may have been used up all the same.
        """
        try:
            found = await self._redis.take(_key(ticket))
        except RedisAway as error:
            raise Unavailable("Tickets can't be checked now.", outcome="unknown") from error
        if found is None:
            raise Unauthenticated("This ticket is not valid, or no longer.")
        return _decoded(found)


def _key(ticket: str) -> str:
    return "ticket:" + hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).hexdigest()


def _encoded(caller: Caller) -> bytes:
    if isinstance(caller, Credential):
        holder = _Holder(caller.user_id, caller.role, True, caller.expires_at, caller.key_id)
    else:
        holder = _Holder(caller.user_id, caller.role, False)
    return msgspec.json.encode(holder)


def _decoded(kept: bytes) -> Caller:
    holder = _decode(kept)
    if not holder.ends:
        return Caller(holder.user_id, holder.role)
    return Credential(
        holder.user_id, holder.role, expires_at=holder.expires_at, key_id=holder.key_id
    )
