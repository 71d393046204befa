"""An agent and its tools. Serve them with `tower serve` and the name of this file.

Then choose `shop` beside Send in the chat, or use `tower run --agent shop` in a terminal, and try:

    status of A-17
    refund A-17
"""

from agents import Context, ToolRefused, agent, tool

ORDERS = {"A-17": 12.5, "B-4": 80.0}


@tool(risk="read_only", idempotent=True)  # may run again after a crash or a time-out
async def look_up(order: str) -> float | None:
    """Return what an order cost; null when there is no such order.

    Args:
        order: The order's number.
    """
    return ORDERS.get(order)


@tool(risk="destructive")  # asks a person first, and never runs twice without one saying so
async def refund(order: str, amount: float) -> str:
    """Pay an order back.

    Args:
        order: The order's number.
        amount: Euros to pay back.
    """
    return f"I paid {amount:.2f} back for {order}."


@agent("shop", description="Answers questions about orders, and refunds them.")
async def shop(ctx: Context) -> str:
    """Every call on `ctx` is journaled: after a crash, the mission goes on behind the last one."""
    order = next((word for word in ctx.mission.split() if word in ORDERS), None)
    if order is None:
        order = await ctx.clarify("Which order?", options=list(ORDERS))
    amount = await ctx.tool(look_up, order=order)
    if amount is None:
        return f"There is no order {order}."
    if "refund" not in ctx.mission.lower():
        return f"{order} cost {amount:.2f}."
    try:
        return str(await ctx.tool(refund, order=order, amount=amount))
    except ToolRefused as no:
        return f"I refunded nothing: {no.message}"
