"""When missions have ended, so that nothing more of them can come. Sans I/O."""

from collections.abc import Iterable

from events.payloads import JsonObject
from server.client.messages import Event, Gap


class Ends:
    """Watches the events of some missions for their ends.

    What went before a subscription is not told by events: a mission that ended then is missing from
    the snapshot, which counts once everything older has come.
    """

    def __init__(self, mission_ids: Iterable[str]) -> None:
        self._going_on = set(mission_ids)

    @property
    def over(self) -> bool:
        """Whether all of them have ended."""
        return not self._going_on

    def caught_up(self, snapshot: JsonObject) -> None:
        """Everything older has come: those that are not active have ended."""
        self._going_on &= {mission["mission_id"] for mission in snapshot["missions"]}

    def take(self, item: Event | Gap) -> None:
        """Take an event, or a gap, in which an end may have been."""
        if isinstance(item, Gap):
            self.caught_up(item.snapshot)
        elif item.mission_id is not None and item.ends(item.mission_id):
            self._going_on.discard(item.mission_id)
