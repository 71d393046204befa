"""The router: a command is carried out by the node where its user is at home.

Who is at home where is in the database; here is a memory of it, good as long as the node lives. A
user without a home, or whose node is gone, gets one: ours if we have room, else the one with the
least to do. A node that is asked for somebody who is not at home with it says so; nothing is passed
on twice, who asked looks again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from control_tower.cluster.calls import Ack, Calls
from control_tower.cluster.commands import Command, PassedOn, Place
from control_tower.cluster.ports import LEAVING, Node, Nodes
from control_tower.cluster.refusals import NotAtHome
from control_tower.cluster.residents import Residents
from control_tower.errors import Unavailable
from events.payloads import JsonObject

METHOD = "command"
PATIENCE_S = 20.0
"""How long a command waits for a home: a node's lease, its burial, and room to spare."""

NOTICED_S = 1.5
"""After a node's burial everybody knows of it within this: they look once a second."""

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.5
REMEMBERED = 100_000
"""Users whose homes are remembered, some 20 MB of them."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class Room:
    """What this node has to offer to users.

    Attributes:
        open: returns whether users may come home here now: it runs missions, and does not drain.
        load: returns how many missions run here, or are ready to.
        max_load: from how many on users are sent where there are fewer.
    """

    open: Callable[[], bool]
    load: Callable[[], int]
    max_load: int


class Router:
    """Finds homes, and has commands carried out there. One of each node.

    Args:
        place: what commands for users who are at home here are carried out with.
    """

    def __init__(
        self, nodes: Nodes, calls: Calls, residents: Residents, room: Room, place: Place
    ) -> None:
        self._nodes = nodes
        self._calls = calls
        self._residents = residents
        self._room = room
        self._place = place
        self._homes: dict[str, int] = {}
        self._loop = asyncio.get_running_loop()
        calls.serve(METHOD, PassedOn, self._passed_on)

    async def carry_out(self, user_id: str, command: Command, ack: Ack | None = None) -> JsonObject:
        """Have a command carried out where its user is at home, and return its result.

        ``ack`` is called with it at its commit, before this returns, or never, as there. While the
        home is dead and not yet buried the command waits, :data:`PATIENCE_S` at most.

        Raises:
            Refusal: as raised at the home.
            Unavailable: ``rejected`` when no home was found, ``unknown`` when the home is gone and
                the command can't be made again.
        """
        until, pause_s, maybe = self._loop.time() + PATIENCE_S, FIRST_PAUSE_S, False
        while True:
            home = await self.home_of(user_id)
            try:
                if home == self._nodes.token:
                    return await command.carry_out(self._place, ack)
                if home is not None:
                    return await self._pass_on(home, PassedOn(user_id, command), ack)
            except NotAtHome:
                self._homes.pop(user_id, None)
            except Unavailable as refusal:
                if not (_may_be_made_again(command, refusal) and await self._goes(home)):
                    raise
                maybe = maybe or refusal.outcome == "unknown"
            if self._loop.time() >= until:
                outcome = "unknown" if maybe else "rejected"
                raise Unavailable("No node has taken this over yet.", outcome=outcome)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _goes(self, home: int | None) -> bool:
        """Return whether a home is gone: one that could not carry something out may be dying."""
        until = self._loop.time() + NOTICED_S
        while home != self._nodes.token and self._loop.time() < until:
            if home not in self._nodes.alive():
                return True
            await asyncio.sleep(LONGEST_PAUSE_S / 5)
        return False

    async def _pass_on(self, home: int, passed: PassedOn, ack: Ack | None) -> JsonObject:
        return await self._calls.call(home, METHOD, passed, passed.command.timeout_s, ack)

    async def _passed_on(self, passed: PassedOn, ack: Ack | None) -> JsonObject:
        """Carry out what another node has passed on."""
        leaves = self._place.tower.draining
        if leaves and passed.user_id not in self._residents:
            raise NotAtHome("This node leaves.")  # and restores nobody any more
        if not await self._residents.has(passed.user_id):
            raise NotAtHome("They are not at home here.")
        try:
            return await passed.command.carry_out(self._place, ack)
        except Unavailable as refusal:
            if refusal.outcome == "rejected" and self._place.tower.draining:
                raise NotAtHome("This node leaves.") from refusal
            raise

    async def home_of(self, user_id: str) -> int | None:
        """Return the token of a user's home, which lives; None while it is dead and not buried.

        A user at home with us is here, with their missions, when this returns.

        Raises:
            Unavailable: when there is no node that runs missions, or the database stays away.
        """
        alive = self._nodes.alive()
        home = self._homes.get(user_id)
        if home not in alive:
            home = await self._nodes.home(user_id)
        if home is None or not self._lives(home, alive):
            home = await self._nodes.claim(user_id, self._best(alive.values()))
        if not self._lives(home, self._nodes.alive()):
            return None
        if home == self._nodes.token:
            await self._residents.take_in([user_id])
        self._remember(user_id, home)
        return home

    def _lives(self, token: int, alive: Mapping[int, Node]) -> bool:
        return token == self._nodes.token or token in alive

    def _best(self, alive: Iterable[Node]) -> int:
        """Return the node that a user without a home is given."""
        if self._room.open() and self._room.load() < self._room.max_load:
            return self._nodes.token
        there = [(node.load, node.token) for node in alive if self._may_house(node)]
        if not there:
            raise Unavailable("No node runs missions now.", outcome="rejected")
        return min(there)[1]

    def _may_house(self, node: Node) -> bool:
        if node.token == self._nodes.token:
            return self._room.open()
        return node.runs_missions and not node.leaves

    def load(self) -> int:
        """Return what the others are told of our load; may be called in any thread."""
        return LEAVING if self._place.tower.draining else self._room.load()

    def _remember(self, user_id: str, home: int) -> None:
        self._homes.pop(user_id, None)  # the dict's order is that of use
        self._homes[user_id] = home
        if len(self._homes) > REMEMBERED:
            del self._homes[next(iter(self._homes))]

    def is_steward(self) -> bool:
        """Return whether what one node must do for all is ours: we have the lowest token.

        For an instant two may think so, or nobody: what a steward does must bear both.
        """
        token = self._nodes.token
        able = [each.token for each in self._nodes.alive().values() if each.runs_missions]
        return self._room.open() and token == min(able, default=token)


def _may_be_made_again(command: Command, refusal: Unavailable) -> bool:
    return refusal.outcome == "rejected" or command.repeatable
