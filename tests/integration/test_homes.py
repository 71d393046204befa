"""Users at home on nodes over a real PostgreSQL: commands reach them, also when a node dies."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from control_tower.cluster.adoption import Adoption
from control_tower.cluster.calls import Calls
from control_tower.cluster.commands import Place
from control_tower.cluster.residents import Residents
from control_tower.cluster.routed import RoutedSessions, RoutedTower
from control_tower.cluster.router import Room, Router
from control_tower.commands import Caller, ClarificationAnswer, Submission
from control_tower.erasure import Eraser
from control_tower.errors import Conflict
from control_tower.execution.context import Context
from control_tower.limits import TowerLimits
from control_tower.ports import InterruptQuery
from control_tower.sessions import Sessions
from control_tower.store import seat
from control_tower.store.post import PostgresPost
from control_tower.store.postgres_store import PostgresStore
from control_tower.tower import Tower
from events.payloads import JsonObject
from events.types import Committed, Ephemeral
from server.clock import SystemClock, UlidIds
from tests.rig import waiting
from tests.rig.postgres import emptied_database, run
from tests.rig.tower import ALICE, BOB, Modelling, Shelf, Tooling, kill

PATIENCE_S = 40


@pytest.fixture(autouse=True)
def _long_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is to die is removed by hand; a machine that is busy must not lose anybody else."""
    monkeypatch.setattr(seat, "LEASE_S", 3 * PATIENCE_S)


@pytest.fixture
def database(postgres: str) -> str:
    """Return the URL of a database with tables and nothing in them."""
    return emptied_database(postgres)


class Deaf:
    """Hears of no events, and remembers nobody: ``events.log.Publish`` and ``routed.Roster``."""

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """See ``Publish``."""

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """See ``ports.Publisher``."""

    def snapshot(self, _topics: Sequence[str]) -> list[JsonObject]:
        """See ``Roster``."""
        return []

    async def settled(self, *_: object) -> None:
        """See ``Roster``."""


@dataclass
class Member:
    """A node."""

    database: str
    store: PostgresStore
    local: Tower
    tower: RoutedTower
    sessions: RoutedSessions

    def die(self) -> None:
        """Do nothing any more, as after kill -9 and the end of the lease."""
        kill(self.local)
        run(self.database, f"DELETE FROM nodes WHERE token = {self.store.token}")

    def sees(self, count: int) -> Callable[[], bool]:
        """Return what says whether it knows of so many nodes."""
        nodes = self.store.nodes
        assert nodes is not None
        return lambda: len(nodes.alive()) == count

    def has(self, pid: str) -> bool:
        """Whether a mission is in its memory."""
        memory = self.local.parts.memory.processes
        return pid in memory or self.local.parts.residence.rests(pid)


class Work:
    """Agents that note which node's life they live in."""

    def __init__(self) -> None:
        self.hold = asyncio.Event()
        self.begun: list[str] = []
        self.held: list[str] = []

    def shelf(self) -> Shelf:
        """Return the agents."""
        return Shelf({"main": self.main, "asks": self.asks})

    async def main(self, ctx: Context) -> str:
        """Do something once, then wait until the test lets go."""
        await ctx.step("once", self._note, ctx.pid, idempotent=True)
        await ctx.step("long", self._wait, ctx.pid, idempotent=True)
        return "done"

    async def asks(self, ctx: Context) -> str:
        """Ask."""
        return await ctx.clarify("Which?")

    async def _note(self, pid: str) -> None:
        self.begun.append(pid)

    async def _wait(self, pid: str) -> None:
        self.held.append(pid)  # What was done before is in the journal by now.
        await self.hold.wait()


@asynccontextmanager
async def member(
    database: str, folder: Path, work: Work, *, runs_missions: bool = True
) -> AsyncIterator[Member]:
    """Run a node."""
    deaf, clock, ids = Deaf(), SystemClock(), UlidIds()
    store = await PostgresStore.open(
        database,
        folder,
        publish=deaf,
        clock=clock,
        url="",
        on_fatal=lambda _: None,
        mode=seat.SHARED,
        runs_missions=runs_missions,
    )
    async with store:
        nodes = store.nodes
        assert nodes is not None
        post = PostgresPost(database, store.token)
        calls = Calls(post, store.token, nodes.alive)
        local = Tower(
            store=store,
            catalog=work.shelf(),
            tools=Tooling(),
            models=Modelling(),
            publisher=deaf,
            clock=clock,
            ids=ids,
            node=folder.name,
            limits=TowerLimits(),
        )
        sessions = Sessions(store, clock, ids)
        place = Place(local, sessions, Eraser(store, clock))
        room = Room(open=lambda: runs_missions and not local.draining, load=int, max_load=100)
        residents = Residents(nodes, local.adopt)
        adoption = Adoption(nodes, residents)
        router = Router(nodes, calls, residents, room, place)
        await local.start(restore=False)
        await post.start(calls.take)
        if runs_missions:
            adoption.start()
        try:
            tower = RoutedTower(local, router, deaf)
            yield Member(database, store, local, tower, RoutedSessions(sessions, router))
        finally:
            await adoption.stop()
            await local.stop(0)
            await calls.close()
            await residents.close()
            await post.close()
            await place.eraser.close()


