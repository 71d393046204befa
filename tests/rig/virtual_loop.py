"""An event loop in virtual time: when nothing is ready, the clock jumps to the next timer."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

START = 1_800_000_000.0
"""The wall time at which every virtual world begins, Unix seconds."""

THREAD_WAIT_S = 10.0
"""How long, in real time, a world may wait for a thread when it has nothing else to do."""


class VirtualClock:
    """Wall time of a virtual world; ``ports.Clock``."""

    def __init__(self) -> None:
        self.elapsed = 0.0

    def now(self) -> float:
        """Return Unix seconds."""
        return START + self.elapsed


class Stuck(AssertionError):
    """Nothing is ready, nothing is timed, and nothing comes from a thread."""


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if events:
            return events
        if timeout is None:
            events = super().select(THREAD_WAIT_S)
            if not events:
                raise Stuck("the world has nothing left to do")
            return events
        self._clock.elapsed += max(timeout, 0.0)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a :class:`VirtualClock`'s."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        super().__init__(_JumpingSelector(self.clock))

    def time(self) -> float:
        """Return the loop's time: seconds since the world began."""
        return self.clock.elapsed


def run(work: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run ``work`` to its end in virtual time and close the loop."""
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()
