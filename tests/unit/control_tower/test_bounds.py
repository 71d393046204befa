"""How much a program may say and have kept: who follows the log must be able to read it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from control_tower.errors import StepFailed
from control_tower.execution.calls import EVENT_LIMIT_BYTES, SAID_LIMIT_BYTES
from control_tower.execution.context import PIECE_CHARACTERS, Context
from control_tower.execution.outcomes import OUTPUT_LIMIT_BYTES, PREVIEW_CHARACTERS
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


def test_a_step_that_returns_too_much_fails() -> None:
    """What it did is done and is not done again; the program may catch it."""
    world, made = World(), []

    async def much() -> str:
        made.append(1)
        return "x" * OUTPUT_LIMIT_BYTES

    async def main(ctx: Context) -> str:
        try:
            await ctx.step("much", much)
        except StepFailed as error:
            await ctx.sleep(10)
            return str(error)
        return "kept"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        await world.restart()
        said = (await world.ended(pid))["result"]
        assert said == "ValueError: 9437186 bytes of JSON, and 9437184 are the most"

    world.run(scenario)
    assert made == [1]


def test_a_mission_that_returns_too_much_fails() -> None:
    """It says so, and is over."""
    world = World()

    async def main(_: Context) -> str:
        return "x" * OUTPUT_LIMIT_BYTES

    world.agent(main)

    async def scenario() -> None:
        ended = await world.ended(await world.submit())
        assert ended["error"]["code"] == "result_invalid"
        assert "are the most" in ended["error"]["message"]
        assert ended["result"] is None

    world.run(scenario)


def test_a_long_answer_is_shown_short_and_kept_whole() -> None:
    """In the event of the message as in that of the end."""
    world = World()
    answer = "x" * EVENT_LIMIT_BYTES

    async def main(_: Context) -> str:
        return answer

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        mission = await world.ended(pid)
        assert mission["result"] == answer
        shown = world.ledger.last(pid, "message.created")["data"]["message"]
        assert shown["content"] == answer[:PREVIEW_CHARACTERS]
        assert (shown["truncated"], shown["size"]) == (True, len(answer) + 2)
        (_, message) = await world.store.messages(mission["session_id"], 10, 0)
        assert message.content == answer
        assert largest(world) < EVENT_LIMIT_BYTES

    world.run(scenario)


def test_a_long_piece_of_text_is_streamed_in_pieces() -> None:
    """Each says where it belongs."""
    world = World()
    text = "\x01" * (2 * PIECE_CHARACTERS + 1)

    async def main(ctx: Context) -> None:
        ctx.delta(text)

    world.agent(main)

    async def scenario() -> None:
        await world.ended(await world.submit())
        data = [each["data"] for each in world.ledger.deltas]
        assert [each["at"] for each in data] == [0, PIECE_CHARACTERS, 2 * PIECE_CHARACTERS]
        assert "".join(each["text"] for each in data) == text

    world.run(scenario)
