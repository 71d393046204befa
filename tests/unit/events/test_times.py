"""Times on the wire: RFC 3339 with milliseconds and Z."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from events.times import rfc3339, rfc3339_or_none


@given(st.integers(0, 4_000_000_000_000))
def test_an_instant_is_read_back_to_the_millisecond(milliseconds: int) -> None:
    """What is written is the instant, cut to milliseconds."""
    text = rfc3339(milliseconds / 1000)
    assert len(text) == len("2026-11-21T20:12:03.123Z")
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo == UTC
    assert abs(moment.timestamp() - milliseconds / 1000) < 0.0011


def test_no_instant_is_none() -> None:
    """Absent times stay absent."""
    assert rfc3339_or_none(None) is None
    assert rfc3339_or_none(0.5) == "1970-01-01T00:00:00.500Z"
