"""Nodes of one process over one store, in virtual time: what is between them can be broken."""

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from control_tower.cluster.adoption import Adoption
from control_tower.cluster.calls import Calls
from control_tower.cluster.commands import Place
from control_tower.cluster.ports import Node
from control_tower.cluster.residents import Residents
from control_tower.cluster.routed import RoutedSessions, RoutedTower
from control_tower.cluster.router import Room, Router
from control_tower.erasure import Eraser, cancel_all
from control_tower.errors import Unavailable
from control_tower.limits import TowerLimits
from control_tower.ports import Store
from control_tower.records import ProcessControlBlock
from control_tower.sessions import Sessions
from control_tower.store import InlineStore
from control_tower.tower import Tower
from control_tower.unit import Unit
from events.payloads import JsonObject
from tests.rig.tower import OPERATOR, World, kill

LETTER_S = 0.002


@dataclass(slots=True)
class Town:
    """What nodes share beside the store: who lives, who is at home where, and the ways between.

    Attributes:
        seated: nodes with a lease, by token: those that are dead are in it until they are buried.
        unseen: those of them that nobody takes for alive any more.
        lost: says of a letter (sender, to, letter) whether it is lost.
        bus: whether there is one.
        away: whether the database is.
        head: returns how many events were published.
        replied: how many were when each reply was given to the bus.
    """

    seated: dict[int, Node] = field(default_factory=dict)
    unseen: set[int] = field(default_factory=set)
    homes: dict[str, int] = field(default_factory=dict)
    live_users: Callable[[], set[str]] = set
    calls: dict[int, Calls] = field(default_factory=dict)
    lost: Callable[[int, int, bytes], bool] = lambda *_: False
    bus: bool = True
    away: bool = False
    letters: list[tuple[int, int, bytes]] = field(default_factory=list)
    head: Callable[[], int] = int
    replied: list[int] = field(default_factory=list)

    def bury(self, token: int) -> None:
        """A node's lease has run out."""
        del self.seated[token]


@dataclass(slots=True)
class TownNodes:
    """``cluster.ports.Nodes``."""

    town: Town
    token: int

    def alive(self) -> Mapping[int, Node]:
        """See ``Nodes``."""
        town = self.town
        return {token: node for token, node in town.seated.items() if token not in town.unseen}

    async def home(self, user_id: str) -> int | None:
        """See ``Nodes``."""
        await self._reach()
        return self.town.homes.get(user_id)

    async def claim(self, user_id: str, token: int) -> int:
        """See ``Nodes``."""
        await self._reach()
        present = self.town.homes.get(user_id)
        if present not in self.town.seated:
            present = self.town.homes[user_id] = token
        return present

    async def adopt(self, most: int) -> list[str]:
        """See ``Nodes``."""
        await self._reach()
        homes, live = self.town.homes, self.town.live_users()
        orphans = [each for each, token in homes.items() if token not in self.town.seated]
        for user_id in set(orphans) - live:
            del homes[user_id]
        adopted = [user_id for user_id in orphans if user_id in live][:most]
        homes.update(dict.fromkeys(adopted, self.token))
        return adopted

    async def left_out(self, here: Container[str]) -> list[str]:
        """See ``Nodes``."""
        await self._reach()
        at_work = self.town.live_users()
        ours = [each for each, token in self.town.homes.items() if token == self.token]
        return [user_id for user_id in ours if user_id in at_work and user_id not in here]

    async def _reach(self) -> None:
        await asyncio.sleep(0.001)
        if self.town.away:
            raise Unavailable("The database is away.", outcome="rejected")


@dataclass(slots=True)
class TownPost:
    """``cluster.ports.Post`` and ``Replies``: in order, a little later, unless it is lost."""

    town: Town
    token: int

    def send(self, to: int | None, letter: bytes) -> None:
        """See ``Post``."""
        if self.token not in self.town.calls:
            return  # the dead write no letters
        others = [each for each in self.town.calls if each != self.token]
        for each in others if to is None else [to]:
            self.town.letters.append((self.token, each, letter))
            if not self.town.lost(self.token, each, letter):
                asyncio.get_running_loop().call_later(LETTER_S, self._arrive, each, letter)

    def _arrive(self, to: int, letter: bytes) -> None:
        calls = self.town.calls.get(to)
        if calls is not None:
            calls.take(self.token, letter)

    def reply(self, to: int, call: str, body: bytes) -> None:
        """See ``Replies``."""
        self.town.replied.append(self.town.head())
        calls = self.town.calls.get(to)
        if self.town.bus and calls is not None and self.token in self.town.calls:
            asyncio.get_running_loop().call_soon(calls.take_reply, call, body)


