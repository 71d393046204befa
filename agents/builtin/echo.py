"""``echo``: streams its mission back, for measuring."""

import asyncio
import re
from typing import TYPE_CHECKING

from agents.registry import Registry

if TYPE_CHECKING:
    from control_tower.execution.context import Context

MAX_TOKENS = 100_000
BATCH = 64
"""After as many pieces, other missions get their turn."""

_WORD = re.compile(r"\S+\s*|\s+")


async def echo(ctx: "Context") -> str:
    """Return the mission's text, streamed by the word; ``inputs.tokens = N`` streams N pieces."""
    pieces = _pieces(ctx.mission, ctx.inputs.get("tokens"))
    for number, piece in enumerate(pieces, 1):
        ctx.delta(piece)
        if number % BATCH == 0:
            await asyncio.sleep(0)
    return "".join(pieces)


def _pieces(mission: str, tokens: object) -> list[str]:
    words = _WORD.findall(mission)
    if tokens is None:
        return words
    if isinstance(tokens, bool) or not isinstance(tokens, int) or not 0 <= tokens <= MAX_TOKENS:
        raise ValueError(f"inputs.tokens must be a whole number from 0 to {MAX_TOKENS}")
    texts = mission.split() or ["token"]
    return [
        texts[number % len(texts)] + (" " if number < tokens - 1 else "")
        for number in range(tokens)
    ]


def register(registry: Registry) -> None:
    """Register the agent."""
    registry.agent("echo", "Streams its mission back, for measuring.")(echo)
