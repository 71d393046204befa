"""Users come home once, whole, whoever asks for them and however often."""

import asyncio
from collections.abc import Sequence

import pytest

from control_tower.cluster.residents import Residents
from control_tower.errors import Unavailable
from tests.rig.town import Town, TownNodes


class Movers:
    """Restores users when the test lets go."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.free = asyncio.Event()
        self.breaks = False
        self.broken: set[str] = set()

    async def restore(self, user_ids: Sequence[str]) -> None:
        """Restore them."""
        self.asked.append(list(user_ids))
        await self.free.wait()
        if self.breaks or self.broken.intersection(user_ids):
            raise RuntimeError("a bug")


def home() -> tuple[Residents, Movers]:
    """Return residents of node 1."""
    movers = Movers()
    town = Town(homes={"alice": 1, "bob": 2})
    return Residents(TownNodes(town, 1), movers.restore), movers


async def test_who_is_on_the_way_is_waited_for_by_all() -> None:
    """One restoring for a batch and the commands of its users; nobody is here before its end."""
    residents, movers = home()
    asking = [
        asyncio.create_task(residents.take_in(each))
        for each in (["alice", "carol"], ["alice"], ["carol", "dora"])
    ]
    await asyncio.sleep(0.01)
    assert not any(each.done() for each in asking)
    assert "alice" not in residents
    movers.free.set()
    await asyncio.gather(*asking)
    assert movers.asked == [["alice", "carol"], ["dora"]]
    assert all(each in residents for each in ("alice", "carol", "dora"))
    await residents.take_in(["alice"])
    assert len(movers.asked) == 2


async def test_a_stranger_does_not_wait_for_others_to_come() -> None:
    """However many are restored meanwhile."""
    residents, movers = home()
    batch = asyncio.create_task(residents.take_in(["carol"]))
    await asyncio.sleep(0.01)
    assert not await residents.has("bob")
    movers.free.set()
    await batch
    assert await residents.has("alice")


async def test_a_cancelled_wait_does_not_leave_half_a_user() -> None:
    """The restoring goes on, and the next who asks finds it done."""
    residents, movers = home()
    asking = asyncio.create_task(residents.take_in(["alice"]))
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.wait({asking})
    movers.free.set()
    await residents.take_in(["alice"])
    assert movers.asked == [["alice"]]


async def test_who_could_not_be_restored_is_not_here() -> None:
    """Everybody who waits learns of it, and the next tries again."""
    residents, movers = home()
    movers.breaks = True
    asking = [asyncio.create_task(residents.take_in(["alice"])) for _ in range(2)]
    await asyncio.sleep(0.01)
    movers.free.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(each) for each in outcomes] == [RuntimeError, RuntimeError]
    assert "alice" not in residents
    movers.breaks = False
    await residents.take_in(["alice"])
    assert "alice" in residents


async def test_without_the_database_nobody_knows_who_is_at_home() -> None:
    """Except of those who are here."""
    residents, movers = home()
    movers.free.set()
    await residents.take_in(["alice"])
    residents._nodes.town.away = True  # type: ignore[attr-defined]
    assert await residents.has("alice")
    with pytest.raises(Unavailable):
        await residents.has("bob")


async def test_who_is_at_home_and_was_never_restored_is_found() -> None:
    """Only they, if they have anything running; one who can't be restored keeps out nobody else."""
    movers = Movers()
    users = {"alice": 1, "bob": 1, "carol": 1, "dora": 1, "ellen": 2}
    town = Town(homes=users, live_users=lambda: {"alice", "bob", "carol", "ellen"})
    residents = Residents(TownNodes(town, 1), movers.restore)
    movers.free.set()
    await residents.take_in(["bob"])
    movers.broken.add("alice")
    with pytest.raises(ExceptionGroup):
        await residents.take_in_left_out()
    assert movers.asked == [["bob"], ["alice"], ["carol"]]
    assert "carol" in residents
    movers.broken.clear()
    assert await residents.take_in_left_out() == 1
    assert "alice" in residents
    assert await residents.take_in_left_out() == 0
