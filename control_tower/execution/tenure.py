"""Tenure: a node acts on the world only while its seat is surely its own.

When the lease of a node has run out, another may have taken its users over, and asked people about
the effects that were in flight. So none begins without some of the lease left, and one that waits
for something goes on only while any is. A machine that was suspended in the middle of a call may
wake long after somebody else made that call again; it finds its seat lost, and ends, before the
call's code runs on. One whose database was merely away goes on when it has renewed its lease.

What a call has handed to a thread or to a task of its own can't be held so.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")

NEEDED_S = 3.0
"""What must be left of the lease for an effect to begin: its intent may have been committed just
before the machine was suspended, and another node decides about it once the lease is over."""

LOOK_S = 0.1
CANCEL_S = 3.0
"""How long a cancellation is held at most. A node that was replaced is gone by then; one that ends
while its database is away must not wait for that."""


@dataclass(slots=True, frozen=True)
class Tenure:
    """``left_s`` returns for how long this process surely is the only one that acts, in seconds."""

    left_s: Callable[[], float]

    async def long_enough(self) -> None:
        """Wait until what begins now surely begins before another node can take over."""
        while self.left_s() < NEEDED_S:  # noqa: ASYNC110 - a thread renews it
            await asyncio.sleep(LOOK_S)

    @coroutine
    def drive(self, work: Coroutine[Any, Any, T]) -> Generator[Any, None, T]:
        """Await ``work``, which goes on after each wait only while the lease holds."""
        steps = work.__await__()
        thrown: BaseException | None = None
        try:
            while True:
                try:
                    awaited = next(steps) if thrown is None else steps.throw(thrown)
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
            steps.close()

    async def _held(self, thrown: BaseException | None) -> BaseException | None:
        """Wait until the lease holds again; return what the work is to be thrown then."""
        loop = asyncio.get_running_loop()
        until = math.inf if thrown is None else loop.time() + CANCEL_S
        try:
            while self.left_s() <= 0 and loop.time() < until:  # noqa: ASYNC110 - as above
                await asyncio.sleep(LOOK_S)
        except asyncio.CancelledError as cancelled:
            return cancelled
        return thrown
