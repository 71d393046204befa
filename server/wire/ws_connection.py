"""One connection of `/ws`: a client between its JSON-RPC session and the hub.

Calls are read in order and answered side by side, at most ``max_in_flight`` at once: behind that
the client is not read from. A connection that is lost cancels its calls, not what they asked of
the tower.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from control_tower.commands import Caller
from events.errors import EventsError
from events.hub import Subscribed
from events.topics import Filter
from server.errors import Unauthenticated, as_refusal
from server.wire.close_codes import Close
from server.wire.raw_channel import MAX_MESSAGE_BYTES, RawChannel
from server.wire.rpc_session import (
    Ack,
    Call,
    RateBound,
    RpcSession,
    encode_error,
    encode_result,
)

if TYPE_CHECKING:
    from server.wire.ws import Sockets

log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class WsLimits:
    """Bounds of a connection. ``rate`` None is no bound."""

    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_in_flight: int = 64
    hello_within_s: float = 5.0
    rate: RateBound | None = field(default_factory=RateBound)


class ClientStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A connection, as ``tower.status`` shows it."""

    connection_id: str
    user_id: str | None
    topics: list[str]
    offset: int
    buffered_bytes: int


class Connection:
    """One client. What methods may use is public; all of it is called on the event loop.

    Attributes:
        connection_id: for people and logs.
        caller: who it is; None before a needed hello. Set by :meth:`admit`.
        client: what the client called itself in hello.
        changing_topics: held by a call that does; who comes later waits, as a call may have to look
            things up, and the last word must be the last call's.
    """

    __slots__ = (
        "_attaching",
        "_channel",
        "_closed",
        "_hello_timer",
        "_in_flight",
        "_opened_at",
        "_paused",
        "_session",
        "_sockets",
        "_subscriber",
        "_unread",
        "caller",
        "changing_topics",
        "client",
        "connection_id",
    )

    def __init__(self, sockets: "Sockets", channel: RawChannel, caller: Caller | None) -> None:
        self._sockets = sockets
        self._channel = channel
        self._subscriber = sockets.hub.add(channel)
        self._session = RpcSession(
            sockets.methods,
            sockets.now(),
            admitted=caller is not None,
            rate=sockets.limits.rate,
        )
        self._in_flight: set[asyncio.Task[None]] = set()
        self._unread: deque[str] = deque()
        self._paused = False
        self._closed = False
        self._attaching = 0
        self._opened_at = sockets.now()
        self._hello_timer: asyncio.TimerHandle | None = None
        self.connection_id = f"c_{secrets.token_hex(8)}"
        self.caller = caller
        self.client: object = None
        self.changing_topics = asyncio.Lock()

    # What methods may use.

    @property
    def topics(self) -> list[str]:
        """Its topics, in the order of asking; implicit ones are left out."""
        return self._sockets.hub.topics(self._subscriber)

    @property
    def hears(self) -> bool:
        """Whether any events are sent to it, or are about to be: its caller is who asked for them.

        Implicit topics count, and calls of subscribe that are still under way.
        """
        return self._attaching > 0 or self._sockets.hub.hears(self._subscriber)

    @property
    def known_caller(self) -> Caller:
        """The caller.

        Raises:
            Unauthenticated: before hello; only ``hello`` itself can meet that.
        """
        if self.caller is None:
            raise Unauthenticated("Say hello with a token first.")
        return self.caller

    def offset(self) -> int:
        """Return the offset up to which all of its topics precede a reply made now."""
        return self._sockets.hub.offset(self._subscriber)

    def admit(self, caller: Caller) -> None:
        """Let it call everything, as ``caller``."""
        self._sockets.known(self.caller, caller)
        self.caller = caller
        self._session.admitted = True
        self._stop_hello_timer()

    async def subscribe(
        self, filters: Sequence[Filter], since: int | None, epoch: str | None, ack: Ack
    ) -> dict[str, Any]:
        """Attach topics, acknowledge in that same step, and return the result.

        ``since`` None is "now", 0 is "start". Whether the caller may see the topics was checked.

        Raises:
            EventsError: for too many topics.
        """
        result: dict[str, Any] = {}

        def attached(done: Subscribed) -> None:
            result.update(msgspec.to_builtins(done))
            missions = self._sockets.snapshot([one.topic for one in filters])
            result["snapshot"] = {"missions": missions}
            ack(result)

        with self.attaching():
            await self._sockets.hub.subscribe(self._subscriber, filters, since, epoch, attached)
        return result

    @contextlib.contextmanager
    def attaching(self) -> Iterator[None]:
        """Hold the caller: what it may hear is being looked up, or is being attached."""
        self._attaching += 1
        try:
            yield
        finally:
            self._attaching -= 1

    def unsubscribe(self, topics: Sequence[str]) -> list[str]:
        """Let topics go; return those that remain."""
        return self._sockets.hub.unsubscribe(self._subscriber, topics)

    def follow(self, mission_id: str) -> None:
        """Give it a mission's events until the terminal one. Call it in ``committed``."""
        self._sockets.hub.follow(self._subscriber, mission_id, self.known_caller.user_id)

    def close(self, code: int, reason: str = "") -> None:
        """Close it behind what was said so far."""
        if not self._closed:
            self._sockets.hub.finish(self._subscriber)
            self._channel.close(code, reason)

    def status(self) -> ClientStatus:
        """Return what ``tower.status`` shows of it."""
        return ClientStatus(
            connection_id=self.connection_id,
            user_id=self.caller.user_id if self.caller is not None else None,
            topics=self.topics,
            offset=self.offset(),
            buffered_bytes=self._channel.buffered(),
        )

    # What the channel reports.

    def heard(self) -> None:
        """Bytes arrived."""
        self._sockets.hub.heard(self._subscriber)

    def stuck(self) -> None:
        """Bytes wait in the transport."""
        self._sockets.hub.stuck(self._subscriber)

    def drained(self) -> None:
        """No bytes wait any more."""
        self._sockets.hub.drained(self._subscriber)

    def frame_received(self) -> None:
        """A frame that is no message."""
        close = self._session.frame(self._sockets.now())
        if close is not None:
            self.close(*close)

    def text_received(self, text: str) -> None:
        """A message arrived."""
        if self._closed:
            return
        if len(self._in_flight) >= self._sockets.limits.max_in_flight:
            self._unread.append(text)
            if not self._paused:
                self._paused = True
                self._channel.pause()
            return
        self._take(text)

    def lost(self, code: int, reason: str) -> None:
        """The connection is over."""
        if self._closed:
            return
        self._closed = True
        self._stop_hello_timer()
        self._sockets.hub.remove(self._subscriber)
        self._unread.clear()
        for task in self._in_flight:
            task.cancel()
        self._sockets.forget(self)
        log.info(
            "ws.closed",
            connection_id=self.connection_id,
            user_id=self.caller.user_id if self.caller is not None else None,
            code=int(code),
            reason=reason,
            open_s=round(self._sockets.now() - self._opened_at, 3),
        )

    # Inside.

    def start(self) -> None:
        """Take the channel over."""
        if self.caller is None:
            self._hello_timer = self._sockets.later(
                self._sockets.limits.hello_within_s, self._no_hello
            )
        self._channel.attach(self)

    def _take(self, text: str) -> None:
        received = self._session.receive(text, self._sockets.now())
        if received.reply is not None:
            self._say(received.reply)
        if received.close is not None:
            self.close(*received.close)
        if received.call is not None:
            task = self._sockets.spawn(self._make(received.call))
            self._in_flight.add(task)
            task.add_done_callback(self._made)

    async def _make(self, call: Call) -> None:
        answered = False

        def ack(result: Any) -> None:
            nonlocal answered
            answered = True
            self._say(encode_result(call.id, result))

        try:
            result = await call.method.call(self, call.params, ack)
            if not answered:
                ack(result)
        except Exception as error:
            if as_refusal(error) is None and not isinstance(error, EventsError):
                log.exception("ws.call_failed", method=call.name)
            if not answered:
                self._say(encode_error(call.id, error))

    def _made(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        while self._unread and len(self._in_flight) < self._sockets.limits.max_in_flight:
            self._take(self._unread.popleft())
        if self._paused and not self._unread and not self._closed:
            self._paused = False
            self._channel.resume()

    def _say(self, body: bytes) -> None:
        if not self._closed:
            self._sockets.hub.say(self._subscriber, body)

    def _no_hello(self) -> None:
        self.close(Close.NO_HELLO, "no hello in time")

    def _stop_hello_timer(self) -> None:
        if self._hello_timer is not None:
            self._hello_timer.cancel()
            self._hello_timer = None
