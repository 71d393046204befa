"""Agents and tools for tests that kill the server; served by ``tower serve``.

Whatever acts on the world appends one fsynced line to the file ``FAULTS_SINK``, so that a test can
tell from outside how often it really happened. A mission is a JSON object with a ``script``: a
list of calls, each a list of a name and its arguments (``tests/faults/scripts.py`` draws them up).
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio

from agents import (
    AgentError,
    BlockingContext,
    Context,
    StepFailed,
    ToolContext,
    ToolFailed,
    ToolRefused,
    agent,
    tool,
)

SINK = Path(os.environ["FAULTS_SINK"])


def leave_trace(label: str, **facts: object) -> None:
    """Append one line to the sink, in one write, and wait for the disk."""
    line = json.dumps({"label": label, "server": os.getpid(), **facts}) + "\n"
    descriptor = os.open(SINK, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _trace(ctx: ToolContext, label: str) -> str:
    leave_trace(label, key=ctx.effect_key, pid=ctx.pid, step=ctx.step, attempt=ctx.attempt)
    return f"{label} done"


@tool("write", timeout_s=None)
async def charge(label: str, before_ms: int, after_ms: int, ctx: ToolContext) -> str:
    """Act once, somewhere between two pauses."""
    await asyncio.sleep(before_ms / 1000)
    said = _trace(ctx, label)
    await asyncio.sleep(after_ms / 1000)
    return said


@tool("write", timeout_s=None)
def charge_in_thread(label: str, before_ms: int, after_ms: int, ctx: ToolContext) -> str:
    """Act once, in a thread."""
    time.sleep(before_ms / 1000)
    said = _trace(ctx, label)
    time.sleep(after_ms / 1000)
    return said


@tool("write", timeout_s=None)
async def charge_in_task(label: str, before_ms: int, after_ms: int, ctx: ToolContext) -> str:
    """Act once, in a task, as `wait_for` makes one."""
    return await asyncio.wait_for(charge(label, before_ms, after_ms, ctx), 600)


@tool("write", timeout_s=None)
async def charge_elsewhere(label: str, before_ms: int, after_ms: int, ctx: ToolContext) -> str:
    """Act once, after somebody has not answered in time."""
    with anyio.move_on_after(before_ms / 1000):
        await anyio.sleep_forever()
    return await charge(label, 0, after_ms, ctx)


@tool("read_only", idempotent=True, retries=2)
async def notify(label: str, before_ms: int, after_ms: int, ctx: ToolContext) -> str:
    """Act, harmlessly more than once."""
    await asyncio.sleep(before_ms / 1000)
    said = _trace(ctx, label)
    await asyncio.sleep(after_ms / 1000)
    return said


@tool("destructive", timeout_s=None)
async def refund(label: str, before_ms: int, after_ms: int, ctx: ToolContext) -> str:
    """Act once, if a person agrees."""
    return await charge(label, before_ms, after_ms, ctx)


@tool("write", timeout_s=None)
async def hesitate(label: str, before_ms: int, after_ms: int, ctx: ToolContext) -> str:
    """Act at the second attempt only; the first hangs before it has acted."""
    if ctx.attempt == 1:
        await asyncio.sleep(600)
    return await charge(label, before_ms, after_ms, ctx)


@tool("write", timeout_s=None)
async def insist(label: str, in_task: bool, ctx: ToolContext) -> str:
    """Act once there is a file of that name beside the sink, whatever is thrown at it."""
    insisting = _insist(label, ctx)
    if not in_task:
        return await insisting
    task = asyncio.create_task(insisting)
    await asyncio.wait({task})
    return task.result()


async def _insist(label: str, ctx: ToolContext) -> str:
    while not SINK.with_name(label).exists():
        with contextlib.suppress(BaseException):
            await asyncio.sleep(0.1)
    return _trace(ctx, label)


async def book(label: str, before_ms: int, after_ms: int) -> str:
    """Act once, as a step of the program's own."""
    await asyncio.sleep(before_ms / 1000)
    leave_trace(label)
    await asyncio.sleep(after_ms / 1000)
    return f"{label} done"


def look_up(label: str, before_ms: int, after_ms: int) -> str:
    """Act, harmlessly more than once, as a step in a thread."""
    time.sleep((before_ms + after_ms) / 1000)
    return f"{label} done"


TOOLS = {
    "charge",
    "charge_elsewhere",
    "charge_in_task",
    "charge_in_thread",
    "hesitate",
    "notify",
    "refund",
}


async def play(ctx: Context, script: list[list[Any]]) -> list[Any]:
    """Make the calls of a script, one after the other; return what each came to."""
    return [await make(ctx, name, arguments) for name, *arguments in script]


