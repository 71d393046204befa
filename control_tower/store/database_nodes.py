"""The cluster as the database has it: ``cluster.ports.Nodes`` for a tower that shares one."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

from control_tower.cluster.ports import Node
from control_tower.store import homes
from control_tower.store.readers import Readers
from control_tower.store.seat import Occupant

PAGE = 1000
"""Users looked through between two turns of the event loop."""


def _ignore_head(_: int) -> None:
    """Nobody wants to know how far the log has come."""


def _ignore_burial(_: Node) -> None:
    """Nobody wants to know who is gone."""


def _no_load() -> int:
    """Return the load of a tower that runs nothing."""
    return 0


@dataclass(slots=True)
class DatabaseNodes:
    """See ``Nodes``.

    Attributes:
        forget_cached: the writer's: rows of users who come home here were written elsewhere.
        on_head: told the last offset of the log after each look, once a second.
        on_buried: told of a node that this one has buried.
        load: returns what the others are told of our load; called in the lease's thread.
        head: the last offset of the log, as of the last look.
    """

    token: int
    readers: Readers
    forget_cached: Callable[[], None]
    on_head: Callable[[int], None] = _ignore_head
    on_buried: Callable[[Node], None] = _ignore_burial
    load: Callable[[], int] = _no_load
    head: int = 0
    _alive: dict[int, Node] = field(default_factory=dict)

    def alive(self) -> Mapping[int, Node]:
        """Return who lives, ourselves included, as of the last look, by token."""
        return self._alive

    def looked(self, occupants: Sequence[Occupant], head: int) -> None:
        """Take in what the lease's look found."""
        self._alive = {each.token: _node(each) for each in occupants}
        self.head = head
        self.on_head(head)

    def buried(self, occupant: Occupant) -> None:
        """A node is gone."""
        self._alive.pop(occupant.token, None)
        self.on_buried(_node(occupant))

    def its_load(self) -> int:
        """Return our load, as the others are told it."""
        return self.load()

    async def home(self, user_id: str) -> int | None:
        """Return the token of a user's home, also of one whose node is gone."""
        return await self.readers.run(homes.home, user_id)

    async def claim(self, user_id: str, token: int) -> int:
        """Make ``token`` a user's home, unless a node that lives is it; return the home's."""
        found = await self.readers.run(homes.claim, user_id, token)
        if found == self.token:
            self.forget_cached()
        return found

    async def adopt(self, most: int) -> list[str]:
        """Take over users of nodes that are gone, at most so many, and return them."""
        adopted = await self.readers.run(homes.adopt, self.token, most)
        if adopted:
            self.forget_cached()
        return adopted

    async def left_out(self, here: Container[str]) -> list[str]:
        """Return users at home with us who have live missions and are not ``here``."""
        found: list[str] = []
        after = ""
        while page := await self.readers.run(homes.at_work, self.token, after, PAGE):
            found += [user_id for user_id in page if user_id not in here]
            after = page[-1]
        if found:
            self.forget_cached()
        return found


def _node(occupant: Occupant) -> Node:
    return Node(
        token=occupant.token,
        name=occupant.node,
        url=occupant.url,
        runs_missions=occupant.runs_missions,
        load=occupant.load,
    )
