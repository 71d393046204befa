"""Agents whose one step takes longer than any drain waits."""

import asyncio
import time

from agents import Context, agent


async def _sleep() -> str:
    await asyncio.sleep(600)
    return "awake"


@agent("slow", description="Sleeps in a step.")
async def slow(ctx: Context) -> object:
    """Sleep."""
    return await ctx.step("sleep", _sleep, idempotent=True)


@agent("stuck", description="Blocks a thread.")
async def stuck(ctx: Context) -> object:
    """Block."""
    return await ctx.step("block", time.sleep, 600, idempotent=True)
