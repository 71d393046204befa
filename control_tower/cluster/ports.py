"""What the cluster needs of the database and of the bus, as Protocols."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

LEAVING = 1 << 30
"""The load that a node tells the others when it leaves."""


@dataclass(slots=True, frozen=True)
class Node:
    """A node that lives.

    Attributes:
        token: its fencing token; increasing, never used twice.
        name: shown to people; the same from one start of a data folder to the next.
        url: where it can be reached by people, for messages only.
        runs_missions: whether users may be at home with it.
        load: missions that run or are ready on it, as of its last renewal.
    """

    token: int
    name: str
    url: str
    runs_missions: bool
    load: int

    @property
    def leaves(self) -> bool:
        """Whether it is about to go: nobody new is sent there."""
        return self.load >= LEAVING


class Nodes(Protocol):
    """Membership and homes, kept in the database. All methods may raise ``DatabaseAway``."""

    @property
    def token(self) -> int:
        """Our own token."""

    def alive(self) -> Mapping[int, Node]:
        """Return who lives, ourselves included, as of the last look (once a second), by token."""

    async def home(self, user_id: str) -> int | None:
        """Return the token of a user's home, also of one whose node is gone; None: none yet."""

    async def claim(self, user_id: str, token: int) -> int:
        """Make ``token`` a user's home, unless a node that lives is it; return the home's token."""

    async def adopt(self, most: int) -> list[str]:
        """Take over users of nodes that are gone, at most so many, and return them.

        Empty: nobody is left to be adopted. Users without live missions are let go instead: their
        next command finds them a home. When the answer is lost they are ours all the same.
        """

    async def left_out(self, here: Container[str]) -> list[str]:
        """Return users at home with us who have live missions and are not ``here``."""


Letter: TypeAlias = Callable[[int, bytes], None]
"""Called on the event loop with the sender's token and the letter."""


class Post(Protocol):
    """Letters between nodes. One may be lost when the database restarts; none comes twice."""

    def send(self, to: int | None, letter: bytes) -> None:
        """Send a letter to a node, or to all others. Never blocks; in order between two nodes."""


class Replies(Protocol):
    """The bus as the way of replies that must precede the events of their commands."""

    def reply(self, to: int, call: str, body: bytes) -> None:
        """Send a reply in front of whatever events this node commits from now on."""
