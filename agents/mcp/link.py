"""A link to an MCP server: requests out, replies in, whatever carries them."""

import asyncio
import itertools
from typing import Protocol

from agents.mcp.wire import METHOD_NOT_FOUND
from control_tower.errors import ToolFailed
from events.payloads import JsonObject


class LinkBroken(ToolFailed):
    """The server cannot be reached, or went away before it answered."""


class Link(Protocol):
    """A connection on which requests can be made."""

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        """Return the result of a request.

        Raises:
            LinkBroken: when the server does not answer.
            ToolFailed: when it answers with an error.
        """

    async def notify(self, method: str) -> None:
        """Send a notification."""

    def agreed(self, version: str) -> None:
        """Speak the version of the protocol that the server chose."""

    async def until_broken(self) -> None:
        """Return when the server has gone away."""

    async def close(self) -> None:
        """Let the server go."""


class Replies:
    """Matches replies with the requests that wait for them."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[JsonObject]] = {}
        self._broken: str | None = None

    def expect(self) -> "tuple[int, asyncio.Future[JsonObject]]":
        """Return the id of a new request, and what will be its result.

        Raises:
            LinkBroken: when there is nobody to ask any more.
        """
        if self._broken is not None:
            raise LinkBroken(self._broken)
        number = next(self._ids)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        return number, self._waiting[number]

    def forget(self, number: int) -> None:
        """Expect a reply no longer."""
        self._waiting.pop(number, None)

    def take(self, message: JsonObject) -> JsonObject | None:
        """Take a message of the server; return what must be answered to it, if anything."""
        if "method" in message:
            return _answer(message)
        number = message.get("id")
        waiting = self._waiting.pop(number, None) if isinstance(number, int) else None
        if waiting is None or waiting.done():
            return None
        result, error = message.get("result"), message.get("error")
        if isinstance(result, dict):
            waiting.set_result(result)
        else:
            said = error.get("message") if isinstance(error, dict) else None
            waiting.set_exception(ToolFailed(f"The MCP server refused: {said or 'no reason'}"))
        return None

    def break_off(self, why: str) -> None:
        """Fail every waiting request, and each later one."""
        self._broken = why
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(LinkBroken(why))
        self._waiting.clear()


def _answer(message: JsonObject) -> JsonObject | None:
    """Return the answer to a request of the server's; it may ask whether we live, and no more."""
    if "id" not in message:
        return None
    head: JsonObject = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] == "ping":
        return head | {"result": {}}
    return head | {"error": {"code": METHOD_NOT_FOUND, "message": "not offered"}}
