"""An event loop on which a server process can die.

Everything that a server does runs in a context that names its :class:`Life`. When that life ends,
none of its callbacks runs any more: no cleanup, no cancellation, no last word, as after a
``kill -9``. People and the weather run outside of every life.
"""

import asyncio
import contextvars
import heapq
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from traceback import format_exception
from typing import Any

from tests.rig.virtual_loop import VirtualLoop
from tests.simulation.chance import Chance

_LIFE: contextvars.ContextVar["Life | None"] = contextvars.ContextVar("life", default=None)

TIMER_JITTER_S = 1e-5
"""Timers set for the same moment ring in an order that the seed chooses."""

THREAD_MEAN_S = 0.003
"""How long work waits for a thread, and its result for the loop."""


class Life:
    """One life of the server process.

    Attributes:
        number: 1 for the first.
        alive: until the crash.
        context: in which everything of it runs.
        tasks: all that were created in it, kept so that nothing is collected at an odd moment.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.alive = True
        self.tasks: list[asyncio.Task[Any]] = []
        self.context = contextvars.copy_context()
        self.context.run(_LIFE.set, self)

    @property
    def unfinished(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that have not ended."""
        return [task for task in self.tasks if not task.done()]

    @property
    def unheard(self) -> list[str]:
        """Return what tasks raised that nobody asked for."""
        return [
            f"{task.get_coro()} raised {''.join(format_exception(task.exception()))}"
            for task in self.tasks
            if task.done() and not task.cancelled() and task._log_traceback
        ]


def _is_dead(context: contextvars.Context) -> bool:
    life = context.get(_LIFE)
    return life is not None and not life.alive


class _Handle(asyncio.Handle):
    _context: contextvars.Context

    def _run(self) -> None:
        if not _is_dead(self._context):
            super()._run()


class _TimerHandle(asyncio.TimerHandle):
    _context: contextvars.Context

    def _run(self) -> None:
        if not _is_dead(self._context):
            super()._run()


class WallClock:
    """``ports.Clock``: the loop's time, set wrong by ``skew_s`` now and then."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.skew_s = 0.0
        self._loop = loop

    def now(self) -> float:
        """Return Unix seconds."""
        return self._loop.clock.now() + self.skew_s


class LivesLoop(VirtualLoop):
    """The loop. ``complaints`` are what asyncio would have logged."""

    def __init__(self, chance: Chance) -> None:
        super().__init__()
        self._chance = chance
        self.wall = WallClock(self)
        self.complaints: list[str] = []
        self.set_exception_handler(self._complain)

    def _complain(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _call_soon(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call at a time, give or take :data:`TIMER_JITTER_S`."""
        when += self._chance.random.random() * TIMER_JITTER_S
        timer = _TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[Any]:
        """Create a task and note it on its life."""
        task = super().create_task(coro, name=name, context=context)
        life = _LIFE.get() if context is None else context.get(_LIFE)
        if life is not None:
            life.tasks.append(task)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """Run ``func`` after a while, its result coming a while later; all on this thread.

        As with a real pool, what was not begun can be cancelled, and what was begun goes on.
        """
        future: asyncio.Future[Any] = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                act, value = future.set_result, func(*args)
            except BaseException as raised:  # noqa: BLE001  # it becomes the future's outcome
                act, value = future.set_exception, raised
            self.call_later(self._chance.delay(THREAD_MEAN_S), finish, act, value)

        def finish(act: Callable[[Any], None], value: Any) -> None:
            if not future.done():
                act(value)

        self.call_later(self._chance.delay(THREAD_MEAN_S), work)
        return future

    def bury(self, lives: list[Life]) -> None:
        """Close what dead or ended lives left behind, so that nothing is said at collection."""
        for task in _left(lives):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            with suppress(BaseException):
                coroutine.close()


def _left(lives: list[Life]) -> Iterator[asyncio.Task[Any]]:
    for life in lives:
        life.alive = False
        yield from life.unfinished
