"""The shell of a link: dials, greets, and waits as the link says."""

import asyncio
import inspect
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, TypeAlias

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
)
from websockets.typing import Subprotocol

from events.payloads import JsonObject
from server.client.errors import ClientError
from server.client.link import LOST, Link, Over, Wait, lost_error, of_status
from server.client.messages import Incoming, decode, encode

SUBPROTOCOL: Final = Subprotocol("tower.v1")
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
OPEN_TIMEOUT_S: Final = 10
REPLY_TIMEOUT_S: Final = 30
CLOSE_TIMEOUT_S: Final = 2
HELLO_ID: Final = 0

Token: TypeAlias = str | Callable[[], str | Awaitable[str | None] | None] | None
"""A token, or what to ask for one at each connect, so that it may be a fresh one."""
Url: TypeAlias = str | Callable[[], str]
"""``http://…`` or ``ws://…`` of a server, or what to ask for it at each connect.

Whichever is asked may raise; that counts as a connection that can't be made.
"""


@dataclass(frozen=True, slots=True)
class Status:
    """What became of a connection.

    Attributes:
        state: ``live``, ``lost`` (it is dialled again after ``wait_s``) or ``over``.
        wait_s: seconds.
        reason: in words.
    """

    state: Literal["live", "lost", "over"]
    wait_s: float = 0.0
    reason: str = ""


