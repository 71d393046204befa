"""Finds the program that blocks the event loop, and names it.

One blocking call stops every mission of the node. A thread asks the loop for a sign of life; when
none comes in time it looks at what the loop's thread is doing: the task says whose program it is,
the stack says where.
"""

import asyncio
import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from types import FrameType

import structlog

log = structlog.get_logger()

ASK_EVERY_S = 0.25
"""How often the loop is asked; four wake-ups a second cost well under 0.1 % of a core."""

PATIENCE_S = 0.5
"""How long the loop may be busy before somebody is named."""

OWN_PACKAGES = ("asyncio", "uvloop", "concurrent")


@dataclass(slots=True, frozen=True)
class Blocking:
    """Somebody held the loop. ``task`` is ``mission <pid>`` or ``effect <pid> <step>``."""

    task: str
    where: str
    seconds: float


@dataclass(slots=True)
class Watchdog:
    """Watches one event loop from a thread of its own.

    Attributes:
        seen: the newest findings, oldest first.
    """

    seen: deque[Blocking] = field(default_factory=lambda: deque(maxlen=20))
    _stop: threading.Event = field(default_factory=threading.Event)
    _alive: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch the running loop, from its own thread."""
        loop, ident = asyncio.get_running_loop(), threading.get_ident()
        self._thread = threading.Thread(
            target=self._watch, args=(loop, ident), name="tower-watchdog", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; an answer that the loop still owes is not waited for."""
        self._stop.set()
        self._alive.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
            self._thread = None

    def _watch(self, loop: asyncio.AbstractEventLoop, ident: int) -> None:
        while not self._stop.wait(ASK_EVERY_S):
            alive = self._alive = threading.Event()
            if self._stop.is_set():
                return  # it was another event that stop() has set
            try:
                loop.call_soon_threadsafe(alive.set)
            except RuntimeError:
                return  # the loop is closed
            if not alive.wait(PATIENCE_S) and not self._stop.is_set():
                self._name(loop, ident, alive)

    def _name(self, loop: asyncio.AbstractEventLoop, ident: int, alive: threading.Event) -> None:
        task = asyncio.current_task(loop)
        frame = sys._current_frames().get(ident)  # noqa: SLF001  # the documented way
        name = "no task" if task is None else task.get_name()
        where = "unknown" if frame is None else where_of(frame)
        seconds = PATIENCE_S
        while not alive.wait(ASK_EVERY_S) and not self._stop.is_set():
            seconds += ASK_EVERY_S
        found = Blocking(name, where, seconds)
        self.seen.append(found)
        log.warning("loop.blocked", task=name, where=where, seconds=round(seconds, 2))


def where_of(frame: FrameType) -> str:
    """Return the innermost line that is not the event loop's own, as ``file:line function``."""
    found: FrameType | None = frame
    while found is not None:
        module = str(found.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in OWN_PACKAGES:
            code = found.f_code
            return f"{code.co_filename}:{found.f_lineno} {code.co_name}"
        found = found.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
