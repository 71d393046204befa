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
    """Yield for each loss how long the last of its users waited; not for one without users.

    Who was taken over, and lost that home too before anything had happened there, waits for the
    second takeover: a user's wait begins with the last loss before it ends.
    """
    for place, loss in enumerate(losses):
        waits = [
            wait for user in loss.users if (wait := _wait(user, loss, losses[place + 1 :], events))
        ]
        if waits:
            yield max(waits)


def _wait(user_id: str, loss: Loss, later: Sequence[Loss], events: Sequence[Event]) -> float | None:
    """Return a user's wait in seconds; None where it did not end, or not with this takeover."""
    made = (made_at(event) for event in events if event["user_id"] == user_id)
    end = next((at for at in made if at > loss.at), None)
    if end is None or any(user_id in each.users and each.at < end for each in later):
        return None
    return end - loss.at


def made_at(event: Event) -> float:
    """Return when an event was made, Unix seconds."""
    return datetime.fromisoformat(event["at"]).timestamp()
