"""A real server in a process of its own, and a plain WebSocket client to talk to it.

The client knows JSON-RPC and nothing else, on purpose: what it proves, any language can do.
"""

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

from tests.rig import cluster

ROOT = Path(__file__).resolve().parents[2]
START_S = 30.0
STOP_S = 20.0
REPLY_S = 30.0

Event = dict[str, Any]

TERMINAL = {
    "mission.completed",
    "mission.failed",
    "mission.cancelled",
    "mission.timed_out",
    "mission.quota_exceeded",
}


class TowerProcess:
    """`python -m server serve` over a data folder, on a free port.

    Where tests are to run over a cluster, it serves clients only, and a worker stands beside it.

    Attributes:
        program: what is run, before `serve` and its arguments.
    """

    program: Sequence[str] = (sys.executable, "-m", "server")
    command: Sequence[str] = ("serve",)

    def __init__(self, data_dir: Path, *arguments: str, **settings: str) -> None:
        self.data_dir = data_dir
        self._arguments = arguments
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self._worker: _Worker | None = None
        if cluster.wanted() and self.command == ("serve",) and "TOWER_DATABASE_URL" not in settings:
            shared = {
                f"TOWER_{name.upper()}": url for name, url in cluster.settings_of(data_dir).items()
            }
            self._settings = settings | shared
            self._worker = _Worker(
                data_dir.parent / f"{data_dir.name}.worker", *arguments, **self._settings
            )
            self.command = ("serve", "--role", "web")

    def start(self) -> Self:
        """Start, and wait until it says where it is."""
        if self._worker is not None:
            self._worker.start()
        self.launch()
        return self.announced()

    def launch(self, pass_fds: Sequence[int] = ()) -> None:
        """Start, and wait for nothing; ``pass_fds`` stay open in it."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith("TOWER_")}
        environ |= {"TOWER_DATA_DIR": str(self.data_dir), "TOWER_PORT": "0"} | self._settings
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [*self.program, *self.command, *self._arguments],
                cwd=ROOT,
                env=environ,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                pass_fds=pass_fds,
            )

    def announced(self) -> Self:
        """Wait until it says where it is."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            self._process.wait(START_S)
            raise AssertionError(f"the server did not start: {line}{self.log.read_text()}")
        self.url = found[0]
        return self

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Wait for the end; return the exit code."""
        assert self._process is not None
        code = self._process.wait(timeout_s)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        self.signal(signal.SIGTERM)
        code = self.wait()
        return code if self._worker is None else max(code, self._worker.stop())

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._worker is not None:
            self._worker.kill()
        self.signal(signal.SIGKILL)
        self.wait()

    def end(self) -> None:
        """Make sure that it is gone, for fixtures; in order, if it can."""
        if self._worker is not None:
            self._worker.end()
        if self._process is None or self._process.poll() is not None:
            return
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    @property
    def ws_url(self) -> str:
        """Where the WebSocket is."""
        return self.url.replace("http", "ws", 1) + "/ws"


class _Worker(TowerProcess):
    """Runs the missions of a cluster that stands for one server."""

    command = ("worker",)


class Refused(Exception):
    """An error reply."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.number: int = error["code"]
        self.code: str = error["data"]["code"]
        self.details: dict[str, Any] = error["data"]["details"]
        self.message: str = error["message"]


class Wire:
    """One connection, in the order in which things come: ``messages`` keeps them all."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.messages: list[dict[str, Any]] = []
        self._ids = itertools.count(1)
        self._read = 0

    async def send(self, text: str) -> None:
        """Send raw text."""
        await self.connection.send(text)

    async def receive(self) -> dict[str, Any]:
        """Return the next message."""
        async with asyncio.timeout(REPLY_S):
            message = json.loads(await self.connection.recv())
        assert message["jsonrpc"] == "2.0"
        self.messages.append(message)
        return dict(message)

    async def call(self, method: str, **params: Any) -> Any:
        """Call, and return the result; events that come before the reply are kept."""
        number = next(self._ids)
        await self.send(
            json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        )
        while True:
            message = await self.receive()
            if message.get("id") == number and "method" not in message:
                if "error" in message:
                    raise Refused(message["error"])
                return message["result"]

    async def event(self, wanted: str | Callable[[Event], bool]) -> Event:
        """Return the next event, from those not looked at yet, that is wanted."""
        while True:
            while self._read < len(self.messages):
                message = self.messages[self._read]
                self._read += 1
                if message.get("method") != "event":
                    continue
                event: Event = message["params"]
                if event["type"] == wanted if isinstance(wanted, str) else wanted(event):
                    return event
            await self.receive()

    async def ended(self) -> Event:
        """Return the next terminal event."""
        return await self.event(lambda event: event["type"] in TERMINAL)

    @property
    def events(self) -> list[Event]:
        """Every event so far."""
        return [m["params"] for m in self.messages if m.get("method") == "event"]

    @property
    def durable(self) -> list[Event]:
        """Every event so far that has an offset."""
        return [event for event in self.events if "offset" in event]


@contextlib.asynccontextmanager
async def wire(url: str, **headers: str) -> AsyncIterator[Wire]:
    """Connect to `/ws`."""
    # What was never read stands in the way of the closing handshake: nobody waits for that.
    async with connect(
        url,
        additional_headers=headers,
        compression=None,
        max_size=None,
        proxy=None,
        close_timeout=0.5,
    ) as connection:
        yield Wire(connection)


async def eventually(check: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait until something outside of this process holds; there is no event to wait for."""
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, "it never came to be"
        await asyncio.sleep(0.02)
