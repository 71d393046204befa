"""Agents that show what the demo agent does not: children, doubt, quotas, Markdown, failures."""

import asyncio

from agents import Context, agent, tool

REPORT = """# Report

It touched `notes.txt` and **three** others.

```python
def double(n: int) -> int:
    return n * 2  # twice
```

| tool | calls |
|:-----|------:|
| calculator | 12 |

- [x] done
"""


@tool(risk="write", timeout_s=0.2)
async def pay(order: str, amount: float) -> str:
    """Pay for an order, too slowly to be certain of it.

    Args:
        order: The order's number.
        amount: Euros.
    """
    await asyncio.sleep(5)
    return f"paid {amount} for {order}"


@tool(risk="read_only", timeout_s=300)
async def dig(place: str) -> str:
    """Dig for minutes.

    Args:
        place: Where.
    """
    await asyncio.sleep(300)
    return f"nothing in {place}"


@tool(risk="read_only", timeout_s=5, retries=0)
async def flaky(url: str) -> str:
    """Fetch what is not there.

    Args:
        url: Where.
    """
    raise ConnectionError("The host did not answer.")


@agent("payer", description="Pays, and cannot know whether it did.")
async def payer(ctx: Context) -> str:
    """Pay once."""
    return f"The till says: {await ctx.tool(pay, order='A-17', amount=12.5)}"


@agent("parent", description="Gives its work to two children.")
async def parent(ctx: Context) -> str:
    """Spawn two and join them."""
    children = [await ctx.spawn("demo", f"calculate {number}+{number}") for number in (2, 3)]
    return " and ".join([str(await child.result()) for child in children])


@agent("reporter", description="Streams Markdown, says how far it is, and leaves an artifact.")
async def reporter(ctx: Context) -> str:
    """Report."""
    await ctx.emit("reading", pages=3)
    for start in range(0, len(REPORT), 7):
        ctx.delta(REPORT[start : start + 7])
        await asyncio.sleep(0.002)
    await ctx.artifact("report.md", REPORT, "text/markdown")
    return REPORT


@agent("spender", description="Calls a tool again and again.")
async def spender(ctx: Context) -> str:
    """Call a tool four times."""
    for number in range(4):
        await ctx.tool("calculator", expression=f"{number}+1")
    return "spent"


@agent("breaker", description="Fails.")
async def breaker(ctx: Context) -> str:
    """Raise."""
    await ctx.tool("calculator", expression="1+1")
    raise ValueError("The shelf is empty.")


@agent("digger", description="Holds a slot for minutes.")
async def digger(ctx: Context) -> str:
    """Dig."""
    return str(await ctx.tool(dig, place=ctx.mission))


@agent("fetcher", description="Calls a tool that fails until its breaker opens.")
async def fetcher(ctx: Context) -> str:
    """Fetch again and again."""
    for number in range(20):
        try:
            await ctx.tool(flaky, url=f"https://example.invalid/{number}")
        except Exception:  # noqa: BLE001  # the tool is there to fail
            continue
    return "gave up"


@agent("wide", description="Makes two thousand steps, twenty side by side.")
async def wide(ctx: Context) -> str:
    """Step."""

    async def branch(own: Context) -> None:
        for number in range(1, 101):
            await own.step(f"part {number} of 100", _nothing, idempotent=True)

    await ctx.parallel(*[branch] * 20)
    return "wide"


async def _nothing() -> None:
    """Do nothing, so that only the steps cost something."""
