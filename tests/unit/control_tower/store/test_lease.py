"""The lease's thread, without a database."""

import asyncio

import pytest

from control_tower.store import lease as module
from control_tower.store.database import DatabaseAway
from control_tower.store.lease import Lease, suspended_time
from control_tower.store.statements import Connection


async def test_a_fault_of_its_own_ends_the_tower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a database that is away, which may come back; else nothing would renew the seat."""
    monkeypatch.setattr(module, "RENEW_S", 0.0)
    told: asyncio.Queue[BaseException] = asyncio.Queue()
    errors = iter([DatabaseAway("away"), DatabaseAway("away"), RuntimeError("a bug")])

    def connect() -> Connection:
        raise next(errors)

    lease = Lease(connect, lambda error: error, 1, suspended_time(), told.put_nowait)
    lease.start()
    async with asyncio.timeout(20):
        assert isinstance(await told.get(), RuntimeError)
    await asyncio.to_thread(lease.close)
    assert told.empty()
