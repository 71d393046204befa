"""Whether a call's code goes on depends on the lease, whatever it waited for."""

import asyncio
import math
import time
import warnings
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from control_tower.execution.tenure import LOOK_S, NEEDED_S, Hold, call_in_thread
from tests.rig.virtual_loop import VirtualLoop, run

LEASE_S = 6.0
AWAY_S = 20.0


@dataclass
class Node:
    """A node whose lease a test holds in its hands, and what its calls did when."""

    left: float = LEASE_S
    wanted: bool = True
    acts: list[float] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)
    hold: Hold = field(init=False)

    def __post_init__(self) -> None:
        self.hold = Hold(lambda: self.left, lambda: self.wanted)

    def act(self) -> None:
        """Do what must not be done without a lease."""
        self.acts.append(asyncio.get_running_loop().time())

    async def pay(self) -> str:
        """Wait for a second, and act; note when it was cut."""
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            self.cuts.append(asyncio.get_running_loop().time())
            raise
        self.act()
        return "done"

    async def sleep_and_wake(self, work: Coroutine[Any, Any, Any]) -> object:
        """Lose the lease in the middle of a call, and have it again much later."""
        call = asyncio.create_task(self.hold.make(work))
        await asyncio.sleep(0.5)
        self.left = -30
        await asyncio.sleep(AWAY_S)
        assert self.acts == []
        self.left = LEASE_S
        return await call


BACK_S = 0.5 + AWAY_S
"""When :meth:`Node.sleep_and_wake` has its lease again."""


