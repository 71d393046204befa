"""Every form of program runs: async, streaming, plain in a thread, and objects."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from agents.blocking import BlockingContext
from agents.errors import Parked, ToolFailed
from agents.program import AgentProgram

MakeContext = Callable[..., Any]


def program(function: Any) -> AgentProgram:
    """Return ``function`` as the kernel runs it."""
    return AgentProgram("mine", function, "")


async def test_an_async_function_is_awaited(make_ctx: MakeContext) -> None:
    """Its return is the result."""

    async def run(ctx: Any) -> str:
        return f"did {ctx.mission}"

    assert await program(run)(make_ctx("x")) == "did x"


async def test_an_async_generator_streams_and_is_joined(make_ctx: MakeContext) -> None:
    """Its pieces are deltas, their text the result."""

    async def run(ctx: Any) -> AsyncIterator[str]:
        yield "a"
        await ctx.sleep(1)
        yield "b"

    ctx = make_ctx("x")
    assert await program(run)(ctx) == "ab"
    assert ctx.deltas == ["a", "b"]


async def test_a_plain_generator_streams_from_its_thread(make_ctx: MakeContext) -> None:
    """As an async one does."""

    def run(ctx: BlockingContext) -> Iterator[str]:
        yield "a"
        ctx.sleep(1)
        yield "b"

    ctx = make_ctx("x")
    assert await program(run)(ctx) == "ab"
    assert ctx.deltas == ["a", "b"]


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_yielding_something_else_than_text_fails(make_ctx: MakeContext, kind: str) -> None:
    """With a message that says what to do."""

    async def stream(ctx: Any) -> AsyncIterator[Any]:
        yield 1

    def plain(ctx: Any) -> Iterator[Any]:
        yield 1

    with pytest.raises(TypeError, match="must yield text, not int"):
        await program(stream if kind == "async" else plain)(make_ctx("x"))


async def test_a_generator_is_closed_when_its_mission_is_cancelled(make_ctx: MakeContext) -> None:
    """Its finally blocks run."""
    closed = []

    async def run(ctx: Any) -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    task = asyncio.ensure_future(program(run)(make_ctx("x")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == [True]


async def test_a_plain_function_blocks_on_its_calls(make_ctx: MakeContext) -> None:
    """Every call of the context works from the thread, and is made in the loop."""
    loop_thread = threading.get_ident()
    threads: list[int] = []

    def branch(ctx: BlockingContext) -> str:
        return f"branch of {ctx.pid}"

    async def async_branch(ctx: Any) -> str:
        return str(await ctx.tool("calculator", expression="1+1"))

    def step() -> int:
        threads.append(threading.get_ident())
        return 7

    def run(ctx: BlockingContext) -> dict[str, Any]:
        threads.append(threading.get_ident())
        ctx.sleep(1)
        ctx.emit("said", x=1)
        ctx.artifact("a.txt", "text")
        ctx.delta("d")
        child = ctx.spawn("echo", "hello")
        return {
            "given": [ctx.mission, ctx.session_id, ctx.user_id, ctx.pid, ctx.attempt],
            "inputs": ctx.inputs,
            "replaying": ctx.replaying,
            "tool": ctx.tool("calculator", expression="6*7"),
            "name": ctx.clarify("Who?", options=["Ada"], strict=True),
            "ok": ctx.confirm("Sure?", x=1).approved,
            "step": ctx.step("s", step, idempotent=True),
            "child": [child.pid, child.result()],
            "parallel": ctx.parallel(branch, async_branch),
            "history": ctx.history(5),
            "llm": ctx.llm([{"role": "user", "content": "hi"}], model="mock:echo").text,
            "now": ctx.now(),
            "random": ctx.random(),
            "uuid": ctx.uuid(),
        }

    ctx = make_ctx("x", replies=["Ada"], approvals=[True], inputs={"k": 1})
    result = await program(run)(ctx)
    assert result == {
        "given": ["x", "s_1", "local", "m_1", 1],
        "inputs": {"k": 1},
        "replaying": False,
        "tool": "42",
        "name": "Ada",
        "ok": True,
        "step": 7,
        "child": ["m_1.child", "did hello"],
        "parallel": ["branch of m_1", "2"],
        "history": [],
        "llm": "[mock model] You said: hi",
        "now": 1_800_000_000.0,
        "random": 0.5,
        "uuid": "00000000-0000-4000-8000-000000000000",
    }
    assert threads[0] != loop_thread
    assert threads[1] == loop_thread
    assert ctx.deltas[0] == "d"


async def test_errors_of_calls_are_raised_in_the_thread(make_ctx: MakeContext) -> None:
    """A plain program catches them as an async one does."""

    def run(ctx: BlockingContext) -> str:
        try:
            ctx.tool("workspace.read", name="missing.txt")
        except ToolFailed as error:
            return f"caught {error.message}"
        return "nothing"

    result = await program(run)(make_ctx("x"))
    assert result == "caught There is no file called missing.txt."


async def test_errors_of_the_function_are_its_own(make_ctx: MakeContext) -> None:
    """They reach the kernel unchanged, from wherever they come."""

    def run(ctx: BlockingContext) -> str:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await program(run)(make_ctx("x"))


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_an_agent_that_exits_ends_itself_only(make_ctx: MakeContext, kind: str) -> None:
    """sys.exit() in an agent is its failure, not the server's end."""

    async def run(ctx: Any) -> None:
        raise SystemExit(3)

    def plain(ctx: Any) -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match=r"sys\.exit|SystemExit"):
        await program(run if kind == "async" else plain)(make_ctx("x"))


