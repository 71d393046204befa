"""Agents for the benchmarks; served by ``tower serve tests/benchmarks/apps.py``."""

import asyncio
import time

from agents import Context, agent


@agent("asks", description="Asks one question and answers with what it was told.")
async def asks(ctx: Context) -> str:
    """Wait on a person."""
    return await ctx.clarify("What?")


@agent("works", description="Works an hour, in steps of ten seconds.")
async def works(ctx: Context) -> str:
    """Stay in flight."""
    for number in range(360):
        await ctx.step(f"s{number}", asyncio.sleep, 10, idempotent=True)
    return "worked"


COMPUTES_S = 0.010
"""CPU seconds of each mission of ``computes``: what parsing and checking a few answers takes."""


@agent("computes", description="Keeps a core busy for ten milliseconds.")
async def computes(_: Context) -> str:
    """Do the work of an agent that does more than wait."""
    until = time.thread_time() + COMPUTES_S
    while time.thread_time() < until:
        pass
    return "done"
