"""A program that blocks the loop is named."""

import asyncio
import time

from control_tower.watchdog import PATIENCE_S, Watchdog


async def test_a_task_that_blocks_the_loop_is_named_with_its_line() -> None:
    """The finding says whose program it is, where it blocks and for how long."""
    watchdog = Watchdog()
    watchdog.start()

    async def rude() -> None:
        time.sleep(PATIENCE_S * 3)  # what the test is about

    try:
        await asyncio.create_task(rude(), name="mission m_1")
        for _ in range(100):
            if watchdog.seen:
                break
            await asyncio.sleep(0.01)
    finally:
        watchdog.stop()
    found = watchdog.seen[0]
    assert found.task == "mission m_1"
    assert "test_watchdog.py" in found.where
    assert "rude" in found.where
    assert found.seconds >= PATIENCE_S


async def test_a_loop_that_answers_is_left_alone() -> None:
    """Nothing is found, and stopping is prompt."""
    watchdog = Watchdog()
    watchdog.start()
    for _ in range(5):
        await asyncio.sleep(0.1)
    before = time.monotonic()
    watchdog.stop()
    assert time.monotonic() - before < 1.0
    assert not watchdog.seen
