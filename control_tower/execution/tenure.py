"""Tenure: a node acts on the world only while its seat is surely its own.

When the lease of a node has run out, another may have taken its users over, and asked people about
the effects that were in flight. So none begins without some of the lease left, and one that waits
for something goes on only while any is. A machine that was suspended in the middle of a call may
wake long after somebody else made that call again; it finds its seat lost, and ends, before the
call's code runs on. One whose database was merely away goes on when it has renewed its lease.

That holds for a call's coroutine, for the tasks that it makes, and for a plain function until its
thread begins with it. What a thread is in the middle of can't be held, nor what a tool itself hands
to one.
"""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from dataclasses import dataclass
from types import coroutine
from typing import Any, TypeVar, cast

T = TypeVar("T")

NEEDED_S = 3.0
"""What must be left of the lease for an effect to begin: its intent may have been committed just
before the machine was suspended, and another node decides about it once the lease is over."""

LOOK_S = 0.1


@dataclass(slots=True)
class Hold:
    """What holds one attempt of a call.

    Attributes:
        left_s: returns for how long this process surely is the only one that acts, in seconds.
        wanted: returns whether the attempt is still to be made. What the tower itself has ended is
            not held: it is cancelled, and cleans up.
        done: whether it has come to its end by itself. A task that outlives it, as one that reads
            for a library's pool of connections, is not held any more either.
    """

    left_s: Callable[[], float]
    wanted: Callable[[], bool]
    done: bool = False

    @property
    def endless(self) -> bool:
        """Whether nothing will ever be held: the process shares its store with nobody."""
        return self.left_s() == math.inf

    async def begin(self) -> None:
        """Wait until what begins now surely begins before another node can take over."""
        while self.left_s() < NEEDED_S:  # noqa: ASYNC110 - a thread renews it
            await asyncio.sleep(LOOK_S)

    def begin_in_thread(self) -> None:
        """Wait likewise, in a thread.

        Raises:
            CancelledError: if nobody wants it any more.
        """
        while self.left_s() < NEEDED_S and not self.done:
            if not self.wanted():
                raise asyncio.CancelledError
            time.sleep(LOOK_S)

    async def make(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work``, holding it and the tasks that it makes."""
        if self.endless:
            return await work
        _hold_tasks_too(asyncio.get_running_loop())
        _HELD_BY.set(self)
        try:
            return await self.drive(work)
        finally:
            self.done = self.wanted()
            _HELD_BY.set(None)

    @coroutine
    def drive(self, work: Coroutine[Any, Any, T]) -> Generator[Any, None, T]:
        """Await ``work``, which begins and goes on after each wait only while the lease holds."""
        thrown: BaseException | None = None
        try:
            if self.left_s() <= 0:
                thrown = yield from self._held(thrown).__await__()
            while True:
                try:
                    awaited = work.send(None) if thrown is None else work.throw(thrown)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
                thrown = None
                try:
                    yield awaited
                except GeneratorExit:
                    raise
                except BaseException as raised:  # noqa: BLE001 - passed on to the work
                    thrown = raised
                if self.left_s() <= 0:
                    thrown = yield from self._held(thrown).__await__()
        finally:
            work.close()

    async def _held(self, thrown: BaseException | None) -> BaseException | None:
        """Wait until the lease holds again; return what the work is to be thrown then.

        A time-out of the work's own is held, too: who would try again may not do so now. Work that
        is not wanted any more before that may be a task that nobody has cancelled.
        """
        while self.left_s() <= 0 and self.wanted() and not self.done:
            try:
                await asyncio.sleep(LOOK_S)
            except asyncio.CancelledError as cancelled:
                thrown = cancelled
        if thrown is None and self.left_s() <= 0 and not self.done:
            return asyncio.CancelledError()
        return thrown


_HELD_BY: ContextVar[Hold | None] = ContextVar("held_by", default=None)
"""What holds the attempt that this code belongs to; tasks and threads have it from their maker."""


def call_in_thread(function: Callable[[], T]) -> T:
    """Call a function that may have waited in line for its thread; if an attempt's, held so far."""
    hold = _HELD_BY.get()
    if hold is not None:
        hold.begin_in_thread()
    return function()


class _Child(Coroutine[Any, Any, T]):
    """The coroutine of a task that an attempt has made: held, and else what it was."""

    def __init__(self, work: Coroutine[Any, Any, T], hold: Hold) -> None:
        self._work = work
        self._driven = cast("Generator[Any, None, T]", hold.drive(work))
        self._begun = False

    def send(self, value: Any) -> Any:
        """Go on."""
        self._begun = True
        return self._driven.send(value)

    def throw(self, *raised: Any) -> Any:
        """Go on with an exception; a task that is cancelled before it began never begins."""
        return (self._driven if self._begun else self._work).throw(*raised)

    def close(self) -> None:
        """End it."""
        self._driven.close()
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        self._begun = True
        return self._driven

    def __getattr__(self, name: str) -> Any:
        # Libraries look at a coroutine's frame to learn whether its task has begun.
        return getattr(self._work, name)


@dataclass(slots=True, frozen=True)
class _TaskFactory:
    """Makes tasks as before, and has those held that an attempt makes."""

    before: Callable[..., "asyncio.Future[Any]"] | None

    def __call__(
        self, loop: asyncio.AbstractEventLoop, work: Any, **settings: Any
    ) -> "asyncio.Future[Any]":
        hold = _HELD_BY.get()
        if hold is not None:
            work = _Child(work, hold)
        if self.before is not None:
            return self.before(loop, work, **settings)
        return asyncio.Task(work, loop=loop, **settings)


def _hold_tasks_too(loop: asyncio.AbstractEventLoop) -> None:
    before = loop.get_task_factory()
    if not isinstance(before, _TaskFactory):
        loop.set_task_factory(_TaskFactory(before))