@asynccontextmanager
async def members(
    database: str, folder: Path, *runs: bool
) -> AsyncIterator[tuple[Work, list[Member]]]:
    """Run some nodes that know of each other."""
    work = Work()
    async with AsyncExitStack() as stack:
        made = [
            await stack.enter_async_context(
                member(database, folder / str(number), work, runs_missions=runs_missions)
            )
            for number, runs_missions in enumerate(runs)
        ]
        for each in made:
            await until(each.sees(len(runs)))
        yield work, made


until = partial(waiting.until, within_s=PATIENCE_S)


async def submit(node: Member, caller: Caller = ALICE, **fields: Any) -> JsonObject:
    """Submit a mission on a node."""
    submission = Submission(mission="go", **fields)
    return await node.tower.submit(caller, submission, body_sha256="go")


async def ended(node: Member, pid: str) -> JsonObject:
    """Return a mission as a node sees it, once it has ended."""
    async with asyncio.timeout(PATIENCE_S):
        while (mission := await node.tower.mission(ALICE, pid))["state"] != "terminated":
            await asyncio.sleep(0.05)
    return mission


async def test_a_user_is_at_home_on_one_node_and_served_on_all(
    database: str, tmp_path: Path
) -> None:
    """Submitted on three, under one key on two of them: one queue, one mission a key."""
    async with members(database, tmp_path, True, True, False) as (work, nodes):
        first, second, web = nodes
        began = await submit(first)
        behind = await asyncio.gather(
            *(
                submit(node, session_id=began["session_id"], idempotency_key="k")
                for node in (second, web, first)
            )
        )
        assert len({each["mission_id"] for each in behind}) == 1
        assert sorted(each["duplicate"] for each in behind) == [False, True, True]
        assert {each["state"] for each in behind} == {"blocked"}
        await web.tower.pause(ALICE, began["mission_id"])
        with pytest.raises(Conflict, match="paused"):
            await second.tower.pause(ALICE, began["mission_id"])
        await second.tower.resume(ALICE, began["mission_id"])
        renamed = await web.sessions.update(ALICE, began["session_id"], title="New")
        assert (await second.sessions.get(ALICE, began["session_id"])) == renamed
        work.hold.set()
        assert (await ended(web, began["mission_id"]))["result"] == "done"
        assert (await ended(web, behind[0]["mission_id"]))["result"] == "done"
        assert len(work.begun) == 2


async def test_missions_of_a_dead_node_go_on_and_are_reached(database: str, tmp_path: Path) -> None:
    """What rested is answered, what ran goes on, on whichever node; nothing is done twice."""
    async with members(database, tmp_path, True, True, True) as (work, nodes):
        first, second, third = nodes
        runs = await submit(first)
        asks = await submit(first, agent="asks")
        of_bob = await submit(second, BOB)
        await until(lambda: len(work.held) == 2)
        first.die()
        await until(lambda: second.has(runs["mission_id"]) or third.has(runs["mission_id"]))
        interrupts = await third.store.interrupts(InterruptQuery(mission_id=asks["mission_id"]))
        answer = ClarificationAnswer(answer="this")
        await third.tower.answer(ALICE, interrupts[0].interrupt_id, answer)
        assert (await ended(second, asks["mission_id"]))["result"] == "this"
        work.hold.set()
        assert (await ended(third, runs["mission_id"]))["result"] == "done"
        assert sorted(work.begun) == sorted([runs["mission_id"], of_bob["mission_id"]])


async def test_a_command_to_a_node_that_has_just_died_finds_the_next(
    database: str, tmp_path: Path
) -> None:
    """Under a key it is made again, and is one mission."""
    async with members(database, tmp_path, True, True) as (work, nodes):
        first, second = nodes
        work.hold.set()
        await submit(first)
        first.die()
        reply = await submit(second, idempotency_key="k")
        assert (await submit(second, idempotency_key="k"))["mission_id"] == reply["mission_id"]
        assert second.has(reply["mission_id"]) or await ended(second, reply["mission_id"])


async def test_who_leaves_in_order_hands_over_at_once(database: str, tmp_path: Path) -> None:
    """Nobody waits for a lease."""
    work = Work()
    async with member(database, tmp_path / "stays", work) as stays:
        async with member(database, tmp_path / "leaves", work) as leaves:
            await until(stays.sees(2))
            began = await submit(leaves)
            await until(lambda: work.held)
        await until(lambda: stays.has(began["mission_id"]))
        work.hold.set()
        assert (await ended(stays, began["mission_id"]))["result"] == "done"
        assert work.begun == [began["mission_id"]]
