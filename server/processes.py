"""`--processes N`: one parent, and as many servers of one tower that share a port.

Each child is a whole server with a data folder of its own; the kernel gives each new connection to
one of them (``SO_REUSEPORT``). The parent serves nobody. It passes signals on, and starts again
who died. The first child starts alone: it makes what all need, the tables of an empty database, and
what is wrong with the settings is said once.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from server.tether import STARTED, tied

FOLDER = "processes"
"""Below the data folder: the data folders of the processes, by their numbers."""

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
LASTED_S = 30.0
"""Who lived this long is started again as if it had never died before."""

log = structlog.get_logger(__name__)


def pause_s(deaths: int) -> float:
    """Return how long to wait after so many deaths in a row, at least one."""
    doublings = min(deaths - 1, 16)  # a float has no room for those of a day of deaths
    return min(FIRST_PAUSE_S * 2.0**doublings, LONGEST_PAUSE_S)


def data_dir_of(data_dir: Path, number: int) -> Path:
    """Return the data folder of one of the processes: it says who a node is, so none is shared."""
    return data_dir / FOLDER / str(number)


def this_program(*arguments: str) -> list[str]:
    """Return the command that runs `tower` with these arguments."""
    # -P: a file of the developer's called like one of ours is not to shadow it.
    return [sys.executable, "-P", "-m", "server", *arguments]


@dataclass(slots=True)
class _Child:
    """One of the processes, over all of its lives.

    Attributes:
        number: from 1 on.
        process: its present life; None between two.
        started: it has served, in any of its lives.
        code: the exit code of its last life.
    """

    number: int
    command: Sequence[str]
    process: asyncio.subprocess.Process | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    code: int = 0

    def tell(self) -> None:
        """Ask it to end; the second time, to hurry."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)


class Processes:
    """Runs children until a signal comes, or one of them can't start at all.

    Args:
        commands: of the children; ``--tether FD`` is added to each.
        token: the operator token that all of them take.
        serving: called once, when all of them serve.
    """

    def __init__(
        self, commands: Sequence[Sequence[str]], token: str, serving: Callable[[], None]
    ) -> None:
        self._children = [_Child(number, each) for number, each in enumerate(commands, 1)]
        self._token = token
        self._serving = serving
        self._stop = asyncio.Event()
        self._told = 0

    async def run(self) -> int:
        """Start all, keep them, and return the exit code: 0 when each has drained."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._end)
        first, *others = self._children
        async with asyncio.TaskGroup() as group:
            saying = group.create_task(self._say_when_all_serve())
            keeping = [group.create_task(self._keep(first))]
            await _first_of(first.started, self._stop)
            keeping += [group.create_task(self._keep(each)) for each in others]
            await asyncio.wait(keeping)
            saying.cancel()
        return max(_failure(each) for each in self._children)

    def _end(self) -> None:
        """Pass a signal on. Ctrl-C in a terminal reaches the children through here, too."""
        self._told += 1
        self._stop.set()
        for child in self._children:
            child.tell()

    async def _say_when_all_serve(self) -> None:
        for child in self._children:
            await child.started.wait()
        self._serving()

    async def _keep(self, child: _Child) -> None:
        """Run a child, again and again, until we stop."""
        clock, deaths = asyncio.get_running_loop().time, 0
        while not self._stop.is_set():
            born = clock()
            child.code = await self._live(child)
            if self._stop.is_set():
                return
            if child.code > 0 and not child.started.is_set():
                log.error("process.can_not_start", number=child.number, code=child.code)
                self._end()
                return
            deaths = 1 if clock() - born > LASTED_S else deaths + 1
            again_in_s = pause_s(deaths)
            log.warning(
                "process.ended", number=child.number, code=child.code, again_in_s=again_in_s
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), again_in_s)

    async def _live(self, child: _Child) -> int:
        """Let a child live once; return its exit code, negative for a signal."""
        ours, theirs = tied(self._token)
        with ours:
            with theirs:
                try:
                    child.process = await _born(child.command, theirs)
                except OSError as error:  # no room for one more process, or no memory
                    log.warning("process.not_made", number=child.number, error=str(error))
                    return os.EX_OSERR
            for _ in range(self._told):  # what came while it was being made
                child.tell()
            ours.setblocking(False)
            hearing = asyncio.create_task(_hear(ours, child))
            code = await child.process.wait()
            child.process = None
            await hearing
            return code


async def _born(command: Sequence[str], tether: socket.socket) -> asyncio.subprocess.Process:
    # A group of its own: Ctrl-C in a terminal reaches it once, from the parent.
    return await asyncio.create_subprocess_exec(
        *command,
        "--tether",
        str(tether.fileno()),
        pass_fds=[tether.fileno()],
        start_new_session=True,
    )


async def _hear(tether: socket.socket, child: _Child) -> None:
    """Note that a child says that it serves; returns with its end."""
    loop, said = asyncio.get_running_loop(), b""
    with suppress(OSError):
        while heard := await loop.sock_recv(tether, len(STARTED)):
            said += heard
            if STARTED in said:
                child.started.set()


async def _first_of(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiting = [asyncio.ensure_future(each.wait()) for each in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()


def _failure(child: _Child) -> int:
    """Return what a child's last end says to who started us: 0 for a good one.

    One that was told to end before it could listen to signals had nothing to drain.
    """
    if child.code >= 0:
        return child.code
    return 0 if -child.code == signal.SIGTERM else 128 - child.code
