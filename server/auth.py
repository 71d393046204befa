"""Who calls: from credentials to a :class:`~control_tower.commands.Caller`.

With auth off (loopback only) everybody is ``local``, an operator. The token in the data folder's
lock file, which only the owner of the process can read, is an operator's in every mode: the
command line uses it.
"""

import hmac
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import Scope

from control_tower.commands import Caller
from server.errors import Unauthenticated

LOCAL = Caller("local", "operator")
NOBODY = Caller("", "user")


class Verifier(Protocol):
    """Checks the credentials of one mode of authentication."""

    async def verify(self, token: str) -> Caller | None:
        """Return whose token it is, or None if it is nobody's or has expired."""


class Nobody:
    """A verifier that knows no token: with it, only the process's own token opens the gate."""

    async def verify(self, token: str) -> Caller | None:  # noqa: ARG002 - none will do
        """Return None."""
        return None


class Gate:
    """Turns credentials into callers.

    Args:
        process_token: the operator token of this process.
        verifier: of the configured mode; None when auth is off.
    """

    def __init__(self, process_token: str, verifier: Verifier | None = None) -> None:
        self._process_token = process_token
        self._verifier = verifier

    @property
    def open(self) -> bool:
        """Whether auth is off."""
        return self._verifier is None

    async def caller_of(self, token: str | None) -> Caller:
        """Return the caller with ``token``; without one, ``local`` when auth is off.

        Raises:
            Unauthenticated: for no token or a bad one.
        """
        if token is None:
            if self._verifier is None:
                return LOCAL
            raise Unauthenticated("Credentials are needed: Authorization: Bearer …")
        if hmac.compare_digest(token.encode(), self._process_token.encode()):
            return LOCAL
        if self._verifier is None:
            # Auth is off: nobody issued this token, and it grants nothing that its absence doesn't.
            return LOCAL
        caller = await self._verifier.verify(token)
        if caller is None:
            raise Unauthenticated("These credentials are not valid, or no longer.")
        return caller

    async def caller(self, scope: Scope, *, public: bool = False) -> Caller:
        """Return who makes an HTTP request or a WebSocket upgrade.

        Raises:
            Unauthenticated: as :meth:`caller_of`, unless the endpoint is ``public``.
        """
        if public:
            return NOBODY
        return await self.caller_of(bearer(Headers(scope=scope)))


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
