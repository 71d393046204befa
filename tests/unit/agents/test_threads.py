"""Threads for plain functions: bounded, reused, and harmless whatever the function raises."""

import asyncio
import contextvars
import threading

import pytest

from agents.threads import Threads


async def test_a_function_runs_in_a_daemon_thread() -> None:
    """Off the loop, so that it may block; daemon, so that it never delays the exit."""
    where = await Threads("t", 2).run(threading.current_thread)
    assert where is not threading.current_thread()
    assert where.daemon


async def test_threads_are_reused() -> None:
    """Calls one after the other share a thread."""
    pool = Threads("t", 5)
    seen = {await pool.run(threading.get_ident) for _ in range(10)}
    assert len(seen) == 1


async def test_a_system_without_threads_left_takes_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once there are some again, all of them may be had."""
    pool = Threads("t", 1)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            await pool.run(lambda: 1)
    async with asyncio.timeout(10):
        assert await pool.run(lambda: 2) == 2


async def test_work_beyond_the_limit_waits_in_line() -> None:
    """With one thread, the second function runs when the first has ended."""
    pool, gate, order = Threads("t", 1), threading.Event(), []

    def first() -> None:
        gate.wait()
        order.append("first")

    one = asyncio.ensure_future(pool.run(first))
    two = asyncio.ensure_future(pool.run(lambda: order.append("second")))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(one, two)
    assert order == ["first", "second"]


async def test_a_cancelled_wait_in_line_is_never_run() -> None:
    """Its function must not run after its mission has ended."""
    pool, gate, ran = Threads("t", 1), threading.Event(), []
    one = asyncio.ensure_future(pool.run(gate.wait))
    two = asyncio.ensure_future(pool.run(lambda: ran.append(1)))
    await asyncio.sleep(0)
    two.cancel()
    with pytest.raises(asyncio.CancelledError):
        await two
    gate.set()
    await one
    await pool.run(lambda: None)
    assert ran == []


async def test_a_cancelled_call_leaves_its_thread_to_others() -> None:
    """The function runs on; its outcome is dropped and the thread is used again."""
    pool, gate, begun = Threads("t", 1), threading.Event(), threading.Event()

    def slow() -> int:
        begun.set()
        gate.wait()
        return 1

    call = asyncio.ensure_future(pool.run(slow))
    while not begun.is_set():
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.set()
    assert await pool.run(lambda: 2) == 2


@pytest.mark.parametrize("raised", [SystemExit(1), KeyboardInterrupt(), StopIteration()])
async def test_what_would_end_the_server_becomes_an_error(raised: BaseException) -> None:
    """A function that calls sys.exit() fails; the loop goes on."""

    def fail() -> None:
        raise raised

    with pytest.raises(RuntimeError, match=type(raised).__name__):
        await Threads("t", 1).run(fail)


async def test_context_variables_travel() -> None:
    """What is bound for logging in the task is bound in the thread."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("bound")
    assert await Threads("t", 1).run(variable.get) == "bound"


async def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool without work keeps no thread, and starts one again when there is work."""
    monkeypatch.setattr("agents.threads.IDLE_S", 0.01)
    pool = Threads("t", 1)
    thread = await pool.run(threading.current_thread)
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()
    assert await pool.run(lambda: 3) == 3
