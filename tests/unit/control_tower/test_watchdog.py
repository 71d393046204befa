"""A program that blocks the loop is named."""

import asyncio
import time

import pytest

from control_tower import watchdog as watching
from control_tower.watchdog import ASK_EVERY_S, PATIENCE_S, Watchdog


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


async def test_a_loop_that_answers_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, it does so within seconds."""
    monkeypatch.setattr(watching, "PATIENCE_S", 10.0)
    watchdog = Watchdog()
    watchdog.start()
    for _ in range(5):
        await asyncio.sleep(0.1)
    watchdog.stop()
    assert not watchdog.seen


async def test_who_is_stopped_as_it_asks_waits_for_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop can't answer while it stops the watchdog, and is not blamed for that."""
    monkeypatch.setattr(watching, "PATIENCE_S", 30.0)
    watchdog = Watchdog()
    watchdog.start()
    thread = watchdog._thread
    assert thread is not None
    time.sleep(ASK_EVERY_S * 2)  # it has asked by now, and nothing has answered
    watchdog.stop()
    assert not thread.is_alive()
    assert not watchdog.seen
