"""Server-sent events: the hub's events for clients that only speak HTTP.

A stream is one more connection of the hub, with topics and a place in the log; ``id:`` is the
offset, so that a browser's ``EventSource`` resumes by itself. A client that does not read is
dropped as on `/ws`. Proxies are told not to buffer, and a comment every 15 s keeps them awake.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
from starlette.responses import StreamingResponse

from control_tower.commands import Caller
from control_tower.errors import RateLimited, Unavailable
from events.frames import payloads
from events.hub import Hub, Subscribed
from events.payloads import TERMINAL_TYPES, ReplayDone
from events.subscribers import Subscriber
from events.topics import Filter

COMMENT_EVERY_S = 15.0
RETRY_AFTER_S = 5.0
COMMENT = b": still here\n\n"
CHUNK_BYTES = 64 * 1024

_HEAD = b'{"jsonrpc":"2.0","method":"event","params":'


class _Params(msgspec.Struct):
    type: str
    offset: int | None = None
    mission_id: str | None = None


_decode = msgspec.json.Decoder(_Params).decode


class EventStream:
    """One client; an :class:`events.subscribers.Outlet`.

    Args:
        caller: who reads; the stream ends with their credentials.
        until: the mission whose terminal event ends the stream; None for one without an end.
        finite: end behind the replay: nothing more will come.
        from_now: what is replayed is new to the client: it is not told that it was a replay.
        closed: called once when the stream is over.
    """

    def __init__(
        self,
        hub: Hub,
        caller: Caller,
        until: str | None,
        closed: Callable[["EventStream"], None],
        *,
        finite: bool = False,
        from_now: bool = False,
    ) -> None:
        self.caller = caller
        self._hub = hub
        self._until = until
        self._finite = finite
        self._from_now = from_now
        self._resume: int | None = None
        self._closed = closed
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self._over = False
        self._subscriber: Subscriber | None = None

    async def attach(self, filters: Sequence[Filter], since: int | None) -> None:
        """Begin to collect, from ``since`` on; None is now.

        Behind a gap a mission's stream goes on with all that the log still has of the mission: its
        last event may be there already.
        """
        self._subscriber = self._hub.add(self)
        await self._hub.subscribe(self._subscriber, filters, since, None, self._attached)
        while self._until is not None and self._resume is not None:
            # In this very step: nothing new is to come before what is older.
            self._hub.unsubscribe(self._subscriber, [one.topic for one in filters])
            since, self._resume = self._resume, None
            await self._hub.subscribe(self._subscriber, filters, since, None, self._attached)

    def response(self, location: str | None = None) -> StreamingResponse:
        """Return the answer whose body this is."""
        headers = {
            # Set by hand: Starlette would add a charset, and clients compare.
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
        if location is not None:
            headers["Location"] = location
        return StreamingResponse(self._body(), headers=headers)

    def end(self) -> None:
        """Let the client go, behind what was collected."""
        self._over = True
        self._wake.set()

    def leave(self) -> None:
        """Forget the client."""
        self._over = True
        if self._subscriber is not None:
            self._hub.remove(self._subscriber)
        self._closed(self)

    # What the hub does with it.

    def write(self, frames: bytes) -> None:
        """Collect events."""
        if self._over or self._subscriber is None:
            return
        was_empty = not self._size
        for is_text, payload in payloads(frames):
            if is_text:
                self._take(payload)
            else:
                # A ping is answered on the client's behalf: whether it reads, its bytes tell.
                self._hub.heard(self._subscriber)
        if was_empty and self._size:
            self._hub.stuck(self._subscriber)
        self._wake.set()

    def buffered(self) -> int:
        """Return how many bytes the client has not taken."""
        return self._size

    def close(self, code: int, reason: str = "") -> None:  # noqa: ARG002 - an HTTP answer has no code
        """End the stream."""
        self.end()

    def abort(self) -> None:
        """Drop what is collected and end."""
        self._waiting.clear()
        self.end()

    def _attached(self, done: Subscribed) -> None:
        if not done.recovered:
            self._resume = done.floor or 0
            self._add(b"event: stream.gap\ndata: %b\n\n" % msgspec.json.encode(done))

    def _take(self, message: bytes) -> None:
        if self._over or not message.startswith(_HEAD):
            return
        data = message[len(_HEAD) : -1]
        params = _decode(data)
        if params.type == ReplayDone.TYPE and (self._finite or self._from_now):
            self._over = self._finite
            return
        number = b"" if params.offset is None else b"id: %d\n" % params.offset
        self._add(b"event: %b\n%bdata: %b\n\n" % (params.type.encode(), number, data))
        if self._until is not None and params.mission_id == self._until:
            self._over = params.type in TERMINAL_TYPES

    def _add(self, text: bytes) -> None:
        self._waiting.append(text)
        self._size += len(text)

    async def _body(self) -> AsyncIterator[bytes]:
        try:
            yield COMMENT
            while True:
                while self._waiting:
                    chunk = self._next_chunk()
                    yield chunk
                    # Only now has the transport taken it.
                    self._size -= len(chunk)
                if self._over:
                    return
                if self._subscriber is not None:
                    self._hub.drained(self._subscriber)
                if not self._waiting and not await self._woken():
                    yield COMMENT
        finally:
            self.leave()

    def _next_chunk(self) -> bytes:
        parts = [self._waiting.popleft()]
        size = len(parts[0])
        while self._waiting and size + len(self._waiting[0]) <= CHUNK_BYTES:
            size += len(self._waiting[0])
            parts.append(self._waiting.popleft())
        return b"".join(parts)

    async def _woken(self) -> bool:
        self._wake.clear()
        if self._over or self._waiting:
            return True
        try:
            async with asyncio.timeout(COMMENT_EVERY_S):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True


class EventStreams:
    """All streams of this process: bounded as its connections are, and ended when it goes down."""

    def __init__(self, hub: Hub, most: int, most_per_user: int | None) -> None:
        self._hub = hub
        self._most = most
        self._most_per_user = most_per_user
        self._open: set[EventStream] = set()

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def open_now(self) -> Sequence[EventStream]:
        """Return those that are open."""
        return tuple(self._open)

    async def open(
        self,
        caller: Caller,
        filters: Sequence[Filter],
        since: int | None,
        *,
        until: str | None = None,
        finite: bool = False,
        from_now: bool = False,
    ) -> EventStream:
        """Return a stream of the topics from ``since`` on (None: now); more at `EventStream`.

        Raises:
            Unavailable: when there are as many as the process may have.
            RateLimited: when the caller has as many as a user may have.
        """
        self.check(caller)
        stream = EventStream(
            self._hub, caller, until, self._open.discard, finite=finite, from_now=from_now
        )
        self._open.add(stream)
        try:
            await stream.attach(filters, since)
        except BaseException:  # nobody will read it: it would count for ever
            stream.leave()
            raise
        return stream

    def check(self, caller: Caller) -> None:
        """Check that the caller may have one more; raises as :meth:`open`.

        An endpoint that makes something before it opens its stream asks first.
        """
        if len(self._open) >= self._most:
            raise Unavailable("There are too many streams.", outcome="rejected")
        theirs = sum(one.caller.user_id == caller.user_id for one in self._open)
        if self._most_per_user is not None and theirs >= self._most_per_user:
            raise RateLimited(
                f"At most {self._most_per_user} streams a user.", retry_after_s=RETRY_AFTER_S
            )

    def end_all(self) -> None:
        """End every stream."""
        for stream in list(self._open):
            stream.end()