def virtually(world: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a world in virtual time."""
    run(world(), VirtualLoop())


def test_a_call_goes_on_while_the_lease_holds() -> None:
    """What it returns and what it raises comes through."""
    node = Node()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def world() -> None:
        assert await node.hold.make(node.pay()) == "done"
        with pytest.raises(ValueError, match="no"):
            await node.hold.make(fails())

    virtually(world)
    assert node.acts == [1]


def test_who_wakes_without_a_lease_does_not_act() -> None:
    """It acts when it has renewed it, as after a database that was away, and not before."""
    node = Node()

    async def world() -> None:
        assert await node.sleep_and_wake(node.pay()) == "done"

    virtually(world)
    assert node.acts == [pytest.approx(BACK_S, abs=2 * LOOK_S)]


def test_a_time_out_of_the_calls_own_is_held() -> None:
    """Who would try again, or elsewhere, may do so no more than who got an answer."""
    node = Node()

    async def pay_elsewhere() -> None:
        try:
            async with asyncio.timeout(3):
                await asyncio.sleep(100)
        except TimeoutError:
            node.act()

    async def world() -> None:
        await node.sleep_and_wake(pay_elsewhere())

    virtually(world)
    assert node.acts == [pytest.approx(BACK_S, abs=2 * LOOK_S)]


async def test_a_cancellation_that_is_sent_again_and_again_is_held() -> None:
    """As anyio does; and what else is cancelled meanwhile is not forgotten for it."""
    node = Node()

    async def pay_elsewhere() -> None:
        try:
            with anyio.fail_after(0.02):
                await anyio.sleep(100)
        except TimeoutError:
            node.act()

    async def outer() -> None:
        async with asyncio.timeout(0.05):
            try:
                await pay_elsewhere()
            finally:
                node.cuts.append(node.left)

    call = asyncio.create_task(node.hold.make(outer()))
    await asyncio.sleep(0)
    node.left = -30
    await asyncio.sleep(0.2)
    assert (node.acts, node.cuts) == ([], [])
    node.left = LEASE_S
    with pytest.raises(TimeoutError):
        await call
    assert node.cuts == [LEASE_S]


def test_what_the_tower_ends_is_not_held() -> None:
    """A server that ends while its database is away does not wait for that."""
    node = Node()

    async def world() -> None:
        call = asyncio.create_task(node.hold.make(node.pay()))
        await asyncio.sleep(0.5)
        node.left = 0
        await asyncio.sleep(5)
        node.wanted = False
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    virtually(world)
    assert node.acts == []
    assert node.cuts == [pytest.approx(5.5, abs=2 * LOOK_S)]


async def _waits(node: Node) -> None:
    await asyncio.wait({asyncio.create_task(node.pay())})


async def _shields(node: Node) -> None:
    await asyncio.shield(node.pay())


async def _forgets(node: Node) -> None:
    task = asyncio.create_task(node.pay())
    await asyncio.sleep(100)
    await task


@pytest.mark.parametrize("pays", [_waits, _shields, _forgets])
def test_a_task_that_outlives_its_call_does_not_act(
    pays: Callable[[Node], Coroutine[Any, Any, None]],
) -> None:
    """The tower cancels the call; a task that it only waited for would be let loose by that."""
    node = Node()

    async def world() -> None:
        call = asyncio.create_task(node.hold.make(pays(node)))
        await asyncio.sleep(0.5)
        node.left = -30
        await asyncio.sleep(AWAY_S)
        node.wanted = False
        call.cancel()
        await asyncio.sleep(5)

    virtually(world)
    assert node.acts == []
    assert len(node.cuts) == 1


def test_a_task_goes_on_behind_a_call_that_is_done() -> None:
    """It may read for a pool of connections, which later calls will use."""
    node = Node()
    kept: list[asyncio.Task[str]] = []

    async def call() -> str:
        kept.append(asyncio.create_task(node.pay()))
        return "done"

    async def world() -> None:
        assert await node.hold.make(call()) == "done"
        node.wanted = False
        node.left = -30
        assert await kept[0] == "done"

    virtually(world)
    assert node.acts == [1]


def test_a_task_begins_with_a_lease() -> None:
    """A machine may be suspended between the making of a task and its first step."""
    node = Node()

    async def acts() -> None:
        node.act()

    async def call() -> None:
        task = asyncio.create_task(acts())
        node.left = -30
        await task

    async def world() -> None:
        made = asyncio.create_task(node.hold.make(call()))
        await asyncio.sleep(AWAY_S)
        assert node.acts == []
        node.left = LEASE_S
        await made

    virtually(world)
    assert len(node.acts) == 1


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
            node = Node()
            driven: Any = node.hold.drive(call(name))
            driven.send(None)
            node.left = left
            driven.send(None)
            driven.close()

    virtually(world)
    assert closed == ["waiting", "held"]


async def _waits_for(node: Node) -> None:
    await asyncio.wait_for(node.pay(), 10)


async def _gathers(node: Node) -> None:
    await asyncio.gather(node.pay(), node.pay())


async def _groups(node: Node) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(node.pay())


async def _groups_with_anyio(node: Node) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(node.pay)


@pytest.mark.parametrize("pays", [_waits_for, _gathers, _groups, _groups_with_anyio])
def test_tasks_of_a_call_are_held_too(pays: Callable[[Node], Coroutine[Any, Any, None]]) -> None:
    """Also those that `wait_for` makes, and anyio, which looks into their coroutines."""
    node = Node()

    async def world() -> None:
        await node.sleep_and_wake(pays(node))

    virtually(world)
    assert node.acts
    assert min(node.acts) >= BACK_S


def test_a_task_of_a_call_can_be_cancelled() -> None:
    """In the middle, and before it has begun; anyio cancels those that have."""
    node = Node()

    async def begins_nothing() -> None:
        task = asyncio.create_task(node.pay())
        task.cancel()
        await asyncio.wait({task})

    async def cuts() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(node.pay)
            await asyncio.sleep(0.5)
            group.cancel_scope.cancel()

    async def world() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await node.hold.make(begins_nothing())
        await node.hold.make(cuts())

    virtually(world)
    assert (node.acts, node.cuts) == ([], [0.5])


def test_who_shares_its_store_with_nobody_is_never_held() -> None:
    """Nor are tasks of others than calls, wherever they are made. A lease that is closed holds."""
    alone, sharing = Node(left=math.inf), Node()
    assert not Node(left=-math.inf).hold.endless

    async def name_of_a_task() -> str:
        async def work() -> None: ...

        task = asyncio.create_task(work())
        await task
        return type(task.get_coro()).__name__

    async def world() -> None:
        assert await alone.hold.make(name_of_a_task()) == "coroutine"
        assert await sharing.hold.make(name_of_a_task()) != "coroutine"
        assert await name_of_a_task() == "coroutine"

    virtually(world)


def test_a_call_begins_with_enough_of_the_lease() -> None:
    """Its intent may be read by another node as soon as the lease is over."""
    node = Node(left=NEEDED_S - 0.1)

    async def world() -> None:
        waiting = asyncio.create_task(node.hold.begin())
        await asyncio.sleep(10)
        assert not waiting.done()
        node.left = NEEDED_S
        await waiting
        assert asyncio.get_running_loop().time() < 10 + 2 * LOOK_S

    virtually(world)


async def test_what_waited_for_a_thread_begins_with_enough_of_it_too() -> None:
    """Or never, if nobody wants it by then."""
    done: list[str] = []

    async def hands_on(what: str) -> None:
        await asyncio.to_thread(call_in_thread, lambda: done.append(what))

    node = Node(left=NEEDED_S / 2)
    paid = asyncio.create_task(node.hold.make(hands_on("paid")))
    await asyncio.to_thread(time.sleep, 3 * LOOK_S)
    assert done == []
    node.left = LEASE_S
    await paid
    node = Node(left=NEEDED_S / 2)
    given_up = asyncio.create_task(node.hold.make(hands_on("given up")))
    await asyncio.sleep(LOOK_S)
    node.wanted = False
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert done == ["paid"]
