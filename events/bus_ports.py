"""What a bus between processes asks of its node, and what it tells for metrics."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from events.log import LogReader


async def _at_once(_: float) -> None:
    """Wait for nothing: there are no calls."""


def _none() -> None:
    return None


@dataclass(slots=True, frozen=True)
class BusPorts:
    """What the bus asks of the rest of its node. All are called on the event loop.

    Attributes:
        log: the log, shared by all nodes.
        head: returns the log's head as it was last looked up; asked once a second.
        on_reply: takes a reply to one of our calls, by the call's name. It is told before any
            event that the replying node sent behind the reply.
        replied: returns once the replies of other nodes that are awaited now have come, or after
            so many seconds. What is read from the log waits for it: a reply comes first.
        own_from: returns the lowest offset that our own writer may have committed without that
            its completion ran; None if there is none. From there on nothing is published that
            was read from the log, so that our own callers, too, are answered before.
    """

    log: LogReader
    head: Callable[[], int]
    on_reply: Callable[[str, bytes], None]
    replied: Callable[[float], Awaitable[None]] = _at_once
    own_from: Callable[[], int | None] = _none


@dataclass(slots=True, frozen=True)
class BusFigures:
    """For metrics; counted since the start.

    Attributes:
        connected: whether both connections to Redis work.
        lost: how often one was lost.
        ignored: messages that were no messages, or of another version.
        dropped: durable events that were not sent; the others read them from the log.
        log_reads: holes that were read from the log; ``log_events`` is what came of it.
        late: ephemeral events that came after what they belong to, and were dropped.
        waiting_bytes: what waits for an earlier offset, and what waits to be sent.
    """

    connected: bool
    lost: int
    sent: int
    sent_bytes: int
    received: int
    received_bytes: int
    ignored: int
    dropped: int
    log_reads: int
    log_events: int
    late: int
    waiting_bytes: int
