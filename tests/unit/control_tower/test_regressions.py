"""What the simulation found: each bug with the smallest world that shows it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from control_tower.context import Context
from control_tower.errors import Parked
from control_tower.records import Priority
from tests.rig.tower import ALICE, World


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Rendering the tracebacks of programs that fail on purpose takes longer than the tests."""
    with capture_logs():
        yield


class Odd(BaseException):
    """What nobody should raise."""


class Mute(Exception):
    """An error that can't be shown."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("no words")


ODDITIES: dict[str, Callable[[], BaseException]] = {
    "SystemExit: 3": lambda: SystemExit(3),
    "Odd: beyond": lambda: Odd("beyond"),
    "Mute": Mute,
    "ValueError: half a ?": lambda: ValueError("half a \ud83d"),
    "Parked": Parked,
}


@pytest.mark.parametrize("message", ODDITIES)
def test_whatever_a_program_raises_ends_only_its_mission(message: str) -> None:
    """Neither the server nor the mission's own end is lost to a strange exception."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.emit("before")
        raised = ODDITIES[message]
        raise raised()

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit(), 5)
        assert mission["outcome"] == "failed"
        assert mission["error"] == {"code": "agent_failed", "message": message}

    world.run(scenario)


@pytest.mark.parametrize("message", ODDITIES)
def test_whatever_a_branch_raises_is_raised_by_parallel(message: str) -> None:
    """A branch that ends strangely has ended all the same."""
    world = World()

    async def good(ctx: Context) -> None:
        await ctx.emit("good")

    async def bad(ctx: Context) -> None:
        raised = ODDITIES[message]
        raise raised()

    async def main(ctx: Context) -> str:
        await ctx.parallel(good, bad)
        return "?"

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit(), 5)
        assert mission["error"] == {"code": "agent_failed", "message": message}

    world.run(scenario)


def test_parallel_without_branches_returns_at_once() -> None:
    """And leaves the program able to make further calls."""
    world = World()

    async def main(ctx: Context) -> list[Any]:
        nothing = await ctx.parallel()
        await ctx.sleep(1)
        return nothing

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit(), 5)
        assert mission["result"] == []

    world.run(scenario)


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (lambda: SystemExit(2), "SystemExit: 2"),
        (asyncio.CancelledError, "CancelledError"),
        (lambda: TimeoutError("slow"), "TimeoutError: slow"),
        (Parked, "Parked"),
        (Mute, "Mute"),
        (lambda: ValueError("half a \ud83d"), "ValueError: half a ?"),
    ],
)
def test_whatever_a_step_raises_is_its_outcome(
    raised: Callable[[], BaseException], message: str
) -> None:
    """A cancellation or a time-out that is not the tower's is an error like any other."""
    world = World()

    async def work() -> None:
        raise raised()

    async def main(ctx: Context) -> str:
        await ctx.step("work", work)
        return "?"

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit(), 5)
        assert mission["error"] == {"code": "step_failed", "message": message}

    world.run(scenario)


def test_a_step_that_returns_what_no_event_can_hold_fails() -> None:
    """Half a character is no JSON text."""
    world = World()

    async def main(ctx: Context) -> Any:
        return await ctx.step("work", lambda: "half a \ud83d")

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit(), 5)
        assert mission["error"]["code"] == "step_failed"

    world.run(scenario)


def test_half_a_character_streams_as_a_question_mark() -> None:
    """A delta must not raise into the program, where no replay would raise it again."""
    world = World()

    async def main(ctx: Context) -> str:
        ctx.delta("half a \ud83d")
        return "done"

    world.agent(main)

    async def scenario() -> None:
        mission = await world.ended(await world.submit(), 5)
        assert mission["result"] == "done"
        assert [delta["data"]["text"] for delta in world.ledger.deltas] == ["half a ?"]

    world.run(scenario)


def test_the_priority_of_a_mission_at_rest_can_be_changed() -> None:
    """It is neither queued nor running then; the new priority counts when it wakes."""
    world = World()

    async def main(ctx: Context) -> str:
        await ctx.sleep(5)
        return "done"

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        shown = await world.tower.set_priority(ALICE, pid, Priority.LOW)
        assert (shown["priority"], shown["state"]) == ("low", "blocked")
        assert (await world.ended(pid))["result"] == "done"

    world.run(scenario)
