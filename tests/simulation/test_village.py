"""A village in a storm: nodes die, letters are lost, the bus comes and goes, and promises hold.

Clients submit under keys on whatever node there is, and ask again until they are answered. Each
seed is a day of its own in virtual time, the same whenever it is run. CI runs a few, ``make soak``
many.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import pytest

from control_tower.commands import Caller, ClarificationAnswer, Submission
from control_tower.errors import Conflict, NotFound, Unavailable
from control_tower.execution.context import Context
from control_tower.limits import TowerLimits
from control_tower.ports import InterruptQuery
from events.payloads import JsonObject
from tests.rig.town import TownNode, Village

T = TypeVar("T")

IN_CI = 8
SOAKED = 150
NODES = 3
DEATHS = 5
CLIENTS = 6
SUBMITS = 8
LEASE_S = 8.0


DAYS = [
    pytest.param(seed, marks=[] if seed < IN_CI else [pytest.mark.soak]) for seed in range(SOAKED)
]


class Storm(Village):
    """Nodes that die and are replaced under clients that go on asking."""

    def __init__(self, seed: int) -> None:
        super().__init__(NODES, TowerLimits(max_running=6, max_running_per_user=3, park_after_s=2))
        self.chance = random.Random(seed)
        self.replies: dict[str, set[str]] = {}
        self.sessions: dict[str, str] = {}
        for agent in (self.works, self.asks, self.sleeps, self.spawns):
            self.agent(agent, agent.__name__)
        self.town.lost = lambda *_: self.chance.random() < 0.05

    # -- agents ---------------------------------------------------------------------------

    async def works(self, ctx: Context) -> str:
        """Do some things, one after the other."""
        for number in range(3):
            await ctx.step(f"n{number}", asyncio.sleep, 0.7, idempotent=True)
        return "worked"

    async def asks(self, ctx: Context) -> str:
        """Ask somebody."""
        return await ctx.clarify("Which?")

    async def sleeps(self, ctx: Context) -> str:
        """Rest a while, out of memory."""
        await ctx.sleep(6)
        return "slept"

    async def spawns(self, ctx: Context) -> str:
        """Have a child do it."""
        child = await ctx.spawn("works", "help")
        return str(await child.result())

    # -- clients --------------------------------------------------------------------------

    def living(self) -> list[TownNode]:
        """Return the nodes that a client can reach."""
        return [node for node in self.nodes if node.token in self.town.calls]

    async def insist(self, ask: Callable[[TownNode], Awaitable[T]]) -> T:
        """Ask on one node after the other until one answers."""
        async with asyncio.timeout(2000):
            while True:
                try:
                    return await ask(self.chance.choice(self.living()))
                except Unavailable:
                    await asyncio.sleep(self.chance.uniform(0.1, 2))

    async def client(self, number: int) -> None:
        """Submit missions of a user's, some of them into one session."""
        user = Caller(f"user {number % 4}", "user")
        for count in range(SUBMITS):
            key = f"{number}.{count}"
            submission = Submission(
                mission="go",
                agent=self.chance.choice(["works", "asks", "sleeps", "spawns"]),
                session_id=self.sessions.get(user.user_id) if self.chance.random() < 0.6 else None,
                idempotency_key=key,
            )
            for _ in range(self.chance.choice([1, 1, 2])):
                reply = await self.insist(partial(self.submitted, user, submission))
                self.replies.setdefault(key, set()).add(reply["mission_id"])
            self.sessions.setdefault(user.user_id, reply["session_id"])
            await asyncio.sleep(self.chance.uniform(0, 6))

    @staticmethod
    async def submitted(user: Caller, submission: Submission, node: TownNode) -> JsonObject:
        """Submit on a node."""
        return await node.tower.submit(user, submission, body_sha256="go")

    async def answerer(self) -> None:
        """Answer every question, on any node."""
        while True:
            for question in await self.store.interrupts(InterruptQuery()):
                user = Caller(question.user_id, "user")
                await self.insist(partial(self.answer, user, question.interrupt_id))
            await asyncio.sleep(1)

    @staticmethod
    async def answer(user: Caller, interrupt_id: str, node: TownNode) -> None:
        """Answer a question, unless that has been done."""
        with contextlib.suppress(Conflict, NotFound):
            await node.tower.answer(user, interrupt_id, ClarificationAnswer(answer="this"))

    # -- the weather ----------------------------------------------------------------------

    async def weather(self) -> None:
        """Let nodes die, be buried and come back under new tokens; let the bus come and go."""
        for _ in range(DEATHS):
            await asyncio.sleep(self.chance.uniform(1, 8))
            self.town.bus = not self.town.bus
            victim = self.chance.choice(self.living())
            await (self.leave if self.chance.random() < 0.3 else self.fall)(victim)
            await asyncio.sleep(self.chance.uniform(0, 2))
            await self.join()

    async def fall(self, node: TownNode) -> None:
        """Let a node die; it is buried when its lease has run out."""
        self.die(node)
        await asyncio.sleep(self.chance.uniform(0, LEASE_S))
        self.town.unseen.add(node.token)
        await asyncio.sleep(self.chance.uniform(0, 3))
        self.town.bury(node.token)

    async def leave(self, node: TownNode) -> None:
        """Let a node leave in order."""
        await node.adoption.stop()
        await node.local.stop(self.chance.uniform(0, 3))
        self.die(node)
        self.town.bury(node.token)

    async def join(self) -> None:
        """Let a node come."""
        node = self.add()
        await node.local.start(restore=False)
        node.adoption.start()

    async def day(self) -> None:
        """Live through it, until all is done."""
        for node in self.nodes:
            node.adoption.start()
        answering = asyncio.create_task(self.answerer())
        await asyncio.gather(self.weather(), *(self.client(n) for n in range(CLIENTS)))
        async with asyncio.timeout(2000):
            while self._live_users():
                await asyncio.sleep(1)
        answering.cancel()
        await asyncio.wait({answering})
        self.judge()

    # -- what must hold -------------------------------------------------------------------

    def judge(self) -> None:
        """Every key is one mission, each ends once and well, sessions run one at a time."""
        assert len(self.replies) == CLIENTS * SUBMITS
        assert all(len(pids) == 1 for pids in self.replies.values()), self.replies
        roots = {pid for pids in self.replies.values() for pid in pids}
        ends = Counter(
            event["mission_id"]
            for event in self.ledger.events
            if event["type"] in {"mission.completed", "mission.failed", "mission.cancelled"}
        )
        assert set(ends.values()) == {1}
        assert roots <= ends.keys()
        assert not {e["type"] for e in self.ledger.events} & {"mission.failed"}
        submitted = {
            e["mission_id"] for e in self.ledger.events if e["type"] == "mission.submitted"
        }
        children = {
            e["mission_id"]
            for e in self.ledger.events
            if e["type"] == "mission.submitted" and e["data"].get("parent_id")
        }
        assert submitted - children == roots
        self._judge_sessions(roots)
        left = [node.local.parts.memory.processes for node in self.living()]
        assert not any(left)

    def _judge_sessions(self, roots: set[str]) -> None:
        running: dict[str, str] = {}
        for event in self.ledger.events:
            pid, session = event["mission_id"], event["session_id"]
            if pid not in roots:
                continue
            if event["type"] in {"mission.started", "mission.resumed", "mission.recovered"}:
                holder = running.setdefault(session, pid)
                assert holder == pid, f"{pid} runs beside {holder} in {session}"
            elif (
                event["type"]
                in {"mission.completed", "mission.waiting", "mission.blocked", "interrupt.raised"}
                and running.get(session) == pid
            ):
                del running[session]


@pytest.mark.parametrize("seed", DAYS)
def test_promises_hold_in_a_village_where_nodes_die(seed: int) -> None:
    """Whatever is lost on the way."""
    storm = Storm(seed)
    storm.run(storm.day)
