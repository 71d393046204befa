"""Waiting for a store: how long the kernel does, and how long its callers do."""

import asyncio

import pytest

from control_tower import acknowledgement, patience
from control_tower.acknowledgement import Acknowledgement
from control_tower.errors import Unavailable
from control_tower.patience import patiently
from control_tower.unit import Commit, StoreFailed


async def test_a_caller_is_told_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, and that once: the commit may still come, and is no second answer."""
    monkeypatch.setattr(acknowledgement, "PATIENCE_S", 0.0)
    told: list[str] = []
    promise = Acknowledgement[str](told.append)
    with pytest.raises(StoreFailed) as late:
        await promise.result()
    assert late.value.outcome == "unknown"
    promise.committed(lambda _: "done", Commit(()))
    promise.refused(StoreFailed("at last", outcome="rejected"))
    assert told == []


async def test_the_kernel_waits_for_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the store says that it can't; any other error is an error."""
    monkeypatch.setattr(patience, "RETRY_S", 0.0)
    answers = iter([Unavailable("away", outcome="rejected")] * 3)

    async def read() -> str:
        for away in answers:
            raise away
        return "row"

    assert await patiently(read) == "row"

    async def broken() -> str:
        raise ValueError("no row")

    with pytest.raises(ValueError, match="no row"):
        await patiently(broken)


async def test_a_wait_for_the_store_can_be_cancelled() -> None:
    """A mission that ends meanwhile does not leave it behind."""

    async def read() -> str:
        raise Unavailable("away", outcome="rejected")

    waiting = asyncio.create_task(patiently(read))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
