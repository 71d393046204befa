"""Agents for the benchmarks; served by ``tower serve tests/benchmarks/apps.py``."""

import asyncio

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
