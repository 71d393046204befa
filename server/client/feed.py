"""Where a subscription stands in the log: it resumes with no gap and no duplicate. Sans I/O.

A feed has a connection of its own and makes one ``subscribe`` on it. So one number is its whole
place: events come in the order of their offsets, in a replay as live, and whatever is at or below
the last one was given already. Nothing else has to be remembered.

The number also moves without events: the reply of ``ping`` says up to where everything was
written. A filter that matches little would otherwise resume from so far back that the server keeps
no events of that age.
"""

from typing import Final, Literal, TypeAlias

from events.payloads import JsonObject
from server.client.messages import Event, Gap

Since: TypeAlias = int | Literal["now", "start"]
"""After this offset; or from the reply on; or everything that is kept."""

EPOCH_CHANGED: Final = "epoch_changed"


class Feed:
    """See the head of this file.

    Args:
        topics: what to subscribe.
        since: from where on.
        epoch: of the log that ``since`` belongs to, if it is known.
        filters: ``types``, ``deltas`` and ``where`` of the subscribe.

    Attributes:
        offset: resumes after it; None before the first reply, when it was to begin now.
        epoch: the log's; None before the first reply.
        replaying: whether older events are still coming.
        snapshot: of the last reply.
    """

    def __init__(
        self,
        topics: list[str],
        since: Since = "now",
        epoch: str | None = None,
        filters: JsonObject | None = None,
    ) -> None:
        self._topics = topics
        self._filters = filters or {}
        self._from_start = since == "start"
        self._replaced = False
        self.offset = {"now": None, "start": 0}.get(since) if isinstance(since, str) else since
        self.epoch = epoch
        self.replaying = False
        self.snapshot: JsonObject = {"missions": []}

    def request(self, epoch: str) -> JsonObject:
        """Return the parameters of ``subscribe`` on a new connection, whose log has ``epoch``."""
        if self.epoch is not None and self.epoch != epoch:
            # Every number is of the old log; begin in the new one as it was begun in the old.
            self._replaced = True
            self.offset = 0 if self._from_start else None
        self.epoch = epoch
        place: JsonObject = {"since": "now"}
        if self.offset is not None:
            place = {"since": self.offset, "epoch": epoch}
        return {"topics": self._topics, **place, **self._filters}

    def attached(self, reply: JsonObject) -> Gap | None:
        """Take the reply of ``subscribe``; return the gap that it tells of, if any."""
        since, self.epoch = self.offset, str(reply["epoch"])
        self.snapshot = reply.get("snapshot") or {"missions": []}
        recovered = reply.get("recovered", True)
        if self.offset is None or not recovered:
            self.offset = int(reply["offset"])
        self.replaying = recovered and since is not None
        reason = EPOCH_CHANGED if self._replaced else None if recovered else reply.get("reason")
        self._replaced = False
        if reason is None:
            return None
        return Gap(
            reason=str(reason),
            since=since,
            floor=reply.get("floor"),
            offset=self.offset,
            epoch=self.epoch,
            snapshot=self.snapshot,
        )

    def take(self, event: Event) -> bool:
        """Take an event; return whether it is new."""
        if event.type == "replay.done":
            self.replaying = False
            self.settle(int(event.data.get("offset", 0)))
        if event.offset is None:
            return True
        if self.offset is not None and event.offset <= self.offset:
            return False
        self.offset = event.offset
        return True

    def settle(self, offset: int) -> None:
        """Take the reply of ``ping``: everything up to it has come."""
        if self.offset is not None and offset > self.offset:
            self.offset = offset
