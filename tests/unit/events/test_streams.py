"""The text so far of what streams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.payloads import MissionCompleted, StepCompleted, StepFailed
from events.streams import StreamBounds, Streams
from events.topics import Filter
from tests.unit.events.fakes import MemoryLog, delta, scope_of

M1 = scope_of(mission="m1")


def _texts(streams: Streams, mission: str = "m1") -> dict[str | None, str]:
    return {one.step: one.text for one in streams.of_mission(mission)}


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.floats(0, 1), st.text(max_size=5)), min_size=1, max_size=300
    )
)
def test_it_is_what_a_client_shows_that_was_there_from_the_start(
    pieces: list[tuple[int, float, str]],
) -> None:
    """``text = text[:at] + delta``, lower attempts dropped; also across many deltas."""
    streams = Streams()
    attempt, text = 0, ""
    for given_attempt, place, piece in pieces:
        at = 0 if given_attempt > attempt else int(place * len(text))
        streams.delta(delta(M1, at, piece, attempt=given_attempt))
        if given_attempt > attempt:
            attempt, text = given_attempt, piece
        elif given_attempt == attempt:
            text = text[:at] + piece
    assert _texts(streams) == ({"1": text} if text else {})


def test_a_step_ends_its_own_stream_only() -> None:
    """Branches stream side by side."""
    log, streams = MemoryLog(), Streams()
    for step in ("1", "2.1", "2.2", None):
        streams.delta(delta(M1, 0, f"text {step}", step=step))
    done = StepCompleted(step="2.1", kind="llm", name="m", output="x", duration_ms=1.0)
    failed = StepFailed(step="1", kind="llm", name="m", error={}, will_retry=True)
    streams.durable(log.commit(done, M1))
    streams.durable(log.commit(failed, M1))
    assert _texts(streams) == {"2.2": "text 2.2", None: "text None"}


def test_the_one_that_moved_last_comes_last() -> None:
    """It is the one that a snapshot shows."""
    streams = Streams()
    streams.delta(delta(M1, 0, "a", step="1"))
    streams.delta(delta(M1, 0, "b", step="2"))
    streams.delta(delta(M1, 1, "a", step="1"))
    assert [one.step for one in streams.of_mission("m1")] == ["2", "1"]


def test_a_mission_ends_all_of_its_streams() -> None:
    """And what it kept is given back."""
    log, streams = MemoryLog(), Streams()
    streams.delta(delta(M1, 0, "abc"))
    streams.delta(delta(scope_of(mission="m2"), 0, "def"))
    ended = MissionCompleted(result="x", usage={}, duration_ms=1.0)
    streams.durable(log.commit(ended, M1))
    assert _texts(streams) == {}
    assert _texts(streams, "m2") == {"1": "def"}
    streams.durable(log.commit(ended, scope_of(mission="m2")))
    assert streams.size_bytes == 0


def test_a_child_does_not_end_its_parents_streams() -> None:
    """The mission of an event is the last of its lineage."""
    log, streams = MemoryLog(), Streams()
    streams.delta(delta(M1, 0, "abc"))
    ended = MissionCompleted(result="x", usage={}, duration_ms=1.0)
    streams.durable(log.commit(ended, scope_of(mission="m9", parent="m1")))
    assert _texts(streams) == {"1": "abc"}


def test_a_stream_that_grew_too_long_is_not_told_in_part() -> None:
    """Half a text at 0 would be shown as the whole; the step's result has it all."""
    streams = Streams(StreamBounds(stream_bytes=100))
    for number in range(200):
        streams.delta(delta(M1, number, "x"))
    assert _texts(streams) == {}
    streams.delta(delta(M1, 0, "new", attempt=2))
    assert _texts(streams) == {"1": "new"}


def test_a_stream_whose_beginning_is_unknown_is_not_told() -> None:
    """Its mission was streaming before this process heard of it."""
    streams = Streams()
    streams.delta(delta(M1, 7, "x"))
    assert _texts(streams) == {}


@pytest.mark.parametrize("missions", [3, 300])
def test_all_together_are_bounded(missions: int) -> None:
    """The oldest go first; the newest is always whole."""
    streams = Streams(StreamBounds(total_bytes=50_000))
    for number in range(missions):
        for at in range(0, 2_000, 100):
            streams.delta(delta(scope_of(mission=f"m{number}"), at, "y" * 100))
        assert streams.size_bytes <= 50_000
    assert _texts(streams, f"m{missions - 1}") == {"1": "y" * 2_000}


def test_it_knows_who_wants_which_stream() -> None:
    """By topics and filters, each stream once; what ended is wanted by nobody."""
    log, streams = MemoryLog(), Streams()
    streams.delta(delta(M1, 0, "one"))
    streams.delta(delta(scope_of("s2", mission="m2"), 0, "two"))

    def wanted(*filters: Filter) -> set[str]:
        return {one.text for one in streams.wanted_by(filters)}

    assert wanted(Filter("system")) == {"one", "two"}
    assert wanted(Filter("session:s2"), Filter("mission:m2")) == {"two"}
    assert wanted(Filter("session:s1", deltas=False), Filter("user:u9")) == set()
    assert wanted(Filter("system", ("mission.*",))) == set()
    ended = MissionCompleted(result="x", usage={}, duration_ms=1.0)
    streams.durable(log.commit(ended, M1))
    assert wanted(Filter("system")) == {"two"}
