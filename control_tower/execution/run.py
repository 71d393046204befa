"""A run: one execution of a mission's program in memory, from its start to its end or a park.

The rules that make a run repeatable:

- Outcomes are delivered one at a time, in offset order, and only when the program has run as far
  as it can: every branch waits in a call. So two runs over one journal make the same calls.
- While outcomes recorded before the run are still to be delivered, calls that the journal does
  not know are held back. An effect begins only once the whole journal has been found to agree.
- A program that is to leave memory is thrown :class:`Parked`; after that its calls never return.
  One that catches everything is cancelled once, and closed a second later whatever it does.
"""

import asyncio
import ctypes
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import coroutine
from typing import Any, Protocol

import structlog

from control_tower.errors import Parked
from control_tower.execution.calls import Call
from control_tower.execution.journal import Divergence, Journal
from control_tower.records import StepRecord, StepStatus

log = structlog.get_logger()

CLOSE_GRACE_S = 1.0
"""How long a cancelled program may clean up before its coroutine is closed."""


CARRIED_CHARACTERS = 256 * 1024
"""How much replayed text is streamed again at most: it goes out as one event."""


class Host(Protocol):
    """The kernel as a run sees it. All of it is called on the event loop."""

    def may_deliver(self, run: "Run") -> bool:
        """Whether the mission is running, so that its program may go on."""

    def call_made(self, run: "Run", call: Call) -> None:
        """Carry a call out, or go on waiting for what its record waits for."""

    def run_ended(self, run: "Run", result: object, error: BaseException | None) -> None:
        """The program returned or raised."""

    def run_cut(self, run: "Run", step: str) -> None:
        """A call was cancelled by something other than the tower."""

    def went_quiet(self, run: "Run") -> None:
        """A branch has ended, and all others wait in calls: the mission may be at rest."""

    def run_diverged(self, run: "Run", divergence: Divergence) -> None:
        """The program does not fit its journal."""

    def text_streamed(self, run: "Run", at: int, text: str) -> None:
        """The program streamed text outside a step; ``at`` characters went before."""


