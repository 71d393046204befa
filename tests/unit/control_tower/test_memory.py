"""A mission has one process, whatever reads are slow and whoever leaves memory meanwhile."""

import asyncio
from typing import Any

import pytest

from control_tower.execution.context import Context
from control_tower.limits import TowerLimits
from control_tower.process import Process
from control_tower.records import StepRecord
from tests.rig.tower import ALICE, World

PARK_S = 1.0


def test_a_childs_end_is_told_to_the_parent_that_is_in_memory() -> None:
    """The process that asked for it has left memory by the time the child's row is read."""
    world = World(TowerLimits(park_after_s=PARK_S))

    async def child(ctx: Context) -> str:
        await ctx.sleep(10)
        return "grown"

    async def parent(ctx: Context) -> object:
        grown = await (await ctx.spawn("child", "x")).result()
        await ctx.step("after", asyncio.sleep, 100, idempotent=True)
        return grown

    world.agent(parent)
    world.agent(child, "child")

    async def scenario() -> None:
        pid = await world.submit()
        await asyncio.sleep(1)
        child_pid = (await world.tower.mission(ALICE, pid))["children"][0]
        await world.restart()
        store, present = world.store, world.tower._a.memory.processes
        mission, steps, delays = store.mission, store.steps, iter([0, 20])

        async def slow_mission(asked: str) -> Any:
            await asyncio.sleep(15 if asked == child_pid and pid in present else 0)
            return await mission(asked)

        async def slow_steps(asked: str) -> list[StepRecord]:
            await asyncio.sleep(next(delays) if asked == pid else 0)
            return await steps(asked)

        store.mission = slow_mission  # type: ignore[method-assign,assignment]
        store.steps = slow_steps  # type: ignore[method-assign,assignment]
        assert (await world.ended(pid))["result"] == "grown"
        joined = [e for e in world.ledger.of(pid) if e["type"] == "step.completed"]
        assert [event["data"]["step"] for event in joined] == ["2", "3"]

    world.run(scenario)


def test_a_process_that_left_before_its_loader_went_on_is_loaded_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine that slept may let its alarm ring between the two."""
    world = World()

    async def main(ctx: Context) -> str:
        return await ctx.clarify("Which?")

    world.agent(main)

    async def scenario() -> None:
        pid = await world.submit()
        await world.settled(pid)
        kernel, memory = world.tower._a.kernel, world.tower._a.memory
        kernel.park(memory.processes[pid])
        loaded: list[Process] = []
        touched = memory.touched

        def leave_at_once(process: Process) -> None:
            touched(process)
            if not loaded:
                asyncio.get_running_loop().call_soon(kernel.park, process)
            loaded.append(process)

        monkeypatch.setattr(memory, "touched", leave_at_once)
        await world.tower.pause(ALICE, pid)
        assert memory.processes[pid] is not loaded[0]
        assert world.tower.snapshot(["system"])[0]["state"] == "paused"
        await world.tower.cancel(ALICE, pid)

    world.run(scenario)
