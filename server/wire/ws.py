"""The endpoint `/ws`, and all of its connections.

For ``app.py``::

    sockets = Sockets(hub, methods, authenticate=..., snapshot=..., limits=WsLimits(...))
    Route: WebSocketRoute("/ws", sockets)     # or mount it as a plain ASGI application
    uvicorn.Config(..., ws=TowerProtocol)
    sockets.warn(node, retry_after_ms)                    # when the server begins to drain
    await sockets.drain(retry_after_ms, spread_s)         # before it shuts down

* ``authenticate(scope)`` returns the caller; None when the upgrade carried nothing and `hello` must
  bring a token within 5 s. It raises a :class:`~control_tower.errors.Refusal` for bad credentials,
  a foreign Origin or too many connections; what is around the endpoint answers that.
* ``snapshot(topics)`` returns the ``missions`` of a subscribe's snapshot, from memory.
* A method is called as ``await call(connection, params, ack)``; see
  :class:`server.wire.ws_connection.Connection` for what it may use, and
  :class:`server.wire.rpc_session.Method` for ``ack``.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from control_tower.commands import Caller
from events.hub import Hub
from events.payloads import TowerDraining
from events.types import Scope as EventScope
from events.types import ephemeral
from server.wire.close_codes import Close, close_reason
from server.wire.raw_channel import EXTENSION, RawChannel
from server.wire.rpc_session import Methods
from server.wire.ws_asgi import AsgiChannel
from server.wire.ws_connection import Connection, WsLimits

__all__ = ["Connection", "Sockets", "WsLimits"]

SUBPROTOCOL: Final = "tower.v1"
DRAIN_STEPS: Final = 50
_NOWHERE: Final = EventScope(None, None)

Authenticate = Callable[[Scope], Awaitable[Caller | None]]
Snapshot = Callable[[Sequence[str]], list[dict[str, Any]]]


class Sockets:
    """All connections of this process; the ASGI application at `/ws`."""

    def __init__(
        self,
        hub: Hub,
        methods: Methods,
        *,
        authenticate: Authenticate,
        snapshot: Snapshot,
        limits: WsLimits | None = None,
    ) -> None:
        self.hub = hub
        self.methods = methods
        self.snapshot = snapshot
        self.limits = limits or WsLimits()
        self._authenticate = authenticate
        self._loop = asyncio.get_running_loop()
        self._connections: dict[Connection, None] = {}
        self._of_user: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self.now = self._loop.time
        self.later = self._loop.call_later

    @property
    def connections(self) -> Sequence[Connection]:
        """Those that are open."""
        return tuple(self._connections)

    def __len__(self) -> int:
        return len(self._connections)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Accept an upgrade; return at once where the server hands out its raw channel."""
        caller = await self._authenticate(scope)
        await receive()
        accepted = SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None
        await send({"type": "websocket.accept", "subprotocol": accepted})
        raw: RawChannel | None = (scope.get("extensions") or {}).get(EXTENSION)
        if raw is not None:
            self._open(raw, caller)
            return
        channel = AsgiChannel(receive, send, self.limits.max_message_bytes)
        self._open(channel, caller)
        await channel.run()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a call of a connection."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def of_user(self, user_id: str) -> int:
        """Return how many connections a user has."""
        return self._of_user[user_id]

    def known(self, before: Caller | None, now: Caller | None) -> None:
        """A connection's caller was one, and is another now; None is nobody."""
        if now is not None:
            self._of_user[now.user_id] += 1
        if before is not None:
            self._of_user[before.user_id] -= 1
            if not self._of_user[before.user_id]:
                del self._of_user[before.user_id]

    def forget(self, connection: Connection) -> None:
        """A connection is over."""
        del self._connections[connection]
        self.known(connection.caller, None)

    def warn(self, node: str, retry_after_ms: int) -> None:
        """Tell everybody that this process goes down; at the beginning of a drain."""
        told = TowerDraining(node=node, retry_after_ms=retry_after_ms)
        self.hub.publish_ephemeral(ephemeral(told, _NOWHERE, self.hub.wall()))

    async def drain(self, retry_after_ms: int, spread_s: float = 2.0) -> None:
        """Close everybody, one after the other over ``spread_s``; at the end of a drain."""
        left = list(self._connections)
        random.shuffle(left)
        reason = close_reason(Close.RESTART, "", retry_after_ms)
        # In steps, since ten thousand sleeps are longer than their sum.
        steps = min(len(left), DRAIN_STEPS)
        for step in range(steps):
            await asyncio.sleep(spread_s / steps)
            for connection in left[step::steps]:
                connection.close(Close.RESTART, reason)

    async def close(self) -> None:
        """Cancel every call in flight and wait for their ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _open(self, channel: RawChannel, caller: Caller | None) -> None:
        connection = Connection(self, channel, caller)
        self._connections[connection] = None
        self.known(None, caller)
        connection.start()
