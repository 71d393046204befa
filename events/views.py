"""Views: connections with the same subscriptions share what they are sent.

An event is matched against views, found by its topics, and never against connections. A view
collects the frames of a tick once; at its end they are joined once for all members.

Who joins or leaves in the middle of a tick gets exactly its part: a newcomer skips what is already
pending, a leaver takes what is pending with it. So nobody has to be flushed early, however many
come and go.
"""

from collections.abc import Iterable

from events.subscribers import Subscriber
from events.topics import Filter
from events.types import Scope


class View:
    """Filters, their members, and the frames of the tick.

    Attributes:
        filters: by topic.
        shared: whether others may join. A view with a mission's implicit topic is its one
            member's own, and changes in place as missions come and go.
        pending: the frames of this tick.
        batch: the frames of the tick before, while they are being written.
    """

    __slots__ = ("_roster", "batch", "filters", "mark", "members", "pending", "shared")

    def __init__(self, filters: Iterable[Filter], *, shared: bool) -> None:
        self.filters = {one.topic: one for one in filters}
        self.shared = shared
        self.members: dict[Subscriber, None] = {}
        self.pending: list[bytes] = []
        self.batch: Batch | None = None
        self.mark = 0
        self._roster: list[Subscriber] | None = None

    @property
    def roster(self) -> list[Subscriber]:
        """The members, as a list that is never changed once it was handed out."""
        if self._roster is None:
            self._roster = list(self.members)
        return self._roster

    def add(self, subscriber: Subscriber, head: int) -> None:
        """Take a member in. It starts behind what is pending; its own pieces stand before that."""
        self.members[subscriber] = None
        self._roster = None
        subscriber.view = self
        subscriber.skip = len(self.pending)
        subscriber.own = [(subscriber.skip, piece) for _, piece in subscriber.own]
        subscriber.firm_at = head
        subscriber.plain = not (subscriber.skip or subscriber.own or subscriber.stuck)

    def remove(self, subscriber: Subscriber, *, with_pending: bool = True) -> None:
        """Let a member go. What is pending for it becomes its own, unless it is read again."""
        del self.members[subscriber]
        self._roster = None
        owed = self.batch.settle_for(subscriber) if self.batch is not None else b""
        rest = subscriber.merge(self.pending) if with_pending else subscriber.drain_own()
        subscriber.own = [(0, piece) for piece in (owed, rest) if piece]
        subscriber.view = None
        subscriber.settle()


class Batch:
    """A view's frames of one tick on their way to its members."""

    __slots__ = ("_at", "_late", "_roster", "base", "frames", "joined", "view")

    def __init__(self, view: View, base: int) -> None:
        self.view = view
        self.base = base
        self.frames = view.pending
        self.joined = b"".join(view.pending)
        self._roster = view.roster
        self._at = 0
        self._late: dict[Subscriber, None] | None = None
        view.pending = []
        view.batch = self

    @property
    def interrupted(self) -> bool:
        """Whether another turn of the loop came between its first and its last member."""
        return self._late is not None

    def share_of(self, member: Subscriber) -> int:
        """Return how many bytes of it a member gets, its own pieces aside."""
        if self.interrupted or not member.skip:
            return len(self.joined)
        return sum(map(len, self.frames[member.skip :]))

    def firm_share_of(self, member: Subscriber) -> bytes:
        """Take out of a member's share what stands before its last own piece, that included."""
        return member.merge(self.frames[: member.own[-1][0]]) if member.own else b""

    def next_members(self, limit: int) -> list[Subscriber]:
        """Return up to ``limit`` members that have not got it; they get it now."""
        if self._late is None:
            members = self._roster[self._at : self._at + limit]
            self._at += limit
            return members
        return [self._late.popitem()[0] for _ in range(min(limit, len(self._late)))]

    def interrupt(self) -> list[Subscriber]:
        """Other things happen before the rest gets it: note who that is.

        For members that are special, what they get is settled now: their places in
        ``own`` count this tick's frames, and from here on they count the next one's. They are
        returned: their own pieces are all that they get, in the next tick.
        """
        if self._late is not None:
            return []
        self._late = {}
        special: list[Subscriber] = []
        for member in self._roster[self._at :]:
            if member.skip or member.own:
                member.own = [(0, member.merge(self.frames))]
                member.skip = 0
                special.append(member)
            else:
                self._late[member] = None
        return special

    def settle_for(self, member: Subscriber) -> bytes:
        """Return what ``member`` has still to get of it; it is not given it again."""
        if self._late is None or member not in self._late:
            return b""
        del self._late[member]
        return self.joined


class ViewIndex:
    """All views that have members, by topic and by their filters."""

    __slots__ = ("_by_filters", "_by_topic", "_latest", "_mark")

    def __init__(self) -> None:
        self._by_topic: dict[str, dict[View, Filter]] = {}
        self._by_filters: dict[frozenset[Filter], View] = {}
        self._mark = 0
        self._latest: tuple[str, Scope, list[View]] | None = None

    def __len__(self) -> int:
        return sum(1 for _ in self._all())

    def shared(self, filters: frozenset[Filter]) -> View:
        """Return the view of these filters."""
        view = self._by_filters.get(filters)
        if view is None:
            view = self._by_filters[filters] = View(filters, shared=True)
            self._enter(view)
        return view

    def private(self, filters: frozenset[Filter]) -> View:
        """Return a new view for one member."""
        view = View(filters, shared=False)
        self._enter(view)
        return view

    def extend(self, view: View, wanted: Filter) -> None:
        """Add a filter to a private view, or replace it."""
        self._latest = None
        view.filters[wanted.topic] = wanted
        self._by_topic.setdefault(wanted.topic, {})[view] = wanted

    def reduce(self, view: View, topic: str) -> None:
        """Take a topic out of a private view."""
        if view.filters.pop(topic, None) is not None:
            self._leave(view, topic)

    def retire(self, view: View) -> None:
        """Forget a view if it has no members."""
        if view.members:
            return
        for topic in view.filters:
            self._leave(view, topic)
        if view.shared:
            del self._by_filters[frozenset(view.filters.values())]

    def matching(self, event_type: str, scope: Scope) -> list[View]:
        """Return the views that an event is for, each once; the list is not to be changed.

        A mission's events come in rows, deltas above all, so the latest answer is kept.
        """
        latest = self._latest
        if latest is not None and latest[0] == event_type and latest[1] is scope:
            return latest[2]
        self._mark += 1
        found: list[View] = []
        for topic in scope.topics:
            row = self._by_topic.get(topic)
            # Most topics have no view, and asking an empty row for its items costs as much.
            if row is None:
                continue
            for view, one in row.items():
                if view.mark != self._mark and one.accepts(event_type, scope):
                    view.mark = self._mark
                    found.append(view)
        self._latest = event_type, scope, found
        return found

    def _all(self) -> set[View]:
        return {view for row in self._by_topic.values() for view in row}

    def _enter(self, view: View) -> None:
        self._latest = None
        for topic, one in view.filters.items():
            self._by_topic.setdefault(topic, {})[view] = one

    def _leave(self, view: View, topic: str) -> None:
        self._latest = None
        row = self._by_topic[topic]
        del row[view]
        if not row:
            del self._by_topic[topic]
