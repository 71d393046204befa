"""The Python client of `/ws`: calls with replies, and events as they come.

    async with Client("http://127.0.0.1:8000") as tower:
        ack = await tower.call("mission.submit", mission="calculate 2 + 2")
        async for event in tower.events():
            print(event["type"])

The command line is built on it, so that it can do nothing which the API can't.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from events.payloads import JsonObject

SUBPROTOCOL = "tower.v1"
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
OPEN_TIMEOUT_S = 10
CALL_TIMEOUT_S = 60.0

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class ClientError(Exception):
    """A call that was refused, or a connection that is gone.

    Attributes:
        code: the server's ``data.code``; ``disconnected`` when there was no reply.
        details: ``data.details``.
    """

    def __init__(self, code: str, message: str, details: JsonObject | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}


class Client:
    """One connection to a tower.

    Args:
        url: ``http://…`` or ``ws://…`` of the server.
        token: sent as ``Authorization: Bearer`` on the upgrade.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        base = url.replace("http", "ws", 1) if url.startswith("http") else url
        self._url = base.rstrip("/") + "/ws"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._ids = itertools.count(1)
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._events: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        self._connection: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ClientError: if the server can't be reached or refuses.
        """
        try:
            self._connection = await connect(
                self._url,
                subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
                additional_headers=self._headers,
                compression=None,
                max_size=MAX_MESSAGE_BYTES,
                open_timeout=OPEN_TIMEOUT_S,
                proxy=None,
            )
        except (OSError, TimeoutError, InvalidStatus) as error:
            raise ClientError("disconnected", f"{self._url}: {error}") from error
        self._reader = asyncio.create_task(self._read(self._connection))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            await self._connection.close()
        if self._reader is not None:
            await self._reader

    async def call(self, method: str, **params: object) -> Any:
        """Call a method and return its result. Parameters that are None are left out.

        Raises:
            ClientError: with the server's code, or ``disconnected``.
        """
        if self._connection is None:
            raise ClientError("disconnected", "not connected")
        number = next(self._ids)
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._replies[number] = reply
        request = {
            "jsonrpc": "2.0",
            "id": number,
            "method": method,
            "params": {name: value for name, value in params.items() if value is not None},
        }
        try:
            await self._connection.send(_encode(request).decode())
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await reply
        except ConnectionClosed as error:
            raise ClientError("disconnected", str(error)) from error
        except TimeoutError:
            raise ClientError("timeout", f"{method}: no reply in {CALL_TIMEOUT_S:g} s") from None
        finally:
            self._replies.pop(number, None)

    async def events(self) -> AsyncIterator[JsonObject]:
        """Yield the params of each event, in order, until the connection ends."""
        while (event := await self._events.get()) is not None:
            yield event

    async def _read(self, connection: ClientConnection) -> None:
        try:
            async for message in connection:
                self._take(_decode(message))
        except ConnectionClosed:
            pass  # what was waiting learns of it below
        finally:
            gone = ClientError("disconnected", "the connection to the server is gone")
            for reply in self._replies.values():
                if not reply.done():
                    reply.set_exception(gone)
            self._events.put_nowait(None)

    def _take(self, message: JsonObject) -> None:
        if message.get("method") == "event":
            self._events.put_nowait(message["params"])
            return
        number = message.get("id")
        reply = self._replies.get(number) if isinstance(number, int) else None
        if reply is None or reply.done():
            return
        if "error" in message:
            error = message["error"]
            said = error.get("data", {})
            reply.set_exception(
                ClientError(said.get("code", "internal"), error["message"], said.get("details"))
            )
        else:
            reply.set_result(message["result"])
