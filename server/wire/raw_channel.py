"""The raw way in and out of a connection, as a server hands it to the application.

:mod:`server.wire.ws_protocol` implements it under uvicorn, :mod:`server.wire.ws_asgi` over
plain ASGI.
"""

from collections.abc import Callable
from typing import Final, Protocol

EXTENSION: Final = "tower.raw"
"""The ASGI extension's name."""

MAX_MESSAGE_BYTES: Final = 64 << 10


class RawReceiver(Protocol):
    """The application's end of a connection. Called on the event loop; must not block."""

    def heard(self) -> None:
        """Bytes arrived, whatever they are."""

    def frame_received(self) -> None:
        """A frame that is not the end of a message: a ping, a pong, or a fragment."""

    def text_received(self, text: str) -> None:
        """A message arrived."""

    def stuck(self) -> None:
        """Bytes wait in the transport."""

    def drained(self) -> None:
        """No bytes wait any more."""

    def lost(self, code: int, reason: str) -> None:
        """The connection is over; called once, and nothing after it."""


class RawChannel(Protocol):
    """What the extension hands out. Also an :class:`events.subscribers.Outlet`."""

    def attach(self, receiver: RawReceiver) -> None:
        """Take the connection over; after accept, with nothing awaited in between."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Send whole frames. Never blocks; not to be called once the connection is lost."""

    def buffered(self) -> int:
        """Return how many bytes wait in the transport."""

    def pause(self) -> None:
        """Stop reading."""

    def resume(self) -> None:
        """Read again."""

    def close(self, code: int, reason: str) -> None:
        """Close behind what was written; abort if that takes longer than 5 s."""

    def abort(self) -> None:
        """Drop the connection with all that waits."""
