"""The audience of a node: for which topics somebody here reads text while it streams.

Events come to every node, whoever wants them. Text does not: where several nodes share a bus, one
that nobody reads it on is not sent it (:mod:`events.text_routes`). A server that is alone has no
audience to count.
"""

from collections.abc import Sequence
from typing import Protocol


class Audience(Protocol):
    """Told of each topic that a connection attaches and lets go, if text of it is wanted."""

    def joins(self, topic: str) -> None:
        """One more connection wants the text of a topic."""

    def leaves(self, topic: str) -> None:
        """One of them does not any more."""

    async def expects(self, topics: Sequence[str]) -> None:
        """Return once the text of topics comes here, whole, and for some seconds at least.

        Bounded: who does not answer in time is not waited for.
        """
