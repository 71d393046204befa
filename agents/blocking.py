"""A program in a thread: its calls block there and are made in the loop, by the mission's task.

The mission's coroutine serves the thread: it waits for the thread's next call, makes it, and
hands the outcome back. To the kernel it is an async program like any other, so that a cancel, a
park and the order of replay need no second mechanism.
"""

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from agents.errors import Parked
from agents.threads import AGENT_THREADS

if TYPE_CHECKING:
    from control_tower.execution.context import Child, Context
    from control_tower.execution.results import Decision
    from control_tower.ports import Profile
    from control_tower.quota.quotas import ResourceQuota
    from events.payloads import JsonObject


async def run_in_thread(function: "Callable[[BlockingContext], Any]", ctx: "Context") -> Any:
    """Return what ``function`` returns, run in a thread with a blocking context.

    When this coroutine ends early (cancelled, parked, closed), the thread's pending call and each
    later one raise :class:`Parked` there, which ends it.
    """
    desk = _Desk(asyncio.get_running_loop())
    work = asyncio.ensure_future(AGENT_THREADS.run(partial(function, BlockingContext(ctx, desk))))
    work.add_done_callback(desk.finished)
    try:
        while (call := await desk.next()) is not None:
            await call.make()
        return work.result()
    finally:
        desk.close()
        work.cancel()


class _Call:
    """A call on its way from the thread, and the future on which the thread blocks."""

    __slots__ = ("_function", "outcome")

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self.outcome: Future[Any] = Future()

    async def make(self) -> None:
        """Make the call, in the loop. What ends the program is raised here, too."""
        try:
            result = self._function()
            if inspect.isawaitable(result):
                result = await result
        except Exception as error:  # noqa: BLE001 - the outcome: it is raised in the thread
            self.outcome.set_exception(error)
        except BaseException:
            self.outcome.set_exception(Parked("the mission does not go on in this run"))
            raise
        else:
            self.outcome.set_result(result)


class _Desk:
    """Where the thread's calls arrive. Its methods run in the loop, ``call`` in the thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arrived: deque[_Call] = deque()
        self._bell = asyncio.Event()
        self._done = False
        self._closed = False

    def call(self, function: Callable[[], Any]) -> Any:
        """Block until the loop has made the call; raise what it raised."""
        if self._closed:
            raise Parked("the mission does not go on in this run")
        call = _Call(function)
        try:
            self._loop.call_soon_threadsafe(self._arrive, call)
        except RuntimeError:
            raise Parked("the server has stopped") from None
        return call.outcome.result()

    def _arrive(self, call: _Call) -> None:
        if self._closed:
            call.outcome.set_exception(Parked("the mission does not go on in this run"))
            return
        self._arrived.append(call)
        self._bell.set()

    def finished(self, _: object) -> None:
        """Note that the function returned or raised."""
        self._done = True
        self._bell.set()

    async def next(self) -> _Call | None:
        """Return the thread's next call; None when the function has ended."""
        while not self._arrived:
            if self._done:
                return None
            self._bell.clear()
            await self._bell.wait()
        return self._arrived.popleft()

    def close(self) -> None:
        """Let no further call through."""
        self._closed = True
        while self._arrived:
            self._arrive(self._arrived.popleft())


