"""Whether a call's code goes on depends on the lease, whatever it waited for."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from control_tower.execution.tenure import CANCEL_S, LOOK_S, NEEDED_S, Tenure
from tests.rig.virtual_loop import VirtualLoop, run

LEASE_S = 6.0


@dataclass
class Node:
    """A node whose lease a test holds in its hands, and a call that acts after a second."""

    left: float = LEASE_S
    acted_at: float | None = None
    cut_at: float | None = None
    tenure: Tenure = field(init=False)

    def __post_init__(self) -> None:
        self.tenure = Tenure(lambda: self.left)

    async def call(self) -> str:
        """Wait for a second, and act; note when it was cut."""
        time = asyncio.get_running_loop().time
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            self.cut_at = time()
            raise
        self.acted_at = time()
        return "done"

    async def drive(self) -> str:
        """Make the call as long as the lease holds."""
        return await self.tenure.drive(self.call())


def test_a_call_goes_on_while_the_lease_holds() -> None:
    """What it returns and what it raises comes through."""
    node = Node()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def world() -> None:
        assert await node.drive() == "done"
        with pytest.raises(ValueError, match="no"):
            await node.tenure.drive(fails())

    run(world(), VirtualLoop())
    assert node.acted_at == 1


def test_who_wakes_without_a_lease_does_not_act() -> None:
    """It acts when it has renewed it, as after a database that was away, and not before."""
    node = Node()

    async def world() -> str:
        call = asyncio.create_task(node.drive())
        await asyncio.sleep(0.5)
        node.left = -30
        await asyncio.sleep(20)
        assert node.acted_at is None
        node.left = LEASE_S
        return await call

    assert run(world(), VirtualLoop()) == "done"
    assert node.acted_at == pytest.approx(20.5, abs=2 * LOOK_S)


def test_a_cancellation_is_held_for_a_while() -> None:
    """A time-out that is due as a machine wakes starts no cleaning up before the node has ended."""
    node = Node()

    async def world() -> None:
        call = asyncio.create_task(node.drive())
        await asyncio.sleep(0.5)
        node.left = -30
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    run(world(), VirtualLoop())
    assert node.cut_at == pytest.approx(0.5 + CANCEL_S, abs=2 * LOOK_S)


def test_a_held_call_can_be_cancelled() -> None:
    """A server that ends while its database is away does not wait for that."""
    node = Node(left=0)

    async def world() -> None:
        call = asyncio.create_task(node.drive())
        await asyncio.sleep(5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    run(world(), VirtualLoop())
    assert node.cut_at == pytest.approx(5)


def test_a_call_is_closed_with_who_drives_it() -> None:
    """Whether it waits for something of its own or for the lease."""
    closed: list[str] = []

    async def call(name: str) -> None:
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        finally:
            closed.append(name)

    async def world() -> None:
        for name, left in (("waiting", LEASE_S), ("held", 0.0)):
            driven: Any = Node(left=left).tenure.drive(call(name))
            driven.send(None)
            driven.send(None)
            driven.close()

    run(world(), VirtualLoop())
    assert closed == ["waiting", "held"]


def test_a_call_begins_with_enough_of_the_lease() -> None:
    """Its intent may be read by another node as soon as the lease is over."""
    node = Node(left=NEEDED_S - 0.1)

    async def world() -> float:
        waiting = asyncio.create_task(node.tenure.long_enough())
        await asyncio.sleep(10)
        assert not waiting.done()
        node.left = NEEDED_S
        await waiting
        return asyncio.get_running_loop().time()

    assert run(world(), VirtualLoop()) == pytest.approx(10, abs=2 * LOOK_S)