async def test_a_cancelled_plain_program_is_ended_at_its_next_call(make_ctx: MakeContext) -> None:
    """The call in flight and all later ones raise in the thread, even if it catches."""
    ended, seen = threading.Event(), []

    def run(ctx: BlockingContext) -> None:
        for _ in range(3):
            try:
                ctx.sleep(5)
            except Parked:
                seen.append("parked")
        ended.set()

    class Waiting:
        """A context that never wakes."""

        def __init__(self) -> None:
            self.called = asyncio.Event()

        async def sleep(self, seconds: float) -> None:
            self.called.set()
            await asyncio.Event().wait()

    ctx = Waiting()
    task = asyncio.ensure_future(program(run)(ctx))  # type: ignore[arg-type]
    await ctx.called.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 5)
    assert seen == ["parked"] * 3


async def test_a_parked_call_ends_the_run_at_once(make_ctx: MakeContext) -> None:
    """Parked reaches the kernel, and the thread."""
    ended = threading.Event()

    def run(ctx: BlockingContext) -> None:
        try:
            ctx.sleep(5)
        finally:
            ended.set()

    class Parking:
        """A context whose waiting call is parked."""

        async def sleep(self, seconds: float) -> None:
            raise Parked

    with pytest.raises(Parked):
        await program(run)(Parking())  # type: ignore[arg-type]
    assert await asyncio.to_thread(ended.wait, 5)


async def test_a_closed_plain_program_makes_no_more_calls(make_ctx: MakeContext) -> None:
    """Closing the coroutine, as the kernel may, ends the thread at its next call."""
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def run(ctx: BlockingContext) -> None:
        begun.set()
        go.wait()
        try:
            ctx.sleep(1)
        finally:
            ended.set()

    ctx = make_ctx("x")
    work = program(run)(ctx).__await__()
    next(work)
    assert await asyncio.to_thread(begun.wait, 5)
    work.close()
    go.set()
    assert await asyncio.to_thread(ended.wait, 5)
    assert ctx.calls == []


async def test_partials_and_objects_and_lambdas_run(make_ctx: MakeContext) -> None:
    """The form is found behind the wrapping."""

    async def two(prefix: str, ctx: Any) -> str:
        return prefix + str(ctx.mission)

    class Mine:
        async def __call__(self, ctx: Any) -> str:
            return await two("object ", ctx)

    assert await program(partial(two, "partial "))(make_ctx("x")) == "partial x"
    assert await program(Mine())(make_ctx("x")) == "object x"
    assert await program(lambda ctx: f"lambda {ctx.mission}")(make_ctx("x")) == "lambda x"


async def test_models_as_results_are_spelled_out(make_ctx: MakeContext) -> None:
    """The kernel gets JSON values for pydantic models and msgspec structs."""

    class Model(BaseModel):
        a: int

    class Struct(msgspec.Struct):
        b: int

    async def model(ctx: Any) -> Model:
        return Model(a=1)

    async def struct(ctx: Any) -> Struct:
        return Struct(b=2)

    assert await program(model)(make_ctx("x")) == {"a": 1}
    assert await program(struct)(make_ctx("x")) == {"b": 2}