class BlockingContext:
    """The calls of :class:`~control_tower.execution.context.Context`, for a function in a thread.

    Each blocks until it has its outcome and raises what the async one would raise.
    """

    def __init__(self, ctx: "Context", desk: _Desk) -> None:
        self._ctx = ctx
        self._desk = desk

    @property
    def mission(self) -> str:
        """The mission's text."""
        return self._ctx.mission

    @property
    def inputs(self) -> "JsonObject":
        """What was given beside the text; ``{}`` by default."""
        return self._ctx.inputs

    @property
    def session_id(self) -> str:
        """The mission's session."""
        return self._ctx.session_id

    @property
    def user_id(self) -> str:
        """The mission's user."""
        return self._ctx.user_id

    @property
    def pid(self) -> str:
        """The mission's id."""
        return self._ctx.pid

    @property
    def attempt(self) -> int:
        """How often the mission was started."""
        return self._ctx.attempt

    @property
    def replaying(self) -> bool:
        """Whether recorded outcomes are still being delivered."""
        return self._ctx.replaying

    @property
    def profile(self) -> "Profile | None":
        """The profile of the request, as it is configured now."""
        return self._ctx.profile

    def history(self, limit: int = 50) -> Any:
        """Return the session's newest messages, oldest first."""
        return self._desk.call(lambda: self._ctx.history(limit))

    def llm(
        self,
        messages: "Sequence[JsonObject]",
        model: str | None = None,
        tools: Sequence[Any] | None = None,
        **settings: Any,
    ) -> Any:
        """Make one model turn."""
        return self._desk.call(
            lambda: self._ctx.llm(messages, model=model, tools=tools, **settings)
        )

    def tool(self, tool: Any, /, **arguments: Any) -> Any:
        """Call a tool, by name or function."""
        return self._desk.call(lambda: self._ctx.tool(tool, **arguments))

    def confirm(self, message: str, **details: Any) -> "Decision":
        """Ask for a yes or a no."""
        decision: Decision = self._desk.call(lambda: self._ctx.confirm(message, **details))
        return decision

    def clarify(
        self, question: str, options: Sequence[str] | None = None, strict: bool = False
    ) -> str:
        """Ask for words."""
        return str(
            self._desk.call(lambda: self._ctx.clarify(question, options=options, strict=strict))
        )

    def step(self, name: str, fn: Callable[..., Any], *args: Any, idempotent: bool = False) -> Any:
        """Run a function once and journal what it returned."""
        return self._desk.call(lambda: self._ctx.step(name, fn, *args, idempotent=idempotent))

    def sleep(self, seconds: float) -> None:
        """Sleep durably."""
        self._desk.call(lambda: self._ctx.sleep(seconds))

    def spawn(
        self,
        agent: str,
        mission: str,
        quota: "ResourceQuota | Mapping[str, object] | None" = None,
    ) -> "BlockingChild":
        """Start a child mission."""
        child = self._desk.call(lambda: self._ctx.spawn(agent, mission, quota=quota))
        return BlockingChild(child, self._desk)

    def parallel(self, *branches: Callable[..., Any]) -> Any:
        """Run branches at once, plain ones each in a thread of its own."""
        wrapped = [_branch(branch) for branch in branches]
        return self._desk.call(lambda: self._ctx.parallel(*wrapped))

    def emit(self, name: str, **data: Any) -> None:
        """Make a durable ``mission.progress`` event."""
        self._desk.call(lambda: self._ctx.emit(name, **data))

    def artifact(self, name: str, content: Any, media_type: str = "text/plain") -> Any:
        """Keep a named result that people can open."""
        return self._desk.call(lambda: self._ctx.artifact(name, content, media_type))

    def now(self) -> float:
        """Return Unix seconds, journaled."""
        return float(self._desk.call(self._ctx.now))

    def random(self) -> float:
        """Return a number in [0, 1), journaled."""
        return float(self._desk.call(self._ctx.random))

    def uuid(self) -> str:
        """Return a fresh UUID, journaled."""
        return str(self._desk.call(self._ctx.uuid))

    def delta(self, text: str) -> None:
        """Stream a piece of text now."""
        self._desk.call(lambda: self._ctx.delta(text))


class BlockingChild:
    """A child mission, for a plain function."""

    def __init__(self, child: "Child", desk: _Desk) -> None:
        self._child = child
        self._desk = desk

    @property
    def pid(self) -> str:
        """The child's id."""
        return self._child.pid

    def result(self) -> Any:
        """Block until the child ended; return its result."""
        return self._desk.call(self._child.result)


def _branch(function: Callable[..., Any]) -> "Callable[[Context], Awaitable[Any]]":
    """Return a branch of ``ctx.parallel`` as the kernel runs it: an async function."""
    if inspect.iscoroutinefunction(function):
        return function

    async def branch(ctx: "Context") -> Any:
        return await run_in_thread(function, ctx)

    return branch
