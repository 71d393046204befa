"""The log's port: what the fan-out needs of the store that keeps every durable event."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from events.types import Committed, Ephemeral


class Page(msgspec.Struct, frozen=True):
    """A stretch of the log. It is complete for its topics up to and including ``upto``."""

    events: tuple[Committed, ...]
    upto: int


class LogReader(Protocol):
    """Reads committed events; never blocks the event loop."""

    @property
    def epoch(self) -> str:
        """Changes only when history is replaced."""

    @property
    def head(self) -> int:
        """The last offset committed; 0 for an empty log."""

    async def read(self, topics: Sequence[str], after: int, upto: int, limit: int = 512) -> Page:
        """Return the events of any of ``topics`` with ``after < offset <= upto``, in order.

        At most ``limit`` events and about 1 MiB of bodies a page; ``Page.upto`` says how far the
        page reaches, ``upto`` itself when nothing is left. Topics are ``system``, ``user:<id>``,
        ``session:<id>``, ``mission:<id>`` (with its descendants).
        """

    async def floor(self, topics: Sequence[str]) -> int:
        """Return the lowest ``since`` from which nothing of ``topics`` is missing (0: all)."""


class Publish(Protocol):
    """Where the writer hands committed events, on the event loop, in commit order."""

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Fan the events of one unit out, then its ephemeral ones."""
