"""The client: calls with replies, and subscriptions, over drops and restarts of the server."""

import asyncio
import contextlib
import random
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from events.payloads import JsonObject
from server.client.calls import Call, CallBook
from server.client.ends import Ends
from server.client.errors import CLOSED, TIMEOUT, TOO_LARGE, ClientError
from server.client.feed import Feed, Since
from server.client.line import Closed, Line, Status, Token, Url, receive
from server.client.link import Link
from server.client.messages import Incoming, encode
from server.client.methods import Methods, Submitted
from server.client.subscription import Subscription

CALL_TIMEOUT_S: Final = 60.0
AGAIN_S: Final = 0.2


class Client(Methods):
    """A client of one tower, to be used as an async context manager.

    Calls share one connection, made again when it is lost: a call that is safe to repeat is then
    sent again by itself (a submit is, by its key), any other fails with ``disconnected``. Each
    subscription has a connection of its own, so that a slow loop holds up nothing else.

    Args:
        url: ``http://…`` or ``ws://…`` of the server, or what to ask for it at each connect.
        token: credentials, or what to ask for them at each connect. When the server no longer
            takes one and it can be asked for anew, that is done once.
        user_id: whose client it is, where the server allows to choose.
        name: what it calls itself.
        patience_s: how long to go on trying to connect, at first as after a drop; None for ever.
            The default gives up at once at first only.
        call_timeout_s: how long a call waits for its reply, reconnects included.
        on_status: told whenever the connection for calls, or one of a subscription, is live, lost
            or over.
        jitter: draws from [0, 1) where between nothing and the longest to wait before a connect.
    """

    def __init__(
        self,
        url: Url,
        token: Token = None,
        *,
        user_id: str | None = None,
        name: str = "python",
        patience_s: float | None = 0.0,
        call_timeout_s: float = CALL_TIMEOUT_S,
        on_status: Callable[[Status], None] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._url = url
        self._jitter = jitter
        self._token = token
        self._greeting: JsonObject = {"client": name} | ({"user_id": user_id} if user_id else {})
        self._patience_s = patience_s
        self._on_status = on_status
        self._call_timeout_s = call_timeout_s
        self._line = self._new_line()
        self._book = CallBook(lambda: str(uuid.uuid4()))
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._first: ClientConnection | None = None
        self._socket: ClientConnection | None = None
        self._needed = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._ended: ClientError | None = ClientError(CLOSED, "The client is not connected.")
        self._subscriptions: set[Subscription] = set()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ClientError: if the server can't be reached or refuses.
        """
        self._first = await self._line.up()
        self._be_patient(self._line)
        self._ended = None
        self._runner = asyncio.create_task(self._run(self._first))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(ClientError(CLOSED, "The client is closed."))
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])
        closing = [each.close() for each in list(self._subscriptions)]
        # A runner that is cancelled before it has begun has not taken over the first one.
        closing += [each.close() for each in (self._first, self._socket) if each is not None]
        await asyncio.gather(*closing)

    @property
    def hello(self) -> JsonObject:
        """The server's last answer to ``hello``: who we are to it, its version and limits."""
        return self._line.link.hello

    async def call(self, method: str, **params: object) -> Any:
        """Call a method and return its result. Parameters that are None are left out.

        Cancelling gives up waiting; the command is not undone.

        Raises:
            ClientError: with the server's code, or one of the client's own.
        """
        if self._ended is not None:
            raise self._ended.with_traceback(None)  # it would grow with every call
        given = {name: value for name, value in params.items() if value is not None}
        call = self._book.add(method, given)
        reply = asyncio.get_running_loop().create_future()
        self._replies[call.id] = reply
        self._needed.set()
        try:
            async with asyncio.timeout(self._call_timeout_s):
                if self._socket is not None:
                    await self._send(self._socket, call)
                return await reply
        except TimeoutError:
            said = f"{method}: no reply in {self._call_timeout_s:g} s"
            raise ClientError(TIMEOUT, said, method=method) from None
        finally:
            self._book.take(call.id)
            del self._replies[call.id]

    def subscribe(
        self,
        *topics: str,
        since: Since = "now",
        epoch: str | None = None,
        types: list[str] | None = None,
        deltas: bool = True,
        where: JsonObject | None = None,
    ) -> Subscription:
        """Return the events of topics, to be iterated: each once and in order, over any drops.

        Use it with ``async with``: inside, it is attached, and misses nothing from there on.

            async with tower.subscribe("session:s_1", since=42) as events:
                async for event in events: ...

        Args:
            topics: ``session:ID``, ``mission:ID``, ``user:NAME`` or ``system``.
            since: after this offset, from ``now`` on, or from the ``start``.
            epoch: of the log that ``since`` was seen in.
            types: globs of event types, as ``mission.*``.
            deltas: whether to send text as it streams.
            where: for ``system``: ``user_id``, ``agent``, ``priority``.
        """
        return self._subscribed(list(topics), since, epoch, _filters(types, deltas, where), None)

    def follow(
        self,
        *missions: Submitted | str,
        since: Since = "start",
        types: list[str] | None = None,
        deltas: bool = True,
    ) -> Subscription:
        """Return the events of missions, from their first to their last; then the loop ends.

        Args:
            missions: replies of :meth:`submit`, or ids.
            since: as for :meth:`subscribe`; what was submitted here begins with its first event.
            types: globs of event types. If they leave the ends out, the loop does not see them.
            deltas: whether to send text as it streams.
        """
        ids = [each if isinstance(each, str) else each.mission_id for each in missions]
        begun = [each.offset - 1 for each in missions if isinstance(each, Submitted)]
        if since == "start" and begun and len(begun) == len(missions):
            since = max(0, min(begun))
        topics = [f"mission:{each}" for each in ids]
        return self._subscribed(topics, since, None, _filters(types, deltas, None), Ends(ids))

    def _subscribed(
        self,
        topics: list[str],
        since: Since,
        epoch: str | None,
        filters: JsonObject,
        ends: Ends | None,
    ) -> Subscription:
        line = self._new_line()
        self._be_patient(line)
        feed = Feed(topics, since, epoch, filters)
        subscription = Subscription(feed, line, ends, self._subscriptions.discard)
        self._subscriptions.add(subscription)
        return subscription

    async def wait(self, mission: Submitted | str) -> JsonObject:
        """Wait until a mission has ended; return its control block."""
        pid = mission if isinstance(mission, str) else mission.mission_id
        while True:
            async with self.follow(mission, types=["mission.*"], deltas=False) as events:
                async for _ in events:
                    pass
            block = await self.mission(pid)
            if block["state"] == "terminated":
                return block
            # The server that was subscribed at is behind: it does not know the mission yet.
            await asyncio.sleep(AGAIN_S)

    async def run(self, mission: str, **more: Any) -> JsonObject:
        """Submit a mission and wait for its end; ``more`` as for :meth:`submit`.

        What it asks meanwhile has to be answered elsewhere, or by another task.
        """
        return await self.wait(await self.submit(mission, **more))

    def _new_line(self) -> Line:
        link = Link(self._jitter, refreshable=callable(self._token), greeting=self._greeting)
        return Line(
            link,
            self._url,
            self._token,
            patience_s=self._patience_s,
            on_status=self._on_status,
        )

    def _be_patient(self, line: Line) -> None:
        """From now on a server was there; it will be back."""
        if self._patience_s == 0:
            line.patience_s = None

    async def _run(self, socket: ClientConnection) -> None:
        """Own the connection for calls: read it, and make it again when a call needs one."""
        try:
            while True:
                await self._serve(socket)
                while not len(self._book):
                    self._needed.clear()
                    await self._needed.wait()
                socket = await self._line.up()
        except ClientError as error:
            self._end(error)
        except Exception as error:  # of whoever is told the status: nobody would answer the calls
            self._end(ClientError(CLOSED, f"The client stopped: {error!r}"))
            raise

    async def _serve(self, socket: ClientConnection) -> None:
        self._socket = socket
        try:
            for call in self._book.pending():
                await self._send(socket, call)
            while True:
                self._take(await receive(socket))
        except Closed as closed:
            self._socket = None
            for call in self._book.drop():
                self._fail(call, call.lost())
            self._line.lost(closed)

    async def _send(self, socket: ClientConnection, call: Call) -> None:
        text = encode(call.id, call.method, call.params)
        if len(text.encode()) > self._line.link.max_frame_bytes:
            self._book.take(call.id)
            said = f"{call.method}: too long to be sent in one message"
            self._fail(call, ClientError(TOO_LARGE, said, method=call.method))
            return
        call.sends += 1
        # Whoever reads a lost connection learns of it, too, and decides what becomes of the call.
        with contextlib.suppress(ConnectionClosed):
            await socket.send(text)

    def _take(self, message: Incoming) -> None:
        if message.params is not None:
            self._line.link.heard(message.params)
            return
        call = self._book.take(message.id)
        if call is None:
            return
        if message.error is not None:
            self._fail(call, ClientError.from_wire(message.error, call.method))
        elif (reply := self._waiting(call)) is not None:
            reply.set_result(message.result)

    def _fail(self, call: Call, error: ClientError) -> None:
        if (reply := self._waiting(call)) is not None:
            reply.set_exception(error)

    def _waiting(self, call: Call) -> "asyncio.Future[Any] | None":
        """Return where a call's outcome is waited for, if somebody still does."""
        reply = self._replies.get(call.id)
        return None if reply is None or reply.done() else reply

    def _end(self, error: ClientError) -> None:
        self._ended = error
        for call in self._book.clear():
            self._fail(call, error)


def _filters(types: list[str] | None, deltas: bool, where: JsonObject | None) -> JsonObject:
    """Return the parameters of ``subscribe`` that differ from what it does without them."""
    filters: JsonObject = {} if deltas else {"deltas": False}
    given = {"types": types, "where": where}
    return filters | {name: value for name, value in given.items() if value is not None}
