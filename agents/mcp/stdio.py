"""A link to an MCP server that runs as a subprocess and talks over its standard streams."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

import msgspec
import structlog

from agents.mcp.link import LinkBroken, Replies
from agents.mcp.wire import decode
from events.payloads import JsonObject

MAX_LINE_BYTES = 8 * 1024 * 1024
MAX_LOGGED_CHARACTERS = 500
END_S = 2.0
LOOK_S = 0.02
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "SYSTEMROOT")
"""What a server gets of our environment; keys and passwords are not its to see."""

log = structlog.get_logger()


class StdioLink:
    """Implements :class:`agents.mcp.link.Link`. Made by :meth:`open`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process
        self._replies = Replies()
        self._reading = asyncio.create_task(self._read())
        self._logging = asyncio.create_task(self._log())

    @classmethod
    async def open(
        cls, name: str, command: str, args: Sequence[str], env: Mapping[str, str]
    ) -> "StdioLink":
        """Start the server.

        Raises:
            LinkBroken: when it cannot be started.
        """
        inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
        try:
            process = await asyncio.create_subprocess_exec(
                command,
                *args,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=inherited | dict(env),
                limit=MAX_LINE_BYTES,
                # A Ctrl-C in the server's terminal is the server's to handle.
                start_new_session=True,
            )
        except OSError as error:
            raise LinkBroken(f"{command} cannot be started: {error.strerror}") from error
        return cls(name, process)

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        """Return the result of a request; see :class:`agents.mcp.link.Link`."""
        number, reply = self._replies.expect()
        try:
            await self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
            return await reply
        except asyncio.CancelledError:
            self._give_up(number)
            raise
        finally:
            self._replies.forget(number)

    async def notify(self, method: str) -> None:
        """Send a notification."""
        await self._send({"jsonrpc": "2.0", "method": method})

    def agreed(self, version: str) -> None:
        """Do nothing: on streams no message says its version."""

    async def until_broken(self) -> None:
        """Return when the process has ended or closed its output."""
        await asyncio.wait([self._reading])

    async def close(self) -> None:
        """End the server and all that it has started: asked by closing its input, told, made to.

        A server is often a launcher's child (of npx, uvx, a shell), which outlives the launcher.
        """
        if self._process.stdin is not None:
            self._process.stdin.close()
        for end in (None, signal.SIGTERM, signal.SIGKILL):
            if end is not None:
                self._tell_all(end)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await self._all_ended()
                break
        for task in (self._reading, self._logging):
            task.cancel()
        await asyncio.wait([self._reading, self._logging])

    async def _all_ended(self) -> None:
        await self._process.wait()
        while self._tell_all(0):  # noqa: ASYNC110 - of a grandchild nobody tells us
            await asyncio.sleep(LOOK_S)

    def _tell_all(self, number: int) -> bool:
        """Send a signal to the server's process group, whose leader it is; whether there is any."""
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            # None is left, or a system that does not let us ask after those that it buries.
            return False
        return True

    def _give_up(self, number: int) -> None:
        """Tell the server that nobody waits any more; it need not listen."""
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing():
            params = {"requestId": number, "reason": "cancelled"}
            message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
            stdin.write(msgspec.json.encode(message) + b"\n")

    async def _send(self, message: JsonObject) -> None:
        stdin = self._process.stdin
        try:
            if stdin is None or stdin.is_closing():
                raise BrokenPipeError
            stdin.write(msgspec.json.encode(message) + b"\n")
            await stdin.drain()
        except (ConnectionError, RuntimeError) as error:
            raise LinkBroken(f"The MCP server {self._name} is gone.") from error

    async def _read(self) -> None:
        stdout = self._process.stdout
        try:
            while stdout is not None and (line := await stdout.readline()):
                message = decode(line)
                answer = None if message is None else self._replies.take(message)
                if answer is not None:
                    await self._send(answer)
        except (ValueError, LinkBroken):
            # A line beyond all bounds, or nobody to answer: there is no going on.
            log.warning("mcp.garbled", server=self._name)
        finally:
            self._replies.break_off(f"The MCP server {self._name} is gone.")

    async def _log(self) -> None:
        """Keep what the server complains of; unread, its pipe would fill and stop it."""
        stderr = self._process.stderr
        with contextlib.suppress(ValueError):
            while stderr is not None and (line := await stderr.readline()):
                said = line.decode("utf-8", "replace").strip()[:MAX_LOGGED_CHARACTERS]
                log.info("mcp.says", server=self._name, said=said)
