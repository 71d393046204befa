"""A subscriber: one connection as the fan-out knows it, and its one ordered output.

What is written to a connection is of two kinds: the frames of its view, the same for all members
and collected once for all, and what is its own (replies, replayed events). :attr:`Subscriber.own`
says behind how many of the view's frames each own piece stands, so that the two are merged in the
order in which they came about, with one write a tick.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from events.audience import Audience
from events.replay import Position

if TYPE_CHECKING:
    from events.views import View


class Outlet(Protocol):
    """The way out to one client.

    None of these calls back into the hub before it returns, save that ``write`` may report
    :meth:`events.hub.Hub.stuck`.
    """

    @property
    def write(self) -> Callable[[bytes], None]:
        """Send whole WebSocket frames. Never blocks; asked for once and not called when gone."""

    def buffered(self) -> int:
        """Return how many bytes wait here for the client to read."""

    def close(self, code: int, reason: str) -> None:
        """Close behind what was written; abort if that takes too long."""

    def abort(self) -> None:
        """Drop the connection at once, with all that waits."""


class Subscriber:
    """One connection's place in the fan-out.

    Attributes:
        position: where it stands in the log.
        view: its view while it is live and has topics, else None.
        own: its own pieces, each with the count of the view's pending frames before it.
        skip: how many of the view's pending frames are from before it joined.
        plain: nothing about it is special: the view's joined frames can be written as they are.
        stuck: its transport holds bytes that the client has not taken.
        gone: it was removed; nothing is written to it any more.
        waiting: it stands in the line of those behind, or waits for a page.
        firm_at: the head when it joined its view or was last told something of its own. Up to
            there everything is in its output in its place and is not told again.
        calls: topics of the calls whose replay is under way.
        page: the page of the log it is reading: (topics, after).
        heard_at, pinged_at, moved_at: instants of the loop's clock.
        pushed, taken: bytes written while stuck, and how many of them the client had taken.
    """

    __slots__ = (
        "calls",
        "firm_at",
        "gone",
        "heard_at",
        "moved_at",
        "outlet",
        "own",
        "page",
        "pinged_at",
        "plain",
        "position",
        "pushed",
        "skip",
        "stuck",
        "taken",
        "view",
        "waiting",
        "write",
    )

    def __init__(self, outlet: Outlet, now: float, audience: Audience | None = None) -> None:
        self.outlet = outlet
        self.write = outlet.write
        self.position = Position(audience)
        self.view: View | None = None
        self.own: list[tuple[int, bytes]] = []
        self.skip = 0
        self.plain = True
        self.stuck = False
        self.gone = False
        self.waiting = False
        self.firm_at = 0
        self.calls: list[list[str]] = []
        self.page: tuple[tuple[str, ...], int] | None = None
        self.heard_at = now
        self.pinged_at: float | None = None
        self.moved_at = now
        self.pushed = 0
        self.taken = 0

    def say(self, frames: bytes, head: int) -> None:
        """Append own frames behind everything that was published to it so far, up to ``head``."""
        self.firm_at = head
        self.own.append((len(self.view.pending) if self.view is not None else 0, frames))
        self.plain = False

    def drain_own(self) -> bytes:
        """Take the own pieces out, without the view's frames between them."""
        own, self.own = self.own, []
        return b"".join(piece for _, piece in own)

    def merge(self, frames: Sequence[bytes]) -> bytes:
        """Take all out: the view's ``frames`` of the tick with the own pieces at their places."""
        if not self.own:
            return b"".join(frames[self.skip :])
        pieces: list[bytes] = []
        at = self.skip
        for index, piece in self.own:
            pieces += frames[at:index]
            pieces.append(piece)
            at = index
        pieces += frames[at:]
        self.own = []
        return b"".join(pieces)

    def settle(self) -> None:
        """Nothing is pending for it any more."""
        self.skip = 0
        self.plain = not self.stuck and not self.own
