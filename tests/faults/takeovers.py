"""How long users were without a home: from a node's end to the first thing that happened to them.

The log says when each event was made, by the clock of this machine. Nobody but a user's home makes
events of theirs, so the first one behind the end of their home is the new home's.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tests.faults.witness import Event


@dataclass(slots=True, frozen=True)
class Loss:
    """A node that was lost.

    Attributes:
        how: killed, or put to sleep.
        users: who was at home with it.
        at: when, Unix seconds.
    """

    how: str
    users: tuple[str, ...]
    at: float = field(default_factory=time.time)


def takeovers_s(losses: Sequence[Loss], events: Sequence[Event]) -> Iterator[float]:
    """Yield for each loss how long the last of its users waited; not for one without users."""
    for loss in losses:
        waits = [
            at - loss.at for at in (_next_of(user, loss.at, events) for user in loss.users) if at
        ]
        if waits:
            yield max(waits)


def _next_of(user_id: str, since: float, events: Sequence[Event]) -> float | None:
    for event in events:
        if event["user_id"] == user_id and (at := made_at(event)) > since:
            return at
    return None


def made_at(event: Event) -> float:
    """Return when an event was made, Unix seconds."""
    return datetime.fromisoformat(event["at"]).timestamp()
