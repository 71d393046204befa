"""Agents whose one step takes longer than any drain waits."""

import asyncio
import contextlib
import time

from agents import Context, agent


async def _sleep() -> str:
    await asyncio.sleep(600)
    return "awake"


async def _insist() -> str:
    until = time.monotonic() + 600
    while time.monotonic() < until:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(1)
    return "at last"


@agent("slow", description="Sleeps in a step.")
async def slow(ctx: Context) -> object:
    """Sleep."""
    return await ctx.step("sleep", _sleep, idempotent=True)


@agent("stuck", description="Blocks a thread.")
async def stuck(ctx: Context) -> object:
    """Block."""
    return await ctx.step("block", time.sleep, 600, idempotent=True)


@agent("stubborn", description="Swallows whatever is thrown at its step.")
async def stubborn(ctx: Context) -> object:
    """Insist."""
    return await ctx.step("insist", _insist)