class Run:
    """One execution of a program.

    ``code_running`` counts the branches that are executing code rather than waiting in a call.
    ``cut``: a call was cancelled from outside, and the mission is about to end for it.
    ``first_here``: none before it has streamed text in this life of the server.
    """

    def __init__(self, pid: str, journal: Journal, host: Host, *, first_here: bool = False) -> None:
        self.pid = pid
        self.journal = journal
        self.code_running = 0
        self.closed = False
        self.cut = False
        self.instants: list[StepRecord] = []
        self.pending: dict[str, Call] = {}
        self._host = host
        self._held: list[Call] = []
        self._first_here = first_here
        self._lost: list[str] = []
        self._text_at = 0
        self._killed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._suspended: set[asyncio.Future[Any]] = set()
        journal.rewind()

    def launch(self, program: Callable[[], Awaitable[object]]) -> None:
        """Start the program. ``program()`` gives its coroutine."""
        self.code_running = 1
        self.spawn(self._main(program))

    async def _main(self, program: Callable[[], Awaitable[object]]) -> None:
        result: object = None
        error: BaseException | None = None
        task = asyncio.current_task()
        try:
            result = await self.steer(program())
        except KeyboardInterrupt:
            raise
        except BaseException as raised:
            # A program may raise anything, SystemExit too: that is its mission's end, no more.
            if being_closed(task, raised):
                raise
            error = raised
        self.code_running -= 1
        if self.closed or self.cut:
            return
        unmade = self.journal.expected() if self.journal.replaying else None
        unmade = unmade or next(iter(self.journal.open.values()), None)
        if unmade is not None:
            ended = "its end" if error is None else f"an error: {type(error).__name__}"
            expected = f"{unmade.kind} {unmade.name}"
            self._host.run_diverged(self, Divergence(unmade.step, expected, ended))
        else:
            self._host.run_ended(self, result, error)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start a task that ends with the run."""
        task = asyncio.get_running_loop().create_task(work, name=f"mission {self.pid}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def call(self, call: Call) -> StepRecord:
        """Make a call and return its outcome's record once it is this one's turn."""
        if self.closed or self.cut:
            await self.suspend()
        try:
            self.journal.check(call.step, call.kind, call.name, call.sha256)
        except Divergence as divergence:
            self._host.run_diverged(self, divergence)
            await self.suspend()
        self.pending[call.step] = call
        self.code_running -= 1
        record = self.journal.find(call.step)
        if record is None or record.step in self.journal.open:
            self._hold_or_make(call)
        self.advance()
        return await call.outcome

    def _hold_or_make(self, call: Call) -> None:
        if self.journal.replaying:
            self._held.append(call)
        else:
            self._host.call_made(self, call)

    def advance(self) -> None:
        """Deliver the next outcome if the program is still and the mission runs."""
        if self.closed or self.cut or self.code_running or not self._host.may_deliver(self):
            return
        record = self.journal.expected()
        if record is not None:
            self._deliver(record)
        if not self.journal.replaying:
            held, self._held = self._held, []
            for call in held:
                self._host.call_made(self, call)

    def _deliver(self, record: StepRecord) -> None:
        call = self.pending.pop(record.step, None)
        if call is None:
            got = ", ".join(sorted(self.pending)) or "no call"
            expected = f"{record.kind} {record.name}"
            self._host.run_diverged(self, Divergence(record.step, expected, f"calls at {got}"))
            return
        self.journal.delivered()
        self.code_running += 1
        call.outcome.set_result(record)

    def instant(self, step: str, kind: str, make: Callable[[], Any], now: float) -> Any:
        """Return the journaled value of ``now``, ``random`` or ``uuid``, making it if need be."""
        sha256 = ""
        try:
            self.journal.check(step, kind, kind, sha256)
        except Divergence as divergence:
            self._host.run_diverged(self, divergence)
            raise Parked from divergence
        record = self.journal.find(step)
        if record is not None:
            return record.output
        value = make()
        made = StepRecord(
            pid=self.pid,
            step=step,
            kind=kind,
            name=kind,
            call_sha256=sha256,
            arguments=None,
            status=StepStatus.COMPLETED,
            idempotent=True,
            output=value,
            started_at=now,
            ended_at=now,
        )
        self.instants.append(made)
        return value

    def take_instants(self) -> list[StepRecord]:
        """Return the values made since the last time, to be committed with the next record."""
        made, self.instants = self.instants, []
        return made

    def stream(self, text: str) -> None:
        """Stream text outside a step.

        In replay it was streamed before, and is only counted; but what an earlier life of the
        server streamed has gone with it, so the first text that is new carries that along.
        """
        if self.closed:
            return
        at = self._text_at
        self._text_at += len(text)
        if self.journal.replaying:
            self._lost.append(text)
            return
        lost, self._lost = "".join(self._lost), []
        if self._first_here and lost and len(lost) <= CARRIED_CHARACTERS:
            at, text = 0, lost + text
        self._host.text_streamed(self, at, text)

    async def fan_out(self, branches: list[Callable[[], Awaitable[Any]]]) -> list[Any]:
        """Run branches side by side; when all have ended, return their results in order.

        Raises:
            Exception: the first error in branch order, once all have ended.
        """
        if not branches:
            return []
        fan = _Fan(len(branches))
        self.code_running += len(branches) - 1
        for index, branch in enumerate(branches):
            self.spawn(self._branch(fan, index, branch))
        await fan.done
        for error in fan.errors:
            if error is not None:
                raise error
        return fan.results

    async def _branch(self, fan: "_Fan", index: int, branch: Callable[[], Awaitable[Any]]) -> None:
        task = asyncio.current_task()
        try:
            fan.results[index] = await self.steer(branch())
        except KeyboardInterrupt:
            raise
        except BaseException as raised:  # as for the whole program
            if being_closed(task, raised):
                raise
            fan.errors[index] = raised
        fan.left -= 1
        if self.closed:
            if not fan.done.done():
                fan.done.set_exception(Parked())
        elif fan.left == 0:
            if not fan.done.done():  # else whoever waited was cancelled from outside
                fan.done.set_result(None)
        else:
            self.code_running -= 1
            self.advance()
            if not self.code_running:
                self._host.went_quiet(self)

    def cancelled_from_outside(self, step: str) -> None:
        """Note that a call was cancelled; unless the tower did it, that ends the mission.

        ``asyncio.timeout`` and its like cut a call at a moment that no journal knows.
        """
        if not (self.closed or self.cut):
            self.cut = True
            self._host.run_cut(self, step)

    async def suspend(self) -> Any:
        """Never return; end when the run is closed for good."""
        never = asyncio.get_running_loop().create_future()
        self._suspended.add(never)
        return await never

    def park(self) -> None:
        """Let the program out of memory: its waiting calls raise :class:`Parked`."""
        self.closed = True
        for call in self.pending.values():
            if not call.outcome.done():
                call.outcome.set_exception(Parked())
        self._kill_later()

    def abandon(self) -> None:
        """End the program: it is cancelled at its await."""
        if self.closed:
            return
        self.closed = True
        for task in tuple(self._tasks):
            task.cancel()
        self._kill_later()

    def _kill_later(self) -> None:
        self._suspended.update(call.outcome for call in self.pending.values())
        self.pending.clear()
        asyncio.get_running_loop().call_later(CLOSE_GRACE_S, self._kill)

    def _kill(self) -> None:
        self._killed = True
        for never in self._suspended:
            never.cancel()
        self._suspended.clear()
        for task in tuple(self._tasks):
            task.cancel()

    @coroutine
    def steer(self, work: Awaitable[Any]) -> Generator[Any, None, Any]:
        """Drive the program's coroutine, so that it can be closed whatever it catches."""
        steps = work.__await__()
        raised: BaseException | None = None
        while True:
            try:
                awaited = next(steps) if raised is None else steps.throw(raised)
            except StopIteration as stop:
                return stop.value
            raised = None
            try:
                yield awaited
            except BaseException as thrown:  # noqa: BLE001  # passed on to the program
                raised = thrown
            if raised is not None and self._killed:
                _close(steps)
                raise Parked


class _Fan:
    """Branches side by side: what they came to, and how many are left."""

    __slots__ = ("done", "errors", "left", "results")

    def __init__(self, count: int) -> None:
        self.results: list[Any] = [None] * count
        self.errors: list[BaseException | None] = [None] * count
        self.left = count
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


def being_closed(task: "asyncio.Task[Any] | None", raised: BaseException) -> bool:
    """Return whether the interpreter closes ``task``, rather than that its code raised by itself.

    What closes a coroutine is never its own task.
    """
    if not isinstance(raised, GeneratorExit):
        return False
    try:
        return asyncio.current_task() is not task
    except RuntimeError:  # no loop runs any more
        return True


def _close(steps: Generator[Any, Any, Any]) -> None:
    """Close a coroutine; one that refuses (it catches GeneratorExit and awaits) is kept for ever.

    Collecting it would run it again, outside of any loop, where each of its awaits raises what it
    catches: it would never come to an end. A list would be emptied when the interpreter ends.
    """
    try:
        steps.close()
    except RuntimeError:
        log.warning("agent.refused_to_close", program=repr(steps))
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(steps))