class Closed(Exception):
    """The connection is lost, or could not be made.

    Attributes:
        code: the close code, or one that stands for what happened.
        least_s: how long to wait at least, if that was said elsewhere than in the reason.
        error: what the server refused it with, if it did.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        least_s: float | None = None,
        error: ClientError | None = None,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.least_s = least_s
        self.error = error


class Line:
    """One connection as its user sees it: there, or being made again.

    Args:
        link: decides.
        url: of the server.
        token: sent as ``Authorization: Bearer`` on the upgrade.
        patience_s: how long :meth:`up` goes on trying before it raises; None for ever.
        on_status: told of every change.
    """

    def __init__(
        self,
        link: Link,
        url: Url,
        token: Token,
        *,
        patience_s: float | None,
        on_status: Callable[[Status], None] | None = None,
    ) -> None:
        self.link = link
        self.patience_s = patience_s
        self._url = url
        self._token = token
        self._tell = on_status or (lambda _: None)
        self._not_before = 0.0
        self._trying_since: float | None = None
        self._over: ClientError | None = None

    async def up(self) -> ClientConnection:
        """Return a connection that was greeted. Cancelling leaves none behind.

        Raises:
            ClientError: if there will be none, or none was made within ``patience_s``.
        """
        while True:
            await asyncio.sleep(self._not_before - time.monotonic())
            if self._over is not None:
                raise self._over.with_traceback(None)  # it would grow with every time
            try:
                socket = await self._dial()
                try:
                    await self._greet(socket)
                except BaseException:
                    abandon(socket)
                    raise
            except Closed as closed:
                self.lost(closed)
            else:
                self._trying_since = None
                self._tell(Status("live"))
                return socket

    def lost(self, closed: Closed) -> None:
        """Note that the connection is lost; :meth:`up` makes the next one.

        Raises:
            ClientError: if trying again is pointless, or patience is at its end.
        """
        now = time.monotonic()
        if self._trying_since is None:
            self._trying_since = now
        if closed.error is not None:
            lost = self.link.refused(closed.error, now)
        else:
            lost = self.link.closed(closed.code, closed.reason, now, least_s=closed.least_s)
        if isinstance(lost, Over):
            self._give_up(lost.error)
        self._not_before = now + lost.delay_s
        if self._patience_ends(lost, now):
            self._give_up(lost_error(lost))
        self._tell(Status("lost", lost.delay_s, lost.reason))

    def end(self, error: ClientError) -> None:
        """Let :meth:`up` raise this from now on. Whoever is in it is theirs to cancel."""
        self._over = error

    def _patience_ends(self, lost: Wait, now: float) -> bool:
        if self.patience_s is None or self._trying_since is None:
            return False
        return now + lost.delay_s > self._trying_since + self.patience_s

    def _give_up(self, error: ClientError) -> NoReturn:
        self._over = error
        self._tell(Status("over", 0.0, error.message))
        raise error

    async def _dial(self) -> ClientConnection:
        try:
            url = self._url if isinstance(self._url, str) else self._url()
            token = await self._fresh_token()
        except ClientError as error:
            raise Closed(LOST, error.message) from error
        except Exception as error:  # the code of others, who may be cut off as we are
            raise Closed(LOST, f"no address or token: {error!r}") from error
        try:
            return await connect(
                _ws_url(url),
                subprotocols=[SUBPROTOCOL],
                additional_headers={"Authorization": f"Bearer {token}"} if token else {},
                compression=None,
                max_size=MAX_MESSAGE_BYTES,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                proxy=None,
            )
        except InvalidStatus as error:
            raise _refused_upgrade(url, error) from error
        except InvalidURI as error:
            raise ClientError("invalid_params", f"{url} is no address of a server.") from error
        except (InvalidHandshake, EOFError) as error:
            raise Closed(LOST, f"{url} does not speak WebSocket: {error}") from error
        except TimeoutError as error:
            raise Closed(LOST, f"{url} did not answer in time") from error
        except OSError as error:
            why = error.strerror or str(error)
            if isinstance(error, ConnectionError) and error.errno is not None:
                why = os.strerror(error.errno)  # shorter than asyncio's
            raise Closed(LOST, f"{url} can't be reached: {why}") from error

    async def _fresh_token(self) -> str | None:
        if self._token is None or isinstance(self._token, str):
            return self._token
        token = self._token()
        return await token if inspect.isawaitable(token) else token

    async def _greet(self, socket: ClientConnection) -> None:
        hello = await ask(socket, HELLO_ID, "hello", self.link.greeting, self.link)
        self.link.greeted(hello, time.monotonic())


async def ask(
    socket: ClientConnection, request_id: int, method: str, params: JsonObject, link: Link
) -> Any:
    """Send a request and return its result, on a connection that is not used otherwise yet.

    Raises:
        Closed: if there is no reply, or none in time, or an error; the connection is let go.
    """
    try:
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            await socket.send(encode(request_id, method, params))
            while (message := await receive(socket)).id != request_id:
                if message.params is not None:
                    link.heard(message.params)
    except TimeoutError:
        abandon(socket)
        raise Closed(LOST, f"no reply to {method}") from None
    except ConnectionClosed as lost:
        raise closed_by(socket) from lost
    if message.error is not None:
        abandon(socket)
        error = ClientError.from_wire(message.error, method)
        raise Closed(LOST, error.message, error=error)
    return message.result


async def receive(socket: ClientConnection) -> Incoming:
    """Return the next message. Cancelling loses none.

    Raises:
        Closed: if the connection is lost, or says what is no message.
    """
    try:
        text = await socket.recv()
    except ConnectionClosed as error:
        raise closed_by(socket) from error
    try:
        return decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        abandon(socket)
        raise Closed(1011, "the server said what is no message") from error


def closed_by(socket: ClientConnection) -> Closed:
    """Return how a connection was closed."""
    return Closed(socket.close_code or LOST, socket.close_reason or "")


def abandon(socket: ClientConnection) -> None:
    """Let a connection go without a closing handshake."""
    socket.transport.abort()


def _ws_url(url: str) -> str:
    base = url.replace("http", "ws", 1) if url.startswith("http") else url
    base = base.rstrip("/")
    return base if base.endswith("/ws") else f"{base}/ws"


def _refused_upgrade(url: str, error: InvalidStatus) -> Closed:
    status = error.response.status_code
    retry_after = error.response.headers.get("Retry-After")
    least_s = float(retry_after) if retry_after and retry_after.isdigit() else None
    return Closed(
        of_status(status), _said_by_problem(error) or f"{url} answered HTTP {status}", least_s
    )


def _said_by_problem(error: InvalidStatus) -> str | None:
    """Return the sentence in a problem+json body, if there is one."""
    try:
        detail = msgspec.json.decode(error.response.body or b"").get("detail")
    except (msgspec.MsgspecError, UnicodeError, AttributeError):
        return None
    return detail if isinstance(detail, str) else None
