"""The present among nodes: nobody is told of less than they know, and a crowd looks once."""

import asyncio

import pytest

from control_tower.errors import Unavailable
from server.present import Present


class Log:
    """A log whose looks are answered by hand, each with the head as of its question."""

    def __init__(self) -> None:
        self.head = 0
        self.asked: list[tuple[int, asyncio.Event]] = []
        self.away = False

    async def newest_offset(self) -> int:
        """Answer once that is let go."""
        answer = asyncio.Event()
        found = self.head
        self.asked.append((found, answer))
        await answer.wait()
        if self.away:
            raise Unavailable("The database is away.", outcome="rejected")
        return found


class Node:
    """A log's reader that has published up to a place."""

    def __init__(self) -> None:
        self.log = Log()
        self.published = 0
        self.noted: list[int] = []
        self.present = Present(self.log, self.noted.append, lambda: self.published)

    def ask(self) -> "asyncio.Task[None]":
        """Ask for the present."""
        return asyncio.create_task(self.present.reached())


async def turns() -> None:
    """Let everything come to where it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_is_committed_is_waited_for() -> None:
    """The bus is told of it, and it is here when this returns."""
    node = Node()
    node.log.head = 3
    asked = node.ask()
    await turns()
    node.log.asked[0][1].set()
    await turns()
    assert node.noted == [3]
    assert not asked.done()
    node.published = 3
    await asked


async def test_a_crowd_shares_a_look_that_began_after_all_of_it_asked() -> None:
    """The one that is under way may have missed what somebody knows of."""
    node = Node()
    first = node.ask()
    await turns()
    node.log.head = node.published = 5
    crowd = [node.ask() for _ in range(100)]
    await turns()
    assert len(node.log.asked) == 1
    node.log.asked[0][1].set()
    await first
    await turns()
    assert not any(each.done() for each in crowd)
    assert [found for found, _ in node.log.asked] == [0, 5]
    node.log.asked[1][1].set()
    await asyncio.gather(*crowd)
    assert node.noted == [0, 5]


async def test_who_gives_up_takes_nobody_along() -> None:
    """A connection that is lost while others wait for the same look."""
    node = Node()
    lost, other = node.ask(), node.ask()
    await turns()
    lost.cancel()
    node.log.asked[0][1].set()
    await other
    assert lost.cancelled()
    assert len(node.log.asked) == 1


async def test_a_look_that_fails_fails_for_those_who_share_it_alone() -> None:
    """The next one looks again."""
    node = Node()
    both = [node.ask(), node.ask()]
    await turns()
    node.log.away = True
    node.log.asked[0][1].set()
    for each in both:
        with pytest.raises(Unavailable):
            await each
    node.log.away = False
    again = node.ask()
    await turns()
    node.log.asked[1][1].set()
    await again