async def make(ctx: Context, name: str, arguments: list[Any]) -> Any:
    """Make one call and return its outcome, errors that an agent may catch included."""
    try:
        if name in TOOLS:
            return await ctx.tool(name, **_timed(arguments))
        return await globals()[f"do_{name}"](ctx, *arguments)
    except ToolRefused:
        return "refused"
    except (ToolFailed, StepFailed):
        return "failed"


def _timed(arguments: list[Any]) -> dict[str, Any]:
    return dict(zip(("label", "before_ms", "after_ms"), arguments, strict=True))


async def do_insist(ctx: Context, label: str, in_task: bool) -> Any:
    """Wait for a file, and act."""
    return await ctx.tool("insist", label=label, in_task=in_task)


async def do_book(ctx: Context, *arguments: Any) -> Any:
    """Run a function that may not run twice."""
    return await ctx.step("book", book, *arguments)


async def do_look_up(ctx: Context, *arguments: Any) -> Any:
    """Run a function that may."""
    return await ctx.step("look_up", look_up, *arguments, idempotent=True)


async def do_work(ctx: Context, label: str, count: int) -> str:
    """Make many small steps without a rest."""
    for number in range(count):
        await ctx.step("work", look_up, f"{label}.{number}", 0, 20, idempotent=True)
    return label


async def do_ask(ctx: Context, label: str) -> str:
    """Ask for words."""
    return await ctx.clarify(label)


async def do_confirm(ctx: Context, label: str) -> bool:
    """Ask yes or no."""
    return (await ctx.confirm(label)).approved


async def do_sleep(ctx: Context, label: str, seconds: float) -> str:
    """Sleep durably."""
    await ctx.sleep(seconds)
    return label


async def do_say(ctx: Context, label: str, count: int) -> str:
    """Stream words."""
    for number in range(count):
        ctx.delta(f"{label}.{number} ")
        await asyncio.sleep(0.002)
    return label


async def do_instant(ctx: Context, label: str) -> str:
    """Make values that must be the same in each replay: a call's arguments prove it."""
    await ctx.emit("instant", label=label, at=ctx.now(), chance=ctx.random(), name_=ctx.uuid())
    return label


async def do_emit(ctx: Context, label: str) -> str:
    """Say something lasting."""
    await ctx.emit("progress", label=label)
    return label


async def do_file(ctx: Context, label: str) -> str:
    """Write a file of the session: its change commits with its result."""
    await ctx.tool("workspace.write", name=f"{label}.txt", text=label)
    return label


async def do_artifact(ctx: Context, label: str) -> str:
    """Name a result."""
    await ctx.artifact(label, label)
    return label


async def do_llm(ctx: Context, label: str) -> bool:
    """Take a model's turn."""
    reply = await ctx.llm([{"role": "user", "content": label}], model="mock:echo")
    return label in reply.text


async def do_history(ctx: Context, label: str) -> str:
    """Read the session's messages."""
    await ctx.history(5)
    return label


async def do_parallel(ctx: Context, *scripts: list[list[Any]]) -> list[Any]:
    """Play scripts side by side."""
    return await ctx.parallel(*[lambda branch, one=one: play(branch, one) for one in scripts])


async def do_child(ctx: Context, label: str, script: list[list[Any]]) -> Any:
    """Let a child play a script, and wait for it."""
    child = await ctx.spawn("worker", json.dumps({"key": label, "script": script}))
    return json.loads(str(await child.result()))


async def do_leave(ctx: Context, label: str, script: list[list[Any]]) -> str:
    """Start a child and leave it alone: it ends with its parent."""
    await ctx.spawn("worker", json.dumps({"key": label, "script": script}))
    return label


@agent("worker", description="Plays a script.")
async def worker(ctx: Context) -> str:
    """Play the mission's script."""
    return json.dumps(await play(ctx, json.loads(ctx.mission)["script"]))


@agent("teller", description="Plays a script and streams what each call came to.")
async def teller(ctx: Context) -> AsyncIterator[str]:
    """Play the mission's script; the result is the text."""
    for name, *arguments in json.loads(ctx.mission)["script"]:
        yield json.dumps(await make(ctx, name, arguments)) + "\n"


@agent("plain", description="Plays a script of tools in a thread.")
def plain(ctx: BlockingContext) -> str:
    """Play the mission's script, blocking in each call."""
    results: list[Any] = []
    for name, *arguments in json.loads(ctx.mission)["script"]:
        try:
            results.append(ctx.tool(name, **_timed(arguments)))
        except AgentError as error:
            results.append("refused" if isinstance(error, ToolRefused) else "failed")
    return json.dumps(results)
