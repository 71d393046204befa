"""The end of a process in which something does not end."""

import asyncio
import contextlib
import subprocess
import sys

import pytest

from server.leaving import ending_what_begins
from tests.rig.virtual_loop import VirtualLoop, run

PROGRAM = """
import asyncio, atexit, contextlib, os, signal, sys, threading, time
from server import leaving

async def stubborn():
    until = time.monotonic() + 600
    while time.monotonic() < until:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(1)

async def task():
    async with leaving.ending_what_begins():
        asyncio.create_task(stubborn(), name="stubborn")
        await asyncio.sleep(0)

async def thread():
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)

async def nothing():
    await asyncio.to_thread(time.sleep, 0)

async def interrupted():
    try:
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0.1)
        print("in order")

atexit.register(print, "Python's own end")
with leaving.for_good():
    try:
        leaving.run(globals()[sys.argv[1]]())
    except KeyboardInterrupt:
        sys.exit(130)
    print("printed")
    exec(sys.argv[2])
"""


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=45,
        check=False,
    )


def test_tasks_end_with_the_block_that_they_began_in() -> None:
    """Those from before go on; one that swallows its cancellation has a moment."""
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(name)

    async def stubborn() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    async def world() -> None:
        before = asyncio.create_task(work("before"))
        async with ending_what_begins():
            tasks = [asyncio.create_task(work("meanwhile")), asyncio.create_task(stubborn())]
            await asyncio.sleep(0)
        assert ended == ["meanwhile"]
        assert [task.done() for task in (before, *tasks)] == [False, True, False]
        for task in (before, *tasks):
            task.cancel()
        await asyncio.wait({before, *tasks})

    run(world(), VirtualLoop())


@pytest.mark.parametrize("stuck", ["task", "thread"])
@pytest.mark.parametrize(("last", "code"), [("pass", 0), ("sys.exit(3)", 3), ("1 / 0", 1)])
def test_a_process_ends_without_what_is_stuck(stuck: str, last: str, code: int) -> None:
    """With the exit code that it has earned, all of its output, and a word about it."""
    ended = program(stuck, last)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (code, "printed")
    assert "process.left_behind" in ended.stdout + ended.stderr
    assert ("ZeroDivisionError" in ended.stderr) == (code == 1)


def test_where_nothing_is_stuck_the_end_is_pythons_own() -> None:
    """Whatever is registered for it happens."""
    ended = program("nothing", "sys.exit(3)")
    assert (ended.returncode, ended.stdout) == (3, "printed\nPython's own end\n")


def test_who_is_interrupted_twice_ends_in_order_yet() -> None:
    """The second time it does not wait for its turn, but closes what it has open."""
    ended = program("interrupted", "pass")
    assert (ended.returncode, ended.stdout) == (130, "in order\nPython's own end\n")
