"""An app whose tool says what it was given in every way that it can."""

import logging

import structlog

from agents import Context, Secret, ToolContext, ToolFailed, agent, tool

log = structlog.get_logger("shop")


@tool(risk="write")
async def charge(key: str, how: str, ctx: ToolContext) -> str:
    """Charge a card.

    Args:
        key: The shop's key.
        how: Whether to return or to raise.
        ctx: Streams.
    """
    logging.getLogger("shop").warning("the key is %s", key)
    log.warning("shop.charged", note=f"with {key}", key=key)
    ctx.delta(f"using {key} … ")
    if how == "raise":
        raise RuntimeError(f"{key} was refused")
    return f"charged with {key}"


@agent("shop", description="Charges, and tells.")
async def shop(ctx: Context) -> str:
    """Call the tool with a secret, both ways."""
    said = await ctx.tool(charge, key=Secret("SHOP_CREDENTIAL"), how="return")
    try:
        await ctx.tool(charge, key=Secret("SHOP_CREDENTIAL"), how="raise")
    except ToolFailed as error:
        return f"{said}; {error}"
    return str(said)
