"""Work that many ask for at once."""

import asyncio

import pytest

from server.shared import Shared


class Work:
    """Counts how often it is done; it ends when it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        """Return its number."""
        self.begun += 1
        number = self.begun
        await self.go.wait()
        return number


async def turns() -> None:
    """Let every task get as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_crowd_shares_the_work_that_begins_after_it_asked() -> None:
    """One is done for the first, one more for all who came meanwhile, each seeing a fresh one."""
    shared, work = Shared[int](), Work()
    first = asyncio.create_task(shared(work))
    await turns()
    crowd = [asyncio.create_task(shared(work)) for _ in range(50)]
    await turns()
    assert work.begun == 1
    work.go.set()
    assert await first == 1
    assert await asyncio.gather(*crowd) == [2] * 50
    assert await shared(work) == 3


async def test_one_who_leaves_takes_nothing_along() -> None:
    """Cancelled in the middle of the work, or failed: the next in line does it."""
    shared, work = Shared[int](), Work()
    first = asyncio.create_task(shared(work))
    await turns()
    crowd = [asyncio.create_task(shared(work)) for _ in range(3)]
    await turns()
    first.cancel()
    crowd[0].cancel()
    await turns()
    work.go.set()
    assert await asyncio.gather(*crowd[1:]) == [2, 2]

    async def broken() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await shared(broken)
    assert await shared(work) == 3
