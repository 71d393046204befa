"""How much a program may say in an event: whoever follows the log must be able to read it."""

from collections.abc import Awaitable, Callable

import pytest

from control_tower.execution.calls import EVENT_LIMIT_BYTES, SAID_LIMIT_BYTES
from control_tower.execution.context import Context
from tests.rig.tower import World

Saying = Callable[[Context, str], Awaitable[object]]

SAYINGS: dict[str, Saying] = {
    "emit": lambda ctx, text: ctx.emit("progress", text=text),
    "emit's name": lambda ctx, text: ctx.emit(text),
    "confirm": lambda ctx, text: ctx.confirm("Sure?", text=text),
    "confirm's message": lambda ctx, text: ctx.confirm(text),
    "clarify": lambda ctx, text: ctx.clarify(text),
    "clarify's options": lambda ctx, text: ctx.clarify("Which?", options=["a", text]),
    "a step's name": lambda ctx, text: ctx.step(text, len, text),
}

EMPTY = {"emit": len('["progress",{"text":""}]')}


def largest(world: World) -> int:
    """Return the most that an event's line has."""
    return max(len(event) for event in map(str, world.ledger.events))


@pytest.mark.parametrize("what", SAYINGS)
def test_what_no_event_can_hold_is_an_error_of_the_call(what: str) -> None:
    """The program may catch it; nothing of it was said, and the mission goes on."""
    world, caught = World(), []

    async def main(ctx: Context) -> str:
        try:
            await SAYINGS[what](ctx, "x" * EVENT_LIMIT_BYTES)
        except ValueError as error:
            caught.append(str(error))
        await ctx.emit("after")
        return "went on"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        assert (await world.ended(pid))["result"] == "went on"
        assert world.ledger.last(pid, "mission.progress")["data"] == {"name": "after"}
        assert largest(world) < EVENT_LIMIT_BYTES

    world.run(scenario)
    assert len(caught) == 1
    assert "at most" in caught[0]


def test_an_event_holds_all_that_a_program_may_say() -> None:
    """To the byte."""
    world = World()
    text = "x" * (SAID_LIMIT_BYTES - EMPTY["emit"])

    async def main(ctx: Context) -> None:
        await ctx.emit("progress", text=text)
        await ctx.emit("progress", text=f"{text}x")

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        assert (await world.ended(pid))["error"] == {
            "code": "agent_failed",
            "message": "ValueError: emit takes at most 258048 bytes of JSON, not 258049: keep what "
            "is large with ctx.artifact",
        }
        (said,) = [each for each in world.ledger.of(pid) if each["type"] == "mission.progress"]
        assert said["data"]["text"] == text

    world.run(scenario)
