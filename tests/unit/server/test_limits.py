"""Submit rates: a bucket a user."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_tower.errors import RateLimited
from server.access.limits import MAX_IDLE_USERS, SubmitRates


def test_a_minute_has_so_many_and_no_more() -> None:
    """All at once if the user likes; the next one says when."""
    rates = SubmitRates(60)
    for _ in range(60):
        rates.take("ada", 0.0)
    with pytest.raises(RateLimited) as refused:
        rates.take("ada", 0.0)
    assert refused.value.retry_after_s == 1.0
    rates.take("ada", 1.0)


def test_users_do_not_share() -> None:
    """One user's flood is nobody else's."""
    rates = SubmitRates(1)
    rates.take("ada", 0.0)
    rates.take("bob", 0.0)
    with pytest.raises(RateLimited):
        rates.take("ada", 1.0)


def test_off_is_off() -> None:
    """For measuring."""
    rates = SubmitRates(None)
    for _ in range(100_000):
        rates.take("ada", 0.0)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200))
def test_never_more_than_the_rate(gaps: list[float]) -> None:
    """Over any stretch of time: at most a bucket and what it filled meanwhile."""
    rates, now, passed = SubmitRates(6), 0.0, 0
    for gap in gaps:
        now += gap
        with contextlib.suppress(RateLimited):
            rates.take("ada", now)
            passed += 1
    assert passed <= 6 + now * 6 / 60 + 1e-6


def test_idle_users_are_forgotten() -> None:
    """Names cost the sender nothing, so they may not cost us memory."""
    rates = SubmitRates(10)
    for number in range(MAX_IDLE_USERS + 1):
        rates.take(f"u{number}", 0.0)
    rates.take("late", 100.0)
    assert len(rates._buckets) == 1
