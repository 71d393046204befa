"""A server under a benchmark: it prints its port, then obeys lines until the end of its input.

An order is a word with arguments; what it returns is the answer, one line.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import uvicorn
import uvloop

from tests.benchmarks.fanout.clients import raise_file_limit

Orders = Mapping[str, Callable[..., Awaitable[object]]]
"""By their first word; arguments come as text."""


async def obey(port: int, orders: Orders) -> None:
    """Obey until the end of input."""
    loop = asyncio.get_running_loop()
    print(port, flush=True)
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).split():
        print(await orders[line[0]](*line[1:]), flush=True)


async def obey_under_uvicorn(app: Any, ws: Any, orders: Orders) -> None:
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
    await obey(server.servers[0].sockets[0].getsockname()[1], orders)
    server.should_exit = True
    await task


def run(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a server's coroutine on uvloop, with as many sockets as may be."""
    raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
