"""Turns of the event loop, as the fan-out uses them; a test plugs in its own."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol


class Turns(Protocol):
    """A loop: when is it, and what comes next."""

    def now(self) -> float:
        """Return seconds on a clock that never goes back."""

    def soon(self, callback: Callable[[], None]) -> None:
        """Call in the next turn."""

    def later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call after ``delay_s``, unless closed before."""

    def spawn(self, coroutine: Coroutine[object, object, None]) -> None:
        """Run a coroutine, which handles its own errors, until closed."""

    async def close(self) -> None:
        """Cancel all timers and coroutines, and wait for these to end."""


class LoopTurns:
    """The running asyncio loop. Owns the tasks and timers that it starts."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self.now = self._loop.time

    def soon(self, callback: Callable[[], None]) -> None:
        """Call in the next turn."""
        self._loop.call_soon(callback)

    def later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call after ``delay_s``, unless closed before."""

        def ring() -> None:
            self._timers.discard(timer)
            callback()

        timer = self._loop.call_later(delay_s, ring)
        self._timers.add(timer)

    def spawn(self, coroutine: Coroutine[object, object, None]) -> None:
        """Run a coroutine, which handles its own errors, until closed."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel all timers and coroutines, and wait for these to end."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
