"""How a process ends in which other people's code has run: orderly, and in time.

A tool may swallow its cancellation, and a thread can't be stopped. What is left when all else is in
order has a moment to end, while the store is ours yet; then the store is let go of, and the process
ends without it. Waiting longer would let it act beside whoever serves the store next.
"""

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import structlog
import uvloop

T = TypeVar("T")

BLOCKED = 256
"""How many plain functions of steps, and of the libraries that agents use, may block at once."""

LEAVE_S = 0.5
"""How long what is left has to end: tasks before the store is let go of, threads behind that."""

INTERRUPTED_S = 5.0
"""How long a program has to end in order that was interrupted for the second time."""

LOOK_S = 0.02
MAX_NAMES = 10

log = structlog.get_logger(__name__)

_had_their_time: Final[set["asyncio.Task[Any]"]] = set()
"""Tasks that were asked to end, and did not."""

_open: Final[set[asyncio.AbstractEventLoop]] = set()
"""Loops that :func:`run` has not closed: something on them, or a thread, has not ended."""


@contextlib.asynccontextmanager
async def ending_what_begins() -> AsyncIterator[None]:
    """Cancel, at the end of the block, the tasks that were made in it on this loop.

    Those that do not end are left to :func:`for_good`.
    """
    before = asyncio.all_tasks()
    try:
        yield
    finally:
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            _, stuck = await asyncio.wait(left, timeout=LEAVE_S)
            _had_their_time.update(stuck)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a program on a loop of its own, and return what it returns.

    Plain functions get threads enough there: by its own measure a loop has one for each core and
    four more, so a handful of steps that block would hold up the server's own small work. What is
    stuck at the end is not waited for, as a loop would by itself.
    """
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    loop, pool = runner.get_loop(), ThreadPoolExecutor(BLOCKED, "blocking")
    loop.set_default_executor(pool)
    before = _waited_for()
    _open.add(loop)
    try:
        return runner.run(main)
    finally:
        _end_tasks(loop)
        pool.shutdown(wait=False, cancel_futures=True)
        _end_threads(_waited_for() - before)
        tasks, threads = asyncio.all_tasks(loop), _waited_for() - before
        if tasks or threads:
            names = sorted(task.get_name() for task in tasks)[:MAX_NAMES]
            log.warning("process.left_behind", tasks=names, threads=len(threads))
        else:
            runner.close()
            _open.discard(loop)


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left on a loop that has stopped, and let it run on for a while at most."""
    for task in asyncio.all_tasks(loop) - _had_their_time:
        task.cancel()
    deadline = loop.time() + INTERRUPTED_S
    while asyncio.all_tasks(loop) - _had_their_time and loop.time() < deadline:
        loop.call_later(LOOK_S, loop.stop)
        loop.run_forever()


def _end_threads(threads: set[threading.Thread]) -> None:
    deadline = time.monotonic() + LEAVE_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _waited_for() -> set[threading.Thread]:
    """Return the threads that Python waits for at its end."""
    here = threading.current_thread()
    return {each for each in threading.enumerate() if not each.daemon and each is not here}


@contextlib.contextmanager
def for_good() -> Iterator[None]:
    """End the process with the block if something is stuck, with the exit code that it has earned.

    Python's own end would wait for threads, and run on what a task catches at it.
    """
    code = 0
    try:
        yield
    except BaseException as raised:
        if not _open:
            raise
        code = _exit_code(raised)
    if _open:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _exit_code(raised: BaseException) -> int:
    match raised:
        case SystemExit(code=int(code)):
            return code
        case SystemExit(code=None):
            return 0
        case KeyboardInterrupt():
            return 130
        case _:
            sys.excepthook(type(raised), raised, raised.__traceback__)
            return 1
