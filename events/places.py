"""Where every subscriber belongs: in the view of its topics, or in the line of those behind.

A call that changes topics changes the position first, then :meth:`Places.settle` puts the
subscriber where it belongs now. Whatever is pending for it in the tick goes with it.

A followed mission's topic ends with the mission's terminal event, but its view keeps it until the
tick is over: should the tick lapse, it is told again, and that event is then still to be matched.
"""

from collections.abc import Callable, Sequence

from events.payloads import TERMINAL_TYPES
from events.ring import Ring
from events.subscribers import Subscriber
from events.ticks import Ticks
from events.topics import Filter
from events.types import Committed, Scope
from events.views import View, ViewIndex


class Places:
    """All views, and who follows which mission.

    Args:
        ring: knows the head.
        ticks: where a subscriber's own pieces are collected.
        fall_back: puts a subscriber that is behind into the line.
        arrived: told when a subscriber is in its view with everything up to the head behind it;
            the second argument says whether it had been behind.
    """

    def __init__(
        self,
        ring: Ring,
        ticks: Ticks,
        fall_back: Callable[[Subscriber], None],
        arrived: Callable[[Subscriber, bool], None],
    ) -> None:
        self._ring = ring
        self._ticks = ticks
        self._fall_back = fall_back
        self._arrived = arrived
        self._index = ViewIndex()
        self._followers: dict[str, dict[Subscriber, None]] = {}
        self._endings: list[tuple[Subscriber, str, int]] = []

    def __len__(self) -> int:
        return len(self._index)

    def matching(self, event_type: str, scope: Scope) -> list[View]:
        """Return the views that an event is for, each once."""
        return self._index.matching(event_type, scope)

    # What calls change.

    def attach(self, subscriber: Subscriber, filters: Sequence[Filter], since: int | None) -> None:
        """Attach topics; ``since`` None is "now". :meth:`settle` must follow in this step."""
        self._settle_endings(subscriber)
        position, head = subscriber.position, self._ring.head
        if since is not None and since < head:
            position.freeze(head)
        for one in filters:
            if position.is_implicit(one.topic):
                self._drop_follower(one.topic, subscriber)
            position.attach(one, since, head)
        if since is not None:
            subscriber.calls.append([one.topic for one in filters])

    def detach(self, subscriber: Subscriber, topics: Sequence[str]) -> None:
        """Let topics go, and move the subscriber."""
        self._settle_endings(subscriber)
        for topic in topics:
            if subscriber.position.is_implicit(topic):
                self._drop_follower(topic, subscriber)
            subscriber.position.detach(topic)
        left = [[topic for topic in call if topic not in topics] for call in subscriber.calls]
        subscriber.calls = [call for call in left if call]
        self.settle(subscriber)

    def follow(self, subscriber: Subscriber, mission_id: str, user_id: str) -> None:
        """Attach a mission's topic until that mission ends, and move the subscriber."""
        topic = f"mission:{mission_id}"
        position = subscriber.position
        if topic in position:
            return
        position.follow(mission_id, user_id, self._ring.head)
        self._followers.setdefault(topic, {})[subscriber] = None
        if position.live and subscriber.view is not None and not subscriber.view.shared:
            self._index.extend(subscriber.view, Filter(topic))
        else:
            self.settle(subscriber)

    def settle(self, subscriber: Subscriber) -> None:
        """Put it where it belongs: into its view if it is at the head, else into the line."""
        position, head = subscriber.position, self._ring.head
        was_behind = not position.live
        if position.lowest(head) < head:
            self._leave(subscriber)
            self._fall_back(subscriber)
            return
        position.thaw(head)
        subscriber.page = None
        self._home(subscriber)
        self._arrived(subscriber, was_behind)

    def remove(self, subscriber: Subscriber) -> None:
        """Forget a subscriber that is gone. What was pending for it is its own now."""
        self._leave(subscriber)
        for topic in subscriber.position.implicit_topics:
            self._drop_follower(topic, subscriber)
        subscriber.position.close()

    # What events change.

    def note(self, event: Committed) -> None:
        """A durable event was added to the tick: it may end a mission that is followed."""
        if not self._followers or event.type not in TERMINAL_TYPES:
            return
        topic = f"mission:{event.scope.mission_id}"
        for subscriber in self._followers.get(topic, ()):
            if subscriber.position.live:
                self._endings.append((subscriber, topic, event.offset))

    def tick_ended(self, upto: int) -> None:
        """The tick up to offset ``upto`` was written: let go of what ended in it.

        What ended behind that belongs to the tick that has begun meanwhile, which may yet lapse.
        """
        endings = self._endings
        self._endings = [ending for ending in endings if ending[2] > upto]
        for subscriber, topic, offset in endings:
            if offset <= upto and self._let_end(subscriber, topic, offset):
                self.ended(subscriber, topic)

    def ended(self, subscriber: Subscriber, topic: str) -> None:
        """A followed mission ended, and its topic was detached from the position."""
        self._drop_follower(topic, subscriber)
        if not subscriber.position.live or subscriber.view is None:
            return
        if subscriber.position.has_implicit:
            self._index.reduce(subscriber.view, topic)
        else:
            self._home(subscriber)

    def lapse(self, subscriber: Subscriber, base: int) -> None:
        """It reads, but one tick is more than may wait for it: let it read that at its own pace."""
        self._leave(subscriber, with_pending=False)
        subscriber.position.rewind(max(base, subscriber.firm_at))
        self._fall_back(subscriber)

    def _home(self, subscriber: Subscriber) -> None:
        """Move it to the view of its filters."""
        filters, old = subscriber.position.filters, subscriber.view
        view = None
        if subscriber.position.has_implicit:
            view = self._index.private(filters)
        elif filters:
            view = self._index.shared(filters)
        if view is not None and view is old:
            # What is pending was told under the filters before: it must not be told again,
            # should this tick lapse.
            if old.pending:
                old.remove(subscriber)
                old.add(subscriber, self._ring.head)
        else:
            self._leave(subscriber)
            if view is not None:
                view.add(subscriber, self._ring.head)
        self._ticks.listen(subscriber)

    def _leave(self, subscriber: Subscriber, *, with_pending: bool = True) -> None:
        view = subscriber.view
        if view is not None:
            view.remove(subscriber, with_pending=with_pending)
            self._index.retire(view)
            self._ticks.listen(subscriber)

    def _let_end(self, subscriber: Subscriber, topic: str, offset: int) -> bool:
        """Detach the topic of a mission that ended; False if that is not to be done."""
        position = subscriber.position
        told = position.at_of(topic, self._ring.head)
        # Not told yet: it lapsed in this tick, and its replay will pass the end.
        if subscriber.gone or told is None or told < offset or not position.is_implicit(topic):
            return False
        position.detach(topic)
        return True

    def _settle_endings(self, subscriber: Subscriber) -> None:
        """Before a call changes its topics, let go of those whose mission ended in this tick.

        The call moves it to another view, with all that is pending: nothing of the tick will be
        told again.
        """
        for ending in [one for one in self._endings if one[0] is subscriber]:
            self._endings.remove(ending)
            if self._let_end(*ending):
                self._drop_follower(ending[1], subscriber)

    def _drop_follower(self, topic: str, subscriber: Subscriber) -> None:
        row = self._followers.get(topic)
        if row is not None:
            row.pop(subscriber, None)
            if not row:
                del self._followers[topic]
