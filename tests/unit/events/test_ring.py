"""The ring of recent events."""

import gc

from events.payloads import NodeJoined
from events.ring import Ring, RingBounds, recent
from tests.unit.events.fakes import MemoryLog, scope_of


def _filled(count: int, bounds: RingBounds) -> Ring:
    log, ring = MemoryLog(), Ring(0, bounds)
    for number in range(count):
        ring.append(recent(log.commit(NodeJoined(node=str(number)), scope_of())))
    return ring


def test_it_keeps_the_newest_within_a_count() -> None:
    """Never more than a quarter over the bound, never less than the bound once it was full."""
    for count in range(200):
        ring = _filled(count, RingBounds(events=16))
        kept = ring.after(ring.head, 1_000) if not count else []
        start = next(after for after in range(count + 1) if ring.reaches(after))
        kept = ring.after(start, 1_000)
        assert [entry.offset for entry in kept] == list(range(start + 1, count + 1))
        assert min(count, 16) <= len(kept) <= 20


def test_it_keeps_the_newest_within_a_size() -> None:
    """Whatever the count."""
    ring = _filled(500, RingBounds(events=10_000, size_bytes=20_000))
    assert 10_000 <= ring.size_bytes <= 25_000
    assert ring.head == 500
    assert ring.reaches(499)
    assert not ring.reaches(1)


def test_it_forgets_and_goes_on() -> None:
    """After an erasure it is empty, at the same head."""
    ring = _filled(10, RingBounds())
    ring.forget()
    assert (ring.head, ring.size_bytes) == (10, 0)
    assert ring.reaches(10)
    assert not ring.reaches(9)


def test_what_it_keeps_is_out_of_the_garbage_collectors_sight() -> None:
    """Thousands of entries that each full collection would walk, while everybody waits."""
    log = MemoryLog()
    event = log.commit(NodeJoined(node="n"), scope_of())
    assert not any(gc.is_tracked(one) for one in (event, event.scope, recent(event)))


def test_it_hands_out_a_part() -> None:
    """Behind an offset, up to a limit."""
    ring = _filled(10, RingBounds())
    assert [entry.offset for entry in ring.after(3, 2)] == [4, 5]
    assert ring.after(10, 5) == []