@dataclass(slots=True)
class Here:
    """``routed.Roster`` over the local towers of all nodes."""

    village: "Village"

    def snapshot(self, topics: Sequence[str]) -> list[JsonObject]:
        """See ``Roster``."""
        return [each for node in self.village.nodes for each in node.local.snapshot(topics)]

    async def settled(
        self,
        pid: str,
        timeout_s: float,
        row: Callable[[str], Awaitable[ProcessControlBlock | None]],
    ) -> ProcessControlBlock | None:
        """See ``Roster``."""
        for node in self.village.nodes:
            if pid in node.local.parts.memory.processes:
                await node.local.settled(pid, timeout_s)
        return await row(pid)


class Desk:
    """A node's own way to the store: what it has handed over dies with it."""

    def __init__(self, store: InlineStore) -> None:
        self._store = store
        self._handed: list[Unit] = []
        self.open = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def submit(self, unit: Unit) -> None:
        """See ``Store``."""
        if self.open:
            self._store.submit(unit)
            if self._store.pending == [unit]:
                self._handed.clear()  # all before it was applied
            self._handed.append(unit)

    def close(self) -> None:
        """Lose what is not committed, and take nothing more."""
        self.open = False
        pending = self._store.pending
        pending[:] = [each for each in pending if all(each is not mine for mine in self._handed)]


@dataclass(slots=True)
class TownNode:
    """A node: the local tower, and what it offers to its callers."""

    token: int
    local: Tower
    tower: RoutedTower
    sessions: RoutedSessions
    router: Router
    residents: Residents
    calls: Calls
    adoption: Adoption
    eraser: Eraser
    desk: Desk


class Village(World):
    """So many nodes over one store, the first of which is ``tower``."""

    def __init__(self, count: int = 2, limits: TowerLimits | None = None) -> None:
        super().__init__(limits)
        self.town = Town(live_users=self._live_users, head=lambda: len(self.ledger.events))
        self.nodes: list[TownNode] = []
        self._count = count

    def _live_users(self) -> set[str]:
        rows = self.store._connection.execute("SELECT record FROM missions WHERE outcome IS NULL")
        return {msgspec.json.decode(record)["user_id"] for (record,) in rows}

    def add(self, *, runs_missions: bool = True) -> TownNode:
        """Return one more node, which serves but does not adopt yet."""
        token = len(self.nodes) + 1
        desk = Desk(self.store)
        local = self.another(f"node-{token}", cast("Store", desk))
        nodes, post = TownNodes(self.town, token), TownPost(self.town, token)
        calls = Calls(post, token, lambda: self.town.seated, post)
        residents = Residents(nodes, local.adopt)
        eraser = self._eraser(local)
        sessions = Sessions(self.store, self.clock, self.ids)
        room = Room(
            open=lambda: runs_missions and not local.draining,
            load=lambda: self.town.seated[token].load if token in self.town.seated else 0,
            max_load=self.limits.max_running,
        )
        router = Router(nodes, calls, residents, room, Place(local, sessions, eraser))
        node = TownNode(
            token,
            local,
            RoutedTower(local, router, Here(self)),
            RoutedSessions(sessions, router),
            router,
            residents,
            calls,
            Adoption(nodes, residents),
            eraser,
            desk,
        )
        self.town.seated[token] = Node(token, f"node-{token}", "", runs_missions, 0)
        self.town.calls[token] = calls
        self.nodes.append(node)
        return node

    def _eraser(self, local: Tower) -> Eraser:
        async def stop(session_id: str) -> None:
            await cancel_all(self.store, lambda pid: local.cancel(OPERATOR, pid), session_id)

        return Eraser(self.store, self.clock, stop=stop)

    def busy(self, node: TownNode, load: int) -> None:
        """Let the others know of a node's load."""
        seated = self.town.seated
        seated[node.token] = Node(node.token, "", "", seated[node.token].runs_missions, load)

    def die(self, node: TownNode) -> None:
        """Kill a node; it keeps its seat until it is buried."""
        kill(node.local)
        node.desk.close()
        if node.adoption._task is not None:
            node.adoption._task.cancel()
        del self.town.calls[node.token]

    def run(self, scenario: Callable[[], Awaitable[None]]) -> None:
        """Run a scenario, all nodes started."""

        async def started() -> None:
            for _ in range(self._count):
                await self.add().local.start(restore=False)
            try:
                await scenario()
            finally:
                for node in self.nodes:
                    await node.adoption.stop()
                    await node.calls.close()
                    await node.residents.close()
                    await node.eraser.close()
                    await node.local.stop(0)

        super().run(started)
