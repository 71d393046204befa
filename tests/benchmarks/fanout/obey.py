"""The loop of a peer in Python: lines in, lines out.

A peer prints its port and then obeys its standard input: ``count`` answers with its connections,
``run <rounds> <burst> <gap_ms>`` sends that many bursts, one every ``gap_ms``, and answers
``done``. The end of input ends it.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvicorn
import uvloop

from tests.benchmarks.fanout.clients import raise_file_limit

Send = Callable[[int], Awaitable[None]]
"""Sends one burst of so many events to everybody."""

Count = Callable[[], int]


async def obey(port: int, send: Send, count: Count) -> None:
    """Obey until the end of input."""
    loop = asyncio.get_running_loop()
    print(port, flush=True)
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).split():
        match line:
            case ["run", rounds, burst, gap_ms]:
                await _run(send, int(rounds), int(burst), float(gap_ms) / 1000)
                print("done", flush=True)
            case ["count"]:
                print(count(), flush=True)


async def _run(send: Send, rounds: int, burst: int, gap_s: float) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    for _ in range(rounds):
        await send(burst)
        due += gap_s
        # Never less than a quarter: a server that lags must not get two bursts in one tick.
        await asyncio.sleep(max(gap_s / 4, due - loop.time()))


async def obey_under_uvicorn(app: Any, ws: Any, send: Send, count: Count) -> None:
    """Serve an ASGI application with uvicorn, and obey."""
    config = uvicorn.Config(
        app,
        port=0,
        ws=ws,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        lifespan="off",
        log_level="error",
        loop="uvloop",
        timeout_graceful_shutdown=1,
        backlog=1024,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    await obey(server.servers[0].sockets[0].getsockname()[1], send, count)
    server.should_exit = True
    await task


def run(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a peer's coroutine on uvloop, with as many sockets as may be."""
    raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
