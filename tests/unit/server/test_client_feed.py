"""The place of a subscription, against a model server that drops, forgets and is replaced."""

from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.client.feed import Feed, Since
from server.client.messages import Event, Gap

Log = list[bool]
"""Offset - 1 → whether the subscription's filter matches that event."""


class ModelServer:
    """A log, and what is on its way to the one client.

    Attributes:
        logs: each log by its epoch, the current one last.
        floor: events up to it are gone.
        outbox: events written but not read.
    """

    def __init__(self) -> None:
        self.logs: dict[str, Log] = {"e0": []}
        self.floor = 0
        self.outbox: deque[Event] = deque()
        self.connected = False

    @property
    def epoch(self) -> str:
        """The current log's."""
        return f"e{len(self.logs) - 1}"

    @property
    def log(self) -> Log:
        """The current log."""
        return self.logs[self.epoch]

    def append(self, *, matches: bool) -> None:
        """Something happens."""
        self.log.append(matches)
        if matches and self.connected:
            self.outbox.append(Event(type="x", offset=len(self.log)))

    def drop(self) -> None:
        """The connection breaks; what was on its way is lost."""
        self.connected = False
        self.outbox.clear()

    def subscribe(self, params: dict[str, Any]) -> dict[str, Any]:
        """Answer as wire.md has it."""
        self.connected = True
        head, since = len(self.log), params["since"]
        reply = {"epoch": self.epoch, "offset": head, "recovered": True, "snapshot": {}}
        if since == "now":
            return reply
        if params.get("epoch", self.epoch) != self.epoch or since > head:
            return reply | {"recovered": False, "reason": "epoch_changed"}
        if since < self.floor:
            return reply | {"recovered": False, "reason": "history_gap", "floor": self.floor}
        for offset in range(since + 1, head + 1):
            if self.log[offset - 1]:
                self.outbox.append(Event(type="x", offset=offset))
        done = Event(type="replay.done", data={"offset": head})
        self.outbox.append(done)
        return reply


class Follower:
    """A client: the feed, and everything that it gave."""

    def __init__(self, server: ModelServer, since: Since) -> None:
        self.server = server
        self.feed = Feed(["t"], since)
        self.items: list[Event | Gap] = []
        self.begun_at: int | None = 0 if since == "start" else None

    def connect(self) -> None:
        """Subscribe, if the connection is gone."""
        if self.server.connected:
            return
        gap = self.feed.attached(self.server.subscribe(self.feed.request(self.server.epoch)))
        if self.begun_at is None:
            self.begun_at = self.feed.offset
        if gap is not None:
            self.items.append(gap)

    def read(self, count: int) -> None:
        """Read some of what is on its way."""
        for _ in range(min(count, len(self.server.outbox))):
            event = self.server.outbox.popleft()
            if self.feed.take(event) and event.offset is not None:
                self.items.append(event)

    def ping(self) -> None:
        """Ask up to where all was written; the reply comes behind it."""
        self.read(len(self.server.outbox))
        if self.server.connected:
            self.feed.settle(len(self.server.log))


def judge(follower: Follower, first_epoch: str) -> None:
    """Check that between gaps every matching event came once, in order."""
    at, epoch = follower.begun_at or 0, first_epoch
    logs = follower.server.logs
    for item in follower.items:
        if isinstance(item, Gap):
            assert item.reason in {"history_gap", "epoch_changed"}
            assert (item.epoch != epoch) == (item.reason == "epoch_changed")
            at, epoch = item.offset, item.epoch
        else:
            assert item.offset is not None
            assert logs[epoch][item.offset - 1]
            assert not any(logs[epoch][at : item.offset - 1]), "lost, twice or out of order"
            assert item.offset > at
            at = item.offset
    assert epoch == follower.server.epoch
    assert not any(logs[epoch][at:]), "the newest are missing"


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.booleans()),
        st.tuples(st.just("read"), st.integers(0, 5)),
        st.tuples(st.just("drop"), st.none()),
        st.tuples(st.just("connect"), st.none()),
        st.tuples(st.just("ping"), st.none()),
        st.tuples(st.just("prune"), st.integers(0, 3)),
        st.tuples(st.just("replace"), st.integers(0, 8)),
    ),
    max_size=60,
)


@given(OPERATIONS, st.sampled_from(["now", "start"]), st.lists(st.booleans(), max_size=5))
def test_every_event_once_whatever_breaks(
    operations: list[tuple[str, Any]], since: Since, before: list[bool]
) -> None:
    """No gap but those that are said, no duplicate, in order."""
    server = ModelServer()
    server.log.extend(before)
    follower = Follower(server, since)
    follower.connect()
    for name, value in operations:
        match name:
            case "append":
                server.append(matches=value)
            case "read":
                follower.read(value)
            case "drop":
                server.drop()
            case "connect":
                follower.connect()
            case "ping":
                follower.ping()
            case "prune":
                server.floor = max(server.floor, len(server.log) - value)
            case "replace":
                server.drop()
                server.logs[f"e{len(server.logs)}"] = [True] * value
                server.floor = 0
    follower.connect()
    follower.read(len(server.outbox))
    judge(follower, "e0")


def attached(offset: int, **more: object) -> dict[str, object]:
    """A reply of subscribe."""
    return {"epoch": "e1", "offset": offset, "recovered": True, "snapshot": {}, **more}


def test_the_filters_go_along() -> None:
    """At every connect."""
    feed = Feed(["system"], 4, None, {"types": ["mission.*"], "deltas": False})
    assert feed.request("e1") == {
        "topics": ["system"],
        "since": 4,
        "epoch": "e1",
        "types": ["mission.*"],
        "deltas": False,
    }


def test_a_drop_within_a_replay_does_not_begin_it_again() -> None:
    """Else one that takes longer than connections live would never end."""
    feed = Feed(["t"], "start")
    feed.request("e1")
    assert feed.attached(attached(9)) is None
    assert feed.replaying
    assert feed.take(Event(type="x", offset=5))
    assert feed.request("e1")["since"] == 5
    feed.attached(attached(9))
    feed.take(Event(type="replay.done", data={"offset": 9}))
    assert (feed.replaying, feed.offset) == (False, 9)


def test_a_quiet_subscription_moves_with_pings() -> None:
    """So that it does not resume from before what the server keeps."""
    feed = Feed(["t"])
    feed.request("e1")
    feed.attached(attached(3))
    feed.settle(900)
    assert feed.request("e1")["since"] == 900
    assert not feed.take(Event(type="x", offset=900))


@pytest.mark.parametrize(("since", "again"), [("now", "now"), ("start", 0), (7, "now")])
def test_another_log_is_followed_as_the_first_was(since: Since, again: Since) -> None:
    """And the gap is said, even if the reply came only after one more drop."""
    feed = Feed(["t"], since, "e1")
    feed.request("e1")
    feed.attached(attached(9))
    for _ in range(2):
        assert feed.request("e2")["since"] == again
    gap = feed.attached(attached(4, epoch="e2"))
    assert gap is not None
    assert (gap.reason, gap.epoch) == ("epoch_changed", "e2")
