"""``clock``: the time."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agents.errors import ToolDeclined
from agents.registry import Registry
from agents.tool_context import ToolContext
from events.payloads import JsonObject


async def clock(ctx: ToolContext, timezone: str = "UTC") -> JsonObject:
    """Tell the time.

    Args:
        ctx: given by the executor.
        timezone: a name such as Europe/Vienna; UTC by default.
    """
    try:
        zone = UTC if timezone == "UTC" else ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ToolDeclined(f"There is no time zone called {timezone[:80]}.") from None
    moment = datetime.fromtimestamp(ctx.now, zone)
    return {
        "time": moment.isoformat(timespec="seconds"),
        "weekday": f"{moment:%A}",
        "timezone": timezone,
    }


def register(registry: Registry) -> None:
    """Register the tool."""
    registry.tool("read_only", idempotent=True)(clock)
