"""Threads for plain functions: kept warm, bounded, and never waited for at exit.

The standard pool joins its threads when the interpreter ends, so one stuck tool would keep a
draining server alive; these are daemons. Two pools exist because an agent's thread waits for its
tools' threads: one pool for both could fill with agents and starve them.
"""

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from control_tower.execution.tenure import call_in_thread

T = TypeVar("T")

IDLE_S = 10.0
"""How long a thread without work stays."""


class Threads:
    """At most ``limit`` daemon threads; further work waits in line."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._lock = threading.Lock()
        self._count = 0
        self._idle: list[_Worker] = []
        self._line: deque[_Job] = deque()

    async def run(self, function: Callable[[], T]) -> T:
        """Return what ``function`` returns in a thread, with this task's context variables.

        Cancelled, it stops waiting; the function cannot be stopped and runs on.
        """
        loop = asyncio.get_running_loop()
        job = _Job(function, contextvars.copy_context(), loop, loop.create_future())
        self._start(job)
        try:
            result: T = await job.outcome
        except asyncio.CancelledError:
            self._withdraw(job)
            raise
        return result

    def _start(self, job: "_Job") -> None:
        with self._lock:
            if self._idle:
                self._idle.pop().jobs.put(job)
            elif self._count < self._limit:
                _Worker(self, self._name, job).start()
                self._count += 1  # only now: where there is no thread to be had, it raised
            else:
                self._line.append(job)

    def _withdraw(self, job: "_Job") -> None:
        with self._lock:
            if job in self._line:
                self._line.remove(job)

    def next_job(self, worker: "_Worker") -> "_Job | None":
        """Return the next job in line for ``worker``, which idles when there is none."""
        with self._lock:
            if self._line:
                return self._line.popleft()
            self._idle.append(worker)
            return None

    def leave(self, worker: "_Worker") -> bool:
        """Whether ``worker`` may end; False when a job is on its way to it."""
        with self._lock:
            if worker not in self._idle:
                return False
            self._idle.remove(worker)
            self._count -= 1
            return True


class _Job:
    """A function on its way to a thread, and the future of what it returns."""

    __slots__ = ("_context", "_function", "_loop", "outcome")

    def __init__(
        self,
        function: Callable[[], Any],
        context: contextvars.Context,
        loop: asyncio.AbstractEventLoop,
        outcome: "asyncio.Future[Any]",
    ) -> None:
        self._function = function
        self._context = context
        self._loop = loop
        self.outcome = outcome

    def run(self) -> tuple[Any, BaseException | None]:
        """Run the function, in the thread; return what it returned or raised."""
        try:
            return self._context.run(call_in_thread, self._function), None
        except BaseException as raised:  # noqa: BLE001 - its outcome, Parked included
            return None, raised

    def send(self, result: Any, error: BaseException | None) -> None:
        """Send the outcome to the loop."""
        try:
            self._loop.call_soon_threadsafe(self._deliver, result, error)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            return

    def _deliver(self, result: Any, error: BaseException | None) -> None:
        if self.outcome.done():
            return
        if error is None:
            self.outcome.set_result(result)
        elif isinstance(error, StopIteration | SystemExit | KeyboardInterrupt):
            # A future refuses the first, and the others would end the server with the function.
            self.outcome.set_exception(RuntimeError(f"it raised {type(error).__name__}"))
        else:
            self.outcome.set_exception(error)


class _Worker(threading.Thread):
    def __init__(self, pool: Threads, name: str, first: _Job) -> None:
        super().__init__(name=f"{name}-thread", daemon=True)
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self._pool = pool
        self.jobs.put(first)

    def run(self) -> None:
        while True:
            try:
                job: _Job | None = self.jobs.get(timeout=IDLE_S)
            except Empty:
                if self._pool.leave(self):
                    return
                continue
            while job is not None:
                outcome = job.run()
                # Free before it says so: who awaited the outcome finds this thread for the next.
                following = self._pool.next_job(self)
                job.send(*outcome)
                job, outcome = following, (None, None)


AGENT_THREADS = Threads("agent", limit=1024)
TOOL_THREADS = Threads("tool", limit=256)
